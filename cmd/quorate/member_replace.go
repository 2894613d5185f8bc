package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/etcdapi"
)

func memberReplaceCommand(w *world) *cobra.Command {
	r := replacement{w: w}
	cmd := &cobra.Command{
		Use:   "replace ID|NAME",
		Short: "Put a new server in the place of another",
		Long: `Puts a new server in the place of one that has failed, or is to go: makes a token, prints the command that starts
the new server, waits until it has joined, caught up and got its vote, and then removes the old one. So there are
never fewer servers with a vote than now. If it is interrupted, nothing is half done: the token stays good, and
quorate member remove does the rest.`,
		Example: `  quorate member replace s3
  quorate member replace s3 --ttl 10m --endpoints 10.0.0.1:2379,10.0.0.2:2379`,
		RunE: func(cmd *cobra.Command, words []string) error {
			word, err := memberWord("member replace", words)
			if err != nil {
				return err
			}
			client, printer, err := r.client.open(cmd, w, show.Simple)
			if err != nil {
				return err
			}
			defer client.Close()
			r.printer = printer
			return r.run(cmd.Context(), client, word)
		},
	}
	cmd.Flags().DurationVar(&r.ttl, "ttl", etcdapi.DefaultTokenTTL, "for how long the new server is waited for")
	cmd.ValidArgsFunction = r.client.completeMember(w)
	r.client.add(cmd)
	return cmd
}

// replacement is one run of member replace. What it waits for it says on standard error.
type replacement struct {
	w       *world
	client  clientFlags
	ttl     time.Duration
	printer *show.Printer
	said    string
}

// replaceEvery is how often it is looked how far the new server is.
const replaceEvery = 500 * time.Millisecond

func (r *replacement) run(ctx context.Context, c *clientv3.Client, word string) error {
	f := &r.client
	asking, cancel := context.WithTimeout(ctx, f.commandTimeout)
	defer cancel()
	before, err := f.members(asking, c)
	if err != nil {
		return err
	}
	old, err := whichMember(before, word)
	if err != nil {
		return err
	}
	made, err := f.makeToken(ctx, r.ttl)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(r.w.err, "On the machine of the new server, within %v:\n\n  %s\n\n", r.ttl, joinCommand(made))
	waiting, stop := context.WithTimeout(ctx, r.ttl)
	defer stop()
	if err := r.awaitVoter(waiting, c, before, old); err != nil {
		return err
	}
	asking, cancel = context.WithTimeout(ctx, f.commandTimeout)
	defer cancel()
	answer, err := c.MemberRemove(asking, old)
	if err != nil {
		return explainChange(err, f.commandTimeout)
	}
	return failed(r.printer.MemberChanged(old, "removed from", (*pb.MemberRemoveResponse)(answer)))
}

// awaitVoter waits until a server votes that was not there before.
func (r *replacement) awaitVoter(ctx context.Context, c *clientv3.Client, before []*pb.Member, old uint64) error {
	next := time.NewTicker(replaceEvery)
	defer next.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, r.client.commandTimeout)
		answer, err := c.MemberList(asking)
		cancel()
		switch {
		case err != nil && ctx.Err() == nil:
			r.say("The servers cannot be listed now: %v", err)
		case err == nil:
			if r.look(answer.Members, before, old) {
				return nil
			}
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return failed(errors.New("no new server has got its vote in time, and nothing was removed; " +
				"its log tells what it waits for, and \"quorate member list\" whether it has joined"))
		}
	}
}

// look says how far the new server is, and whether it votes.
func (r *replacement) look(now, before []*pb.Member, old uint64) (votes bool) {
	var learns []string
	for _, m := range now {
		name := fmt.Sprintf("%s (%x)", show.Printable(m.Name), m.ID)
		switch {
		case slices.ContainsFunc(before, func(b *pb.Member) bool { return b.ID == m.ID }):
		case m.IsLearner:
			learns = append(learns, name)
		default:
			r.say("%s has its vote. Removing %x.", name, old)
			return true
		}
	}
	if len(learns) > 0 {
		r.say("%s has joined, and catches up.", strings.Join(learns, ", "))
	} else {
		r.say("Waiting for the new server to join.")
	}
	return false
}

// say says something once.
func (r *replacement) say(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != r.said {
		r.said = text
		fmt.Fprintln(r.w.err, text)
	}
}
