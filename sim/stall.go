package sim

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// Disks stand still now and then: what is written is not durable, and nobody is told anything, until they go on. What a
// server does about its own disk depends on for how many ticks its oldest write has been under way, so that is counted
// here as well: a leader hands over, and if nothing moves for very long the process ends.

// strikeStall lets a disk stand still.
func (w *world) strikeStall(s *server) {
	if !s.up || s.stalled {
		return
	}
	w.counts.Stalls++
	s.stalled = true
	s.strikes++
	w.tell(s, "its disk stands still")
	w.reliefAfter(&fault{kind: stallFault, server: s, life: s.life}, w.plan.stall)
}

// unstall lets a disk go on.
func (s *server) unstall() {
	if !s.stalled {
		return
	}
	s.stalled = false
	s.strikes++
	s.world.tell(s, "its disk goes on")
	if s.storage.due {
		s.storage.due = false
		s.after(evSynced, 0)
	}
}

// stuckTicks is after how many ticks a write that is not done ends a server.
func (p *plan) stuckTicks() int {
	if p.replica.StuckTicks > 0 {
		return p.replica.StuckTicks
	}
	return int(30 * second / p.tick)
}

// slowTicks is after how many ticks a write is slow at the earliest: as long as anybody waits for a leader at least.
func (p *plan) slowTicks() int {
	if p.replica.Pace.MinTicks > 0 {
		return p.replica.Pace.MinTicks
	}
	return p.replica.Raft.ElectionTicks
}

// age is for how many ticks writes have been under way, as a turn finds them.
type age struct {
	writing, waiting int // the first of those in storage
	longest          int // of those that were there since the turn before
}

// tick counts a tick that a turn takes in. What has just become durable may come in after it.
func (a *age) tick(t *storage) {
	if len(t.writing) > 0 {
		a.writing++
	}
	if len(t.waiting) > 0 {
		a.waiting++
	}
	a.longest = max(a.longest+1, a.writing, a.waiting)
}

// turned forgets what has become durable.
func (a *age) turned() { a.longest = max(a.writing, a.waiting) }

// countAge counts ticks among the inputs of a turn.
func (s *server) countAge(inputs []replica.Input) {
	for _, in := range inputs {
		if _, ok := in.(replica.Tick); ok {
			s.storage.age.tick(&s.storage)
		}
	}
}

// checkStuck looks at a server after a turn: one with a write that is never done must end.
func (s *server) checkStuck(work *replica.Work) {
	if a := &s.storage.age; max(a.writing, a.waiting) > s.world.plan.stuckTicks() && work.Fatal == nil {
		s.world.check.Fail("V6", "server %d goes on, though a write has been under way for %d ticks", s.id, max(a.writing, a.waiting))
	}
	s.storage.age.turned()
}

// isStuck reports whether a server ends because a write has been under way for very long, and so it has.
func (s *server) isStuck(err error) bool {
	var stuck *replica.StuckError
	return errors.As(err, &stuck) && s.storage.age.longest >= s.world.plan.stuckTicks()
}

// checkGivesWay looks at the leader in an ending whose disk stands still, while all others are well: it must hand over.
func (w *world) checkGivesWay() {
	g := &w.end.gray
	s := g.server
	if !s.up || !s.stalled || s.replica.Core().Role() != raft.Leader || s != w.theLeader() || g.gaveWay == s.replica.Core().CurrentTerm() {
		return
	}
	if n := s.storage.age.writing; n > int(w.plan.longestDelay()/w.plan.tick)+givesWayTicks {
		w.check.Fail("V6", "%s; it has led for %d ticks with a write that is not done, and does not hand over", w.end.staying, n)
	}
}

// givesWayTicks is how much later than at once a leader may hand over: those to whom it could must have answered.
const givesWayTicks = 30

// handsOver notes that a leader begins to hand over, and reports whether its disk is a reason.
func (s *server) handsOver() bool {
	if g := &s.world.end.gray; g.server == s {
		g.gaveWay = s.replica.Core().CurrentTerm()
	}
	if s.seen.slower {
		s.world.counts.SlowerLeadersLeft++
		return s.world.somebodyWasSlow()
	}
	if s.storage.age.longest < s.world.plan.slowTicks() {
		return false
	}
	s.world.counts.SlowLeadersLeft++
	return true
}

// somebodyWasSlow reports whether there was ever a reason for which writes may take longer at one server than at another.
func (w *world) somebodyWasSlow() bool { return w.counts.Faults() > 0 || w.ending }

func (p *plan) stallText() string {
	return fmt.Sprintf("disks that stand still (%d ticks end a server)", p.stuckTicks())
}
