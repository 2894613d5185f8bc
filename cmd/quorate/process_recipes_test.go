package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// recipe is a cluster of which the leaders are killed while etcd's own client does on it what it has ready
// for common needs: locks, elections, transactions of many steps, copies, caches.
type recipe struct {
	servers []*serverProcess
	kills   int

	steps   atomic.Int64 // taken by the workers; see waitSteps
	stopped chan struct{}
	workers sync.WaitGroup
}

// startRecipe starts the cluster.
func startRecipe(t *testing.T) *recipe {
	t.Helper()
	r := &recipe{servers: startServers(t, 3, quick...), kills: 1, stopped: make(chan struct{})}
	if askedForByName() {
		r.kills = killsByName()
	}
	return r
}

// client returns a client of its own, which knows all servers and begins with any.
func (r *recipe) client(t *testing.T) *clientv3.Client {
	t.Helper()
	var endpoints []string
	for _, s := range r.servers {
		endpoints = append(endpoints, localAddress(s.clientPort))
	}
	rand.Shuffle(len(endpoints), func(i, j int) { endpoints[i], endpoints[j] = endpoints[j], endpoints[i] })
	client, err := newClient(endpoints, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// work does something again and again, until the last leader was killed. What it returns says whether it
// was a step ahead; what fails is no step, and is tried again.
func (r *recipe) work(do func() bool) {
	r.workers.Go(func() {
		for {
			select {
			case <-r.stopped:
				return
			default:
			}
			if do() {
				r.steps.Add(1)
			}
		}
	})
}

// waitSteps waits until the workers have taken more steps.
func (r *recipe) waitSteps(t *testing.T, more int64) {
	t.Helper()
	waitMore(t, more, "steps are taken", r.steps.Load)
}

// killLeaders kills leaders, with some steps of the workers before and after each death, and then waits
// until the workers are done.
func (r *recipe) killLeaders(t *testing.T, between int64) {
	t.Helper()
	for range r.kills {
		r.waitSteps(t, between)
		leader := waitLeader(t, r.servers)
		leader.kill(t)
		r.waitSteps(t, between)
		leader.start(t)
		leader.waitServing(t)
	}
	r.waitSteps(t, between)
	r.stop(t)
}

// stop waits until the workers are done.
func (r *recipe) stop(t *testing.T) {
	t.Helper()
	close(r.stopped)
	done := make(chan struct{})
	go func() { // ends with the workers
		r.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("not all workers are done within %v", patience)
	}
}

// history returns everything that happened to the keys with a prefix, in order.
func history(t *testing.T, client *clientv3.Client, prefix string) []*clientv3.Event {
	t.Helper()
	last, err := client.Put(t.Context(), prefix+lastKey, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var events []*clientv3.Event
	for response := range client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		for _, e := range response.Events {
			if e.Kv.ModRevision == last.Header.Revision {
				return events
			}
			events = append(events, e)
		}
	}
	t.Fatalf("the history of %s ends before revision %d", prefix, last.Header.Revision)
	return nil
}

// tenure is a time during which somebody knows for sure that he alone had something: from when he was told
// that it is his, until he asked the store for the last time whether it is, and was told yes.
type tenure struct {
	who         int
	since, last time.Time
}

// tenures are those of all, by one clock: everybody is in this process.
type tenures struct {
	mu  sync.Mutex // guards all
	all []tenure
}

func (s *tenures) add(who int, since, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, tenure{who, since, last})
}

// overlap tells of two that overlap.
func (s *tenures) overlap() error {
	for i, a := range s.all {
		for _, b := range s.all[:i] {
			if a.since.Before(b.last) && b.since.Before(a.last) {
				return fmt.Errorf("%d had it for %v, and %d for %v, and both for %v", a.who, a.last.Sub(a.since), b.who, b.last.Sub(b.since),
					earlier(a.last, b.last).Sub(later(a.since, b.since)))
			}
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sessionSeconds is how long what a dead client holds is kept from others.
const sessionSeconds = 2

// inSession does something that a lease stands for, and returns whether it was done. One session in forty
// is left as by a client that died: its lease ends by itself.
func inSession(client *clientv3.Client, do func(*concurrency.Session) bool) bool {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(sessionSeconds))
	if err != nil {
		return false
	}
	done := do(session)
	if rand.IntN(40) == 0 {
		session.Orphan()
	} else {
		_ = session.Close() // Without an answer, the lease ends by itself.
	}
	return done
}

// TestProcessMutexIsHeldByOneAtATime: whoever holds the lock counts up a counter, in two steps that only
// the lock makes one: he reads it, and puts one more if the key that stands for the lock is as old as his
// (its create revision is a fencing token). The counter then never skips or repeats a number, and nobody
// who was told that he still held the lock at the second step held it at the same time as another.
func TestProcessMutexIsHeldByOneAtATime(t *testing.T) {
	r := startRecipe(t)
	var held tenures
	var acknowledged atomic.Int64
	for who := range 4 {
		client := r.client(t)
		r.work(func() bool {
			return inSession(client, func(s *concurrency.Session) bool {
				m := concurrency.NewMutex(s, "mutex")
				if m.Lock(t.Context()) != nil {
					return false
				}
				since := time.Now()
				last, counted := countUp(t.Context(), client, m, who)
				if counted {
					held.add(who, since, last)
					acknowledged.Add(1)
				}
				_ = m.Unlock(t.Context()) // The session's end does it, too.
				return counted
			})
		})
	}
	r.killLeaders(t, 30)

	if err := held.overlap(); err != nil {
		t.Error(err)
	}
	counted, err := countedUp(history(t, r.client(t), "counter"), "")
	if err != nil {
		t.Error(err)
	} else if counted < acknowledged.Load() {
		t.Errorf("the counter is %d, after %d times that it was counted up", counted, acknowledged.Load())
	}
	t.Logf("counted to %d, %d of them acknowledged, through %d kills", counted, acknowledged.Load(), r.kills)
}

// countedUp checks that the values of a key, behind their prefix, are 1, 2, 3 and so on, and returns the last.
func countedUp(events []*clientv3.Event, prefix string) (count int64, err error) {
	for _, e := range events {
		count++
		if got, want := string(e.Kv.Value), fmt.Sprint(prefix, count); got != want {
			return count, fmt.Errorf("revision %d: %s is %s, and should be %s", e.Kv.ModRevision, e.Kv.Key, got, want)
		}
	}
	return count, nil
}

// countUp counts up the counter while a lock is held. last is when its holder asked whether it was.
func countUp(ctx context.Context, client *clientv3.Client, m *concurrency.Mutex, who int) (last time.Time, counted bool) {
	now, err := client.Get(ctx, "counter")
	if err != nil {
		return last, false
	}
	next := int64(1)
	if len(now.Kvs) > 0 {
		next += now.Kvs[0].Version
	}
	last = time.Now()
	done, err := client.Txn(ctx).If(m.IsOwner()).Then(clientv3.OpPut("counter", fmt.Sprint(next))).Commit()
	return last, err == nil && done.Succeeded
}

// TestProcessElectionHasOneLeaderAtATime: candidates are elected, proclaim, and resign. Nobody who was told
// that he still led when he proclaimed led at the same time as another, and observers are told of every
// proclamation of a leader from the first that they see, in order, and of leaders in the order in which
// they stood for election.
func TestProcessElectionHasOneLeaderAtATime(t *testing.T) {
	r := startRecipe(t)
	var led tenures
	var proclaimed atomic.Int64
	for who := range 4 {
		client := r.client(t)
		r.work(func() bool {
			return inSession(client, func(s *concurrency.Session) bool {
				e := concurrency.NewElection(s, "election")
				if e.Campaign(t.Context(), fmt.Sprint(who)) != nil {
					return false
				}
				since, last := time.Now(), time.Time{}
				for range 1 + rand.IntN(3) {
					ask := time.Now()
					if e.Proclaim(t.Context(), fmt.Sprint(who)) != nil {
						break
					}
					last = ask
					proclaimed.Add(1)
				}
				_ = e.Resign(t.Context()) // The session's end does it, too.
				if last.IsZero() {
					return false
				}
				led.add(who, since, last)
				return true
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var observers sync.WaitGroup
	var observed atomic.Int64
	for range 3 {
		client := r.client(t)
		observers.Go(func() {
			for ctx.Err() == nil {
				count, err := observeElection(ctx, client)
				observed.Add(count)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	r.killLeaders(t, 30)
	cancel()
	observers.Wait()

	if err := led.overlap(); err != nil {
		t.Error(err)
	}
	if observed.Load() == 0 {
		t.Error("nothing was observed")
	}
	t.Logf("%d proclamations, observed %d times, through %d kills", proclaimed.Load(), observed.Load(), r.kills)
}

// observeElection observes an election for as long as that goes, and checks what is told.
func observeElection(ctx context.Context, client *clientv3.Client) (count int64, err error) {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(sessionSeconds))
	if err != nil {
		return 0, nil // and again
	}
	defer session.Orphan()
	var before *clientv3.GetResponse
	for answer := range concurrency.NewElection(session, "election").Observe(ctx) {
		count++
		if before != nil {
			if err := observedAfter(before.Kvs[0], answer.Kvs[0]); err != nil {
				return count, err
			}
		}
		before = answer
	}
	return count, nil
}

// observedAfter checks that an observer may be told of a proclamation next: it is the next of the same
// leader, or one of a leader who stood for election later.
func observedAfter(was, is *mvccpb.KeyValue) error {
	if is.CreateRevision > was.CreateRevision || is.CreateRevision == was.CreateRevision && is.Version == was.Version+1 {
		return nil
	}
	return fmt.Errorf("observed out of order: %v, and then %v", was, is)
}
