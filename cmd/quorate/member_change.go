package main

import (
	"context"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func memberRemoveCommand(w *world) *cobra.Command {
	return memberChangeCommand(w, &cobra.Command{
		Use:   "remove ID|NAME",
		Short: "Remove a server from the cluster",
		Long: `Removes a server from the cluster, the leader too. It is not heard any more, and what it has on its disk is of
no use: stop it, and remove its directory. One that has failed is removed before another is added in its place.`,
		Example: `  quorate member remove s3
  quorate member remove 8e9e05c52164694d`,
	}, "removed from", nil, func(ctx context.Context, c *clientv3.Client, id uint64) (show.MembersAnswer, error) {
		answer, err := c.MemberRemove(ctx, id)
		return (*pb.MemberRemoveResponse)(answer), err
	})
}

func memberUpdateCommand(w *world) *cobra.Command {
	var urls []string
	cmd := memberChangeCommand(w, &cobra.Command{
		Use:   "update ID|NAME --peer-urls URL[,URL]",
		Short: "Tell the others where a server is found from now on",
		Long: `Tells the others where a server is found from now on. Where it listens is what its own --listen-peer-urls
say, after its next start.`,
		Example: "  quorate member update s3 --peer-urls http://10.0.0.5:2380",
	}, "updated in", func() error { return checkPeerURLs("update", urls) }, func(ctx context.Context, c *clientv3.Client, id uint64) (show.MembersAnswer, error) {
		answer, err := c.MemberUpdate(ctx, id, urls)
		return (*pb.MemberUpdateResponse)(answer), err
	})
	addPeerURLs(cmd, &urls, "where the other servers find it")
	return cmd
}

func memberPromoteCommand(w *world) *cobra.Command {
	return memberChangeCommand(w, &cobra.Command{
		Use:     "promote ID|NAME",
		Short:   "Give a learner its vote",
		Long:    "Gives a learner its vote. One that has not caught up yet is refused: ask again then.",
		Example: "  quorate member promote s4",
	}, "promoted in", nil, func(ctx context.Context, c *clientv3.Client, id uint64) (show.MembersAnswer, error) {
		answer, err := c.MemberPromote(ctx, id)
		return (*pb.MemberPromoteResponse)(answer), err
	})
}

// memberChangeCommand completes a command that changes one member, its only word, after its flags are checked.
func memberChangeCommand(w *world, cmd *cobra.Command, how string, check func() error,
	change func(ctx context.Context, c *clientv3.Client, id uint64) (show.MembersAnswer, error)) *cobra.Command {
	var client clientFlags
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		word, err := memberWord("member "+cmd.Name(), words)
		if err == nil && check != nil {
			err = check()
		}
		if err != nil {
			return err
		}
		return client.ask(cmd, w, show.Simple, explainChange,
			func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
				id, err := client.memberID(ctx, c, word)
				if err != nil {
					return nil, err
				}
				answer, err := change(ctx, c, id)
				return func(p *show.Printer) error { return p.MemberChanged(id, how, answer) }, err
			})
	}
	cmd.ValidArgsFunction = client.completeMember(w)
	client.add(cmd)
	return cmd
}
