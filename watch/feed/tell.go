package feed

import (
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/watch"
)

// Store is what is read; it is a *kv.Store.
type Store interface {
	Changes(q kv.ChangesQuery) (list kv.Changes, through int64, code kv.Code, err error)
	AddPrevious(list []kv.Change, wants func(*kv.Change) bool) error
	CompactRevision() int64
}

// Tell tells a hub of a batch. What was there before its changes is read, if somebody wants it.
func Tell(h *watch.Hub, s Store, b Batch) (err error) {
	if !b.Missing && h.WantsAnyPrevious() {
		err = s.AddPrevious(b.Changes, func(c *kv.Change) bool { return h.WantsPrevious(c.Key) })
	}
	if b.Missing || err != nil {
		h.Jump(b.Revision)
	} else {
		h.Apply(eventsOf(b.Changes), b.Revision)
	}
	h.Compact(b.Compact)
	return err
}

// Read reads what a hub asks for, and gives it to it. It looks at so many changes, wanted or not, and at
// one revision more: that bounds how long others wait for it.
func Read(h *watch.Hub, s Store, r watch.Read, maxChanges int) error {
	changes, through, code, err := s.Changes(kv.ChangesQuery{
		From: r.From, To: r.To, MaxChanges: maxChanges, MaxBytes: h.WindowBytes(), Wants: h.Wants,
	})
	switch {
	case err != nil:
		h.Fed(nil, r.From-1)
	case code != kv.CodeOK: // compacted, and the hub was not told yet
		h.Fed(nil, r.From-1)
		h.Compact(s.CompactRevision())
	default:
		h.Fed(eventsOf(changes.List), through)
	}
	return err
}

func eventsOf(changes []kv.Change) []watch.Event {
	events := make([]watch.Event, len(changes))
	for i := range changes {
		c := &changes[i]
		events[i] = watch.Event{Revision: c.Revision, Key: c.Key, Deleted: c.Deleted, Body: c.Event, Previous: c.Previous}
	}
	return events
}
