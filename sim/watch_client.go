package sim

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/check/watchcheck"
	"github.com/quorate/quorate/watch"
)

// watchClient is a client that watches: some things, over one stream at a time, at any server. When a
// stream breaks it opens another one, and goes on behind what it was told last.
type watchClient struct {
	world    *world
	index    int
	labels   watchClientLabels
	watchers []*watcher
	stream   *watchStream // nil: none is open
	last     *server      // where the latest one was open
	// byEvents: it goes on behind the last event, as etcd's client does; if not, behind the revision of
	// the last header.
	byEvents bool
}

type watchClientLabels struct {
	server, retry, act, what, which, key, end, start, wishes, later, loss, delay, slow, slowness, tick string
}

// watcher is something that a client watches, over any number of streams.
type watcher struct {
	client *watchClient
	number int
	create watch.Create // Start is where it is to begin next
	state  watcherState
	id     int64 // while it is open
	// told is what it was told on this stream, and has not been checked yet.
	told watchcheck.Watch
	// asked is the revision that this stream was asked to begin at; 0: the next one.
	asked int64
	// through: everything up to there has been told, according to the headers; seen is the revision of the
	// last event, or where it begins.
	through, seen int64
	// last is the newest revision that it must be told of in the end; 0: there is none.
	last int64

	// For marks.
	events   bool // it has been told of an event since it was made up
	future   bool // it was to begin in the future
	bookmark bool // it goes on behind a header that came without events
}

type watcherState uint8

const (
	idleWatcher watcherState = iota // not asked for on this stream
	askedFor                        // and not created yet
	openWatcher
	canceling // the client has canceled it, and was not told so yet
)

// watchStream is a stream, and both of its ends.
type watchStream struct {
	client *watchClient
	server *server
	number int
	latest int64 // when the last thing that the client has asked for arrives

	// The server's end.
	hub     *watch.Stream // nil before it has been opened, and when it is over
	waiting []any         // that the client has asked for
	sending bool          // what was given last has not been read yet

	// The client's end.
	left     bool       // it is over for the client
	creating []*watcher // in the order in which they were asked for
	open     []*watcher // created, and not canceled
	ended    []int64    // ids of those that a compaction has canceled
	asked    int        // questions for progress that were not answered
}

// What a client asks for, beside a watch.Create.
type (
	cancelWatch struct{ id int64 }
	askProgress struct{}
)

func newWatchClient(w *world, index int) *watchClient {
	label := func(what string) string { return fmt.Sprintf("watch.%s %d", what, index+1) }
	c := &watchClient{world: w, index: index, labels: watchClientLabels{
		server: label("server"), retry: label("retry"), act: label("act"), what: label("what"), which: label("which"), key: label("key"),
		end: label("end"), start: label("start"), wishes: label("wishes"), later: label("later"), loss: label("loss"), delay: label("delay"),
		slow: label("slow"), slowness: label("slowness"), tick: label("tick"),
	}}
	c.byEvents = w.dice.either(label("byEvents"))
	for i := range w.plan.watch.watchers {
		c.watchers = append(c.watchers, &watcher{client: c, number: i + 1})
		c.makeUp(c.watchers[i])
	}
	return c
}

// makeUp makes up something to watch, from now on, or before, or later.
func (c *watchClient) makeUp(x *watcher) {
	d, l, p := c.world.dice, &c.labels, &c.world.plan
	key := func() string { return fmt.Sprintf("k%02d", d.below(l.key, p.keys)) }
	ask := watch.Create{Key: []byte(key())}
	switch d.below(l.end, 5) {
	case 0:
		ask.End = []byte(key())
		if string(ask.End) <= string(ask.Key) {
			ask.End = append(ask.Key[:len(ask.Key):len(ask.Key)], 'z')
		}
	case 1:
		ask.Key, ask.End = []byte("k"), []byte("l")
	case 2:
		ask.Key, ask.End = nil, []byte{0}
	case 3:
		ask.End = []byte{0}
	}
	wishes := d.below(l.wishes, 64)
	ask.Previous, ask.Notify, ask.Fragment = wishes&1 > 0, wishes&2 > 0, wishes&4 > 0
	ask.NoPut, ask.NoDelete = wishes>>3 == 1, wishes>>3 == 2
	now := c.world.check.Model().Revision()
	switch d.below(l.start, 4) {
	case 0:
		ask.Start = max(1, now+1-int64(d.below(l.later, 30)))
	case 1:
		ask.Start = now + 1 + int64(d.below(l.later, 20))
	case 2:
		ask.Start = 1 + int64(d.below(l.later, int(now)))
	}
	*x = watcher{client: c, number: x.number, create: ask, future: ask.Start > now, last: unknownRevision}
}

// openStream opens a stream at some server, and asks for everything.
func (c *watchClient) openStream() {
	w := c.world
	s := w.servers[w.dice.below(c.labels.server, len(w.servers))]
	if !s.up {
		c.openLater(w.dice.spread(c.labels.retry, 20*w.plan.tick)) // the connection is refused
		return
	}
	w.watching.streams++
	c.stream = &watchStream{client: c, server: s, number: w.watching.streams}
	w.counts.Streams++
	w.tell(s, "watch client %d opens stream %d", c.index+1, c.stream.number)
	c.stream.reach(evStreamOpens, nil)
	for _, x := range c.watchers {
		c.resumed(x)
		c.ask(x)
	}
	c.last = s
}

// resumed sets marks, when a watcher goes on at another stream.
func (c *watchClient) resumed(x *watcher) {
	w, s := c.world, c.stream.server
	if x.through == 0 || c.last == nil {
		return
	}
	if c.last != s {
		w.mark(watcherElsewhere)
	}
	if s.machine.store.Revision() < x.create.Start-1 {
		w.mark(watcherAhead)
	}
	if x.bookmark {
		w.mark(watcherFromBookmark)
	}
}

func (c *watchClient) openLater(delay int64) {
	c.world.queue.add(event{at: c.world.now + 1 + delay, kind: evWatchOpen, server: none, life: anyLife, number: uint64(c.index)})
}

func (c *watchClient) actLater() {
	w := c.world
	w.queue.add(event{at: w.now + w.dice.spread(c.labels.act, w.plan.watch.act), kind: evWatchAct, server: none, life: anyLife, number: uint64(c.index)})
}

// ask asks for a watcher.
func (c *watchClient) ask(x *watcher) {
	w := c.world
	x.state, x.asked = askedFor, x.create.Start
	x.told = watchcheck.Watch{Key: string(x.create.Key), End: string(x.create.End), NoPut: x.create.NoPut, NoDelete: x.create.NoDelete,
		Previous: x.create.Previous, Start: x.create.Start}
	c.stream.creating = append(c.stream.creating, x)
	w.counts.Watchers++
	if w.options.Detailed {
		w.tell(c.stream.server, "is asked by %s", x)
	}
	c.stream.reach(evStreamAsks, x.create)
}

// act lets a client do something.
func (c *watchClient) act() {
	w := c.world
	if w.ending {
		return
	}
	c.actLater()
	s := c.stream
	if s == nil {
		return
	}
	x := c.watchers[w.dice.below(c.labels.which, len(c.watchers))]
	switch k := w.dice.below(c.labels.what, 8); {
	case k < 4:
		s.asked++
		s.reach(evStreamAsks, askProgress{})
	case k < 6 && x.state == openWatcher:
		x.state = canceling
		s.reach(evStreamAsks, cancelWatch{x.id})
	case k == 7:
		s.reach(evStreamEnds, nil)
		c.breaks("the client leaves")
	}
}

// breaks ends the stream on the client's side. What was on its way is lost.
func (c *watchClient) breaks(why string) {
	w, s := c.world, c.stream
	w.tell(s.server, "stream %d breaks: %s", s.number, why)
	for _, x := range c.watchers {
		switch x.state {
		case openWatcher:
			x.checked()
		case canceling:
			x.checked()
			c.makeUp(x)
		}
		x.state = idleWatcher
	}
	s.left, c.stream = true, nil
	c.openLater(w.plan.watch.delay)
}

// reach plans when what a client sends reaches the server: in order.
func (s *watchStream) reach(kind eventKind, what any) {
	w := s.client.world
	s.latest = max(s.latest, w.now+1+w.dice.spread(s.client.labels.delay, w.plan.watch.delay))
	s.server.about(s, kind, s.latest, what)
}

// send plans when a client has read what the server sends.
func (s *watchStream) send(batch []watch.Response) {
	w, l := s.client.world, &s.client.labels
	delay := w.dice.spread(l.delay, w.plan.watch.delay)
	if w.dice.chance(l.slow, w.plan.watch.slow) {
		delay += w.dice.spread(l.slowness, w.plan.watch.slowness)
	}
	s.server.about(s, evStreamTold, w.now+1+delay, batch)
}

func (x *watcher) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "watcher %d of client %d", x.number, x.client.index+1)
	if s := x.client.stream; s != nil {
		fmt.Fprintf(&b, " at server %d", s.server.id)
	}
	switch end := string(x.create.End); {
	case end == "":
		fmt.Fprintf(&b, " (key %s", x.create.Key)
	case end == "\x00":
		fmt.Fprintf(&b, " (all keys from %q on", x.create.Key)
	default:
		fmt.Fprintf(&b, " (keys %s to %s", x.create.Key, end)
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{x.create.NoPut, "no puts"}, {x.create.NoDelete, "no deletes"}, {x.create.Previous, "what was before"}, {x.create.Notify, "progress"}} {
		if f.on {
			b.WriteString(", " + f.name)
		}
	}
	fmt.Fprintf(&b, ", from revision %d on)", x.told.Start)
	return b.String()
}
