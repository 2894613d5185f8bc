package watch

// Response is what a client is to be sent, without what only the server knows: who it is and which term
// it is in.
type Response struct {
	WatchID int64
	// Revision is for the header: the watcher has been told of everything up to it.
	Revision          int64
	Created, Canceled bool
	CompactRevision   int64
	Reason            string
	// Fragment: the client can put pieces of it together.
	Fragment bool
	// Events are the encoded fields of an etcdserverpb.WatchResponse; Count is how many. The bytes are
	// shared: nobody may change them.
	Events []byte
	Count  int
}

// responseBytes is what a response takes up beside its events, here and in gRPC.
const responseBytes = 128

// send puts a response into a stream's queue.
func (h *Hub) send(s *Stream, r Response) {
	s.bytes += responseBytes + len(r.Reason)
	if len(r.Events) > 0 && !sameBytes(r.Events, s.shared) {
		s.bytes += len(r.Events)
		s.shared = r.Events
	}
	s.queue = append(s.queue, r)
	h.stats.Pending += r.Count
	if !s.listed {
		s.listed = true
		h.ready = append(h.ready, s)
	}
}

// sameBytes tells whether two slices are one piece of memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// Full tells whether a stream's queue is: then the driver takes nothing more from its client.
func (h *Hub) Full(s *Stream) bool { return s.bytes >= h.options.QueueBytes }

// HasResponses tells whether there is something to take.
func (h *Hub) HasResponses(s *Stream) bool { return len(s.queue) > 0 }

// Ready returns the streams that have got responses since it was asked last, in the order in which they
// got the first.
func (h *Hub) Ready() []*Stream {
	ready := h.ready
	h.ready = nil
	for _, s := range ready {
		s.listed = false
	}
	return ready
}

// Take takes all that is queued. There is room, then, for those of the stream's watchers that lag.
func (h *Hub) Take(s *Stream) []Response {
	responses := s.queue
	s.queue, s.bytes, s.shared = nil, 0, nil
	for i := range responses {
		h.stats.Pending -= responses[i].Count
	}
	for w := s.parked.first; w != nil; w = s.parked.first {
		s.parked.remove(w)
		h.lagging.push(w)
	}
	return responses
}

// queue is a list of watchers, each of which is in one at most.
type queue struct{ first, last *watcher }

type link struct {
	in         *queue
	prev, next *watcher
}

// push adds a watcher at the end.
func (q *queue) push(w *watcher) {
	w.link = link{in: q, prev: q.last}
	if q.last == nil {
		q.first = w
	} else {
		q.last.link.next = w
	}
	q.last = w
}

func (q *queue) remove(w *watcher) {
	l := w.link
	if l.prev == nil {
		q.first = l.next
	} else {
		l.prev.link.next = l.next
	}
	if l.next == nil {
		q.last = l.prev
	} else {
		l.next.link.prev = l.prev
	}
	w.link = link{}
}

// each visits all; the one visited may be removed.
func (q *queue) each(visit func(*watcher)) {
	for w := q.first; w != nil; {
		next := w.link.next
		visit(w)
		w = next
	}
}
