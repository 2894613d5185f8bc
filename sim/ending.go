package sim

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
)

// ending is the part of a world in which nothing new goes wrong, and everything must come right that
// can. If all faults went away then, as they do in one kind of ending, whatever goes on for ever only as
// long as a fault does would never be seen. So in the others some faults stay for ever.
type ending struct {
	phases   []endPhase // those still to come; the first is under way
	rotten   *server    // whose state has rotted; nil: nobody's
	found    bool       // it has found out, by itself
	gaveUp   bool       // it has given it up
	rots     int        // how often a state has rotted, and was had from the others
	since    int64      // when it began
	deadline int64      // by when it must be over
	// staying tells which faults stay for ever.
	staying string
	// excused are the servers that need not come right; other files of this chapter say why.
	excused  []bool
	fresh    []*request
	gray     gray
	farewell farewell
	storm    storm

	// What held when first nobody waited any more: from then on there is no reason for an election.
	settled        bool
	settledChanges int
	settledTerm    raft.Term
	idle           idleSpan
}

// endingKind is how a world ends.
type endingKind uint8

const (
	// everythingHeals: no fault stays.
	everythingHeals endingKind = iota
	// coreRemains: a majority is well, and everybody else is frozen in a fault.
	coreRemains
	// someLinksRemain: all servers are well, but only some of the links.
	someLinksRemain
	// oneStaysGray: one server has a slow disk, or loses messages.
	oneStaysGray
)

// check returns the name of the check that an ending of this kind is.
func (k endingKind) check() string { return [...]string{"V1", "V2", "V3", "V4"}[k] }

type endPhase uint8

const (
	// drain: there is a leader, and whatever clients wait for is answered.
	drain endPhase = iota
	// reference: closed loops write, and all is well.
	reference
	// grayed: they write on beside a gray server.
	grayed
	// serve: every server takes a write and a read.
	serve
	// expire: nobody renews leases any more, or uses sessions, and all end.
	expire
	// agree: all servers have the same log, and have applied all of it.
	agree
	// rot: a bit of a state changes.
	rot
	// leave: the leader is removed.
	leave
	// prefer: a server that is preferred comes to lead.
	prefer
	// inform: whoever watches is told of all of it.
	inform
	// idle: nothing is asked for, and nothing happens but heartbeats.
	idle
)

// endStep is how often the ending is looked at.
const endStep = int64(5 * time.Millisecond)

// lookAtEnd begins the ending, and looks at it again and again.
func (w *world) lookAtEnd() {
	if !w.ending {
		w.beginEnding()
	}
	wanting := w.wanting()
	for wanting == "" && !w.over && w.check.Violation() == nil {
		w.nextPhase()
		wanting = w.wanting()
	}
	if w.over || w.check.Violation() != nil {
		return
	}
	if w.now > w.end.deadline {
		w.tooLate(wanting)
		return
	}
	w.queue.add(event{at: w.now + endStep, kind: evEnd, server: none, life: anyLife})
}

// tooLate is what happens if an ending does not come right in time.
func (w *world) tooLate(wanting string) {
	if w.plan.ending == someLinksRemain && !w.end.settled && w.nobodyCanBeElected() {
		w.counts.Constrained++
		w.tell(nil, "nobody can be elected over these links, which is a published exception: the end")
		w.endWatching()
		w.over = true
		return
	}
	if w.end.phases[0] == drain && w.endsAreLost() {
		w.counts.EndsLost++
		w.tell(nil, "too many have lost what was never committed, and wait for each other, which is a published exception: the end")
		w.endWatching()
		w.over = true
		return
	}
	name := w.plan.ending.check()
	switch w.end.phases[0] {
	case expire:
		name = "F3"
	case inform:
		name = "E3"
	case rot:
		name = "K4"
	case leave, prefer:
		name = "V5"
	}
	w.check.Fail(name, "%s, but after %v %s", w.end.staying, time.Duration(w.now-int64(w.options.Simulated)), wanting)
}

// beginEnding ends the faults that end, and lets the others begin for ever.
func (w *world) beginEnding() {
	w.ending = true
	w.calmDown()
	w.end.excused = make([]bool, len(w.servers))
	w.end.phases = []endPhase{drain, serve, expire, agree, rot, inform, idle}
	w.end.staying = "everything has healed"
	switch w.plan.ending {
	case coreRemains:
		w.counts.Cores++
		w.leaveCore()
	case someLinksRemain:
		w.counts.SomeLinks++
		w.healServers()
		if w.plan.links == nil {
			w.plan.links = w.drawLinks()
		}
		w.leaveLinks(w.plan.links)
	case oneStaysGray:
		w.counts.Grays++
		w.end.phases = []endPhase{drain, reference, grayed, drain, serve, expire, agree, inform, idle}
		w.tell(nil, "everything heals, at first")
		w.healServers()
	default:
		w.tell(nil, "everything heals")
		w.healServers()
		if w.plan.churn.spares > 0 || w.plan.prefer.preferred != nil {
			w.end.phases = []endPhase{drain, serve, expire, agree, rot, leave, prefer, agree, inform, idle}
		}
	}
	w.rotAgain()
	w.beginStorm()
	w.beginPhase()
}

// calmDown ends all faults of the network, and lets everything be reasonably fast.
func (w *world) calmDown() {
	p := &w.plan
	p.drop, p.duplicate, p.repeat, p.reorder, p.flip, p.drift = 0, 0, 0, 0, 0, 0
	p.down = min(p.down, second) // who is to start again in an ending does so while it is waited for
	p.watch.calmDown()
	ms := int64(time.Millisecond)
	p.meanDelay, p.syncTime, p.applyTime, p.readTime = min(p.meanDelay, ms), min(p.syncTime, ms), min(p.applyTime, ms), min(p.readTime, ms)
	for _, l := range w.links {
		l.cuts, l.clogged, l.latest = 0, 0, 0
		l.strikes++
	}
	for _, s := range w.servers {
		s.setRate(million)
		s.still, s.ahead = false, 0
	}
}

func (w *world) healServers() {
	for _, s := range w.servers {
		s.heal()
	}
}

// heal ends the faults of a server, and starts it.
func (s *server) heal() {
	s.slow = 0
	s.unstall()
	if s.failing {
		s.crash(false)
	}
	if s.paused {
		s.resume()
	}
	if !s.up && s.healing == nil && s.world.check.Violation() == nil {
		s.start()
	}
}

// setDeadline sets by when the phase must be over: ten elections that fail, and time for whoever lags
// most to get everything in the smallest steps.
func (w *world) setDeadline() {
	p := &w.plan
	roundTrip := 4*(p.minDelay+p.meanDelay+p.turnDelay) + 2*p.syncTime + p.readTime + p.applyTime
	w.end.since = w.now
	w.end.deadline = w.now + 20*p.electionTimeout() + 2*second + 2*int64(w.check.Committed()+50)*roundTrip
	if rate := int64(p.replica.CatchUp.States); rate > 0 { // all may need all of the state
		w.end.deadline += int64(len(w.servers)) * stateBytesEach * int64(w.check.Committed()+50) / rate * p.tick
	}
	if p.ending == oneStaysGray || w.end.storm.blows {
		// A gray server may lose messages, and the reads of a storm leave no room for others at a leader that lets
		// few of them wait: then it takes some tries.
		w.end.deadline += triesThroughLoss * int64(p.resendTicks()) * p.tick
	}
}

// stateBytesEach is how large a state may be, for each entry that is committed.
const stateBytesEach = 200

// triesThroughLoss is how often something is sent again before it is wrong that it did not get through a
// gray server: one try in three does.
const triesThroughLoss = 30

// wanting says what the phase still lacks; "" if it is over.
func (w *world) wanting() string {
	switch w.end.phases[0] {
	case drain:
		return w.wantingDrain()
	case reference, grayed:
		return w.wantingLoad()
	case serve:
		return w.wantingServe()
	case expire:
		return cmp.Or(w.wantingExpire(), w.wantingSessionsEnd())
	case agree:
		return w.wantingAgree()
	case rot:
		return w.wantingRot()
	case leave:
		return w.wantingLeave()
	case prefer:
		return w.wantingPreferred()
	case inform:
		return w.wantingInform()
	}
	return w.wantingIdle()
}

// mustComeRight reports whether a server has no excuse.
func (w *world) mustComeRight(s *server) bool {
	if w.plan.ending == someLinksRemain { // whoever has no way to the leader, or none back, cannot serve
		leader := w.theLeader()
		return leader != nil && (leader == s || w.linked(leader, s))
	}
	if w.plan.churn.spares > 0 {
		return w.belongs(s)
	}
	return !w.end.excused[s.index]
}

func (w *world) wantingDrain() string {
	if w.theLeader() == nil {
		return "there is no leader: " + w.describeServers()
	}
	for id := w.oldestID; id <= w.lastID; id++ {
		if r := w.requests[id]; r != nil && !r.storm && w.mustComeRight(w.servers[r.server]) {
			return fmt.Sprintf("request %d, %+v, waits at server %d: %s", id, r.Request, r.Server, w.describeServers())
		}
	}
	if len(w.end.phases) > 1 && w.end.phases[1] == reference {
		return w.wantingAgree() // a disk may still be at a sync that began while it was slow
	}
	return w.wantingMembers()
}

// theLeader returns the leader of the highest term that there is, of those who can commit something.
func (w *world) theLeader() *server {
	var leader *server
	for _, s := range w.servers {
		if w.reachesMajority(s) && s.replica.Core().Role() == raft.Leader && w.acceptedByMajority(s) &&
			(leader == nil || s.replica.Core().CurrentTerm() > leader.replica.Core().CurrentTerm()) {
			leader = s
		}
	}
	return leader
}

// reachesMajority reports whether a server runs and is linked both ways with a majority, itself included.
func (w *world) reachesMajority(s *server) bool {
	if !s.up || s.paused {
		return false
	}
	return s.replica.Core().Configuration().Configuration.HasQuorum(func(id raft.ServerID) bool {
		other := w.servers[id-1]
		return other == s || other.up && !other.paused && w.linked(s, other)
	})
}

// acceptedByMajority reports whether a leader's term is not over for a majority of those it is linked with,
// itself included. A leader that was deposed may not know it yet.
func (w *world) acceptedByMajority(s *server) bool {
	core := s.replica.Core()
	return core.Configuration().Configuration.HasQuorum(func(id raft.ServerID) bool {
		other := w.servers[id-1]
		return other == s || other.up && w.linked(s, other) && other.replica.Core().CurrentTerm() <= core.CurrentTerm()
	})
}

// linked reports whether messages get through between two servers, both ways.
func (w *world) linked(a, b *server) bool {
	return w.link(a.index, b.index).cuts == 0 && w.link(b.index, a.index).cuts == 0
}

func (w *world) wantingServe() string {
	if w.plan.churn.spares > 0 && w.theLeader() == nil { // who belongs is what a leader says
		return "there is no leader any more: " + w.describeServers()
	}
	for i, r := range w.end.fresh {
		if !w.mustComeRight(w.servers[r.server]) {
			continue
		}
		switch r.Outcome() {
		case check.Done:
			continue
		case check.Never: // too much was waiting: it is asked again
			w.end.fresh[i] = &request{Op: check.Op{Request: r.Request}, read: r.read}
			w.freshAt(w.servers[r.server], w.end.fresh[i])
		case check.Unknown: // it is in a state that this server has taken over, or never was, or the server has ended: it is asked again
			s := w.servers[r.server]
			if s.tookOverAt >= r.called || s.stuckAt >= r.called && s.up || r.read && s == w.end.rotten {
				w.end.fresh[i] = &request{Op: check.Op{Request: r.Request}, read: r.read}
				w.freshAt(s, w.end.fresh[i])
			}
		}
		return fmt.Sprintf("server %d has not done request %d, %+v: %s", r.Server, r.ID, r.Request, w.describeServers())
	}
	return ""
}

func (w *world) wantingAgree() string {
	leader := w.theLeader()
	if leader == nil {
		return "there is no leader any more: " + w.describeServers()
	}
	last := leader.replica.Core().LastIndex()
	for _, s := range w.servers {
		if !w.mustComeRight(s) {
			continue
		}
		if !s.up { // its disk stood still, and ended it
			return fmt.Sprintf("server %d is down: %s", s.id, w.describeServers())
		}
		core := s.replica.Core()
		if core.CommitIndex() != last || s.lastApplied() != last || core.Durable() != last || core.LastIndex() != last ||
			leader.lastApplied() == last && s.machine.digest() != leader.machine.digest() {
			return "the servers do not agree: " + w.describeServers()
		}
	}
	return ""
}

// nextPhase goes on to the next phase of the ending, or ends the world.
func (w *world) nextPhase() {
	switch w.end.phases[0] {
	case drain:
		w.settle()
	case reference, grayed:
		w.endLoad()
	case agree:
		w.end.storm.blows = false
		w.compareStores()
	case rot:
		w.endRot()
	case prefer:
		w.endPreferred()
	case inform:
		w.endInform()
	case idle:
		w.endWatching()
		w.tell(nil, "all servers agree: the end")
		w.counts.Terms = int(w.wedges.highestTerm)
		w.over = true
		return
	}
	w.end.phases = w.end.phases[1:]
	w.beginPhase()
}

func (w *world) beginPhase() {
	p := &w.plan
	w.setDeadline()
	switch w.end.phases[0] {
	case reference, grayed:
		w.beginLoad()
	case serve:
		w.beginServe()
	case expire:
		w.beginExpire()
		w.beginSessionsEnd()
	case rot:
		w.beginRot()
		w.end.deadline += sumsPatience*int64(p.replica.SumTicks)*p.tick + longestSpread*p.down // whoever gives its state up is down once
	case leave:
		w.beginLeave()
	case prefer:
		w.end.deadline += preferPatience * int64(p.replica.PreferTicks) * p.tick
	case inform:
		w.beginInform()
	case idle:
		w.beginIdle()
	}
}

// beginServe asks every server for something.
func (w *world) beginServe() {
	w.tell(nil, "nobody waits any more; fresh requests at every server")
	w.loseLastWrites()
	for _, s := range w.servers {
		if w.mustComeRight(s) {
			w.beginFresh(s, &request{Op: check.Op{Request: check.Put{Key: fmt.Sprintf("end%d", s.id), Value: "fresh"}}})
			w.beginFresh(s, freshRead())
		}
	}
}

// beginReads asks every server what all keys are.
func (w *world) beginReads() {
	for _, s := range w.servers {
		if w.mustComeRight(s) && s.up {
			w.beginFresh(s, freshRead())
		}
	}
}

func freshRead() *request {
	return &request{Op: check.Op{Request: check.Range{Key: "k", End: "\x00"}}, read: true}
}

// beginFresh asks a server for something that it must do before the phase is over.
func (w *world) beginFresh(s *server, r *request) {
	w.end.fresh = append(w.end.fresh, r)
	w.freshAt(s, r)
}

// compareStores compares what the stores hold, version by version, read back from their engines. What
// is compacted may have been removed here and not there.
func (w *world) compareStores() {
	var first *server
	var want kv.KVHash
	for _, s := range w.servers {
		if !w.mustComeRight(s) {
			continue
		}
		hash, code, err := s.machine.store.HashKV(0)
		if err != nil || code != kv.CodeOK {
			w.check.Fail("K3", "store of server %d cannot be read: %v %v", s.id, code, err)
			return
		}
		if first == nil {
			first, want = s, hash
		}
		if hash != want {
			w.check.Fail("K3", "store of server %d holds %+v, that of server %d %+v", s.id, hash, first.id, want)
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
		paused := ""
		if s.paused {
			paused = " (paused)"
		}
		all = append(all, fmt.Sprintf("server %d%s %v in term %d, last %d, durable %d, commit %d, applied %d", s.id, paused, core.Role(),
			core.CurrentTerm(), core.LastIndex(), core.Durable(), core.CommitIndex(), s.lastApplied()))
	}
	return strings.Join(all, "; ")
}
