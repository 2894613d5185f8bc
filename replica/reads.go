package replica

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// reads are the linearizable reads that wait: this server's own and, at a leader, other servers'.
type reads struct {
	// waiting came since the last question to a leader.
	waiting []uint64
	// asked are those for which a leader is being asked, by number.
	asked []askedReads
	// nextNumber is never used twice in this boot, so that no late answer fits a younger question.
	nextNumber uint64
	// ready may be served once the state machine is there.
	ready []readyReads
	// remote are the other servers' requests that the core here is confirming, one of each.
	remote []remoteRead
	// busy: the core was too busy for the last question; wait for the next step.
	busy bool
	now  int
	// counts are those of the core here, as a leader.
	counts ReadCounts
}

// ReadCounts says how the core of a leader has confirmed reads: each of all that were asked for at one time.
type ReadCounts struct{ ByRound, ByLease uint64 }

func (n *ReadCounts) add(ready raft.ReadReady) {
	if ready.ByLease {
		n.ByLease++
	} else {
		n.ByRound++
	}
}

type askedReads struct {
	number  uint64
	handles []uint64
	at      int
	local   bool // asked of the core here, not of another server
}

type readyReads struct {
	index   raft.Index
	handles []uint64
}

type remoteRead struct {
	id     uint64 // what the core knows it by
	from   raft.ServerID
	boot   uint64
	number uint64
}

// The core knows reads by these ids: what is proposed has 1 to 3.
const firstReadID = 16

// read takes a client's read in.
func (q *reads) read(r *Replica, handle uint64) {
	if q.count() >= r.options.MaxPending {
		r.answer(Answer{Handle: handle, Outcome: Busy})
		return
	}
	q.waiting = append(q.waiting, handle)
}

func (q *reads) count() int {
	n := len(q.waiting)
	for _, a := range q.asked {
		n += len(a.handles)
	}
	for _, y := range q.ready {
		n += len(y.handles)
	}
	return n
}

// next numbers a question for all waiting reads.
func (q *reads) next(local bool) *askedReads {
	q.nextNumber++
	q.asked = append(q.asked, askedReads{number: q.nextNumber + firstReadID, handles: q.waiting, at: q.now, local: local})
	q.waiting = nil
	return &q.asked[len(q.asked)-1]
}

// offerToCore asks the core of a leader.
func (q *reads) offerToCore(r *Replica) {
	if len(q.waiting) > 0 && !q.busy {
		r.batch = append(r.batch, raft.ReadIndex{ID: q.next(true).number})
	}
}

// request asks the leader elsewhere. One question is under way at a time; what comes meanwhile shares
// the next.
func (q *reads) request(r *Replica) {
	if len(q.waiting) == 0 || slices.ContainsFunc(q.asked, func(a askedReads) bool { return !a.local }) {
		return
	}
	a := q.next(false)
	r.send(r.leader, r.term, &wire.ReadRequest{Boot: r.options.Boot, Number: a.number})
}

// requested takes another server's question in. Its younger question replaces an older one.
func (q *reads) requested(r *Replica, from raft.ServerID, m *wire.ReadRequest) {
	if !r.leads() {
		return // it will ask whoever leads next
	}
	q.nextNumber++
	read := remoteRead{id: q.nextNumber + firstReadID, from: from, boot: m.Boot, number: m.Number}
	if i := slices.IndexFunc(q.remote, func(o remoteRead) bool { return o.from == from }); i >= 0 {
		q.remote[i] = read
	} else {
		q.remote = append(q.remote, read)
	}
	r.batch = append(r.batch, raft.ReadIndex{ID: read.id})
}

// confirmed takes the core's word that reads may be served at an index.
func (q *reads) confirmed(r *Replica, ready raft.ReadReady) {
	q.counts.add(ready)
	if i := slices.IndexFunc(q.remote, func(o remoteRead) bool { return o.id == ready.ID }); i >= 0 {
		o := q.remote[i]
		q.remote = slices.Delete(q.remote, i, i+1)
		r.send(o.from, r.term, &wire.ReadReply{Boot: o.boot, Number: o.number, Index: ready.Index})
		return
	}
	q.serve(r, ready.ID, ready.Index)
}

// replied takes the leader's word. Only the answer to the very question counts.
func (q *reads) replied(r *Replica, m *wire.ReadReply) {
	if m.Boot == r.options.Boot {
		q.serve(r, m.Number, m.Index)
	}
}

// serve answers the reads of a question, or lets them wait for the state machine.
func (q *reads) serve(r *Replica, number uint64, index raft.Index) {
	i := slices.IndexFunc(q.asked, func(a askedReads) bool { return a.number == number })
	if i < 0 {
		return
	}
	q.ready = append(q.ready, readyReads{index, q.asked[i].handles})
	q.asked = slices.Delete(q.asked, i, i+1)
	q.applied(r)
}

// applied answers the reads that the state machine has caught up with.
func (q *reads) applied(r *Replica) {
	q.ready = slices.DeleteFunc(q.ready, func(y readyReads) bool {
		if y.index > r.apply.applied {
			return false
		}
		for _, handle := range y.handles {
			r.answer(Answer{Handle: handle, Outcome: Done, Index: y.index})
		}
		return true
	})
}

// refused takes the reads of a question back: the core does not lead any more, or is too busy.
func (q *reads) refused(refusal raft.Refusal) {
	q.busy = q.busy || refusal.Reason == raft.Busy
	q.remote = slices.DeleteFunc(q.remote, func(o remoteRead) bool { return o.id == refusal.ID })
	q.takeBack(func(a *askedReads) bool { return a.number == refusal.ID })
}

// leadershipChanged asks again: whoever was asked may never answer.
func (q *reads) leadershipChanged() {
	q.remote = nil
	q.takeBack(func(a *askedReads) bool { return !a.local })
}

// tick asks again when there has been no answer for a while, under a new number.
func (q *reads) tick(r *Replica) {
	q.now++
	q.takeBack(func(a *askedReads) bool { return !a.local && q.now-a.at >= r.options.ResendTicks })
}

// takeBack lets the reads of some questions wait again.
func (q *reads) takeBack(which func(*askedReads) bool) {
	q.asked = slices.DeleteFunc(q.asked, func(a askedReads) bool {
		if !which(&a) {
			return false
		}
		q.waiting = append(q.waiting, a.handles...)
		return true
	})
}

// cancel answers a read whose caller waits no longer.
func (q *reads) cancel(r *Replica, handle uint64) {
	found := drop(&q.waiting, handle)
	for i := range q.asked {
		found = drop(&q.asked[i].handles, handle) || found
	}
	for i := range q.ready {
		found = drop(&q.ready[i].handles, handle) || found
	}
	if found {
		r.answer(Answer{Handle: handle, Outcome: Canceled})
	}
}

// drop removes a handle from a list; false if it is not there.
func drop(handles *[]uint64, handle uint64) bool {
	i := slices.Index(*handles, handle)
	if i >= 0 {
		*handles = slices.Delete(*handles, i, i+1)
	}
	return i >= 0
}
