package replica

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// asking is the change of members for which a client of this server waits while another server leads. It goes to
// one leader, in one term: what became of it under the next, nobody could tell, unless the leader has handed it back.
type asking struct {
	change *change // nil: none
	// number is never used twice in this boot.
	number uint64
	sent   bool
	term   raft.Term // in which it was sent
	at     int       // when it was sent last
	backIn raft.Term // in which it was handed back to this server, and has certainly not happened; 0: it was not
	done   raft.Index
	now    int // ticks
}

// reconfigure takes a client's change in.
func (r *Replica) reconfigure(in *Reconfigure) {
	c := &change{handle: in.Handle, edits: in.Edits}
	switch {
	case r.leads():
		r.membership.want(r, c)
	case len(in.Edits) == 0 || len(in.Edits) > wire.MaxMembers:
		r.answer(Answer{Handle: in.Handle, Outcome: NotAllowed})
	default:
		r.asking.ask(r, c)
	}
}

// ask lets a change wait for a leader.
func (a *asking) ask(r *Replica, c *change) {
	if a.change != nil {
		r.answer(Answer{Handle: c.handle, Outcome: Busy})
		return
	}
	*a = asking{change: c, number: a.number + 1, now: a.now}
}

// send asks the leader, if it was not asked yet; one that has handed the change back, after a while: the next should lead
// by then.
func (a *asking) send(r *Replica) {
	if a.change != nil && !a.sent && (a.backIn != r.term || a.now-a.at >= r.options.ResendTicks) {
		a.sent, a.term, a.at = true, r.term, a.now
		a.request(r)
	}
}

func (a *asking) request(r *Replica) {
	r.send(r.leader, a.term, &wire.Change{Boot: r.options.Boot, Number: a.number, Edits: a.change.edits})
}

// replied takes the leader's word. What is done is answered once this server knows it too, so that whoever asks
// it next sees the change; but a server that has left is not told any more.
func (a *asking) replied(r *Replica, m *wire.ChangeReply) {
	if a.change == nil || m.Boot != r.options.Boot || m.Number != a.number {
		return
	}
	switch m.Outcome {
	case wire.ChangeDone:
		a.done, a.at = max(m.Index, 1), a.now
		a.answerIfDone(r)
	case wire.ChangeHandedBack: // under another number, it can be asked for again
		a.sent, a.number, a.backIn, a.at = false, a.number+1, r.term, a.now
	case wire.ChangeBusy:
		a.end(r, Busy)
	case wire.ChangeNotReady:
		a.end(r, NotReady)
	case wire.ChangeNotAllowed:
		a.end(r, NotAllowed)
	default:
		a.end(r, Unknown)
	}
}

func (a *asking) answerIfDone(r *Replica) {
	if a.change != nil && a.done > 0 && (r.core.CommitIndex() >= a.done || a.now-a.at >= r.options.ResendTicks) {
		r.answer(Answer{Handle: a.change.handle, Outcome: Done, Index: a.done})
		a.change = nil
	}
}

func (a *asking) end(r *Replica, outcome Outcome) {
	r.answer(Answer{Handle: a.change.handle, Outcome: outcome})
	a.change = nil
}

// tick asks again what was not answered for a while: the leader takes each number once.
func (a *asking) tick(r *Replica) {
	a.now++
	if a.change == nil || !a.sent {
		return
	}
	if a.done > 0 {
		a.answerIfDone(r)
	} else if r.leader != 0 && a.now-a.at >= r.options.ResendTicks {
		a.at = a.now
		a.request(r)
	}
}

// leadershipChanged gives up what has gone to the leader of an earlier term; what has not may be this server's own
// to do now.
func (a *asking) leadershipChanged(r *Replica) {
	switch {
	case a.change == nil:
	case a.sent && a.done == 0 && a.term != r.term:
		a.end(r, Unknown)
	case !a.sent && r.leads():
		r.membership.want(r, a.change)
		a.change = nil
	}
}

// cancel answers a change whose caller waits no longer.
func (a *asking) cancel(r *Replica, handle uint64) {
	if a.change == nil || a.change.handle != handle {
		return
	}
	switch {
	case a.done > 0:
		a.end(r, Done)
	case a.sent:
		a.end(r, Unknown)
	default:
		a.end(r, Canceled)
	}
}
