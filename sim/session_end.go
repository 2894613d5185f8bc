package sim

import (
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/lessor"
	"github.com/quorate/quorate/raft"
)

// startSessions lets a server that has started look after sessions.
func (s *server) startSessions() {
	if s.world.plan.session.clients == 0 {
		return
	}
	s.sessions = lessor.New(s.world.plan.session.lessor)
	s.lookAtSessionsLater()
}

func (s *server) lookAtSessionsLater() {
	s.after(evSessions, s.world.dice.spread(s.labels.sessions, s.world.plan.session.interval))
}

// lookAtSessions does what the server's loop does, as for leases.
func (s *server) lookAtSessions() {
	s.lookAtSessionsLater()
	if s.endsSessions {
		return
	}
	core, store := s.replica.Core(), s.machine.store
	end, propose := s.sessions.Step(lessor.Now{
		Leads: core.Role() == raft.Leader, Term: uint64(core.CurrentTerm()),
		Time: s.replica.Status().LogTime, Written: store.Time(), Leases: store.SessionCount(),
	}, store.DueSessions)
	if propose {
		s.endsSessions = true
		s.world.ask(s, &request{Op: check.Op{Request: check.ExpireSessions{IDs: end}}, ender: true})
	}
}

// beginSessionsEnd gives the sessions that are left the time to end by themselves.
func (w *world) beginSessionsEnd() {
	p := &w.plan.session
	if p.clients == 0 {
		return
	}
	looks := 3 * (10 + int64(2*w.check.Model().Sessions()/max(p.lessor.Batch, 1))) * p.interval
	w.end.deadline += int64(max(p.ttl, 5)+2)*second*5/4 + int64(p.lessor.Slack+p.lessor.Grace+p.lessor.Mark) + looks
}

func (w *world) wantingSessionsEnd() string {
	if n := w.check.Model().Sessions(); n > 0 {
		return fmt.Sprintf("%d sessions live: %s", n, w.describeServers())
	}
	return ""
}
