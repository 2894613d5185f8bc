package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func endpointCommand(w *world) *cobra.Command {
	status := statusCommand(w, show.Simple)
	status.GroupID = ""
	return family(&cobra.Command{
		Use:     "endpoint health|status|hashkv",
		GroupID: groupCluster,
		Short:   "Ask servers one by one: do they work, how are they, do they hold the same",
		Long:    "Asks each endpoint by itself, as etcdctl endpoint does.",
		Example: `  quorate endpoint health --cluster
  quorate endpoint hashkv --cluster`,
	}, endpointHealthCommand(w), status, endpointHashCommand(w))
}

func endpointHealthCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell which servers carry out requests",
		Long: `Makes a linearizable read at each endpoint, which takes a leader and a majority. The exit status is 0 if
all are well, and 1 if not.`,
		Example: `  quorate endpoint health --endpoints 127.0.0.1:2379,127.0.0.1:22379
  quorate endpoint health --cluster -w json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printer, err := client.prepare(cmd, w, show.Simple)
			if err != nil {
				return err
			}
			healths := atEach(cmd.Context(), &client, func(ctx context.Context, endpoint string, c *clientv3.Client, err error) show.Health {
				h := show.Health{Address: endpoint, Err: err}
				if err != nil {
					return h
				}
				began := time.Now()
				_, err = c.Get(ctx, "health")
				h.Took, h.Err = time.Since(began), client.silence(err)
				if errors.Is(h.Err, rpctypes.ErrPermissionDenied) {
					h.Err = nil // it has looked at who asks, and that takes a majority, too
				}
				return h
			})
			if err := printer.Healths(healths); err != nil {
				return failed(err)
			}
			for _, h := range healths {
				if h.Err != nil {
					return failed(errors.New("unhealthy cluster"))
				}
			}
			return nil
		},
	}
	client.add(cmd)
	client.addCluster(cmd)
	return cmd
}

func endpointHashCommand(w *world) *cobra.Command {
	var client clientFlags
	var revision int64
	cmd := &cobra.Command{
		Use:   "hashkv",
		Short: "Compare what servers hold",
		Long: `Asks each endpoint for the hash of all keys and versions that it holds as of a revision, which takes a
server as long as reading all of them. Servers that hold the same have the same hash. The exit status is 1
if two of them differ, or one does not answer.`,
		Example: `  quorate endpoint hashkv --cluster
  quorate endpoint hashkv --cluster --rev 1000 -w table`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if revision < 0 {
				return usage("--rev is %d, must not be negative", revision)
			}
			printer, err := client.prepare(cmd, w, show.Simple)
			if err != nil {
				return err
			}
			hashes := atEach(cmd.Context(), &client, func(ctx context.Context, endpoint string, c *clientv3.Client, err error) show.Hash {
				h := show.Hash{Address: endpoint, Err: err}
				if err != nil {
					return h
				}
				answer, err := c.HashKV(ctx, endpoint, revision)
				h.Answer, h.Err = (*pb.HashKVResponse)(answer), client.silence(err)
				return h
			})
			if err := printer.Hashes(hashes); err != nil {
				return failed(err)
			}
			verdict, well := show.JudgeHashes(hashes)
			fmt.Fprintln(w.err, verdict)
			if !well {
				return &failure{exitFailed, nil} // The verdict says it.
			}
			return nil
		},
	}
	cmd.Flags().Int64Var(&revision, "rev", 0, "the revision to compare at; 0: the newest of each")
	client.add(cmd)
	client.addCluster(cmd)
	return cmd
}

// prepare completes the flags of a command that asks endpoints one by one.
func (f *clientFlags) prepare(cmd *cobra.Command, w *world, otherwise show.Format) (*show.Printer, error) {
	if err := f.complete(cmd, w); err != nil {
		return nil, err
	}
	printer, err := f.printer(w, otherwise)
	if err == nil && f.cluster {
		f.endpoints, err = f.memberEndpoints(cmd.Context())
	}
	return printer, err
}

// atEach asks all endpoints at once, each through a client of its own, and returns what ask makes of them.
// ask is told why there is no client.
func atEach[T any](ctx context.Context, f *clientFlags, ask func(ctx context.Context, endpoint string, c *clientv3.Client, err error) T) []T {
	return forEach(f.endpoints, func(endpoint string) T {
		c, err := f.connectTo(ctx, endpoint)
		if err == nil {
			defer c.Close()
		}
		ctx, cancel := context.WithTimeout(ctx, f.commandTimeout)
		defer cancel()
		return ask(ctx, endpoint, c, err)
	})
}

// forEach asks all endpoints at once, and returns the answers in their order.
func forEach[T any](endpoints []string, ask func(endpoint string) T) []T {
	results := make([]T, len(endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range endpoints {
		asking.Go(func() { results[i] = ask(endpoint) })
	}
	asking.Wait()
	return results
}

// silence says in words that time was up, if that is what an error says.
func (f *clientFlags) silence(err error) error {
	if isWaiting(err) {
		return fmt.Errorf("takes connections, but does not answer within %v", f.commandTimeout)
	}
	return err
}

// connectTo returns a client of one server, if that takes connections.
func (f *clientFlags) connectTo(ctx context.Context, endpoint string) (*clientv3.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, f.dialTimeout)
	defer cancel()
	if err := dial(ctx, endpoint); err != nil {
		return nil, err
	}
	return newClient([]string{endpoint}, f.dialTimeout)
}
