package replica

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// change is one that somebody waits for: a client of this server, who has a handle, or another server.
type change struct {
	handle uint64
	from   raft.ServerID // 0: nobody else
	edits  []Edit
}

// remoteChange is what another server has asked for, and what became of it; 0: nothing yet.
type remoteChange struct {
	from         raft.ServerID
	boot, number uint64
	outcome      wire.ChangeOutcome
	index        raft.Index
}

// want takes a change in, at a leader.
func (m *membership) want(r *Replica, c *change) {
	switch {
	case m.wanted != nil:
		m.answer(r, c, Busy, 0)
	case slices.ContainsFunc(c.edits, func(e Edit) bool { return !canBecome(e.Member.Roles) }):
		m.answer(r, c, NotAllowed, 0)
	default:
		m.wanted, m.completedAt, m.begun = c, 0, false
	}
}

// requested takes another server's change in, once, in the very term that it is addressed to.
func (m *membership) requested(r *Replica, from raft.ServerID, term raft.Term, in *wire.Change) {
	if !r.leads() || term != r.term {
		return
	}
	i := slices.IndexFunc(m.remote, func(o remoteChange) bool { return o.from == from })
	if i < 0 {
		i = len(m.remote)
		m.remote = append(m.remote, remoteChange{from: from})
	}
	switch o := &m.remote[i]; {
	case in.Boot == o.boot && in.Number == o.number:
		o.reply(r)
	case in.Boot > o.boot || in.Boot == o.boot && in.Number > o.number:
		*o = remoteChange{from: from, boot: in.Boot, number: in.Number}
		if m.wanted != nil && m.wanted.from == from {
			m.wanted.from = nobody // what it asked for before, and waits for no longer
		}
		m.want(r, &change{from: from, edits: in.Edits})
	}
}

// nobody is who waits for a change that its server has given up. No server has this id.
const nobody = ^raft.ServerID(0)

// answer says to whoever waits what became of a change. A change that another server waits for, and that may go
// on under another leader, is not answered: that server knows as much by then.
func (m *membership) answer(r *Replica, c *change, outcome Outcome, index raft.Index) {
	if c.from == 0 {
		r.answer(Answer{Handle: c.handle, Outcome: outcome, Index: index})
		return
	}
	for i := range m.remote {
		if o := &m.remote[i]; o.from == c.from {
			o.outcome, o.index = outcomesOfChanges[outcome], index
			o.reply(r)
		}
	}
}

// handedBack is what becomes of another server's change when a leader hands over. No caller is answered that.
const handedBack = ^Outcome(0)

var outcomesOfChanges = map[Outcome]wire.ChangeOutcome{
	handedBack: wire.ChangeHandedBack,
	Done:       wire.ChangeDone, Busy: wire.ChangeBusy, NotReady: wire.ChangeNotReady, NotAllowed: wire.ChangeNotAllowed,
}

func (o *remoteChange) reply(r *Replica) {
	if o.outcome != 0 {
		r.send(o.from, r.term, &wire.ChangeReply{Boot: o.boot, Number: o.number, Outcome: o.outcome, Index: o.index})
	}
}
