package watch

import (
	"encoding/binary"
	"sort"

	"github.com/quorate/quorate/internal/invariant"
)

// Event is one change.
type Event struct {
	Revision int64
	Key      []byte
	Deleted  bool
	// Body is an mvccpb.Event without its prev_kv. Previous is that field, tag and all; empty if there is
	// nothing to be shown, or nobody wants it.
	Body, Previous []byte
}

// Apply tells synced watchers what has happened up to a revision: everything since the one before.
func (h *Hub) Apply(events []Event, revision int64) {
	h.notReading()
	invariant.Check(revision >= h.revision, "revision %d after %d", revision, h.revision)
	if len(events) > 0 {
		first, last := events[0].Revision, events[len(events)-1].Revision
		invariant.Check(first > h.revision && last <= revision,
			"events of revisions %d to %d, between %d and %d", first, last, h.revision, revision)
	}
	h.begin(events, func(g *group) bool { return len(g.synced) > 0 })
	for _, g := range h.touched {
		// From the end, because whoever does not keep up is taken out.
		for i := len(g.synced) - 1; i >= 0; i-- {
			w := g.synced[i]
			if next, done := h.give(w, revision); !done {
				g.remove(w)
				h.lag(w, next)
			}
		}
	}
	h.end()
	h.comeTo(revision)
}

// WantsAnyPrevious tells whether WantsPrevious is worth asking.
func (h *Hub) WantsAnyPrevious() bool { return h.groups.previous > 0 }

// WantsPrevious tells whether a synced watcher of a key wants to know what was there before. The driver
// asks before it calls Apply.
func (h *Hub) WantsPrevious(key []byte) (wants bool) {
	h.groups.visit(key, func(g *group) { wants = wants || g.previous && len(g.synced) > 0 })
	return wants
}

// Jump tells that the store has come to a revision, when what has happened up to there is not at hand:
// too much at once, or a snapshot. All watchers lag, then.
func (h *Hub) Jump(revision int64) {
	h.notReading()
	if revision <= h.revision {
		return
	}
	for _, g := range h.groups.all {
		for i := len(g.synced) - 1; i >= 0; i-- {
			if w := g.synced[i]; w.next <= revision {
				g.remove(w)
				h.lag(w, max(w.next, h.revision+1))
			}
		}
	}
	h.comeTo(revision)
}

// begin hands events to the groups that they concern.
func (h *Hub) begin(events []Event, concerned func(*group) bool) {
	h.events = events
	for i := range events {
		e := &events[i]
		h.groups.visit(e.Key, func(g *group) {
			if !concerned(g) || e.Deleted && g.noDelete || !e.Deleted && g.noPut {
				return
			}
			if len(g.events) == 0 {
				h.touched = append(h.touched, g)
			}
			g.events = append(g.events, i)
		})
	}
	if len(h.touched) > 0 {
		h.fields, h.fullField = make([][]byte, len(events)), make([][]byte, len(events))
	}
}

// end forgets the batch.
func (h *Hub) end() {
	for _, g := range h.touched {
		g.events, g.chunks = g.events[:0], nil
	}
	clear(h.touched)
	h.touched = h.touched[:0]
	h.events, h.fields, h.fullField = nil, nil, nil
}

// give gives a watcher what concerns it in the batch, which is complete up to a revision. If its stream
// becomes full before the end, next is the first revision that it has not been given.
func (h *Hub) give(w *watcher, through int64) (next int64, done bool) {
	g := w.group
	first := 0
	if len(g.events) > 0 && h.events[g.events[0]].Revision < w.next {
		first = sort.Search(len(g.events), func(i int) bool { return h.events[g.events[i]].Revision >= w.next })
	}
	if first == len(g.events) {
		return 0, true
	}
	if g.chunks == nil || g.first != first {
		g.first, g.chunks = first, h.encode(g, g.events[first:])
	}
	for i, c := range g.chunks {
		if h.Full(w.stream) {
			return c.from, false
		}
		told := c.through
		if i == len(g.chunks)-1 {
			told = through
		}
		h.send(w.stream, Response{WatchID: w.id, Revision: told, Fragment: w.fragment, Events: c.events, Count: c.count})
		w.quiet = false
	}
	return 0, true
}

// chunk is the events of one response, encoded.
type chunk struct {
	events        []byte
	count         int
	from, through int64 // revisions of the first event and the last
}

// encode encodes events for a group: whole revisions, and a new response when one is large enough.
func (h *Hub) encode(g *group, events []int) []chunk {
	var chunks []chunk
	for start := 0; start < len(events); {
		end, bytes := start, 0
		for end < len(events) {
			revision := h.events[events[end]].Revision
			if end > start && bytes >= h.options.ResponseBytes && revision != h.events[events[end-1]].Revision {
				break
			}
			bytes += len(h.field(events[end], g.previous))
			end++
		}
		c := chunk{count: end - start, from: h.events[events[start]].Revision, through: h.events[events[end-1]].Revision}
		if c.count == 1 {
			c.events = h.field(events[start], g.previous)
		} else {
			c.events = make([]byte, 0, bytes)
			for _, i := range events[start:end] {
				c.events = append(c.events, h.field(i, g.previous)...)
			}
		}
		chunks = append(chunks, c)
		start = end
	}
	return chunks
}

// tagEvents begins an event in an etcdserverpb.WatchResponse: field 11, bytes.
const tagEvents = 11<<3 | 2

// field returns an event as a field of a response. It is encoded once for all groups.
func (h *Hub) field(i int, previous bool) []byte {
	fields, before := h.fields, []byte(nil)
	if before = h.events[i].Previous; previous && len(before) > 0 {
		fields = h.fullField
	} else {
		before = nil
	}
	if fields[i] == nil {
		body := h.events[i].Body
		b := make([]byte, 0, 1+binary.MaxVarintLen32+len(body)+len(before))
		b = binary.AppendUvarint(append(b, tagEvents), uint64(len(body)+len(before)))
		fields[i] = append(append(b, body...), before...)
	}
	return fields[i]
}
