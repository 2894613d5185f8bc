package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/ordering"
)

// floors are the newest revisions of keys that somebody was told of: whoever reads later must not get an
// older one.
type floors []atomic.Int64

func (f floors) raise(i int, revision int64) {
	for at := f[i].Load(); at < revision && !f[i].CompareAndSwap(at, revision); at = f[i].Load() {
	}
}

// TestProcessLeasingCachesAreNeverStale: two clients keep what they read in caches, for as long as they hold
// leases on the keys, and a third writes. Nobody reads an older value than anybody had written or read
// before he asked.
func TestProcessLeasingCachesAreNeverStale(t *testing.T) {
	r := startRecipe(t)
	known := make(floors, 8)
	var reads, hits atomic.Int64
	warm := make(chan bool, 1) // filled each time that so many more reads were answered from caches
	pace := time.NewTicker(time.Millisecond)
	t.Cleanup(pace.Stop)
	for range 2 {
		kv, questions := leasingKV(t, r.client(t))
		r.work(func() bool {
			<-pace.C // From a cache, it would be a million a second.
			i := rand.IntN(len(known))
			floor, asked := known[i].Load(), questions.Load()
			answer, err := kv.Get(t.Context(), cachedKey(i))
			if err != nil {
				return false
			}
			at := int64(0)
			if len(answer.Kvs) > 0 {
				at = answer.Kvs[0].ModRevision
			}
			if at < floor {
				t.Errorf("%s is read as of revision %d, after %d was known", cachedKey(i), at, floor)
			}
			known.raise(i, at)
			reads.Add(1)
			if questions.Load() == asked && hits.Add(1)%20 == 0 {
				select {
				case warm <- true:
				default: // The writer knows already.
				}
			}
			return false
		})
	}
	kv, _ := leasingKV(t, r.client(t))
	r.work(func() bool {
		select {
		case <-warm:
		case <-r.stopped:
			return false
		}
		i := rand.IntN(len(known))
		answer, err := kv.Put(t.Context(), cachedKey(i), "x")
		if err != nil {
			return false
		}
		known.raise(i, answer.Header.Revision)
		return true
	})
	r.killLeaders(t, 6)
	t.Logf("%d reads, %d of them from caches, through %d kills", reads.Load(), hits.Load(), r.kills)
}

func cachedKey(i int) string { return fmt.Sprint("cached/", i) }

// leasingKV returns a client with a cache, and the number of requests that it has sent.
func leasingKV(t *testing.T, client *clientv3.Client) (clientv3.KV, *atomic.Int64) {
	t.Helper()
	counted := &countedKV{KV: client.KV}
	client.KV = counted
	kv, closeKV, err := leasing.NewKV(client, "leasing/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeKV)
	return kv, &counted.questions
}

// countedKV counts what is asked of servers.
type countedKV struct {
	clientv3.KV
	questions atomic.Int64
}

func (c *countedKV) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	c.questions.Add(1)
	return c.KV.Do(ctx, op)
}

func (c *countedKV) Txn(ctx context.Context) clientv3.Txn {
	c.questions.Add(1)
	return c.KV.Txn(ctx)
}

// TestProcessOrderedReadsNeverGoBack: a client asks all servers in turn, without asking for the newest, and
// has those ask again who would be taken back. What a server says that it holds at a revision is what was
// there at that revision.
func TestProcessOrderedReadsNeverGoBack(t *testing.T) {
	r := startRecipe(t)
	const keys = 3
	for who := range 2 {
		writer := r.client(t)
		r.work(func() bool {
			_, err := writer.Put(t.Context(), fmt.Sprint("ordered/", rand.IntN(keys)), fmt.Sprint(who))
			return err == nil
		})
	}
	var behind atomic.Int64
	client := r.client(t)
	kv := ordering.NewKV(client.KV, func(clientv3.Op, clientv3.OpResponse, int64) error {
		behind.Add(1)
		return nil // ask the next
	})
	newest := make(floors, 1)
	var guard sync.Mutex
	var answers []*clientv3.GetResponse
	for range 3 {
		r.work(func() bool {
			floor := newest[0].Load()
			answer, err := kv.Get(t.Context(), "ordered/", clientv3.WithPrefix(), clientv3.WithSerializable())
			if err != nil {
				return false
			}
			if answer.Header.Revision < floor {
				t.Errorf("an answer of revision %d, after one of %d", answer.Header.Revision, floor)
			}
			newest.raise(0, answer.Header.Revision)
			guard.Lock()
			answers = append(answers, answer)
			guard.Unlock()
			return true
		})
	}
	r.killLeaders(t, 300)
	if behind.Load() == 0 {
		t.Error("no server was ever behind another")
	}
	if err := historic(answers, history(t, client, "ordered/")); err != nil {
		t.Error(err)
	}
	t.Logf("%d reads, %d that would have gone back, through %d kills", len(answers), behind.Load(), r.kills)
}

// historic checks that answers show what was there at the revision that they name.
func historic(answers []*clientv3.GetResponse, events []*clientv3.Event) error {
	at := map[int64][]int64{} // when keys were changed last, by revision
	now := map[string]int64{}
	for _, e := range events {
		now[string(e.Kv.Key)] = e.Kv.ModRevision
		at[e.Kv.ModRevision] = []int64{now["ordered/0"], now["ordered/1"], now["ordered/2"]}
	}
	for _, answer := range answers {
		got := make([]int64, 3)
		for _, kv := range answer.Kvs {
			got[kv.Key[len("ordered/")]-'0'] = kv.ModRevision
		}
		if want := at[answer.Header.Revision]; want != nil && fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("at revision %d a server shows keys of the revisions %d, and they are of %d", answer.Header.Revision, got, want)
		}
	}
	return nil
}
