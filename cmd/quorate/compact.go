package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func compactCommand(w *world) *cobra.Command {
	var client clientFlags
	physical := false
	cmd := &cobra.Command{
		Use:     "compact REVISION",
		Aliases: []string{"compaction"},
		GroupID: groupKeys,
		Short:   "Forget what keys were before a revision",
		Long: `Forgets what keys were before a revision, which can be read itself still. What keys are now is kept,
however old. "quorate get KEY -w json" tells the newest revision.`,
		Example: `  quorate compact 1000
  quorate compact 1000 --physical               # return when the room is free`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) != 1 {
				return usage("compact takes a revision")
			}
			revision, err := strconv.ParseInt(words[0], 10, 64)
			if err != nil || revision < 0 {
				return usage("compact %s: want a revision, which is a number", words[0])
			}
			var options []clientv3.CompactOption
			if physical {
				options = append(options, clientv3.WithCompactPhysical())
			}
			return client.ask(cmd, w, show.Simple, explainWrite,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := c.Compact(ctx, revision, options...)
					return func(p *show.Printer) error { return p.Compact(revision, (*pb.CompactionResponse)(answer)) }, err
				})
		},
	}
	cmd.Flags().BoolVar(&physical, "physical", false, "wait until what is forgotten is removed from the disk, too")
	client.add(cmd)
	return cmd
}
