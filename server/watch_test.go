package server

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// receive takes events from a channel of etcd's client until one of a revision has come, as text.
func receive(ctx context.Context, events clientv3.WatchChan, until int64) (string, error) {
	text := ""
	for {
		select {
		case r, ok := <-events:
			if !ok || r.Err() != nil {
				return text, fmt.Errorf("the watch has ended: %w", r.Err())
			}
			for _, e := range r.Events {
				text += fmt.Sprintf("%s %s=%s at %d\n", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
				if e.Kv.ModRevision == until {
					return text, nil
				}
			}
		case <-ctx.Done():
			return text, ctx.Err()
		}
	}
}

// TestEtcdsClientWatchesAtEveryServer: whoever watches, wherever, sees the same: also from the past, and
// when the server that leads goes away.
func TestEtcdsClientWatchesAtEveryServer(t *testing.T) {
	ctx := testContext(t)
	options := clusterOptions(t, 3)
	for i := range options {
		// A watch that asks for a leader ends after three times that without one. The leader that goes away hands over at once.
		options[i].ElectionTimeout = 2 * time.Second
	}
	servers := startAll(t, options)
	writer := connect(t, servers...)
	put, err := writer.Put(ctx, "k0", "first")
	if err != nil {
		t.Fatal(err)
	}
	first := put.Header.Revision
	var watches []clientv3.WatchChan
	for _, s := range servers {
		watches = append(watches, connect(t, s).Watch(ctx, "k", clientv3.WithPrefix(), clientv3.WithRev(first)))
	}
	everywhere := connect(t, servers...).Watch(clientv3.WithRequireLeader(ctx), "k", clientv3.WithPrefix(), clientv3.WithRev(first))
	want := fmt.Sprintf("PUT k0=first at %d\n", first)
	write := func() (last int64) {
		for i := range 10 {
			put, err := writer.Put(ctx, fmt.Sprintf("k%d", i), "v")
			if err != nil {
				t.Fatal(err)
			}
			last = put.Header.Revision
			want += fmt.Sprintf("PUT k%d=v at %d\n", i, last)
		}
		return last
	}
	last := write()
	for i, watch := range watches {
		if got, err := receive(ctx, watch, last); err != nil || got != want {
			t.Fatalf("at server %d: got %s, %v; want %s", i, got, err, want)
		}
	}
	got, err := receive(ctx, everywhere, last)
	if err != nil || got != want {
		t.Fatalf("with a leader: got %s, %v; want %s", got, err, want)
	}

	for i, s := range servers {
		if now := s.Group().Status().Raft; now.Leader == now.ID {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			writer = connect(t, append(servers[:i:i], servers[i+1:]...)...)
			break
		}
	}
	want = ""
	last = write()
	if got, err := receive(ctx, everywhere, last); err != nil || got != want {
		t.Fatalf("after the leader has gone: got %s, %v; want %s", got, err, want)
	}
}
