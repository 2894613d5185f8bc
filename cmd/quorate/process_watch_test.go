package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/check/watchcheck"
)

// TestProcessWatchersMissNothingWhileLeadersAreKilled: watchers at every server, and at whichever is
// there, with etcd's own client, which comes back by itself and asks for what it has not been told.
func TestProcessWatchersMissNothingWhileLeadersAreKilled(t *testing.T) {
	kills := 1
	if askedForByName() {
		kills = 10
	}
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	servers := startServers(t, 3, append([]string{"--watch-progress-notify-interval", "200ms"}, quick...)...)
	l := startLoad(t, servers, seed, mixedOperation)
	r := &recorder{ctx: t.Context()}
	for _, s := range servers {
		r.watchAll(t, s)
	}
	r.watchAll(t, servers...)
	for range kills {
		l.waitProgress(t, 150)
		leader := waitLeader(t, servers)
		leader.kill(t)
		l.waitProgress(t, 150)
		leader.start(t)
		leader.waitServing(t)
		r.watchAll(t, servers...) // from the beginning, in mid-flight
	}
	l.waitProgress(t, 150)
	l.expectLinearizable(t)
	r.finish(t, servers[0])
	h := historyOf(t, servers[0], r.until)
	for _, w := range r.watches {
		for _, v := range watchcheck.Check(h, w) {
			t.Error(v)
		}
	}
	t.Logf("%d watches of %d revisions through %d kills", len(r.watches), h.Last(), kills)
}

// recorder writes down what watchers are told.
type recorder struct {
	ctx     context.Context
	watches []*watchcheck.Watch
	running sync.WaitGroup
	until   int64 // the last revision
}

// watchAll begins to watch all keys, in several ways, from the beginning.
func (r *recorder) watchAll(t *testing.T, servers ...*serverProcess) {
	t.Helper()
	var endpoints []string
	name := ""
	for _, s := range servers {
		endpoints = append(endpoints, localAddress(s.clientPort))
		name += s.name
	}
	client, err := newClient(endpoints, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	for _, way := range []struct {
		watch   watchcheck.Watch
		options []clientv3.OpOption
	}{
		{watchcheck.Watch{}, []clientv3.OpOption{clientv3.WithProgressNotify()}},
		{watchcheck.Watch{Previous: true}, []clientv3.OpOption{clientv3.WithPrevKV(), clientv3.WithFragment()}},
		{watchcheck.Watch{NoPut: true, Previous: true}, []clientv3.OpOption{clientv3.WithFilterPut(), clientv3.WithPrevKV()}},
		{watchcheck.Watch{NoDelete: true}, []clientv3.OpOption{clientv3.WithFilterDelete()}},
	} {
		w := &way.watch
		w.Name, w.End, w.Start = fmt.Sprintf("watcher %d at %s", len(r.watches), name), "\x00", 1
		r.watches = append(r.watches, w)
		options := append(way.options, clientv3.WithFromKey(), clientv3.WithRev(1))
		r.running.Go(func() { r.follow(w, client.Watch(r.ctx, "\x00", options...)) })
	}
}

// follow writes down what one watcher is told, until it is told of the last revision.
func (r *recorder) follow(w *watchcheck.Watch, told clientv3.WatchChan) {
	for response := range told {
		var events []watchcheck.Event
		for _, e := range response.Events {
			events = append(events, eventOf((*mvccpb.Event)(e)))
		}
		w.Responses = append(w.Responses, watchcheck.Response{Revision: response.Header.Revision, Events: events})
		for _, e := range events {
			if e.Key == lastKey && e.Value != "" == w.NoDelete {
				return
			}
		}
	}
}

// lastKey is put, and then deleted, when everything else has been written: everybody is told of one of
// the two.
const lastKey = "~last"

// finish lets all watchers come to the end.
func (r *recorder) finish(t *testing.T, s *serverProcess) {
	t.Helper()
	conn, _, _ := s.present()
	kv := pb.NewKVClient(conn)
	if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte(lastKey), Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	deleted, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte(lastKey)})
	if err != nil {
		t.Fatal(err)
	}
	r.until = deleted.Header.Revision
	done := make(chan struct{})
	go func() { // ends with the watchers
		r.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("not all watchers have been told of the last revision within %v", patience)
	}
	for _, w := range r.watches {
		if w.Through = r.until; w.NoDelete {
			w.Through--
		}
	}
}

// historyOf reads all keys at every revision: what has happened, without anybody watching.
func historyOf(t *testing.T, s *serverProcess, last int64) *watchcheck.History {
	t.Helper()
	conn, _, _ := s.present()
	kv := pb.NewKVClient(conn)
	h := watchcheck.NewHistory(1, nil)
	for rev := int64(2); rev <= last; rev++ {
		answer, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: rev})
		if err != nil {
			t.Fatal(err)
		}
		var pairs []watchcheck.Pair
		for _, p := range answer.Kvs {
			pairs = append(pairs, pairOf(p))
		}
		h.Step(pairs)
	}
	return h
}

func pairOf(p *mvccpb.KeyValue) watchcheck.Pair {
	return watchcheck.Pair{Key: string(p.Key), Value: string(p.Value), Create: p.CreateRevision, Mod: p.ModRevision, Version: p.Version, Lease: p.Lease}
}

func eventOf(e *mvccpb.Event) watchcheck.Event {
	event := watchcheck.Event{Pair: pairOf(e.Kv), Deleted: e.Type == mvccpb.Event_DELETE}
	if e.PrevKv != nil {
		before := pairOf(e.PrevKv)
		event.Previous = &before
	}
	return event
}
