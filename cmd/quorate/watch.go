package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func watchCommand(w *world) *cobra.Command {
	var client clientFlags
	var watch request.Watch
	valueOnly := false
	cmd := &cobra.Command{
		Use:     "watch KEY [RANGE_END]",
		GroupID: groupKeys,
		Short:   "Print what happens to a key, or to many, as it happens",
		Long: `Prints every change of a key; or with RANGE_END of all keys from KEY up to but without RANGE_END. It goes on
until it is interrupted, also when servers fail: then it goes on at another one, where it was.

A change is printed as PUT or DELETE, and the key and its value in a line each. Nothing is left out and nothing
comes twice. With --rev, it begins with what happened then; if that is compacted, it fails.`,
		Example: `  quorate watch fruit/apple
  quorate watch --prefix fruit/ --prev-kv
  quorate watch --prefix "" --rev 1 -w json     # all that ever happened`,
		RunE: func(cmd *cobra.Command, words []string) error {
			key, options, err := watch.Options(words)
			if err != nil {
				return explainRequest(err)
			}
			return client.follow(cmd, w, key, options, valueOnly)
		},
	}
	watch.AddFlags(cmd)
	cmd.Flags().BoolVar(&valueOnly, "print-value-only", false, "leave out the keys in the format simple")
	client.add(cmd)
	client.addHex(cmd)
	return cmd
}

// follow prints what a watch is told until it ends.
func (f *clientFlags) follow(cmd *cobra.Command, w *world, key string, options []clientv3.OpOption, valueOnly bool) error {
	if err := f.complete(cmd, w); err != nil {
		return err
	}
	printer, err := f.printer(w, show.Simple)
	if err != nil {
		return err
	}
	if printer.Format == show.Table {
		return usage("watch prints simple or json: there is no table of what has no end")
	}
	printer.ValueOnly = valueOnly
	client, err := f.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	for told := range client.Watch(ctx, key, options...) {
		if err := told.Err(); err != nil {
			if told.CompactRevision != 0 {
				err = fmt.Errorf("%w\nThe oldest revision that can be watched is %d", err, told.CompactRevision)
			}
			return failed(fmt.Errorf("the watch has ended: %w", err))
		}
		if err := printer.Watch(toldOf(&told)); err != nil {
			return failed(err)
		}
	}
	return failed(errors.New("the watch has ended"))
}

// toldOf is a response as the server sent it, as far as it matters here.
func toldOf(r *clientv3.WatchResponse) *pb.WatchResponse {
	events := make([]*mvccpb.Event, len(r.Events))
	for i, e := range r.Events {
		events[i] = (*mvccpb.Event)(e)
	}
	return &pb.WatchResponse{Header: r.Header, Events: events, CompactRevision: r.CompactRevision, Canceled: r.Canceled, Created: r.Created}
}
