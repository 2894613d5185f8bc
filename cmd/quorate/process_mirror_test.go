package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/mirror"
)

const mirrorWriters = 3

// twin is one of the two keys that a writer always puts together.
func twin(half string, who int) string { return "source/" + half + strconv.Itoa(who) }

// TestProcessMirrorFollowsItsSource: a prefix is copied as etcdctl make-mirror does it while it changes.
// Changes come in order, and those of one transaction together; in the end the copy holds what the source
// holds, and the copier knows of each key what the source says of it.
func TestProcessMirrorFollowsItsSource(t *testing.T) {
	r := startRecipe(t)
	client := r.client(t)
	const keys = 1100 // more than come in one answer
	for at := 0; at < keys; at += 100 {
		var ops []clientv3.Op
		for i := range 100 {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("source/%04d", at+i), "old"))
		}
		if _, err := client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for who := range mirrorWriters {
		writer := r.client(t)
		number := 0
		r.work(func() bool {
			number++
			key := func() string { return fmt.Sprintf("source/%04d", rand.IntN(keys+100)) }
			var err error
			switch value := fmt.Sprint(who, " ", number); rand.IntN(3) {
			case 0:
				_, err = writer.Delete(t.Context(), key())
			case 1:
				_, err = writer.Put(t.Context(), key(), value)
			default:
				one, other := clientv3.OpPut(twin("a", who), value), clientv3.OpPut(twin("b", who), value)
				_, err = writer.Txn(t.Context()).Then(one, other).Commit()
			}
			return err == nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	m := &mirrored{client: r.client(t), held: map[string]*mvccpb.KeyValue{}, due: map[string]clientv3.Op{}}
	var copying sync.WaitGroup
	t.Cleanup(func() { cancel(); copying.Wait() })
	copying.Go(func() {
		if err := m.follow(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	r.killLeaders(t, 60)

	source := pairsOf(t, client, "source/")
	eventually(t, "the copy is up to date", func() error {
		if at := m.copied.Load(); at < source.revision {
			return fmt.Errorf("it is at revision %d, of %d", at, source.revision)
		}
		return nil
	})
	cancel()
	copying.Wait()
	if err := m.verdict(source.values, pairsOf(t, client, "copy/").values); err != nil {
		t.Error(err)
	}
	t.Logf("%d keys at revision %d, through %d kills", len(source.values), source.revision, r.kills)
}

// pairs are keys as they were at a revision.
type pairs struct {
	revision int64
	values   map[string]*mvccpb.KeyValue
}

func pairsOf(t *testing.T, client *clientv3.Client, prefix string) pairs {
	t.Helper()
	answer, err := client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	p := pairs{revision: answer.Kvs[0].ModRevision, values: map[string]*mvccpb.KeyValue{}}
	for _, kv := range answer.Kvs {
		p.values[string(kv.Key)] = kv
		p.revision = max(p.revision, kv.ModRevision)
	}
	return p
}

// mirrored is a copy that is being made, by one goroutine.
type mirrored struct {
	client *clientv3.Client
	held   map[string]*mvccpb.KeyValue // of the source, as the syncer tells
	due    map[string]clientv3.Op      // what is to be copied next, by key of the copy
	copied atomic.Int64                // the revision of the source up to which all is copied; read by others, too
}

// follow copies what is there, and then what changes, until ctx ends.
func (m *mirrored) follow(ctx context.Context) error {
	syncer := mirror.NewSyncer(m.client, "source/", 0)
	base, errs := syncer.SyncBase(ctx)
	for page := range base {
		for _, kv := range page.Kvs {
			m.take(kv)
		}
		if err := m.flush(ctx); err != nil {
			return err
		}
	}
	if err := <-errs; err != nil {
		return fmt.Errorf("copy what is there: %w", err)
	}
	last := int64(0)
	for response := range syncer.SyncUpdates(ctx) {
		if err := response.Err(); err != nil {
			return fmt.Errorf("copy what changes: %w", err)
		}
		for _, e := range response.Events {
			if e.Kv.ModRevision < last {
				return fmt.Errorf("a change of revision %d after one of %d", e.Kv.ModRevision, last)
			}
			last = e.Kv.ModRevision
			if e.Type == mvccpb.Event_DELETE {
				m.drop(e.Kv)
			} else {
				m.take(e.Kv)
			}
		}
		if err := m.torn(); err != nil {
			return fmt.Errorf("revision %d: %w", last, err)
		}
		if err := m.flush(ctx); err != nil {
			return err
		}
		m.copied.Store(last) // All of a revision comes at once.
	}
	return ctx.Err()
}

// verdict compares what is known and what was copied with the source.
func (m *mirrored) verdict(source, copied map[string]*mvccpb.KeyValue) error {
	for key, want := range source {
		if got := m.held[key]; got == nil || got.String() != want.String() {
			return fmt.Errorf("known is %v, and there is %v", got, want)
		}
		if got := copied[copyOf(key)]; got == nil || string(got.Value) != string(want.Value) {
			return fmt.Errorf("%s: the copy is %v, and should be %q", key, got, want.Value)
		}
	}
	if len(m.held) != len(source) || len(copied) != len(source) {
		return fmt.Errorf("%d keys are known, and %d copied, of %d", len(m.held), len(copied), len(source))
	}
	return nil
}

// torn tells of keys that are always put together, and are not seen together.
func (m *mirrored) torn() error {
	for who := range mirrorWriters {
		one, other := m.held[twin("a", who)], m.held[twin("b", who)]
		if (one == nil) != (other == nil) || one != nil && string(one.Value) != string(other.Value) {
			return fmt.Errorf("%v comes without its other half, %v", one, other)
		}
	}
	return nil
}

// take and drop keep in mind what is to be copied: of each key, what happened to it last.
func (m *mirrored) take(kv *mvccpb.KeyValue) {
	m.held[string(kv.Key)] = kv
	m.due[copyOf(string(kv.Key))] = clientv3.OpPut(copyOf(string(kv.Key)), string(kv.Value))
}

func (m *mirrored) drop(kv *mvccpb.KeyValue) {
	delete(m.held, string(kv.Key))
	m.due[copyOf(string(kv.Key))] = clientv3.OpDelete(copyOf(string(kv.Key)))
}

func copyOf(key string) string { return "copy/" + strings.TrimPrefix(key, "source/") }

// flush copies what is due, as much at a time as a transaction takes. It tries each until it is told that
// it is done: what is due later must not come first.
func (m *mirrored) flush(ctx context.Context) error {
	for ops := range slices.Chunk(slices.Collect(maps.Values(m.due)), 100) {
		for {
			if _, err := m.client.Txn(ctx).Then(ops...).Commit(); err == nil {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	clear(m.due)
	return nil
}
