package session

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/wire"
)

// Bounds of the table. They are the same on all servers, for what they refuse is part of the state.
const (
	// MaxSessions is how many there may be.
	MaxSessions = 1 << 16
	// Window is how far a number may be above what is acknowledged.
	Window = 1024
	// MaxAnswerBytes is the largest answer that is kept.
	MaxAnswerBytes = 1 << 20
	// MaxSessionBytes is how much may be kept of a session before its next request is refused.
	MaxSessionBytes = 4 << 20
	// MaxBytes is the same for all sessions together.
	MaxBytes = 256 << 20
	// MinTTL and MaxTTL bound a session's time to live, in seconds.
	MinTTL = 5
	MaxTTL = 24 * 60 * 60

	// rowBytes is what an answer takes up besides its bytes, roughly.
	rowBytes = 64
	second   = 1_000_000_000
)

// Verdict says what is to be done with a request.
type Verdict uint8

const (
	// Fresh: execute it, and Record it.
	Fresh Verdict = iota
	// Repeated: it was executed, and its answer is kept.
	Repeated
	// Dropped: it was executed, and its answer was too large to be kept.
	Dropped
	// Unknown: there is no such session, or no more. Ids are never used again.
	Unknown
	// Stale: the client has said that it needs this number no more. Whether it was executed is forgotten.
	Stale
	// Full: it was not executed, for there is no room for its answer. It may be sent again.
	Full
	// Mismatch: another request was executed under this number. This one was not, and never will be.
	Mismatch
)

// Session is what is kept of a session, but for its answers.
type Session struct {
	ID uint64
	// TTL is how many seconds of log time it lives, at least, after a command of it.
	TTL uint64
	// Deadline is the log time from which on it may be ended.
	Deadline uint64
	// Acknowledged: the client needs no answer up to this number.
	Acknowledged uint64
}

// Table is all sessions. The zero value is empty.
type Table struct {
	byID  map[uint64]*entry
	due   queue
	bytes int
}

// entry is a session in the table.
type entry struct {
	Session
	window []taken // ascending; all above what is acknowledged
	bytes  int     // of window
	place  int     // in the queue
}

// taken is a number that was executed.
type taken struct {
	sequence uint64
	check    uint32
	bytes    int32 // of its answer; -1: it was dropped
}

func (t taken) size() int { return rowBytes + max(int(t.bytes), 0) }

// Len returns how many sessions there are.
func (t *Table) Len() int { return len(t.byID) }

// Bytes returns how much is kept of all sessions, by the measure of the bounds.
func (t *Table) Bytes() int { return t.bytes }

// Get returns a session; false if there is none with that id.
func (t *Table) Get(id uint64) (Session, bool) {
	e := t.byID[id]
	if e == nil {
		return Session{}, false
	}
	return e.Session, true
}

// Open begins a session, whose id must be new, and returns its row; false: there are too many.
func (t *Table) Open(id, ttl, now uint64) (Session, bool) {
	invariant.Check(t.byID[id] == nil, "session %d is opened again", id)
	if len(t.byID) >= MaxSessions {
		return Session{}, false
	}
	ttl = min(max(ttl, MinTTL), MaxTTL)
	s := Session{ID: id, TTL: ttl, Deadline: deadline(now, ttl)}
	t.add(s)
	return s, true
}

func (t *Table) add(s Session) *entry {
	if t.byID == nil {
		t.byID = make(map[uint64]*entry)
	}
	e := &entry{Session: s}
	t.byID[s.ID] = e
	heap.Push(&t.due, e)
	return e
}

// deadline is a quarter later than it need be, so that a session's row is not written with each command.
func deadline(now, ttl uint64) uint64 { return after(now, ttl*second+ttl*second/4) }

func after(now, nanoseconds uint64) uint64 {
	if now > math.MaxUint64-nanoseconds {
		return math.MaxUint64
	}
	return now + nanoseconds
}

// Renew makes sure that a session lives for its time to live from now on. It returns the row to be written
// if that has changed; false if it has not, or if there is no such session.
func (t *Table) Renew(id, now uint64) (row Session, changed bool) {
	e := t.byID[id]
	if e == nil || e.Deadline >= after(now, e.TTL*second) {
		return Session{}, false
	}
	e.Deadline = deadline(now, e.TTL)
	heap.Fix(&t.due, e.place)
	return e.Session, true
}

// Decide says what is to be done with a request. check tells it from others.
func (t *Table) Decide(n wire.Session, check uint32) Verdict {
	e := t.byID[n.ID]
	if e == nil {
		return Unknown
	}
	acknowledged := max(e.Acknowledged, n.Acknowledged)
	if n.Sequence <= acknowledged {
		return Stale
	}
	if at, found := e.find(n.Sequence); found {
		switch done := e.window[at]; {
		case done.check != check:
			return Mismatch
		case done.bytes < 0:
			return Dropped
		}
		return Repeated
	}
	freed := 0
	for _, done := range e.window[:e.upTo(acknowledged)] {
		freed += done.size()
	}
	if n.Sequence-acknowledged > Window || e.bytes-freed >= MaxSessionBytes || t.bytes-freed >= MaxBytes {
		return Full
	}
	return Fresh
}

// Record notes that a request was executed for which Decide has said Fresh, and what its answer takes up. It
// returns what its row begins with, and the numbers whose rows are to be deleted.
func (t *Table) Record(n wire.Session, check uint32, answerBytes int) (row Answer, pruned []uint64) {
	e := t.byID[n.ID]
	pruned = t.prune(e, n.Acknowledged)
	done := taken{sequence: n.Sequence, check: check, bytes: -1}
	if answerBytes <= MaxAnswerBytes {
		done.bytes = int32(answerBytes)
	}
	t.take(e, done)
	return Answer{Check: check, Acknowledged: e.Acknowledged, Dropped: done.bytes < 0}, pruned
}

// Acknowledge notes that a client needs nothing up to a number. It returns the numbers whose rows are to be
// deleted, and the session's row, which is to be written if it has changed.
func (t *Table) Acknowledge(id, acknowledged uint64) (row Session, changed bool, pruned []uint64) {
	e := t.byID[id]
	if e == nil || acknowledged <= e.Acknowledged {
		return Session{}, false, nil
	}
	pruned = t.prune(e, acknowledged)
	return e.Session, true, pruned
}

// Remove ends a session, and returns the numbers whose rows are to be deleted; false: there is none.
func (t *Table) Remove(id uint64) (rows []uint64, found bool) {
	e := t.byID[id]
	if e == nil {
		return nil, false
	}
	rows = t.prune(e, math.MaxUint64)
	delete(t.byID, id)
	heap.Remove(&t.due, e.place)
	return rows, true
}

// DueBy returns up to limit sessions whose deadline is at or before a time, the first that came due first.
func (t *Table) DueBy(time uint64, limit int) (ids []uint64) {
	var found []*entry
	for len(t.due) > 0 && t.due[0].Deadline <= time && len(found) < limit {
		found = append(found, heap.Pop(&t.due).(*entry))
	}
	for _, e := range found { // until the log says that they have ended
		ids = append(ids, e.ID)
		heap.Push(&t.due, e)
	}
	return ids
}

// Load adds a session's row.
func (t *Table) Load(s Session) { t.add(s) }

// LoadAnswer adds the row of an answer, whose session has been loaded before; false: it has not, or the row
// cannot be where it is.
func (t *Table) LoadAnswer(id, sequence uint64, row Answer, answerBytes int) bool {
	e := t.byID[id]
	if e == nil || sequence <= row.Acknowledged || answerBytes > MaxAnswerBytes {
		return false
	}
	if _, found := e.find(sequence); found {
		return false
	}
	e.Acknowledged = max(e.Acknowledged, row.Acknowledged)
	done := taken{sequence: sequence, check: row.Check, bytes: int32(answerBytes)}
	if row.Dropped {
		done.bytes = -1
	}
	t.take(e, done)
	return true
}

// take adds a number to the window, most often behind the others.
func (t *Table) take(e *entry, done taken) {
	at, _ := e.find(done.sequence)
	e.window = slices.Insert(e.window, at, done)
	e.bytes += done.size()
	t.bytes += done.size()
}

// prune forgets the numbers up to one, and returns them.
func (t *Table) prune(e *entry, acknowledged uint64) (pruned []uint64) {
	n := e.upTo(acknowledged)
	for _, done := range e.window[:n] {
		pruned = append(pruned, done.sequence)
		e.bytes -= done.size()
		t.bytes -= done.size()
	}
	e.window = slices.Delete(e.window, 0, n)
	e.Acknowledged = max(e.Acknowledged, acknowledged)
	return pruned
}

// find returns where in the window a number is, or would be.
func (e *entry) find(sequence uint64) (at int, found bool) {
	return slices.BinarySearchFunc(e.window, sequence, func(t taken, s uint64) int { return cmp.Compare(t.sequence, s) })
}

// upTo returns how many numbers of the window are at or below one.
func (e *entry) upTo(acknowledged uint64) int {
	at, found := e.find(acknowledged)
	if found {
		at++
	}
	return at
}

// queue is a heap of sessions, the one that comes due first in front.
type queue []*entry

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].Deadline, q[j].Deadline), cmp.Compare(q[i].ID, q[j].ID)) < 0
}
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push and Pop are heap.Interface's.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
