package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
)

// TestProcessNamespacesAreApart: the same happens under two prefixes, by clients that do not see theirs.
// Each counts, and is told of, its own numbers alone, and nothing is outside.
func TestProcessNamespacesAreApart(t *testing.T) {
	r := startRecipe(t)
	whole := r.client(t)
	last := map[string]*atomic.Int64{"left/": new(atomic.Int64), "right/": new(atomic.Int64)}
	for prefix, number := range last {
		for range 2 {
			client := inNamespace(r.client(t), prefix)
			r.work(func() bool {
				count, err := countIn(t.Context(), client, prefix)
				for at := number.Load(); at < count && !number.CompareAndSwap(at, count); at = number.Load() {
				}
				return err == nil && count > 0
			})
		}
	}
	r.killLeaders(t, 100)
	all := pairsOf(t, whole, "")
	for prefix, number := range last {
		client := inNamespace(r.client(t), prefix)
		numbers, err := countedUp(history(t, client, "n"), prefix)
		if err != nil {
			t.Error(err)
		} else if numbers < number.Load() {
			t.Errorf("%s has counted to %d, after %d was acknowledged", prefix, numbers, number.Load())
		}
		t.Logf("%s has counted to %d through %d kills", prefix, numbers, r.kills)
		delete(all.values, prefix+"n")
	}
	for key := range all.values {
		t.Errorf("%q is in no namespace", key)
	}
}

func inNamespace(client *clientv3.Client, prefix string) *clientv3.Client {
	client.KV = namespace.NewKV(client.KV, prefix)
	client.Watcher = namespace.NewWatcher(client.Watcher, prefix)
	client.Lease = namespace.NewLease(client.Lease, prefix)
	return client
}

// countIn puts the next number, if nobody else has, and returns it.
func countIn(ctx context.Context, client *clientv3.Client, prefix string) (int64, error) {
	now, err := client.Get(ctx, "", clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	next, changed := int64(1), int64(0)
	for _, kv := range now.Kvs {
		if string(kv.Key) != "n" || !strings.HasPrefix(string(kv.Value), prefix) {
			return 0, fmt.Errorf("%s=%s is not of %s", kv.Key, kv.Value, prefix)
		}
		next, changed = kv.Version+1, kv.ModRevision
	}
	done, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision("n"), "=", changed)).
		Then(clientv3.OpPut("n", fmt.Sprint(prefix, next))).Commit()
	if err != nil || !done.Succeeded {
		return 0, err
	}
	return next, nil
}
