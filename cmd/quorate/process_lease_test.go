package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestProcessLeasesEndNeitherTooEarlyNorNever: while leaders are killed, holders keep leases alive for a
// while, each through all servers, and then let go of them. By its holder's clock no lease ends within its
// time after the last request that was answered; and all end.
func TestProcessLeasesEndNeitherTooEarlyNorNever(t *testing.T) {
	rounds, holders := 1, 12
	if askedForByName() {
		rounds = killsByName()
	}
	servers := startServers(t, 3, quick...)
	var endpoints []string
	for _, s := range servers {
		endpoints = append(endpoints, localAddress(s.clientPort))
	}
	client, err := newClient(endpoints, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	ended := watchEnds(t, client)
	var longest time.Duration
	for round := range rounds {
		var running sync.WaitGroup
		held := make([]*heldLease, holders)
		for i := range held {
			held[i] = &heldLease{key: fmt.Sprintf("lease/%d/%d", round, i), ttl: int64(2 + i%3)}
			running.Go(func() { held[i].hold(t, client, 2+i%4) })
		}
		leader := waitLeader(t, servers)
		leader.kill(t)
		running.Wait()
		leader.start(t)
		leader.waitServing(t)
		for _, h := range held {
			at := ended.wait(t, h.key)
			if early := h.sent.Add(time.Duration(h.ttl) * time.Second).Sub(at); early > 0 {
				t.Errorf("%s was gone %v before the %d s since its last renewal were over", h.key, early, h.ttl)
			}
			longest = max(longest, at.Sub(h.answered)-time.Duration(h.ttl)*time.Second)
		}
	}
	left, err := client.Leases(t.Context())
	if err != nil || len(left.Leases) != 0 {
		t.Errorf("leases that are left: %v, %v", left, err)
	}
	t.Logf("%d leases through %d kills; the last ended %v after its time", rounds*holders, rounds, longest)
}

// heldLease is a lease with a key, and what its holder knows of it.
type heldLease struct {
	key string
	ttl int64
	// sent is when the last request was sent that was answered well, and answered when that was.
	sent, answered time.Time
}

// hold takes a lease, renews it some times, and lets go of it. Whatever fails is tried again: a lease that
// is gone by then was not kept alive.
func (h *heldLease) hold(t *testing.T, client *clientv3.Client, renewals int) {
	ctx := t.Context()
	var id clientv3.LeaseID
	for id == 0 {
		h.sent = time.Now()
		if granted, err := client.Grant(ctx, h.ttl); err == nil {
			h.answered, id = time.Now(), granted.ID
		}
	}
	for {
		if _, err := client.Put(ctx, h.key, "", clientv3.WithLease(id)); err == nil {
			break
		} else if isRefusal(err) {
			t.Errorf("%s: its lease is gone before it had a key: %v", h.key, err)
			return
		}
	}
	for range renewals {
		<-time.After(time.Duration(h.ttl)*time.Second/3 + rand.N(100*time.Millisecond)) // as etcd's client does
		attempt, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		sent := time.Now()
		if _, err := client.KeepAliveOnce(attempt, id); err == nil {
			h.sent, h.answered = sent, time.Now()
		}
		cancel()
	}
}

// ends remembers when a client was told that keys are deleted.
type ends struct {
	mu sync.Mutex // guards at
	at map[string]time.Time
}

// watchEnds watches the keys of leases.
func watchEnds(t *testing.T, client *clientv3.Client) *ends {
	e := &ends{at: map[string]time.Time{}}
	told := client.Watch(t.Context(), "lease/", clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	if created := <-told; created.Err() != nil {
		t.Fatal(created.Err())
	}
	go func() { // ends with the test
		for response := range told {
			for _, event := range response.Events {
				e.mu.Lock()
				if event.Type == mvccpb.Event_DELETE {
					e.at[string(event.Kv.Key)] = time.Now()
				}
				e.mu.Unlock()
			}
		}
	}()
	return e
}

// wait waits until a key is deleted, and returns when that was.
func (e *ends) wait(t *testing.T, key string) (at time.Time) {
	t.Helper()
	eventually(t, key+" ends", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		var ok bool
		if at, ok = e.at[key]; !ok {
			return fmt.Errorf("it lives")
		}
		return nil
	})
	return at
}
