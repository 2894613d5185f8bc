package main

import (
	"context"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/etcdapi"
)

func memberPreferCommand(w *world) *cobra.Command {
	var client clientFlags
	var none bool
	cmd := &cobra.Command{
		Use:   "prefer [ID|NAME]...",
		Short: "Say which servers are to lead rather than the others",
		Long: `Makes these servers the preferred ones, and no others; without any, prints which are. A leader that is not preferred
hands over to a voter that is, once that one has caught up and has answered promptly for some seconds. It stays a
preference: one that is down, lags or has a slow disk is not handed to, and elections know nothing of it.`,
		Example: `  quorate member prefer s1
  quorate member prefer s1 s2                   # either of them, and rather than the others
  quorate member prefer                         # who is preferred?
  quorate member prefer --none                  # all are alike again`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if none && len(words) > 0 {
				return usage("member prefer --none takes no servers: it is that none is preferred")
			}
			return client.ask(cmd, w, show.Simple, explainChange,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := client.prefer(ctx, c, words, none)
					return func(p *show.Printer) error { return p.Preferred(answer) }, err
				})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "no server is to be preferred any more")
	cmd.ValidArgsFunction = client.completeMembers(w)
	client.add(cmd)
	return cmd
}

// prefer makes the members that the words mean the preferred ones, or only asks which are.
func (f *clientFlags) prefer(ctx context.Context, c *clientv3.Client, words []string, none bool) (*pb.MemberListResponse, error) {
	const service = "/" + etcdapi.PreferenceService + "/"
	answer := new(pb.MemberListResponse)
	if len(words) == 0 && !none {
		err := c.ActiveConnection().Invoke(ctx, service+etcdapi.MethodPreferred, &pb.MemberListRequest{Linearizable: true}, answer)
		return answer, explainRead(rpctypes.Error(err), f.commandTimeout)
	}
	wanted := new(pb.MemberListResponse)
	if len(words) > 0 {
		members, err := f.members(ctx, c)
		if err != nil {
			return nil, err
		}
		for _, word := range words {
			id, err := whichMember(members, word)
			if err != nil {
				return nil, err
			}
			wanted.Members = append(wanted.Members, &pb.Member{ID: id})
		}
	}
	err := c.ActiveConnection().Invoke(ctx, service+etcdapi.MethodPrefer, wanted, answer)
	return answer, rpctypes.Error(err)
}
