package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func electCommand(w *world) *cobra.Command {
	var client clientFlags
	listen := false
	cmd := &cobra.Command{
		Use:     "elect NAME [PROPOSAL]",
		GroupID: groupKeys,
		Short:   "Campaign in an election, or tell who is elected",
		Long: `Campaigns in an election with something to be known by, prints the key and the proposal once it is elected, and
stays so until it is interrupted. With --listen it prints whoever is elected, one after the other.`,
		Example: `  quorate elect printer-3/queue host-17
  quorate elect --listen printer-3/queue`,
		RunE: func(cmd *cobra.Command, words []string) error {
			switch {
			case len(words) == 0 || words[0] == "":
				return usage("elect takes the name of an election")
			case listen && len(words) > 1:
				return usage("elect --listen takes a name, and no proposal")
			case !listen && len(words) != 2:
				return usage("elect takes a name and a proposal; --listen tells who is elected")
			}
			return client.inSession(cmd, w, defaultSessionTTL, func(ctx context.Context, s *concurrency.Session) error {
				election := concurrency.NewElection(s, words[0])
				if listen {
					return observe(ctx, w, election)
				}
				return campaign(ctx, w, s, election, words[1])
			})
		},
	}
	cmd.Flags().BoolVarP(&listen, "listen", "l", false, "print whoever is elected")
	client.add(cmd)
	return cmd
}

// observe prints whoever is elected.
func observe(ctx context.Context, w *world, election *concurrency.Election) error {
	for elected := range election.Observe(ctx) {
		if err := printElected(w, elected); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the election can be observed no longer")
}

// campaign campaigns, and stays elected until ctx ends.
func campaign(ctx context.Context, w *world, s *concurrency.Session, election *concurrency.Election, proposal string) error {
	if err := election.Campaign(ctx, proposal); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	elected, err := s.Client().Get(ctx, election.Key())
	if err == nil {
		err = printElected(w, elected)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func printElected(w *world, elected *clientv3.GetResponse) error {
	for _, kv := range elected.Kvs {
		if _, err := fmt.Fprintf(w.out, "%s\n%s\n", kv.Key, kv.Value); err != nil {
			return err
		}
	}
	return nil
}
