package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/etcdapi"
)

func memberAddCommand(w *world) *cobra.Command {
	var client clientFlags
	var urls []string
	var learner bool
	cmd := &cobra.Command{
		Use:   "add NAME --peer-urls URL[,URL]",
		Short: "Add a server, which is to be started then",
		Long: `Adds a server, and prints its id and with which variables it is to be started: those of serve, or of etcd. It
counts in no majority while it has to catch up, so a server that never comes costs nothing; then it gets its
vote by itself. With --learner, it gets none before quorate member promote.`,
		Example: `  quorate member add s4 --peer-urls http://10.0.0.4:2380
  quorate member add s4 --peer-urls http://10.0.0.4:2380 --learner`,
		RunE: func(cmd *cobra.Command, words []string) error {
			name, err := newMemberName(words)
			if err == nil {
				err = checkPeerURLs("add", urls)
			}
			if err != nil {
				return err
			}
			return client.ask(cmd, w, show.Simple, explainChange,
				func(ctx context.Context, c *clientv3.Client) (func(*show.Printer) error, error) {
					answer, err := client.addMember(ctx, c, name, urls, learner)
					return func(p *show.Printer) error {
						if p.Format != show.JSON && !learner {
							fmt.Fprintln(w.err, "It has no vote until it has caught up, and then gets it by itself.")
						}
						return p.MemberAdded(name, answer)
					}, err
				})
		},
	}
	addPeerURLs(cmd, &urls, "where the other servers find the new one")
	cmd.Flags().BoolVar(&learner, "learner", false, "it gets no vote by itself")
	client.add(cmd)
	return cmd
}

// addMember adds a server whose name nobody has: in --initial-cluster, two servers of one name are one.
func (f *clientFlags) addMember(ctx context.Context, c *clientv3.Client, name string, urls []string, learner bool) (*pb.MemberAddResponse, error) {
	members, err := f.members(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Name == name {
			return nil, failed(fmt.Errorf("server %x is called %s already: take another name, or remove that one first", m.ID, name))
		}
	}
	add := c.MemberAdd
	if learner {
		add = c.MemberAddAsLearner
	}
	answer, err := add(ctx, urls)
	return (*pb.MemberAddResponse)(answer), err
}

// newMemberName reads the only word of member add.
func newMemberName(words []string) (string, error) {
	switch {
	case len(words) == 2 && strings.Contains(words[1], "://"):
		return "", usage("member add takes a name; did you mean --peer-urls=%s?", words[1])
	case len(words) != 1 || words[0] == "":
		return "", usage("member add takes the new server's name")
	case strings.ContainsAny(words[0], ",= \t\n"):
		return "", usage("member add %q: a name in --initial-cluster has no comma, no = and no blank", words[0])
	}
	return words[0], nil
}

func addPeerURLs(cmd *cobra.Command, urls *[]string, what string) {
	cmd.Flags().StringSliceVar(urls, "peer-urls", nil, what+", separated by commas")
}

// checkPeerURLs refuses what no server would take.
func checkPeerURLs(command string, urls []string) error {
	if len(urls) == 0 {
		return usage("member %s takes --peer-urls, as in --peer-urls http://10.0.0.4:2380", command)
	}
	for _, u := range urls {
		if !etcdapi.IsPeerURL(u) {
			return usage("--peer-urls %s: want http://host:port, and nothing behind it", u)
		}
	}
	return nil
}
