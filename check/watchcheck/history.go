package watchcheck

import (
	"maps"
	"slices"
	"strings"
)

// Pair is a key with what is under it.
type Pair struct {
	Key, Value           string
	Create, Mod, Version int64
	Lease                int64
}

// Event is one change. Of a deletion, only key and Mod of the pair are set.
type Event struct {
	Pair
	Deleted bool
	// Previous is what was there before; nil if there was nothing, or it was not told.
	Previous *Pair
}

// IsCreate tells whether the event brought its key into being.
func (e *Event) IsCreate() bool { return !e.Deleted && e.Create == e.Mod }

// History is what happened, revision by revision.
type History struct {
	first, last int64
	events      map[int64][]Event // by revision
	state       map[string]Pair   // as of last
}

// NewHistory returns a history that begins behind a revision, at which these pairs were there.
func NewHistory(revision int64, pairs []Pair) *History {
	h := &History{first: revision + 1, last: revision, events: make(map[int64][]Event), state: make(map[string]Pair)}
	for _, p := range pairs {
		h.state[p.Key] = p
	}
	return h
}

// Last is the newest revision of the history.
func (h *History) Last() int64 { return h.last }

// Add adds the next revision by its events, in their order.
func (h *History) Add(events ...Event) {
	h.last++
	for _, e := range events {
		h.events[h.last] = append(h.events[h.last], e)
		if e.Deleted {
			delete(h.state, e.Key)
		} else {
			h.state[e.Key] = e.Pair
		}
	}
}

// Step adds the next revision by all pairs that are there then: what differs from the revision before
// has happened. A key that is deleted and put again in one revision counts as both.
func (h *History) Step(pairs []Pair) {
	var events []Event
	now := make(map[string]Pair, len(pairs))
	for _, p := range pairs {
		now[p.Key] = p
	}
	for _, key := range slices.Sorted(maps.Keys(h.state)) {
		before := h.state[key]
		if after, ok := now[key]; !ok || after.Create != before.Create {
			events = append(events, Event{Pair: Pair{Key: key, Mod: h.last + 1}, Deleted: true, Previous: &before})
		}
	}
	for _, p := range pairs {
		before, ok := h.state[p.Key]
		switch {
		case !ok || before.Create != p.Create:
			events = append(events, Event{Pair: p})
		case before != p:
			events = append(events, Event{Pair: p, Previous: &before})
		}
	}
	h.Add(events...)
}

// LastFor returns the newest revision that a watch is to be told of, from its start on; 0 if there is none.
func (h *History) LastFor(w *Watch) int64 {
	for revision := h.last; revision >= max(w.Start, h.first); revision-- {
		events := h.events[revision]
		for i := range events {
			if w.wants(&events[i]) {
				return revision
			}
		}
	}
	return 0
}

// told returns what a watch is to be told of a revision, in an order in which it can be compared.
func (h *History) told(w *Watch, revision int64) []Event {
	var events []Event
	for _, e := range h.events[revision] {
		if w.wants(&e) {
			events = append(events, e)
		}
	}
	return inOrder(events)
}

// inOrder sorts by key, a deletion before a put.
func inOrder(events []Event) []Event {
	slices.SortStableFunc(events, func(a, b Event) int {
		if order := strings.Compare(a.Key, b.Key); order != 0 || a.Deleted == b.Deleted {
			return order
		}
		if a.Deleted {
			return -1
		}
		return 1
	})
	return events
}
