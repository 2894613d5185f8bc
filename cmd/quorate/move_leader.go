package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func moveLeaderCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "move-leader ID|NAME",
		GroupID: groupCluster,
		Short:   "Hand leadership over to another server",
		Long: `Finds out which of the endpoints leads, and asks it to hand over to another server that has a vote, by its id in
hexadecimal or its name. Requests wait meanwhile, for about two round trips between servers. The exit status is 0
once the other one leads.`,
		Example: `  quorate move-leader s2 --endpoints 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379
  quorate move-leader s2 --cluster              # asks all servers that the first endpoint knows of who leads`,
		RunE: func(cmd *cobra.Command, words []string) error {
			word, err := memberWord("move-leader", words)
			if err != nil {
				return err
			}
			printer, err := client.prepare(cmd, w, show.Simple)
			if err != nil {
				return err
			}
			from, to, err := client.moveLeader(cmd.Context(), word)
			if err != nil {
				return err
			}
			return failed(printer.LeaderMoved(from, to))
		},
	}
	cmd.ValidArgsFunction = client.completeMember(w)
	client.add(cmd)
	client.addCluster(cmd)
	return cmd
}

// moveLeader asks the leader to hand over to the member that a word means.
func (f *clientFlags) moveLeader(ctx context.Context, word string) (from, to uint64, err error) {
	endpoint, from, err := leading(atEach(ctx, f, f.probe))
	if err != nil {
		return 0, 0, failed(err)
	}
	c, err := f.connectTo(ctx, endpoint)
	if err != nil {
		return 0, 0, failed(fmt.Errorf("%s: %w", endpoint, err))
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, f.commandTimeout)
	defer cancel()
	to, err = f.memberID(ctx, c, word)
	if err != nil {
		return 0, 0, err
	}
	return from, to, explainMove(moveLeader(ctx, c, to), f.commandTimeout)
}

// moveLeader asks once: etcd's client would ask again when time is up, and then be told by a server that has
// handed over that it does not lead.
func moveLeader(ctx context.Context, c *clientv3.Client, to uint64) error {
	_, err := pb.NewMaintenanceClient(c.ActiveConnection()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to})
	return rpctypes.Error(err)
}

// leading returns who leads, of those asked: in the newest term, if two believe that they do.
func leading(states []show.Endpoint) (endpoint string, id uint64, err error) {
	var silent, leaders []string
	var term uint64
	for _, s := range states {
		switch {
		case s.Status == nil:
			silent = append(silent, fmt.Sprintf("%s: %v", s.Address, s.Err))
		case s.Status.Leader == 0:
		case s.Status.Leader != s.Status.GetHeader().GetMemberId():
			leaders = append(leaders, fmt.Sprintf("%s follows %x", s.Address, s.Status.Leader))
		case s.Status.RaftTerm >= term:
			endpoint, id, term = s.Address, s.Status.Leader, s.Status.RaftTerm
		}
	}
	switch {
	case endpoint != "":
		return endpoint, id, nil
	case len(leaders) > 0:
		return "", 0, fmt.Errorf("the leader is not among the endpoints: %s\n--cluster asks all servers of the cluster",
			strings.Join(append(leaders, silent...), "; "))
	case len(silent) == len(states):
		return "", 0, fmt.Errorf("no server answers: %s", strings.Join(silent, "; "))
	}
	return "", 0, errors.New("there is no leader\n\"quorate doctor --cluster\" tells why")
}

// explainMove adds to an error of move-leader what to do about it.
func explainMove(err error, timeout time.Duration) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrLeaderChanged):
		return failed(fmt.Errorf("%w\n%s", err, `Leadership was handed over, and went elsewhere: "quorate status --cluster" tells to whom.`))
	}
	return explainChange(err, timeout)
}
