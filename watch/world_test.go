package watch_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/quorate/quorate/check/watchcheck"
	"github.com/quorate/quorate/watch"
)

// world is a hub, a store that is a list, and clients that write down what they are told.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	options watch.Options
	hub     *watch.Hub
	history *watchcheck.History

	log      [][]watchcheck.Event // by revision, from 0 on
	state    map[string]watchcheck.Pair
	revision int64 // the store's
	compact  int64
	told     int64 // up to which the hub was told

	streams []*client
	seen    map[string]int // what the run has come across

	keep       bool // transcript is kept
	transcript string
}

// client is the other end of a stream.
type client struct {
	stream   *watch.Stream
	pending  []*watched // creates that are not answered yet
	watchers map[int64]*watched
	gone     map[int64]bool // canceled by a compaction, and not by the client yet
	nextAuto int64
	over     []*watched // canceled ones
}

type watched struct {
	watchcheck.Watch
	create watch.Create
	end    int64 // when canceled: compaction revision, or 0
}

func newWorld(t *testing.T, seed int64, o watch.Options) *world {
	return &world{
		t: t, rng: rand.New(rand.NewSource(seed)), options: o, hub: watch.New(o, 1, -1),
		history: watchcheck.NewHistory(1, nil), log: make([][]watchcheck.Event, 2),
		state: map[string]watchcheck.Pair{}, revision: 1, compact: -1, told: 1, seen: map[string]int{},
	}
}

var keys = []string{"a", "aa", "ab", "b", "c", "ca", "d"}

// change makes a revision with one to three changes.
func (w *world) change() {
	w.revision++
	var events []watchcheck.Event
	for _, i := range w.rng.Perm(len(keys))[:1+w.rng.Intn(3)] {
		key := keys[i]
		before, was := w.state[key]
		e := watchcheck.Event{Pair: watchcheck.Pair{Key: key, Mod: w.revision}}
		if was {
			e.Previous = &before
		}
		if was && w.rng.Intn(3) == 0 {
			e.Deleted = true
			delete(w.state, key)
		} else {
			e.Create, e.Version = w.revision, 1
			if was {
				e.Create, e.Version = before.Create, before.Version+1
			}
			e.Value = fmt.Sprint("v", w.revision)
			w.state[key] = e.Pair
		}
		events = append(events, e)
	}
	w.log = append(w.log, events)
	w.history.Add(events...)
}

// encoded is an event as the hub gets it: text that decode understands.
func (w *world) encoded(e watchcheck.Event, previous bool) watch.Event {
	before := e.Previous
	e.Previous = nil
	body, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	out := watch.Event{Revision: e.Mod, Key: []byte(e.Key), Deleted: e.Deleted, Body: body}
	if previous && before != nil && e.Mod-1 >= w.compact {
		if out.Previous, err = json.Marshal(before); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

func (w *world) decode(events []byte) (list []watchcheck.Event) {
	for len(events) > 0 {
		size, n := binary.Uvarint(events[1:])
		if events[0] != 11<<3|2 || n <= 0 || len(events) < 1+n+int(size) {
			w.t.Fatalf("not a field of events: %q", events)
		}
		decoder := json.NewDecoder(bytesReader(events[1+n : 1+n+int(size)]))
		events = events[1+n+int(size):]
		var e watchcheck.Event
		if err := decoder.Decode(&e); err != nil {
			w.t.Fatal(err)
		}
		var before watchcheck.Pair
		if decoder.Decode(&before) == nil {
			e.Previous = &before
		}
		list = append(list, e)
	}
	return list
}

// apply tells the hub what it has not been told yet.
func (w *world) apply() {
	var events []watch.Event
	for rev := w.told + 1; rev <= w.revision; rev++ {
		for _, e := range w.log[rev] {
			events = append(events, w.encoded(e, w.hub.WantsPrevious([]byte(e.Key))))
		}
	}
	w.hub.Apply(events, w.revision)
	w.told = w.revision
}

// read carries out a read, if there is one to do.
func (w *world) read() bool {
	r, ok := w.hub.NextRead()
	if !ok {
		return false
	}
	w.seen["read"]++
	if r.From < w.compact || r.From >= r.To || r.To > w.told+1 || r.To-r.From > w.options.WindowRevisions {
		w.t.Fatalf("read of %+v, at revision %d, compacted at %d", r, w.told, w.compact)
	}
	if w.rng.Intn(20) == 0 {
		w.hub.Fed(nil, r.From-1) // could not be read
		return true
	}
	through, bytes := r.From, 0
	var events []watch.Event
	for rev := r.From; rev < r.To && bytes < w.hub.WindowBytes(); rev++ {
		for _, e := range w.log[rev] {
			wanted, previous := w.hub.Wants([]byte(e.Key))
			if wanted {
				events = append(events, w.encoded(e, previous))
				bytes += len(events[len(events)-1].Body)
			}
		}
		through = rev
	}
	w.hub.Fed(events, through)
	return true
}

func (w *world) open() {
	w.streams = append(w.streams, &client{stream: w.hub.Open(nil), watchers: map[int64]*watched{}, gone: map[int64]bool{}})
}

// create asks for a random watcher.
func (w *world) create(c *client) {
	if w.hub.Full(c.stream) {
		return // as a driver does
	}
	ask := watch.Create{
		Key: []byte(keys[w.rng.Intn(len(keys))]), Previous: w.rng.Intn(2) == 0, Notify: w.rng.Intn(2) == 0,
		NoPut: w.rng.Intn(8) == 0, NoDelete: w.rng.Intn(8) == 0, Fragment: w.rng.Intn(2) == 0,
	}
	switch w.rng.Intn(4) {
	case 0:
		ask.End = []byte{0}
	case 1:
		ask.End = append(slices.Clone(ask.Key), 'z')
	case 2:
		ask.End = []byte(keys[w.rng.Intn(len(keys))])
	}
	switch w.rng.Intn(4) {
	case 0:
		ask.Start = max(w.told+2-w.rng.Int63n(6), 1)
	case 1:
		ask.Start = 1 + w.rng.Int63n(w.told+1)
	case 2:
		ask.Start = w.told + w.rng.Int63n(8) - 1
	}
	if w.rng.Intn(10) == 0 {
		ask.ID = 1 + w.rng.Int63n(6)
	}
	c.pending = append(c.pending, &watched{create: ask})
	w.hub.Create(c.stream, ask)
}

// take takes what is queued for a client, and writes it down.
func (w *world) take(c *client) {
	responses := w.hub.Take(c.stream)
	w.bounded(responses)
	for i := range responses {
		if w.keep {
			w.transcript += fmt.Sprintf("%d %+v\n", slices.Index(w.streams, c), responses[i])
		}
		w.receive(c, &responses[i])
	}
}

// bounded checks that a queue has held what it may: its bound is reached by the last response with
// events at the earliest.
func (w *world) bounded(responses []watch.Response) {
	held, before := 0, []byte(nil)
	for i := range responses {
		if r := &responses[i]; r.Count > 0 {
			if held >= w.options.QueueBytes {
				w.t.Fatalf("%d bytes of events were queued, and then more", held)
			}
			if len(before) == 0 || &before[0] != &r.Events[0] {
				held += len(r.Events)
			}
			before = r.Events
		}
	}
}

func (w *world) receive(c *client, r *watch.Response) {
	switch {
	case r.Created:
		w.created(c, r)
	case r.WatchID == -1:
		w.seen["progress"]++
		for _, x := range c.watchers {
			if x.create.Start > r.Revision {
				w.t.Fatalf("progress of %d, and one is to begin at %d", r.Revision, x.create.Start)
			}
			x.Responses = append(x.Responses, watchcheck.Response{Revision: r.Revision})
		}
	case c.gone[r.WatchID]:
		if delete(c.gone, r.WatchID); !r.Canceled || r.CompactRevision != 0 {
			w.t.Fatalf("response for %d, who is compacted: %+v", r.WatchID, r)
		}
	case c.watchers[r.WatchID] == nil:
		w.t.Fatalf("response for %d, who is not there: %+v", r.WatchID, r)
	case r.Canceled:
		x := c.watchers[r.WatchID]
		delete(c.watchers, r.WatchID)
		c.over = append(c.over, x)
		if x.end = r.CompactRevision; x.end != 0 {
			w.seen["compacted"]++
			c.gone[r.WatchID] = true
		}
	default:
		x := c.watchers[r.WatchID]
		events := w.decode(r.Events)
		if len(events) != r.Count || r.Fragment != x.create.Fragment && r.Count > 0 {
			w.t.Fatalf("%d events, announced as %d, fragment %v", len(events), r.Count, r.Fragment)
		}
		if r.Count == 0 {
			w.seen["notified"]++
			if !x.create.Notify || r.Revision < x.create.Start {
				w.t.Fatalf("told of progress: %+v, asked %+v", r, x.create)
			}
		}
		x.Responses = append(x.Responses, watchcheck.Response{Revision: r.Revision, Events: events})
	}
}

// created checks the answer to the first create that was not answered yet.
func (w *world) created(c *client, r *watch.Response) {
	x := c.pending[0]
	c.pending = c.pending[1:]
	ask := &x.create
	key, end := string(ask.Key), string(ask.End)
	reason := ""
	switch {
	case end != "" && end != "\x00" && key >= end:
		reason = "mvcc: watcher range is empty"
	case ask.Start < 0:
		reason = "etcdserver: mvcc: required revision has been compacted"
	case ask.ID != 0 && c.taken(ask.ID):
		reason = "mvcc: duplicate watch ID provided on the WatchStream"
	}
	if r.Reason != reason || r.Canceled != (reason != "") || r.Canceled && r.WatchID != -1 {
		w.t.Fatalf("created %+v, want reason %q", r, reason)
	}
	if r.Canceled {
		w.seen["refused"]++
		return
	}
	want := ask.ID
	if want == 0 {
		for c.taken(c.nextAuto) {
			c.nextAuto++
		}
		want = c.nextAuto
		c.nextAuto++
	}
	if r.WatchID != want {
		w.t.Fatalf("created %d, want %d", r.WatchID, want)
	}
	x.Watch = watchcheck.Watch{
		Name: fmt.Sprintf("watcher %d of %+v", want, *ask), Key: key, End: end, NoPut: ask.NoPut, NoDelete: ask.NoDelete,
		Previous: ask.Previous, Start: ask.Start,
	}
	if ask.Start == 0 {
		x.Start = r.Revision + 1
	}
	c.watchers[want] = x
}

func (c *client) taken(id int64) bool { return c.watchers[id] != nil || c.gone[id] }

// drain lets everybody catch up, and checks that everybody does.
func (w *world) drain() {
	w.apply()
	for n := 0; ; n++ {
		for _, c := range w.streams {
			w.take(c)
		}
		if !w.read() {
			break
		}
		if n > 100_000 {
			w.t.Fatal("those who lag never catch up")
		}
	}
	if s := w.hub.Stats(); s.Lagging != 0 || s.Pending != 0 {
		w.t.Fatalf("after all: %+v", s)
	}
}

// check checks what everybody was told.
func (w *world) check() {
	live := 0
	for _, c := range w.streams {
		for _, x := range c.watchers {
			live++
			x.Through = w.told
			w.checkOne(x)
		}
		for _, x := range c.over {
			w.checkOne(x)
		}
	}
	if s := w.hub.Stats(); s.Watchers != live || s.Streams != len(w.streams) {
		w.t.Fatalf("%+v, want %d watchers of %d streams", s, live, len(w.streams))
	}
}

func (w *world) checkOne(x *watched) {
	x.Compacted = w.compact
	if found := watchcheck.Check(w.history, &x.Watch); len(found) > 0 {
		w.t.Fatalf("%v\n%+v", found, x.Responses)
	}
	if x.end == 0 {
		return
	}
	// Whoever is canceled by a compaction had not been told of everything below it.
	until := x.Start - 1
	for _, r := range x.Responses {
		until = max(until, r.Revision)
	}
	if until >= x.end-1 {
		w.t.Fatalf("%s was told of everything up to %d, and canceled by the compaction of %d", x.Name, until, x.end)
	}
}
