package sim

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// A server that has just heard its leader refuses its vote to others for a window that is the same on all
// servers, however long it would wait itself. Leaders that answer reads by a lease will rest on that, so it is
// looked at vote by vote, and not only by what comes of it.

// window is what a server has to hold on to.
type window struct {
	ticks  int // taken in, in this life
	heard  int // of them, when the leader was heard last
	leader raft.ServerID
	term   raft.Term
}

// checkVotes looks at the votes and pre-votes of a turn. What the turn itself brought counts in the server's
// favour: all its ticks, and any reason to forget the leader.
func (s *server) checkVotes(inputs []replica.Input, work *replica.Work) {
	w, before := s.world, s.window
	core := s.replica.Core()
	forgets := false
	for _, input := range inputs {
		switch in := input.(type) {
		case replica.Tick:
			s.window.ticks++
		case replica.Receive:
			forgets = forgets || mayForget(&in.Message, before.term)
			if _, ok := in.Message.Body.(*raft.AppendEntries); ok && in.From == core.Leader() && in.Message.Term == core.CurrentTerm() {
				s.window.heard = s.window.ticks
			}
		}
	}
	s.window.leader, s.window.term = core.Leader(), core.CurrentTerm()
	if before.leader == 0 || before.leader == s.id || forgets || s.window.ticks-before.heard >= w.plan.replica.Raft.WindowTicks {
		return
	}
	for _, e := range work.Events {
		if v, ok := e.(raft.VoteGranted); ok && v.Term > before.term { // in that of the leader nobody else can win
			w.check.Fail("W3", "server %d: %s, though it has heard its leader %d, of term %d, %d ticks ago at most",
				s.id, v, before.leader, before.term, s.window.ticks-before.heard)
		}
	}
}

// mayForget reports whether a message is a reason not to hold on to the leader of a term.
func mayForget(m *wire.Message, term raft.Term) bool {
	switch body := m.Body.(type) {
	case *raft.RequestVote:
		return body.Transfer
	case *raft.TimeoutNow:
		return true
	case *raft.RequestPreVote:
		return false
	}
	return m.Term > term
}
