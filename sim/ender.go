package sim

import (
	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/lessor"
	"github.com/quorate/quorate/raft"
)

// ender is a server's loop that ends what is due by log time, while the server leads: leases, or sessions.
type ender struct {
	loop     *lessor.Lessor
	event    eventKind
	label    string
	interval int64 // between two looks
	count    func() int
	due      lessor.Due
	expire   func(ids []int64) check.Request
	waits    bool // it has proposed to end some: one proposal is under way at a time
}

// startEnders lets a server that has started look after what there is in this world.
func (s *server) startEnders() {
	store := s.machine.store
	if p := &s.world.plan.lease; p.holders > 0 {
		s.leases = ender{
			loop: lessor.New(p.lessor), event: evLessor, label: s.labels.lessor, interval: p.interval,
			count: store.LeaseCount, due: store.DueLeases, expire: func(ids []int64) check.Request { return check.Expire{IDs: ids} },
		}
		s.lookLater(&s.leases)
	}
	if p := &s.world.plan.session; p.clients > 0 {
		s.sessions = ender{
			loop: lessor.New(p.lessor), event: evSessions, label: s.labels.sessions, interval: p.interval,
			count: store.SessionCount, due: store.DueSessions, expire: func(ids []int64) check.Request { return check.ExpireSessions{IDs: ids} },
		}
		s.lookLater(&s.sessions)
	}
}

func (s *server) lookLater(e *ender) { s.after(e.event, s.world.dice.spread(e.label, e.interval)) }

// look asks the lessor, and proposes what that says.
func (s *server) look(e *ender) {
	s.lookLater(e)
	if e.waits {
		return
	}
	core := s.replica.Core()
	end, propose := e.loop.Step(lessor.Now{
		Leads: core.Role() == raft.Leader, Term: uint64(core.CurrentTerm()),
		Time: s.replica.Status().LogTime, Written: s.machine.store.Time(), Leases: e.count(),
	}, e.due)
	if propose {
		e.waits = true
		s.world.ask(s, &request{Op: check.Op{Request: e.expire(end)}, ender: e})
	}
}
