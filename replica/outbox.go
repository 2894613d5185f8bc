package replica

import (
	"math"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// outbox holds the core's messages until they may leave: until the write that they rest on is durable,
// and until their entries are at hand.
type outbox struct {
	held []raft.Envelope
	// queued are AppendEntries that wait for entries from the log, or for their turn to catch up, and those to the same peers
	// behind them: the order of appends to a peer is kept, or it would refuse those that overtake.
	queued []queuedAppend
	nextID uint64
}

// queuedAppend is ready when its records are at hand.
type queuedAppend struct {
	id       uint64 // of the fetch
	envelope raft.Envelope
	ready    bool
	records  [][]byte
}

// maxQueuedAppends bounds the queue of one peer. The core's window is smaller; what does not fit is
// dropped, and the core sends again.
const maxQueuedAppends = 1024

// put sends what is ripe and holds the rest.
func (o *outbox) put(r *Replica, envelopes []raft.Envelope) {
	for _, e := range envelopes {
		if e.After > r.persisted {
			o.held = append(o.held, e)
		} else {
			o.send(r, e)
		}
	}
}

// release sends what the last report from the disk has made ripe.
func (o *outbox) release(r *Replica) {
	waiting := o.held[:0]
	for _, e := range o.held {
		if e.After > r.persisted {
			waiting = append(waiting, e)
		} else {
			o.send(r, e)
		}
	}
	clear(o.held[len(waiting):])
	o.held = waiting
}

// dropOld drops messages of terms that are over. They were true when they were made; but nobody may
// stamp them with the new term, and nobody needs them with the old.
func (o *outbox) dropOld(term raft.Term) {
	o.held = slices.DeleteFunc(o.held, func(e raft.Envelope) bool { return e.Term < term })
	o.queued = slices.DeleteFunc(o.queued, func(q queuedAppend) bool { return q.envelope.Term < term })
}

// send encodes a ripe message. AppendEntries get their entries here.
func (o *outbox) send(r *Replica, e raft.Envelope) {
	m, ok := e.Message.(*raft.AppendEntries)
	if !ok {
		r.send(e.To, e.Term, e.Message)
		return
	}
	if m.Probing && m.Last > m.PrevLogIndex {
		// The core has gone back to one request at a time: what is queued is moot.
		o.queued = slices.DeleteFunc(o.queued, func(q queuedAppend) bool { return q.envelope.To == e.To })
	}
	q := queuedAppend{envelope: e, ready: true}
	if m.Last > m.PrevLogIndex {
		limit := 0
		if m.Probing {
			limit = r.catchUp.limit(r, m.PrevLogIndex)
		}
		q.records, q.ready = r.tail.span(m.PrevLogIndex+1, m.Last, limit)
	}
	if q.ready && !o.mustQueue(e.To, m) && q.lets(r) {
		q.send(r)
		return
	}
	o.enqueue(r, q, m)
}

// send sends an append that is ready.
func (q *queuedAppend) send(r *Replica) {
	if n := len(q.records); n > 0 {
		r.promptness.sent(q.envelope.To, wire.Raw(q.records[n-1]).Index())
	}
	r.send(q.envelope.To, q.envelope.Term, q.envelope.Message, q.records...)
}

// mustQueue reports whether an append has to wait behind others to the same peer. One that goes no
// further than the first of them need not: the peer has the entry before that one.
func (o *outbox) mustQueue(to raft.ServerID, m *raft.AppendEntries) bool {
	for i := range o.queued {
		if q := &o.queued[i]; q.envelope.To == to {
			return m.Last > q.envelope.Message.(*raft.AppendEntries).PrevLogIndex
		}
	}
	return false
}

// enqueue lets an append wait, and asks the log for its entries if memory no longer has them.
func (o *outbox) enqueue(r *Replica, q queuedAppend, m *raft.AppendEntries) {
	count := 0
	for i := range o.queued {
		if o.queued[i].envelope.To == q.envelope.To {
			count++
		}
	}
	if count >= maxQueuedAppends {
		return
	}
	if !q.ready {
		o.nextID++
		q.id = o.nextID<<1 | 1
		limit := math.MaxInt // the core has bounded it, and counts on all of it
		if m.Probing {
			limit = r.catchUp.limit(r, m.PrevLogIndex)
		}
		// What memory still has may not be in the log yet, or may be truncated before it is read there.
		last := min(m.Last, r.tail.first-1)
		r.work.Fetch = append(r.work.Fetch, Fetch{ID: q.id, First: m.PrevLogIndex + 1, Last: last, LimitBytes: limit})
	}
	o.queued = append(o.queued, q)
}

// fetched takes the entries of a queued append, and sends what need not wait any longer.
func (o *outbox) fetched(r *Replica, in *Fetched) {
	i := slices.IndexFunc(o.queued, func(q queuedAppend) bool { return q.id == in.ID })
	if i < 0 {
		return // its term is over, or the core has started again
	}
	q := &o.queued[i]
	to := q.envelope.To
	if !q.fill(r, in.Records) {
		// Those behind it count on it: let the peer's refusal set it right.
		o.queued = slices.DeleteFunc(o.queued, func(q queuedAppend) bool { return q.envelope.To == to })
		return
	}
	o.flush(r)
}

// flush sends what need not wait any longer, in the order of each peer's queue.
func (o *outbox) flush(r *Replica) {
	var blocked []raft.ServerID
	o.queued = slices.DeleteFunc(o.queued, func(q queuedAppend) bool {
		to := q.envelope.To
		if slices.Contains(blocked, to) {
			return false
		}
		if !q.ready || !q.lets(r) {
			blocked = append(blocked, to)
			return false
		}
		q.send(r)
		return true
	})
}

// lets reports whether it may leave now, as far as catching up goes.
func (q *queuedAppend) lets(r *Replica) bool {
	m := q.envelope.Message.(*raft.AppendEntries)
	return r.catchUp.lets(r, m.PrevLogIndex, q.records)
}

// fill takes the records that were read. Only a request that probes may go with fewer than it names.
func (q *queuedAppend) fill(r *Replica, records [][]byte) bool {
	m := q.envelope.Message.(*raft.AppendEntries)
	if len(records) == 0 || wire.Raw(records[0]).Index() != m.PrevLogIndex+1 {
		return false
	}
	if next := m.PrevLogIndex + 1 + raft.Index(len(records)); next <= m.Last && !m.Probing {
		rest, ok := r.tail.span(next, m.Last, 0)
		if !ok {
			return false
		}
		records = append(records, rest...)
	}
	q.ready, q.records = true, records
	return true
}

// fetched takes records that were read from the log.
func (r *Replica) fetched(in *Fetched) {
	switch {
	case in.ID&libraryFetch != 0:
		r.entriesFetched(in)
	case in.Err != nil && !in.Compacted:
		r.work.Fatal = in.Err
	case in.ID&1 == 1:
		r.outbox.fetched(r, in)
	default:
		r.apply.fetched(in)
	}
}
