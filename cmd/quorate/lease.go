package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func leaseCommand(w *world) *cobra.Command {
	return family(&cobra.Command{
		Use:     "lease grant|revoke|timetolive|list|keep-alive",
		GroupID: groupKeys,
		Short:   "Grant, renew and end leases, with which keys end",
		Long: `A lease lives for some seconds, and again as long each time that it is renewed. Keys that are put with it are
deleted when it ends. It does not end before its time, whatever happens to servers.`,
		Example: `  quorate lease grant 60                        # prints its id
  quorate put --lease 694d5765fc71500b host/1 up
  quorate lease keep-alive 694d5765fc71500b`,
	}, leaseGrantCommand(w), leaseRevokeCommand(w), leaseTimeToLiveCommand(w), leaseListCommand(w), leaseKeepAliveCommand(w))
}

func leaseGrantCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "grant SECONDS",
		Short:   "Grant a lease",
		Long:    "Grants a lease, and prints its id. Servers have a shortest time, 2 seconds by default.",
		Example: "  quorate lease grant 60",
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) != 1 {
				return usage("lease grant takes a number of seconds")
			}
			ttl, err := strconv.ParseInt(words[0], 10, 64)
			if err != nil || ttl <= 0 {
				return usage("lease grant %s: want a number of seconds above 0", words[0])
			}
			return client.ask(cmd, w, show.Simple, explainWrite,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := pb.NewLeaseClient(c.ActiveConnection()).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: ttl})
					return func(p *show.Printer) error { return p.Granted(answer) }, err
				})
		},
	}
	client.add(cmd)
	return cmd
}

func leaseRevokeCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a lease now, and delete its keys",
		Example: "  quorate lease revoke 694d5765fc71500b",
		RunE: func(cmd *cobra.Command, words []string) error {
			id, err := leaseWord("revoke", words)
			if err != nil {
				return err
			}
			return client.ask(cmd, w, show.Simple, explainWrite,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := c.Revoke(ctx, clientv3.LeaseID(id))
					return func(p *show.Printer) error { return p.Revoked(id, (*pb.LeaseRevokeResponse)(answer)) }, err
				})
		},
	}
	client.add(cmd)
	return cmd
}

func leaseTimeToLiveCommand(w *world) *cobra.Command {
	var client clientFlags
	keys := false
	cmd := &cobra.Command{
		Use:     "timetolive ID",
		Short:   "Tell how long a lease has left",
		Example: "  quorate lease timetolive 694d5765fc71500b --keys",
		RunE: func(cmd *cobra.Command, words []string) error {
			id, err := leaseWord("timetolive", words)
			if err != nil {
				return err
			}
			return client.ask(cmd, w, show.Simple, explainRead,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := pb.NewLeaseClient(c.ActiveConnection()).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: keys})
					return func(p *show.Printer) error { return p.TimeToLive(answer, keys) }, err
				})
		},
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "print its keys, too")
	client.add(cmd)
	client.addHex(cmd)
	return cmd
}

func leaseListCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List all leases",
		Example: "  quorate lease list",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return client.ask(cmd, w, show.Simple, explainRead,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := pb.NewLeaseClient(c.ActiveConnection()).LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
					return func(p *show.Printer) error { return p.Leases(answer) }, err
				})
		},
	}
	client.add(cmd)
	return cmd
}

func leaseKeepAliveCommand(w *world) *cobra.Command {
	var client clientFlags
	once := false
	cmd := &cobra.Command{
		Use:   "keep-alive ID",
		Short: "Renew a lease again and again",
		Long: `Renews a lease three times in the time that it has, until it is interrupted. It ends by itself when the lease
has ended, and goes on at another server when one fails.`,
		Example: `  quorate lease keep-alive 694d5765fc71500b
  quorate lease keep-alive 694d5765fc71500b --once`,
		RunE: func(cmd *cobra.Command, words []string) error {
			id, err := leaseWord("keep-alive", words)
			if err != nil {
				return err
			}
			if once {
				return client.ask(cmd, w, show.Simple, explainWrite,
					func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
						answer, err := c.KeepAliveOnce(ctx, clientv3.LeaseID(id))
						return func(p *show.Printer) error { return p.KeptAlive(keptAlive(answer)) }, err
					})
			}
			return client.keepAlive(cmd, w, id)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "renew it once, and end")
	client.add(cmd)
	return cmd
}

// keepAlive renews a lease until it has ended.
func (f *clientFlags) keepAlive(cmd *cobra.Command, w *world, id int64) error {
	client, printer, err := f.open(cmd, w, show.Simple)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	renewed, err := client.KeepAlive(ctx, clientv3.LeaseID(id))
	if err != nil {
		return failed(err)
	}
	for answer := range renewed {
		if err := printer.KeptAlive(keptAlive(answer)); err != nil {
			return failed(err)
		}
	}
	return failed(fmt.Errorf("lease %016x expired or revoked", uint64(id)))
}

func keptAlive(answer *clientv3.LeaseKeepAliveResponse) *pb.LeaseKeepAliveResponse {
	return &pb.LeaseKeepAliveResponse{Header: answer.ResponseHeader, ID: int64(answer.ID), TTL: answer.TTL}
}

// leaseWord reads the only word of a command, which is the id of a lease, in hexadecimal.
func leaseWord(command string, words []string) (int64, error) {
	if len(words) != 1 {
		return 0, usage("lease %s takes the id of a lease", command)
	}
	id, err := strconv.ParseUint(words[0], 16, 64)
	if err != nil || id == 0 {
		return 0, usage("lease %s %s: want the id of a lease, in hexadecimal", command, words[0])
	}
	return int64(id), nil
}
