package kv

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	//tidy:impure whoever ends leases is another goroutine than the writer
	"sync"
)

// leases are all that live, in memory: the writer's table, and the order in which they come due. The
// writer changes it together with its batch.
type leases struct {
	mu   sync.Mutex // guards everything below
	byID map[int64]*queuedLease
	due  dueQueue
}

// queuedLease is a lease and its place in the queue. Renewing a lease does not move it there: at is
// when it was due when it was queued last, and that is at or before its deadline.
type queuedLease struct {
	Lease
	at    uint64
	place int
}

// dueQueue is a heap, the one that was due first in front.
type dueQueue []*queuedLease

func (q dueQueue) Len() int { return len(q) }
func (q dueQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].at, q[j].at), cmp.Compare(q[i].ID, q[j].ID)) < 0
}
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push and Pop are heap.Interface's.
func (q *dueQueue) Push(x any) {
	l := x.(*queuedLease)
	l.place = len(*q)
	*q = append(*q, l)
}
func (q *dueQueue) Pop() any {
	old := *q
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return l
}

// replace puts what is in another table in the place of what is in this one. The other is used no more.
func (t *leases) replace(o *leases) {
	t.mu.Lock()
	t.byID, t.due = o.byID, o.due
	t.mu.Unlock()
}

func (t *leases) has(id int64) bool {
	_, found := t.get(id)
	return found
}

func (t *leases) get(id int64) (Lease, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byID[id]
	if l == nil {
		return Lease{}, false
	}
	return l.Lease, true
}

// set adds a lease, or changes its deadline to a later one.
func (t *leases) set(l Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.byID[l.ID]; old != nil {
		old.Lease = l
		return
	}
	if t.byID == nil {
		t.byID = make(map[int64]*queuedLease)
	}
	q := &queuedLease{Lease: l, at: l.Deadline}
	t.byID[l.ID] = q
	heap.Push(&t.due, q)
}

func (t *leases) remove(id int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byID[id]
	delete(t.byID, id)
	heap.Remove(&t.due, l.place)
}

// dueBy returns leases whose deadline is at or before a time, the first that came due first.
func (t *leases) dueBy(time uint64, limit int) (ids []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*queuedLease
	for len(t.due) > 0 && t.due[0].at <= time && len(found) < limit {
		l := t.due[0]
		if l.at < l.Deadline { // it was renewed
			l.at = l.Deadline
			heap.Fix(&t.due, 0)
			continue
		}
		found = append(found, heap.Pop(&t.due).(*queuedLease))
	}
	for _, l := range found { // until the log says that they have ended
		ids = append(ids, l.ID)
		heap.Push(&t.due, l)
	}
	return ids
}

// DueLeases returns up to limit leases whose deadline is at or before a log time, for whoever proposes to
// end them. It costs as much as what it returns, and as what was renewed since.
func (s *Store) DueLeases(time uint64, limit int) []int64 { return s.leases.dueBy(time, limit) }

// Leases returns all leases, the one that comes due first first.
func (s *Store) Leases() []Lease {
	t := &s.leases
	t.mu.Lock()
	all := make([]Lease, 0, len(t.byID))
	for _, l := range t.byID { //tidy:ordered sorted below
		all = append(all, l.Lease)
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b Lease) int {
		return cmp.Or(cmp.Compare(a.Deadline, b.Deadline), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// LeaseCount returns how many leases there are.
func (s *Store) LeaseCount() int {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	return len(s.leases.byID)
}

// Lease returns a lease; false if there is none with that id.
func (s *Store) Lease(id int64) (Lease, bool) { return s.leases.get(id) }

// LeaseKeys returns the keys of a lease, sorted. The error is the engine's.
func (s *Store) LeaseKeys(id int64) ([][]byte, error) { return readLeasedKeys(s.engine, id) }

// load reads the space of leases.
func (t *leases) load(it Iterator) error {
	lo, hi := []byte{spaceLeases}, []byte{spaceLeases + 1}
	for ok := it.SeekGE(lo); ok && string(it.Key()) < string(hi); ok = it.Next() {
		l, err := parseLease(it.Key(), it.Value())
		if err != nil {
			return cmp.Or(it.Error(), fmt.Errorf("load leases: %w", err))
		}
		t.set(l)
	}
	return it.Error()
}
