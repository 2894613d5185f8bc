package sim

import (
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// In some worlds some servers are preferred: they are to lead rather than the others. Where servers come and go, the
// operator changes his mind about it, too. When all has healed, one that is preferred must lead in the end; and a leader
// that is removed then hands over first, so that nobody has to miss one.

// preferPlan says who is preferred at first.
type preferPlan struct {
	preferred []bool // by index; nil: in this world nobody is, ever
}

// preferPatience is how many times longer than usual it may take until a preferred server leads that has often lost
// leadership, or was handed to in vain.
const preferPatience = 2 << 6

// preferring is how many of a million worlds do.
const preferring = 200_000

func (p *plan) drawPreference(d dice) {
	if p.servers < 2 || !d.chance("plan.prefers", preferring) {
		return
	}
	p.prefer.preferred = make([]bool, p.servers)
	p.prefer.preferred[d.below("plan.prefer.first", p.servers)] = true
	for i := range p.servers {
		if d.below("plan.prefer.another", 4) == 0 {
			p.prefer.preferred[i] = true
		}
	}
	p.replica.PreferTicks = p.replica.Raft.ElectionTicks * d.between("plan.prefer.after", 1, 4)
	p.ending, p.storm = everythingHeals, false
}

func (p *preferPlan) String() string {
	text := "preferred:"
	for i, preferred := range p.preferred {
		if preferred {
			text += fmt.Sprintf(" %d", i+1)
		}
	}
	return text
}

// traitsOf says whether a server is preferred at first.
func (p *preferPlan) traitsOf(index int) wire.Traits {
	if p.preferred != nil && p.preferred[index] {
		return wire.TraitPreferred
	}
	return 0
}

// drawPreference makes up who is to be preferred from now on.
func (w *world) drawPreference(now *wire.Configuration) (edits []replica.Edit) {
	for _, s := range w.servers {
		e := replica.Edit{Member: wire.Member{ID: s.id}, SetTraits: true, Existing: true}
		if w.dice.below("operator.preferred", 3) == 0 {
			e.Member.Traits = wire.TraitPreferred
		}
		if now.Member(s.id) != nil {
			edits = append(edits, e)
		}
	}
	return edits
}

// farewell is the removal of the leader in an ending.
type farewell struct {
	leaver  *server
	asked   *server
	began   int64
	outcome replica.Outcome
}

// beginLeave removes whoever leads, in a world in which servers come and go, if enough stay.
func (w *world) beginLeave() {
	f := &w.end.farewell
	leader := w.theLeader()
	if w.plan.churn.spares == 0 || leader == nil || w.operator.waits || len(leader.replica.Core().Configuration().Configuration.Voters) <= minVoters {
		return
	}
	asked := leader
	if s := w.servers[w.dice.below("end.leave.asked", len(w.servers))]; s.up && w.belongs(s) {
		asked = s
	}
	w.tell(asked, "is asked to remove the leader, server %d", leader.id)
	f.leaver, f.asked, f.began = leader, asked, w.now
	o := &w.operator
	o.changes++
	o.server, o.waits = asked, true
	asked.put(replica.Reconfigure{Handle: changeHandles + o.changes, Edits: []replica.Edit{{Member: wire.Member{ID: leader.id}, Remove: true}}})
	asked.mayTurn()
}

// wantingLeave waits until the leader has left.
func (w *world) wantingLeave() string {
	f := &w.end.farewell
	if f.leaver == nil {
		return ""
	}
	leader := w.theLeader()
	if refused := f.outcome == replica.NotReady || f.outcome == replica.Busy; refused && !w.operator.waits && leader != nil {
		// Somebody was not up to date a moment ago, or another change under way: the operator asks again.
		if w.now < f.began+w.plan.electionTimeout() {
			return fmt.Sprintf("server %d may not leave (%v): %s", f.leaver.id, f.outcome, w.describeServers())
		}
		*f = farewell{}
		if w.beginLeave(); f.leaver == nil {
			return ""
		}
	}
	if !w.operator.waits && f.outcome == replica.Unknown && f.asked != f.leaver {
		// The word that the change has not begun was overtaken by that of the next leader.
		f.leaver = nil
		return ""
	}
	if w.operator.waits || leader == nil || leader == f.leaver || w.wantingMembers() != "" || w.belongs(f.leaver) {
		return fmt.Sprintf("server %d has not left (%v): %s", f.leaver.id, f.outcome, w.describeServers())
	}
	if f.outcome != replica.Done {
		w.check.Fail("V5", "server %d has left, and who asked for it was told %v", f.leaver.id, f.outcome)
	}
	w.counts.LeadersLeft++
	return ""
}

// checkFarewell looks at a server that has put another configuration in force: the leader that is removed in an ending must
// not do that itself, for then the others would be without one until somebody missed it.
func (s *server) checkFarewell() {
	w := s.world
	f := &w.end.farewell
	if s == f.leaver && s.seen.reconfigured && !s.hasTried() && !s.replica.Core().Configuration().Configuration.IsVoter(s.id) {
		w.check.Fail("V5", "the leader, server %d, is removed by itself, and has not handed over", s.id)
	}
}

// hasTried tells whether it has handed over for nothing, shortly before the farewell: for a while such a leader makes the
// change itself.
func (s *server) hasTried() bool {
	w := s.world
	at, patience := s.seen.handedOver, w.plan.electionTimeout()+2*int64(w.plan.resendTicks())*w.plan.tick
	return at > 0 && at < w.end.farewell.began && w.end.farewell.began-at < patience
}

// wantingPreferred waits until one that is preferred leads, if there is one.
func (w *world) wantingPreferred() string {
	leader := w.theLeader()
	if w.plan.prefer.preferred == nil || leader == nil {
		return ""
	}
	c := leader.replica.Status().Configuration
	some := false
	for i := range c.Members {
		m := &c.Members[i]
		if m.Traits&wire.TraitPreferred == 0 || m.Roles&wire.RoleVoter == 0 {
			continue
		}
		if some = true; m.ID == leader.id {
			w.counts.PreferredLed++
			return ""
		}
	}
	if !some {
		return ""
	}
	return fmt.Sprintf("server %d leads, and is not preferred: %s", leader.id, w.describeServers())
}

// endPreferred lets leadership be where it is from now on.
func (w *world) endPreferred() {
	w.end.settledChanges, w.end.settledTerm = w.counts.LeaderChanges, w.wedges.highestTerm
}

// checkHandover looks at a handover in a world in which nobody asks for one: it must be from one that is not preferred
// to one that is, or because of a slow disk.
func (s *server) checkHandover(to raft.ServerID) {
	w := s.world
	if s.handsOver() || w.plan.churn.spares > 0 || w.operator.waits {
		return
	}
	w.counts.HandedOver++
	if w.plan.prefer.traitsOf(s.index) != 0 || w.plan.prefer.traitsOf(int(to)-1) == 0 {
		w.check.Fail("V5", "server %d hands over to server %d, for no reason", s.id, to)
	}
}
