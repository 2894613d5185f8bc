package main

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// startNetwork starts servers that are tied together by relays.
func startNetwork(t *testing.T, count int) (*network, []*serverProcess) {
	t.Helper()
	servers := newServers(t, count, quick...)
	n := newNetwork(t, servers)
	startAll(t, servers)
	return n, servers
}

func TestProcessMinorityServesNothingButOldReadsAndRejoins(t *testing.T) {
	count, cuts := 3, 1
	if askedForByName() {
		count, cuts = 5, 4
	}
	n, servers := startNetwork(t, count)
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	l := startPinnedLoad(t, servers, seed, mixedOperation)
	for i := range cuts {
		l.waitProgress(t, 100)
		leader := waitLeader(t, servers)
		few := append([]*serverProcess{leader}, others(servers, leader)[:(count-1)/2-1]...)
		if i%4 == 3 { // The leader is not among them.
			few = others(servers, leader)[:(count-1)/2]
		}
		most := others(servers, few...)
		for _, s := range few {
			s.beginTrouble()
		}
		n.separate(few, most)
		waitLeader(t, most)
		for _, s := range few {
			waitWithoutLeader(t, s)
		}
		expectCutOff(t, l, few, most)
		n.mend()
		for _, s := range few {
			s.endTrouble()
			waitCaughtUp(t, s, waitLeader(t, servers))
		}
		l.waitProgress(t, 50, few...)
	}
	l.expectLinearizable(t)
}

// waitWithoutLeader waits until a server knows of no leader; if it led, it has stepped down.
func waitWithoutLeader(t *testing.T, s *serverProcess) {
	t.Helper()
	eventually(t, s.name+" knows of no leader", func() error {
		state, err := s.status(t.Context())
		if err == nil && state.Leader != 0 {
			err = fmt.Errorf("it sees %x leading", state.Leader)
		}
		return err
	})
}

// expectCutOff makes sure that the few servers of a minority that knows of no leader answer nothing,
// though their clients ask all the time, but for reads that may be old; and that the others go on.
func expectCutOff(t *testing.T, l *load, few, most []*serverProcess) {
	t.Helper()
	before := l.answeredBy(few...)
	l.waitProgress(t, 200, most...)
	type old struct {
		server *serverProcess
		answer *pb.RangeResponse
	}
	var olds []old
	all := &pb.RangeRequest{Key: []byte("key"), RangeEnd: []byte("kez"), Serializable: true}
	for _, s := range few {
		conn, _, _ := s.present()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		answer, err := pb.NewKVClient(conn).Range(ctx, all)
		if err != nil {
			t.Fatalf("a read that may be old, at %s: %v", s.name, err)
		}
		olds = append(olds, old{s, answer})
	}
	l.waitProgress(t, 100, most...)
	if answered := l.answeredBy(few...) - before; answered != 0 {
		t.Errorf("%d operations were answered by a minority that knew of no leader", answered)
	}
	// What was read there was once so everywhere.
	conn, _, _ := most[0].present()
	for _, o := range olds {
		then := &pb.RangeRequest{Key: all.Key, RangeEnd: all.RangeEnd, Revision: o.answer.GetHeader().GetRevision()}
		answer, err := pb.NewKVClient(conn).Range(t.Context(), then)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(answer.Kvs) != fmt.Sprint(o.answer.Kvs) {
			t.Errorf("%s has read %v at revision %d, where %s has %v", o.server.name, o.answer.Kvs, then.Revision, most[0].name, answer.Kvs)
		}
	}
}

// Servers that do not hear each other must not unseat one leader after the other, as long as there is
// one that a majority hears.
func TestProcessPartialCutsLeaveALeaderInOffice(t *testing.T) {
	n, servers := startNetwork(t, 3)
	var idle sync.RWMutex
	l := startPinnedLoad(t, servers, mathrand.Uint64(), func(ctx context.Context, kv pb.KVClient, client int, random *mathrand.Rand) (operation, outcome, error) {
		idle.RLock()
		defer idle.RUnlock()
		return mixedOperation(ctx, kv, client, random)
	})
	// From and to: 0 is the leader at that time. The first cut leaves one server that hears both others.
	cuts := [][][2]int{{{0, 1}, {1, 0}}, {{0, 1}}, {{1, 0}}}
	if askedForByName() {
		cuts = append(cuts, [][2]int{{1, 2}}, [][2]int{{1, 2}, {2, 1}}, [][2]int{{0, 1}, {2, 1}}, [][2]int{{0, 1}, {1, 2}}, [][2]int{{1, 0}, {0, 1}})
	}
	for _, cut := range cuts {
		leader := waitLeader(t, servers)
		roles := append([]*serverProcess{leader}, others(servers, leader)...)
		for _, s := range servers { // Whom it hits depends on who leads by now.
			s.beginTrouble()
		}
		terms := func() uint64 {
			// Nothing is written meanwhile, or whoever is cut off would not be elected for want of entries.
			idle.Lock()
			defer idle.Unlock()
			for _, s := range servers {
				waitCaughtUp(t, s, leader)
			}
			for _, pair := range cut {
				n.cut(roles[pair[0]], roles[pair[1]])
			}
			return waitSteady(t, servers)
		}()
		l.waitProgress(t, 100)
		n.mend()
		for _, s := range servers {
			s.endTrouble()
		}
		leads := waitLeader(t, servers)
		l.waitProgress(t, 100)
		t.Logf("cut %v, 0 is %s: a leader stayed after %d terms; now %s leads", cut, leader.name, terms, leads.name)
	}
	l.expectLinearizable(t)
}

// waitSteady waits until no term has begun anywhere for several election timeouts, with a leader in
// office, and returns how many terms had to pass before.
func waitSteady(t *testing.T, servers []*serverProcess) (terms uint64) {
	t.Helper()
	const held = 4 * electionTimeout
	var first, last uint64
	since := time.Now()
	eventually(t, "a leader stays in office", func() error {
		highest, leaders := uint64(0), 0
		for _, s := range servers {
			state, err := s.status(t.Context())
			if err != nil {
				return err
			}
			highest = max(highest, state.RaftTerm)
			if state.Leader == state.GetHeader().GetMemberId() {
				leaders++
			}
		}
		if first == 0 {
			first = highest
		}
		if highest != last || leaders == 0 {
			last, since = highest, time.Now()
		}
		if time.Since(since) < held {
			return errors.New("the last term has just begun")
		}
		return nil
	})
	return last - first
}

func TestProcessSlowResetAndDamagedLinksLoseNothing(t *testing.T) {
	rounds := 3
	if askedForByName() {
		rounds = 30
	}
	n, servers := startNetwork(t, 3)
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 1))
	l := startPinnedLoad(t, servers, seed, mixedOperation)
	for i := range rounds {
		l.waitProgress(t, 50)
		leader := waitLeader(t, servers)
		d := direction{leader, others(servers, leader)[random.IntN(2)]}
		if random.IntN(2) == 0 {
			d.from, d.to = d.to, d.from
		}
		for _, s := range servers {
			s.beginTrouble()
		}
		n.slow(d, time.Duration(random.IntN(30))*time.Millisecond)
		n.spoil(t, d, []damage{flipBit, resetInFrame}[i%2])
		l.waitProgress(t, 100)
		n.mend()
		for _, s := range servers {
			s.endTrouble()
		}
	}
	waitLeader(t, servers)
	l.expectLinearizable(t)
}
