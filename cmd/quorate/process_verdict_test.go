package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// What is asked when the faults are over: do all servers agree, was every answer right, and is what
// was acknowledged there?

// expectLinearizable stops the clients, compares the servers, and judges the history.
func (l *load) expectLinearizable(t *testing.T) {
	t.Helper()
	history := l.finish(t)
	last := sameEverywhere(t, l.servers)
	began := time.Now()
	if err := checkLinearizable(history, last); err != nil {
		t.Error(err)
	}
	l.unknown = 0
	for _, o := range history {
		if o.Output.(outcome).unknown {
			l.unknown++
		}
	}
	t.Logf("%d operations (%d unknown), %d revisions, checked in %v", len(history), l.unknown, last-1, time.Since(began).Round(time.Millisecond))
}

// sameEverywhere reads all keys at every server, which must agree, and returns the revision.
func sameEverywhere(t *testing.T, servers []*serverProcess) (revision int64) {
	t.Helper()
	var first outcome
	for i, s := range servers {
		conn, _, up := s.present()
		if !up {
			t.Fatalf("%s is down", s.name)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		answer, err := scan(ctx, pb.NewKVClient(conn))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if i == 0 {
			first = answer
		}
		if fmt.Sprint(answer) != fmt.Sprint(first) {
			t.Errorf("%s has %+v, and %s %+v", s.name, answer, servers[0].name, first)
		}
	}
	return first.revision
}

// onceWrites is a load of its own: every key is written once, with itself as the value.
type onceWrites struct {
	guard        sync.Mutex
	numbers      map[int]int      // of the last write, by client
	asked        map[string]bool  // keys
	acknowledged map[string]int64 // the revisions of keys
}

func newOnceWrites() *onceWrites {
	return &onceWrites{numbers: map[int]int{}, asked: map[string]bool{}, acknowledged: map[string]int64{}}
}

// put is an operation for a load.
func (w *onceWrites) put(ctx context.Context, kv pb.KVClient, client int, _ *rand.Rand) (operation, outcome, error) {
	w.guard.Lock()
	w.numbers[client]++
	key := fmt.Sprintf("written/%d/%d", client, w.numbers[client])
	w.asked[key] = true
	w.guard.Unlock()
	answer, err := kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(key)})
	if err == nil {
		w.guard.Lock()
		w.acknowledged[key] = answer.GetHeader().GetRevision()
		w.guard.Unlock()
	}
	return operation{kind: opPut}, outcome{}, err
}

// expectWritten makes sure that every server has what was acknowledged, as it was, and nothing that
// nobody asked for.
func (w *onceWrites) expectWritten(t *testing.T, servers []*serverProcess) {
	t.Helper()
	w.guard.Lock()
	defer w.guard.Unlock()
	for _, s := range servers {
		conn, _, _ := s.present()
		answer, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("written/"), RangeEnd: []byte("written0")})
		if err != nil {
			t.Fatal(err)
		}
		missing := maps.Clone(w.acknowledged)
		for _, pair := range answer.Kvs {
			key := string(pair.Key)
			if revision, known := w.acknowledged[key]; known && revision != pair.ModRevision || string(pair.Value) != key || pair.Version != 1 || !w.asked[key] {
				t.Errorf("%s has %v; revision %d was acknowledged", s.name, pair, revision)
			}
			delete(missing, key)
		}
		if len(missing) > 0 {
			t.Errorf("%s has lost %d of %d acknowledged writes", s.name, len(missing), len(w.acknowledged))
		}
	}
	t.Logf("%d writes were acknowledged, %d asked for", len(w.acknowledged), len(w.asked))
}
