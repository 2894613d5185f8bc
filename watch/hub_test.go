package watch_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/quorate/quorate/watch"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// TestWatchersAreToldWhatIsPromised runs random worlds: streams and watchers come and go, the store
// changes and is compacted, clients read now and then, and what lags is read in windows of all sizes.
func TestWatchersAreToldWhatIsPromised(t *testing.T) {
	seen := map[string]int{}
	for seed := range int64(300) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			o := watch.Options{QueueBytes: 300 + int(seed%5)*700, ResponseBytes: 100 + int(seed%3)*300, WindowRevisions: 1 + seed%7}
			w := newWorld(t, seed, o)
			for range 400 {
				w.step()
			}
			w.drain()
			w.check()
			w.quietProgress()
			for what, n := range w.seen {
				seen[what] += n
			}
		})
	}
	for _, what := range []string{"read", "progress", "compacted", "notified", "refused", "skip", "parked", "closed"} {
		if seen[what] < 50 {
			t.Errorf("%s happened %d times: the worlds do not try it", what, seen[what])
		}
	}
	t.Log(seen)
}

// step does something.
func (w *world) step() {
	if len(w.streams) == 0 {
		w.open()
	}
	c := w.streams[w.rng.Intn(len(w.streams))]
	switch w.rng.Intn(20) {
	case 0:
		if len(w.streams) < 4 {
			w.open()
		}
	case 1:
		if w.rng.Intn(15) == 0 {
			w.closeStream(c)
		}
	case 2, 3, 4:
		w.create(c)
	case 5:
		w.hub.Cancel(c.stream, w.rng.Int63n(8))
	case 6, 7, 8, 9:
		w.change()
	case 10, 11, 12:
		w.apply()
	case 13:
		if w.rng.Intn(6) == 0 && w.told < w.revision {
			w.seen["skip"]++
			w.hub.Jump(w.revision)
			w.told = w.revision
		}
	case 14:
		if w.rng.Intn(5) == 0 && w.revision > 1 { // the hub may learn of it before it is told of what was compacted
			w.compact = max(w.compact, 1+w.rng.Int63n(w.revision))
			w.hub.Compact(w.compact)
		}
	case 15:
		if !w.hub.Full(c.stream) {
			w.hub.Progress(c.stream)
		}
	case 16:
		w.hub.Tick(c.stream)
	case 17:
		if lagging := w.hub.Stats().Lagging; !w.read() && lagging > 0 {
			w.seen["parked"]++ // there are some who lag, and all of them wait for room
		}
	default:
		for _, s := range w.hub.Ready() {
			for _, c := range w.streams {
				if c.stream == s && w.rng.Intn(3) > 0 {
					w.take(c)
				}
			}
		}
	}
}

func (w *world) closeStream(c *client) {
	w.seen["closed"]++
	w.take(c)
	w.hub.Close(c.stream)
	for _, x := range c.watchers {
		w.checkOne(x)
	}
	for i := range w.streams {
		if w.streams[i] == c {
			w.streams = append(w.streams[:i], w.streams[i+1:]...)
			break
		}
	}
}

// quietProgress: when everybody is up to date, a question for progress is answered, unless there is
// nobody, or somebody has yet to begin.
func (w *world) quietProgress() {
	for _, c := range w.streams {
		w.hub.Progress(c.stream)
		want := len(c.watchers) > 0
		for _, x := range c.watchers {
			want = want && x.create.Start <= w.told
		}
		got := w.hub.Take(c.stream)
		if (len(got) == 1) != want || want && (got[0].WatchID != -1 || got[0].Revision != w.told) {
			w.t.Fatalf("progress: got %+v, want one: %v", got, want)
		}
	}
}

// TestSameInputsSameResponses: nothing depends on the order of a map.
func TestSameInputsSameResponses(t *testing.T) {
	run := func(seed int64) string {
		w := newWorld(t, seed, watch.Options{QueueBytes: 600, ResponseBytes: 300, WindowRevisions: 4})
		w.keep = true
		for i := range 300 {
			if w.step(); i%40 == 39 {
				w.closeStream(w.streams[0])
			}
		}
		w.drain()
		return w.transcript
	}
	for seed := range int64(20) {
		if first, second := run(seed), run(seed); first != second || first == "" {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

// everything is a watcher of all keys.
func everything() watch.Create { return watch.Create{End: []byte{0}} }

func event(key string, revision int64) watch.Event {
	return watch.Event{Key: []byte(key), Revision: revision, Body: []byte("event of " + key)}
}

func TestAnEventIsEncodedOnceForAllWatchers(t *testing.T) {
	h := watch.New(watch.Options{}, 1, -1)
	var streams []*watch.Stream
	for range 3 {
		s := h.Open(nil)
		h.Create(s, everything())
		h.Create(s, everything())
		h.Create(s, watch.Create{Key: []byte("a")})
		h.Create(s, watch.Create{Key: []byte("a"), End: []byte("b"), Previous: true})
		h.Take(s)
		streams = append(streams, s)
	}
	h.Apply([]watch.Event{event("a", 2)}, 2)
	var shared []byte
	for _, s := range streams {
		responses := h.Take(s)
		if len(responses) != 4 {
			t.Fatalf("%d responses, want 4", len(responses))
		}
		for _, r := range responses {
			if shared == nil {
				shared = r.Events
			}
			if &r.Events[0] != &shared[0] {
				t.Error("a watcher has a copy of its own")
			}
		}
	}
}

func TestManyWatchersOfOneStreamCountAnEventOnce(t *testing.T) {
	h := watch.New(watch.Options{QueueBytes: 100 << 10}, 1, -1)
	s := h.Open(nil)
	for range 500 {
		h.Create(s, everything())
	}
	h.Take(s)
	large := watch.Event{Key: []byte("a"), Revision: 2, Body: make([]byte, 10<<10)}
	h.Apply([]watch.Event{large}, 2)
	if got := len(h.Take(s)); got != 500 || h.Stats().Lagging != 0 {
		t.Errorf("%d responses, %+v; want one for each of 500 watchers", got, h.Stats())
	}
}

// TestAFullStreamHoldsNothingMore: a client that does not read costs its queue and a few words for each
// watcher, however much happens; others are told everything at once.
func TestAFullStreamHoldsNothingMore(t *testing.T) {
	h := watch.New(watch.Options{QueueBytes: 10 << 10}, 1, -1)
	idle, busy := h.Open(nil), h.Open(nil)
	h.Create(idle, everything())
	h.Create(busy, everything())
	h.Take(busy)
	for rev := int64(2); rev < 1000; rev++ {
		h.Apply([]watch.Event{event("a", rev)}, rev)
		if got := h.Take(busy); len(got) != 1 || got[0].Revision != rev {
			t.Fatalf("revision %d: got %+v", rev, got)
		}
	}
	if _, ok := h.NextRead(); ok {
		t.Error("a read for a stream without room")
	}
	if s := h.Stats(); s.Lagging != 1 || s.Pending > 100 {
		t.Errorf("%+v, want one that lags, and a queue of less than 100 events", s)
	}
	got := h.Take(idle)
	r, ok := h.NextRead()
	if next := got[len(got)-1].Revision + 1; !ok || r.From != next || r.To != 1000 {
		t.Errorf("read %+v, %v; want from %d to 1000", r, ok, next)
	}
}

// TestTickTellsThoseWhoHeardNothing: whoever has been told of an event since the last tick knows.
func TestTickTellsThoseWhoHeardNothing(t *testing.T) {
	h := watch.New(watch.Options{}, 1, -1)
	s := h.Open(nil)
	h.Create(s, watch.Create{Key: []byte("a"), Notify: true})
	h.Create(s, watch.Create{Key: []byte("b"), Notify: true})
	h.Create(s, watch.Create{Key: []byte("c")})
	h.Apply([]watch.Event{event("a", 2), event("c", 3)}, 3)
	h.Take(s)
	for i, want := range []int{1, 2} { // b; then both
		h.Tick(s)
		if got := h.Take(s); len(got) != want || got[len(got)-1].WatchID != 1 || got[0].Revision != 3 || got[0].Count != 0 {
			t.Errorf("tick %d: got %+v, want %d responses", i, got, want)
		}
	}
}

// TestWhoHasFarToGoDelaysNobody: reads go round among those who lag.
func TestWhoHasFarToGoDelaysNobody(t *testing.T) {
	h := watch.New(watch.Options{WindowRevisions: 10}, 1_000_000, -1)
	s := h.Open(nil)
	for range 3 {
		h.Create(s, watch.Create{Key: []byte("old"), Start: 1})
	}
	h.Create(s, watch.Create{Key: []byte("new"), Start: 999_995})
	for range 2 {
		r, ok := h.NextRead()
		if !ok {
			t.Fatal("nothing to read")
		}
		h.Fed(nil, r.To-1)
	}
	if lagging := h.Stats().Lagging; lagging != 3 {
		t.Errorf("%d lag after two reads, want the three from far away", lagging)
	}
}

func TestResponsesEndBehindARevision(t *testing.T) {
	h := watch.New(watch.Options{ResponseBytes: 30}, 1, -1)
	s := h.Open(nil)
	h.Create(s, everything())
	h.Take(s)
	var events []watch.Event
	for rev := int64(2); rev < 6; rev++ {
		for range 5 {
			events = append(events, event("a", rev))
		}
	}
	h.Apply(events, 9)
	for i, r := range h.Take(s) {
		want := int64(i + 2)
		if i == 3 {
			want = 9 // the last one says how far the watcher is
		}
		if r.Count != 5 || r.Revision != want {
			t.Errorf("response %d has %d events, up to %d; want 5, up to %d", i, r.Count, r.Revision, want)
		}
	}
}
