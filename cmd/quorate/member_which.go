package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// memberWord reads the only word of a command, which says which member is meant.
func memberWord(command string, words []string) (string, error) {
	if len(words) != 1 || words[0] == "" {
		return "", usage("%s takes the id of a server, in hexadecimal, or its name", command)
	}
	return words[0], nil
}

// members lists who belongs to the cluster, before anything is changed.
func (f *clientFlags) members(ctx context.Context, c *clientv3.Client) ([]*pb.Member, error) {
	answer, err := c.MemberList(ctx)
	if err != nil {
		return nil, explainRead(err, f.commandTimeout)
	}
	return answer.Members, nil
}

// memberID returns the id of the member that a word means: by its id, or its name.
func (f *clientFlags) memberID(ctx context.Context, c *clientv3.Client, word string) (uint64, error) {
	members, err := f.members(ctx, c)
	if err != nil {
		return 0, err
	}
	return whichMember(members, word)
}

// whichMember finds the member that a word means. With 0x before it, it is an id, whatever names there are.
func whichMember(members []*pb.Member, word string) (uint64, error) {
	digits, onlyID := strings.CutPrefix(word, "0x")
	id, err := strconv.ParseUint(digits, 16, 64)
	isID := err == nil
	var meant, there []string
	var found uint64
	for _, m := range members {
		there = append(there, fmt.Sprintf("%x %s", m.ID, m.Name))
		if isID && m.ID == id || !onlyID && m.Name == word {
			meant, found = append(meant, fmt.Sprintf("0x%x", m.ID)), m.ID
		}
	}
	switch {
	case len(meant) > 1:
		return 0, failed(fmt.Errorf("%s may mean %s: say which", word, strings.Join(meant, " or ")))
	case len(meant) == 0:
		return 0, failed(fmt.Errorf("no server has the id or the name %s; there are: %s", word, strings.Join(there, ", ")))
	}
	return found, nil
}

// completeMember offers the ids and names of members for the first word, if a server answers.
func (f *clientFlags) completeMember(w *world) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	members := f.completeMembers(w)
	return func(cmd *cobra.Command, words []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(words) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return members(cmd, words, begun)
	}
}

// completeMembers offers them for any word.
func (f *clientFlags) completeMembers(w *world) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, _ []string, _ string) (offered []string, _ cobra.ShellCompDirective) {
		if f.complete(cmd, w) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := f.connect(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), f.dialTimeout)
		defer cancel()
		answer, err := c.MemberList(ctx, clientv3.WithSerializable())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, m := range answer.Members {
			offered = append(offered, fmt.Sprintf("%x\t%s", m.ID, m.Name))
			if m.Name != "" {
				offered = append(offered, fmt.Sprintf("%s\t%x", m.Name, m.ID))
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
}

// whyUnchanged says what to do about errors after which members, or leadership, certainly are as before.
var whyUnchanged = []struct {
	err    error
	advice string
}{
	{rpctypes.ErrMemberNotFound, `"quorate member list" tells who there is.`},
	{rpctypes.ErrPeerURLExist, `"quorate member list" tells whose they are.`},
	{rpctypes.ErrMemberNotLearner, "It votes already."},
	{rpctypes.ErrMemberLearnerNotReady, `It has to run and to catch up first: try again then. "quorate status --cluster" tells how far it is.`},
	{rpctypes.ErrMemberNotEnoughStarted, "Without it, there would be no majority of servers that run."},
	{rpctypes.ErrUnhealthy, `Nothing has changed: after it, no majority would answer. "quorate doctor --cluster" tells who is missing.`},
	{rpctypes.ErrTooManyRequests, "Nothing has changed, for another change is under way: try again."},
	{rpctypes.ErrLeaderChanged, "Nothing has changed: try again."},
	{rpctypes.ErrBadLeaderTransferee, `Who leads must have a vote: "quorate member list" tells who is a learner.`},
	{rpctypes.ErrNotLeader, "Nothing was done, for another server has come to lead: try again."},
}

// explainChange adds to the error of a change of members what to do about it.
func explainChange(err error, timeout time.Duration) error {
	if said := (*failure)(nil); errors.As(err, &said) {
		return err
	}
	for _, known := range whyUnchanged {
		if errors.Is(err, known.err) {
			return failed(fmt.Errorf("%w\n%s", err, known.advice))
		}
	}
	return explainWrite(err, timeout)
}
