package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func alarmCommand(w *world) *cobra.Command {
	return family(&cobra.Command{
		Use:     "alarm list|disarm",
		GroupID: groupCluster,
		Short:   "List alarms, or turn them off",
		Long: `An alarm says that something is wrong at a server, until it is turned off: NOSPACE if its state has
outgrown --quota-backend-bytes or its disk is nearly full, and puts are refused; CORRUPT if it holds something else than the others,
and nothing is served.

Against NOSPACE: compact, delete what is not needed or raise the quota, and then quorate alarm disarm.`,
		Example: `  quorate alarm list
  quorate alarm disarm`,
	},
		alarmAsking(w, "list", "List the alarms that are on", explainRead, func(ctx context.Context, c *clientv3.Client) (*clientv3.AlarmResponse, error) {
			return c.AlarmList(ctx)
		}),
		alarmAsking(w, "disarm", "Turn off all alarms, and list them", explainWrite, func(ctx context.Context, c *clientv3.Client) (*clientv3.AlarmResponse, error) {
			return c.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		}),
	)
}

// alarmAsking is one of the two commands.
func alarmAsking(w *world, name, short string, explain func(error, time.Duration) error,
	ask func(context.Context, *clientv3.Client) (*clientv3.AlarmResponse, error)) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  quorate alarm " + name,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return client.ask(cmd, w, show.Simple, explain,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := ask(ctx, c)
					return func(p *show.Printer) error { return p.Alarms((*pb.AlarmResponse)(answer)) }, err
				})
		},
	}
	client.add(cmd)
	return cmd
}
