package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// statusCommand is quorate status, and with etcdctl's format also quorate endpoint status.
func statusCommand(w *world, otherwise show.Format) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupCluster,
		Short:   "Show who answers, who leads, and how far each server is",
		Long: `Asks each endpoint how it is. The exit status is 0 if all of them answer and agree on who leads, and 1 if not.

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
			return client.status(cmd.Context(), w, printer)
		},
	}
	client.add(cmd)
	client.addCluster(cmd)
	return cmd
}

// status asks all endpoints at once, and prints and judges their answers.
func (f *clientFlags) status(ctx context.Context, w *world, printer *show.Printer) error {
	states := atEach(ctx, f, f.probe)
	if err := printer.Statuses(states); err != nil {
		return failed(err)
	}
	verdict, well := show.Judge(states)
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
