package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// Voters promise their leader to vote for nobody for a while, by clocks, and leaders may answer reads by leases
// that rest on that. In a part of the worlds there are promises, and in most of these leases; then clocks differ
// in rate by less than a tenth, as is assumed. A part of these go after leases: many reads, whose clients stay
// where they are, at leaders that are paused, cut off and asked to hand over.
//
// What the promise says is checked vote by vote (W4), and what the lease says leader by leader (L2, L3), whether or not
// there is anybody to read.

// leaseDrift is by how much a clock may be wrong, per million, where there are leases: the fastest is then
// 9.9 % faster than the slowest.
const leaseDrift = 47_000

// drawPromises draws how long promises are, and whether there are leases.
func (p *plan) drawPromises(d dice) {
	r := &p.replica.Raft
	if !d.chance("plan.promises", 600_000) {
		return
	}
	r.LeaseReads = d.chance("plan.leases", 750_000)
	p.afterLeases = r.LeaseReads && !p.calm && d.either("plan.leases.stress")
	if p.afterLeases && p.pace.kind == paceFixed && d.either("plan.leases.pace") {
		// Those that elect another leader wait for less than the old one does, before it gives up.
		p.pace.kind, p.pace.every = paceDrawn, d.scale("plan.leases.pace.every", p.tick, int64(5*time.Second))
		r.WindowTicks = max(3, r.ElectionTicks*d.between("plan.leases.window", 30, 60)/100)
		r.HeartbeatTicks = max(1, min(r.HeartbeatTicks, r.WindowTicks/3))
	}
	r.PromiseTicks = r.WindowTicks
	switch k := d.below("plan.promise.kind", 8); {
	case k == 7: // windows are too short for them, and nobody gives any
		r.PromiseTicks++
	case k > 4:
		r.PromiseTicks = d.between("plan.promise", 1, r.WindowTicks)
	}
}

// drawReadLeases draws what there is besides where there are leases.
func (p *plan) drawReadLeases(d dice) {
	r := &p.replica.Raft
	if !r.LeaseReads || p.calm {
		return
	}
	if p.drift = 0; d.chance("plan.leases.drift", 700_000) {
		p.drift = d.between("plan.leases.drift.most", leaseDrift/2, leaseDrift)
		if p.afterLeases {
			p.drift = leaseDrift
		}
		p.driftEvery = nowAndThen(d, "leases.drift", time.Second, 20*time.Second)
	}
	if !p.afterLeases {
		return
	}
	p.readShare, p.staleShare, p.sticky = d.between("plan.leases.reads", 600_000, 900_000), 0, true
	p.pauseEvery = d.scale("plan.leases.pause", int64(500*time.Millisecond), int64(5*time.Second))
	p.pause = d.scale("plan.leases.pauseFor", int64(r.PromiseTicks)*p.tick, int64(4*time.Second))
	p.cutEvery = d.scale("plan.leases.cut", int64(500*time.Millisecond), int64(5*time.Second))
	if p.crashEvery == 0 {
		p.crashEvery = d.scale("plan.leases.crash", int64(500*time.Millisecond), int64(5*time.Second))
	}
}

func (p *plan) promiseText() string {
	r := &p.replica.Raft
	text := fmt.Sprintf("promises of %v", time.Duration(int64(r.PromiseTicks)*p.tick))
	if r.LeaseReads {
		text += " and leases"
	}
	return text
}

// clock is what promises and leases are reckoned by. It goes on at the pace of its server, whatever happens to it,
// and starts anywhere.
type clock struct {
	showed int64 // nanoseconds, at since
	since  int64 // in the time of the world
}

// clockNow reads a server's clock.
func (s *server) clockNow() uint64 {
	return uint64(s.clock.showed + (s.world.now-s.clock.since)*million/s.rate)
}

// setRate lets a second of the server's clock take that long from now on, per million.
func (s *server) setRate(rate int64) {
	s.clock = clock{int64(s.clockNow()), s.world.now}
	s.rate = rate
}

// ticksNow reads a server's clock as its core does.
func (s *server) ticksNow() uint64 { return s.clockNow() / uint64(s.world.plan.tick) }

// checkLeases looks for a leader with a lease where another was elected in a later term, or where enough voters for
// that are free to vote: one that is paused might answer a read at this very moment.
func (w *world) checkLeases() {
	if !w.plan.replica.Raft.LeaseReads {
		return
	}
	for _, s := range w.servers {
		if !s.up || s.seen.role != raft.Leader || !s.replica.Core().LeaseHeld(s.ticksNow()) {
			continue
		}
		if s.seen.term < w.highestTerm {
			w.check.Fail("L2", "server %d, the leader of term %d, would answer reads by its lease, and there is a leader of term %d",
				s.id, s.seen.term, w.highestTerm)
		}
		if s.replica.Core().Configuration().Configuration.HasQuorum(func(id raft.ServerID) bool { return id != s.id && w.isFree(id) }) {
			w.check.Fail("L3", "server %d, the leader of term %d, would answer reads by its lease, and a quorum without it is free to vote",
				s.id, s.seen.term)
		}
	}
}

// isFree reports whether a server would vote now, for all that it has promised.
func (w *world) isFree(id raft.ServerID) bool {
	i := slices.IndexFunc(w.servers, func(s *server) bool { return s.id == id })
	s := w.servers[i]
	return s.up && s.promise.started && !s.mayBeBound(s.ticksNow())
}

// promise is what a server has to keep, as far as the world can tell.
type promise struct {
	started bool
	at      uint64 // when it took its first turn
	heard   uint64 // when it took in the latest word of its leader; 0: never
	maybe   uint64 // when it took in the latest word of anybody who may have been its leader; 0: never
}

// isBound reports whether the server certainly votes for nobody, and mayBeBound whether it may have a reason to.
func (s *server) isBound(now uint64) bool {
	p := &s.promise
	return s.world.plan.servers > 1 && (s.isWithin(now, p.at) || p.heard > 0 && s.isWithin(now, p.heard))
}

func (s *server) mayBeBound(now uint64) bool {
	p := &s.promise
	return s.isWithin(now, p.at) || p.maybe > 0 && s.isWithin(now, p.maybe)
}

// isWithin reports whether a promise that began then has not ended yet.
func (s *server) isWithin(now, began uint64) bool {
	ticks := uint64(s.world.plan.replica.Raft.PromiseTicks)
	return ticks > 0 && now-began <= ticks
}

// beginTurn notes when the server took its first turn, and what the inputs of this one may bind it to in the midst
// of it.
func (p *promise) beginTurn(now uint64, inputs []replica.Input) {
	if !p.started {
		*p = promise{started: true, at: now}
	}
	if wasAsked(inputs, func(in *replica.Receive) bool { _, ok := in.Message.Body.(*raft.AppendEntries); return ok }) {
		p.maybe = now
	}
}

// notePromise notes what a turn at that time has bound the server to.
func (s *server) notePromise(now uint64, inputs []replica.Input) {
	r, core := &s.world.plan.replica.Raft, s.replica.Core()
	if r.PromiseTicks <= r.WindowTicks && wasAsked(inputs, func(in *replica.Receive) bool {
		_, ok := in.Message.Body.(*raft.AppendEntries)
		return ok && in.From == core.Leader() && in.Message.Term == core.CurrentTerm()
	}) {
		s.promise.heard = now
	}
}

// checkPromise looks at the votes of a turn of a server that was bound before it, its own included. Only a leader
// that hands over gives the vote back.
func (s *server) checkPromise(inputs []replica.Input, work *replica.Work) {
	for _, e := range work.Events {
		switch e := e.(type) {
		case raft.VoteGranted:
			if e.Pre || !wasAsked(inputs, func(in *replica.Receive) bool {
				m, ok := in.Message.Body.(*raft.RequestVote)
				return ok && m.Transfer && in.From == e.To
			}) {
				s.world.check.Fail("W4", "server %d: %s, though it has promised its vote to nobody", s.id, e)
			}
		case raft.RoleChanged:
			if (e.Role == raft.PreCandidate || e.Role == raft.Candidate) && !wasAsked(inputs, func(in *replica.Receive) bool {
				_, ok := in.Message.Body.(*raft.TimeoutNow)
				return ok
			}) && s.seen.role != raft.PreCandidate {
				s.world.check.Fail("W4", "server %d: %s, though it has promised its vote to nobody", s.id, e)
			}
		}
	}
}

func wasAsked(inputs []replica.Input, so func(*replica.Receive) bool) bool {
	for _, input := range inputs {
		if in, ok := input.(replica.Receive); ok && so(&in) {
			return true
		}
	}
	return false
}

// readsByLease returns how often this server's core has answered reads by a lease in this life.
func (s *server) readsByLease() uint64 { return s.replica.Reads().ByLease }
