package main

import (
	"context"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func memberCommand(w *world) *cobra.Command {
	return family(&cobra.Command{
		Use:     "member list|add|remove|update|promote|replace|prefer",
		GroupID: groupCluster,
		Short:   "List the servers of the cluster, and change who belongs to it",
		Long: `Lists the servers of the cluster, and changes who belongs to it, one server at a time and while the others
serve. A change that would leave no majority that answers is refused. Servers go by their ids in hexadecimal, as
member list prints them, or by their names.`,
		Example: `  quorate member list
  quorate member remove s3
  quorate member add s4 --peer-urls http://10.0.0.4:2380
  quorate member replace s3                     # a new server in the place of s3
  quorate member prefer s1                      # s1 leads as long as it is well`,
	}, memberListCommand(w), memberAddCommand(w), memberRemoveCommand(w), memberUpdateCommand(w), memberPromoteCommand(w), memberReplaceCommand(w),
		memberPreferCommand(w))
}

func memberListCommand(w *world) *cobra.Command {
	var client clientFlags
	var consistency string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the servers of the cluster",
		Example: `  quorate member list
  quorate member list -w simple --consistency s # what the asked server knows, leader or not`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			serializable, err := request.Serializable(consistency)
			if err != nil {
				return explainRequest(err)
			}
			var options []clientv3.OpOption
			if serializable {
				options = append(options, clientv3.WithSerializable())
			}
			return client.ask(cmd, w, show.Table, explainRead,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := c.MemberList(ctx, options...)
					return func(p *show.Printer) error { return p.Members((*pb.MemberListResponse)(answer)) }, err
				})
		},
	}
	cmd.Flags().StringVar(&consistency, "consistency", "l", "l: never stale (linearizable); s: what the asked server knows (serializable)")
	client.add(cmd)
	return cmd
}
