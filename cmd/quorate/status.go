package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/doctor"
)

// statusCommand is quorate status, and with etcdctl's format also quorate endpoint status.
func statusCommand(w *world, otherwise show.Format) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupCluster,
		Short:   "Show who answers, who leads, and how far each server is",
		Long: `Asks each endpoint how it is, by its own view: whom it follows, how many voters it reaches and how many it
needs, and what it finds wrong. A server answers without a leader and without a majority. The exit status
is 0 if all answer, agree on who leads and carry out requests, and 1 if not.

quorate doctor says more: who is missing, since when and why, and what to do.

With -w simple the columns are those of etcdctl endpoint status: endpoint, id, version, storage version,
size, in use, not in use, quota, is leader, is learner, term, index, applied index, errors, downgrade
target, downgrade.`,
		Example: `  quorate status --endpoints 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379
  quorate status --cluster                      # all servers that the first endpoint knows of
  quorate status -w json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printer, err := client.prepare(cmd, w, otherwise)
			if err != nil {
				return err
			}
			ask := client.probe
			if printer.Format == show.Table || otherwise == show.Table && printer.Format == show.JSON {
				ask = client.probeFully // What etcdctl prints has no room for more.
			}
			return client.status(cmd.Context(), w, printer, ask)
		},
	}
	client.add(cmd)
	client.addCluster(cmd)
	return cmd
}

// status asks all endpoints at once, and prints and judges their answers.
func (f *clientFlags) status(ctx context.Context, w *world, printer *show.Printer,
	ask func(context.Context, string, *clientv3.Client, error) show.Endpoint) error {
	states := atEach(ctx, f, ask)
	if err := printer.Statuses(states); err != nil {
		return failed(err)
	}
	verdict, well := show.Judge(states)
	for _, s := range states {
		if s.Report != nil && !s.Report.Progress {
			verdict, well = verdict+"\n"+show.Printable(s.Report.Verdict), false
		}
	}
	if printer.Format == show.Table {
		fmt.Fprintln(w.out, verdict)
	} else if !well {
		fmt.Fprintln(w.err, verdict)
	}
	if !well {
		return &failure{exitFailed, nil} // The verdict says it.
	}
	return nil
}

// probe asks one server how it is.
func (f *clientFlags) probe(ctx context.Context, endpoint string, c *clientv3.Client, err error) show.Endpoint {
	if err != nil {
		return show.Endpoint{Address: endpoint, Err: err}
	}
	answer, err := c.Status(ctx, endpoint)
	return show.Endpoint{Address: endpoint, Status: (*pb.StatusResponse)(answer), Err: f.silence(err)}
}

// probeFully asks one server how it is, and for its report, which servers of etcd do not have.
func (f *clientFlags) probeFully(ctx context.Context, endpoint string, c *clientv3.Client, err error) show.Endpoint {
	if err != nil {
		return f.probe(ctx, endpoint, c, err)
	}
	var state show.Endpoint
	var report *doctor.Report
	var asking sync.WaitGroup
	asking.Go(func() { report, _ = f.report(ctx, endpoint) }) // Status says why there is no answer.
	asking.Go(func() { state = f.probe(ctx, endpoint, c, nil) })
	asking.Wait()
	state.Report = report
	return state
}

// memberEndpoints returns where clients find the servers of the cluster.
func (f *clientFlags) memberEndpoints(ctx context.Context) ([]string, error) {
	client, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, f.commandTimeout)
	defer cancel()
	answer, err := client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil, explainRead(err, f.commandTimeout)
	}
	var endpoints []string
	for _, m := range answer.Members {
		endpoints = append(endpoints, m.ClientURLs...)
	}
	slices.Sort(endpoints)
	if len(endpoints) == 0 {
		return nil, failed(fmt.Errorf("no server has told where clients find it"))
	}
	return endpoints, nil
}
