package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
)

// ending is the part of a world in which nothing goes wrong any more, and everything must come right.
//
// There is one kind so far: everything heals. Others leave a core of servers and freeze the rest in
// its faults, or leave a permanent graph of links; they would begin differently and be looked at in
// the same way.
type ending struct {
	phase    endPhase
	deadline int64 // by when the phase must be over
	fresh    []*request
}

type endPhase uint8

const (
	// drain: there is a leader, and whatever clients wait for is answered.
	drain endPhase = iota
	// serve: every server takes a write and a read.
	serve
	// agree: all servers have the same log, and have applied all of it.
	agree
)

// endStep is how often the ending is looked at.
const endStep = int64(5 * time.Millisecond)

// lookAtEnd begins the ending, and looks at it again and again.
func (w *world) lookAtEnd() {
	if !w.ending {
		w.heal()
		w.setDeadline()
	}
	wanting := w.wanting()
	for wanting == "" && !w.over {
		w.nextPhase()
		wanting = w.wanting()
	}
	if w.over {
		return
	}
	if w.now > w.end.deadline {
		w.check.Fail("V1", "everything has healed, but after %v %s", time.Duration(w.now-int64(w.options.Simulated)), wanting)
		return
	}
	w.queue.add(event{at: w.now + endStep, kind: evEnd, server: none, life: anyLife})
}

// heal ends all faults, and starts all servers.
func (w *world) heal() {
	w.ending = true
	w.tell(nil, "everything heals")
	p := &w.plan
	p.drop, p.duplicate, p.repeat, p.reorder, p.flip, p.drift = 0, 0, 0, 0, 0, 0
	ms := int64(time.Millisecond)
	p.meanDelay, p.syncTime, p.applyTime, p.readTime = min(p.meanDelay, ms), min(p.syncTime, ms), min(p.applyTime, ms), min(p.readTime, ms)
	for _, l := range w.links {
		l.cuts, l.clogged, l.latest = 0, 0, 0
	}
	for _, s := range w.servers {
		s.rate, s.slow = million, false
		if s.failing {
			s.crash(false)
		}
		if s.paused {
			s.resume()
		}
		if !s.up && w.check.Violation() == nil {
			s.start()
		}
	}
}

// setDeadline sets by when the phase must be over: ten elections that fail, and time for whoever lags
// most to get everything in the smallest steps.
func (w *world) setDeadline() {
	p := &w.plan
	roundTrip := 4*(p.minDelay+p.meanDelay+p.turnDelay) + 2*p.syncTime + p.readTime + p.applyTime
	w.end.deadline = w.now + 20*p.electionTimeout() + 2*second + 2*int64(w.check.Committed()+50)*roundTrip
}

// wanting says what the phase still lacks; "" if it is over.
func (w *world) wanting() string {
	switch w.end.phase {
	case drain:
		return w.wantingDrain()
	case serve:
		return w.wantingServe()
	}
	return w.wantingAgree()
}

func (w *world) wantingDrain() string {
	if w.theLeader() == nil {
		return "there is no leader: " + w.describeServers()
	}
	if len(w.requests) > 0 {
		for id := w.oldestID; id <= w.lastID; id++ {
			if r := w.requests[id]; r != nil {
				return fmt.Sprintf("%d requests wait, the first is %d, %+v, at server %d: %s", len(w.requests), id, r.Request, r.Server, w.describeServers())
			}
		}
	}
	return ""
}

// theLeader returns the leader of the highest term that there is, if all servers are in it.
func (w *world) theLeader() *server {
	var leader *server
	for _, s := range w.servers {
		if s.up && s.replica.Core().Role() == raft.Leader && (leader == nil || s.replica.Core().CurrentTerm() > leader.replica.Core().CurrentTerm()) {
			leader = s
		}
	}
	return leader
}

func (w *world) wantingServe() string {
	for i, r := range w.end.fresh {
		switch r.Outcome() {
		case check.Done:
			continue
		case check.Never: // too much was waiting: it is asked again
			w.end.fresh[i] = &request{Op: check.Op{Request: r.Request}, read: r.read}
			w.freshAt(w.servers[r.server], w.end.fresh[i])
		}
		return fmt.Sprintf("server %d has not done request %d, %+v: %s", r.Server, r.ID, r.Request, w.describeServers())
	}
	return ""
}

func (w *world) wantingAgree() string {
	first := w.servers[0]
	for _, s := range w.servers {
		core := s.replica.Core()
		last := core.LastIndex()
		if core.CommitIndex() != last || s.lastApplied() != last || core.Durable() != last ||
			last != first.lastApplied() || s.machine.digest() != first.machine.digest() {
			return "the servers do not agree: " + w.describeServers()
		}
	}
	return ""
}

// nextPhase goes on to the next phase of the ending.
func (w *world) nextPhase() {
	switch w.end.phase {
	case drain:
		w.tell(nil, "nobody waits any more; fresh requests at every server")
		for _, s := range w.servers {
			put := &request{Op: check.Op{Request: check.Put{Key: fmt.Sprintf("end%d", s.id), Value: "fresh"}}}
			read := &request{Op: check.Op{Request: check.Range{Key: "k", End: "\x00"}}, read: true}
			w.end.fresh = append(w.end.fresh, put, read)
			w.freshAt(s, put)
			w.freshAt(s, read)
		}
	case agree:
		w.compareStores()
		w.tell(nil, "all servers agree: the end")
		w.counts.Terms = int(w.servers[0].replica.Core().CurrentTerm())
		w.over = true
		return
	}
	w.end.phase++
	w.setDeadline()
}

// compareStores compares what the stores hold, version by version, read back from their engines. What
// is compacted may have been removed here and not there.
func (w *world) compareStores() {
	var first kv.KVHash
	for i, s := range w.servers {
		hash, code, err := s.machine.store.HashKV(0)
		if err != nil || code != kv.CodeOK {
			w.check.Fail("K3", "store of server %d cannot be read: %v %v", s.id, code, err)
			return
		}
		if i == 0 {
			first = hash
		}
		if hash != first {
			w.check.Fail("K3", "store of server %d holds %+v, that of server %d %+v", s.id, hash, w.servers[0].id, first)
		}
	}
}

func (w *world) freshAt(s *server, r *request) {
	w.ask(s, r)
	s.mayTurn()
}

// describeServers tells how far everybody is.
func (w *world) describeServers() string {
	var all []string
	for _, s := range w.servers {
		if !s.up {
			all = append(all, fmt.Sprintf("server %d is down", s.id))
			continue
		}
		core := s.replica.Core()
		all = append(all, fmt.Sprintf("server %d %v in term %d, last %d, durable %d, commit %d, applied %d", s.id, core.Role(),
			core.CurrentTerm(), core.LastIndex(), core.Durable(), core.CommitIndex(), s.lastApplied()))
	}
	return strings.Join(all, "; ")
}
