package watch

// lag makes a watcher wait until what it lacks, from a revision on, is read.
func (h *Hub) lag(w *watcher, next int64) {
	w.state, w.next = lagging, next
	w.stream.lagging++
	h.stats.Lagging++
	h.enqueue(w)
}

// enqueue puts a lagging watcher at the end of the queue for reads; or aside, until there is room in its
// stream.
func (h *Hub) enqueue(w *watcher) {
	if h.Full(w.stream) {
		w.stream.parked.push(w)
	} else {
		h.lagging.push(w)
	}
}

// unlag takes a lagging watcher out of the queue.
func (h *Hub) unlag(w *watcher) {
	w.link.in.remove(w)
	w.stream.lagging--
	h.stats.Lagging--
}

// Read is a window of revisions that is to be read: From up to, and without, To.
type Read struct{ From, To int64 }

// NextRead returns what is to be read for watchers that lag, if there are any with room in their streams.
// If it reports true, nothing may be put in before Fed but what was read.
func (h *Hub) NextRead() (Read, bool) {
	h.notReading()
	head := h.lagging.first
	for ; head != nil && h.Full(head.stream); head = h.lagging.first {
		h.lagging.remove(head)
		head.stream.parked.push(head)
	}
	if head == nil {
		return Read{}, false
	}
	r := Read{From: head.next, To: min(head.next+h.options.WindowRevisions, h.revision+1)}
	h.readFrom = r.From
	h.lagging.each(func(w *watcher) {
		if w.next >= r.From && w.next < r.To && !h.Full(w.stream) {
			h.reading = append(h.reading, w)
			w.group.reading++
		}
	})
	return r, true
}

// WindowBytes is about how much a read may bring; one revision alone may be more.
func (h *Hub) WindowBytes() int { return h.options.ResponseBytes }

// Wants tells whether a change of a key is for one of the watchers that the read under way is for, and
// whether one of these wants to know what was there before.
func (h *Hub) Wants(key []byte) (wanted, previous bool) {
	h.groups.visit(key, func(g *group) {
		if g.reading > 0 {
			wanted, previous = true, previous || g.previous
		}
	})
	return wanted, previous
}

// Fed brings what was read, which is complete up to a revision. One that is below Read.From says that
// nothing could be read: those who waited go on waiting.
func (h *Hub) Fed(events []Event, through int64) {
	reading := h.reading
	h.reading = nil
	h.begin(events, func(g *group) bool { return g.reading > 0 })
	for _, w := range reading {
		w.group.reading--
		if w.next > through {
			continue // the window has become smaller than it
		}
		next, done := h.give(w, through)
		if done {
			next = through + 1
		}
		w.next = next
		if w.link.in.remove(w); next <= h.revision {
			h.enqueue(w)
			continue
		}
		w.stream.lagging--
		h.stats.Lagging--
		w.group.add(w)
	}
	h.end()
	clear(reading)
	h.reading = reading[:0]
}
