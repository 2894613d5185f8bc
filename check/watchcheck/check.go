package watchcheck

import "fmt"

// Watch is what a watcher asked for and was told.
type Watch struct {
	// Name is for messages.
	Name string
	// Key and End are the interval: no End is the one key; "\x00" is every key from Key on.
	Key, End        string
	NoPut, NoDelete bool
	// Previous: what was there before was asked for. At revisions below Compacted, it may be missing.
	Previous  bool
	Compacted int64
	// Start is the first revision to be told of.
	Start int64
	// Responses are those with events, and those that only tell of progress, in the order in which they
	// came.
	Responses []Response
	// Through is the revision up to which everything must have been told in the end; 0: whatever was
	// told last.
	Through int64
}

// Response is one.
type Response struct {
	// Revision is its header's; 0: not known.
	Revision int64
	Events   []Event
}

func (w *Watch) wants(e *Event) bool {
	if e.Deleted && w.NoDelete || !e.Deleted && w.NoPut {
		return false
	}
	switch w.End {
	case "":
		return e.Key == w.Key
	case "\x00":
		return e.Key >= w.Key
	}
	return e.Key >= w.Key && e.Key < w.End
}

// Violation is a promise that was broken.
type Violation struct{ Promise, Watch, What string }

func (v Violation) Error() string { return fmt.Sprintf("%s: %s: %s", v.Watch, v.Promise, v.What) }

// maxViolations is how many of a watch are told: the first ones say it.
const maxViolations = 5

// Check returns what is wrong with what a watch was told.
func Check(h *History, w *Watch) []Violation {
	c := &checker{history: h, watch: w, next: w.Start}
	for i := range w.Responses {
		c.response(&w.Responses[i])
	}
	c.complete(w.Through, "reliable", "in the end")
	return c.found
}

// checker goes through the responses.
type checker struct {
	history *History
	watch   *Watch
	next    int64 // everything below it has been told
	events  bool  // some event has been told
	marked  int64 // the highest revision of a header
	found   []Violation
}

func (c *checker) violated(promise, format string, args ...any) {
	if len(c.found) < maxViolations {
		c.found = append(c.found, Violation{promise, c.watch.Name, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) response(r *Response) {
	for start := 0; start < len(r.Events); {
		end := start + 1
		for end < len(r.Events) && r.Events[end].Mod == r.Events[start].Mod {
			end++
		}
		c.revision(r.Events[start].Mod, r.Events[start:end])
		start = end
	}
	if r.Revision > 0 {
		c.complete(r.Revision, "bookmarkable", "below a header")
		c.marked = max(c.marked, r.Revision)
	}
}

// revision checks the events of one revision that came together.
func (c *checker) revision(revision int64, events []Event) {
	for i := range events {
		if e := &events[i]; !c.watch.wants(e) {
			c.violated("filter", "%s at %d was not asked for", e.Key, revision)
			return
		}
	}
	switch {
	case revision < c.watch.Start:
		c.violated("resumable", "told of revision %d, was to begin at %d", revision, c.watch.Start)
	case revision == c.next-1 && c.events:
		c.repeated(revision, events)
	case revision < c.next:
		c.violated("ordered", "told of revision %d after %d", revision, c.next-1)
	case revision <= c.marked:
		c.violated("bookmarkable", "told of revision %d after a header of %d", revision, c.marked)
	default:
		promise := "reliable"
		if !c.events {
			promise = "resumable"
		}
		c.complete(revision-1, promise, "before what was told next")
		c.same(revision, events)
		c.next, c.events = revision+1, true
	}
}

// repeated: a revision is told of twice.
func (c *checker) repeated(revision int64, events []Event) {
	if len(events) >= len(c.history.told(c.watch, revision)) {
		c.violated("unique", "told of revision %d twice", revision)
		return
	}
	c.violated("atomic", "revision %d came in pieces", revision)
}

// complete checks that there was nothing to tell up to a revision that has not been told.
func (c *checker) complete(through int64, promise, when string) {
	for ; c.next <= min(through, c.history.last); c.next++ {
		if missing := c.history.told(c.watch, c.next); len(missing) > 0 {
			c.violated(promise, "not told of %d events of revision %d, %s", len(missing), c.next, when)
		}
	}
}

// same checks the events of a revision against what happened.
func (c *checker) same(revision int64, events []Event) {
	got, want := inOrder(append([]Event(nil), events...)), c.history.told(c.watch, revision)
	if revision > c.history.last {
		c.violated("event", "told of revision %d, the last one is %d", revision, c.history.last)
		return
	}
	if len(got) < len(want) {
		c.violated("atomic", "told of %d events of revision %d, there were %d", len(got), revision, len(want))
		return
	}
	if len(got) > len(want) {
		c.violated("unique", "told of %d events of revision %d, there were %d", len(got), revision, len(want))
		return
	}
	for i := range got {
		if got[i].Pair != want[i].Pair || got[i].Deleted != want[i].Deleted || got[i].IsCreate() != want[i].IsCreate() {
			c.violated("event", "revision %d: told %+v, want %+v", revision, got[i], want[i])
			continue
		}
		c.previous(&got[i], &want[i])
	}
}

func (c *checker) previous(got, want *Event) {
	expected := want.Previous
	if !c.watch.Previous {
		expected = nil
	}
	switch {
	case got.Previous == nil && (expected == nil || want.Mod-1 < c.watch.Compacted):
	case got.Previous == nil:
		c.violated("previous", "%s at %d: not told what was before", want.Key, want.Mod)
	case expected == nil:
		c.violated("previous", "%s at %d: told of something before, and there was nothing, or it was not asked for", want.Key, want.Mod)
	case *got.Previous != *expected:
		c.violated("previous", "%s at %d: told %+v was before, want %+v", want.Key, want.Mod, *got.Previous, *expected)
	}
}
