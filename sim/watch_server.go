package sim

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/watch/feed"
)

// informer is a server's side of watching, in one life: it drives the hub as package etcdapi does, with
// events in place of goroutines. What happens at one time in the one happens in one event in the other.
type informer struct {
	server  *server
	hub     *watch.Hub
	backlog feed.Backlog
	compact int64 // what the hub knows to be compacted
	wanted  bool  // somebody watches
	// collect: an apply is under way that collects its changes, because somebody watched when it began.
	collect bool
	streams []*watchStream
	hasNews bool // it is planned to take the backlog
	reads   bool // a read is planned
}

// startWatching begins a life's watching.
func (s *server) startWatching() {
	p := &s.world.plan.watch
	if p.clients == 0 {
		return
	}
	revision, compact := s.machine.store.Revision(), s.machine.store.CompactRevision()
	s.informer = &informer{server: s, hub: watch.New(p.hub, revision, compact), backlog: feed.NewBacklog(p.feedBytes, revision, compact)}
}

// endWatching ends it. Clients see it a while later. Streams that were on their way here end, too.
func (s *server) endWatching() {
	s.informer = nil
	for _, c := range s.world.watching.clients {
		if c.stream != nil && c.stream.server == s {
			c.breaks("the server has gone")
		}
	}
}

// applies notes that an apply begins.
func (n *informer) applies() {
	if n != nil {
		n.collect = n.wanted
	}
}

// collects returns where the apply that is under way is to leave what it changes; nil if nobody asks.
func (n *informer) collects() *kv.Changes {
	if n == nil || !n.collect {
		return nil
	}
	return new(kv.Changes)
}

// applied notes what an apply has changed.
func (n *informer) applied(told *kv.Changes) {
	if n == nil {
		return
	}
	store := n.server.machine.store
	n.backlog.Add(told, store.Revision(), store.CompactRevision())
	if n.wanted && !n.hasNews {
		n.hasNews = true
		n.server.after(evNews, n.server.world.dice.spread(n.server.labels.news, n.server.world.plan.watch.news))
	}
}

// news takes what was applied.
func (n *informer) news() {
	n.hasNews = false
	n.fetch()
	n.settleReady()
}

// fetch tells the hub what is new.
func (n *informer) fetch() {
	w, lagging := n.server.world, n.hub.Stats().Lagging
	batch := n.backlog.Take()
	n.compact = batch.Compact
	if err := feed.Tell(n.hub, n.server.machine.store, batch); err != nil {
		n.server.stateFails("K1", err, "it cannot read what was before revision %d", batch.Revision)
		return
	}
	switch {
	case n.hub.Stats().Lagging <= lagging:
	case batch.Missing:
		w.mark(feedDropped)
	default:
		w.mark(watcherFellBehind)
	}
}

// read carries out the read that the hub asks for, if it still does.
func (n *informer) read() {
	n.reads = false
	w := n.server.world
	r, ok := n.hub.NextRead()
	if n.waitsInVain(r, ok); !ok {
		return
	}
	lagging := n.hub.Stats().Lagging
	if err := feed.Read(n.hub, n.server.machine.store, r, w.plan.watch.maxChanges); err != nil {
		n.server.stateFails("K1", err, "it cannot read changes from %d to %d", r.From, r.To)
		return
	}
	w.counts.WatchReads++
	if n.hub.Stats().Lagging < lagging {
		w.mark(watcherCaughtUp)
	}
	n.settleReady()
}

// waitsInVain checks that those who lag wait for something that will come: a read of what is still there,
// or a client that reads.
func (n *informer) waitsInVain(r watch.Read, some bool) {
	w := n.server.world
	if some && r.From < n.compact {
		w.check.Fail("E3", "a watcher waits for revision %d, though everything below %d is known to be compacted: %s", r.From, n.compact, n.describe())
	}
	if some || n.hub.Stats().Lagging == 0 {
		return
	}
	for _, s := range n.streams {
		if s.sending || n.hub.HasResponses(s.hub) {
			return
		}
	}
	w.check.Fail("E3", "watchers lag, and nothing is read for them, or on its way to anybody: %s", n.describe())
}

// settleReady settles all streams for which there is something new, and plans the next read.
func (n *informer) settleReady() {
	for _, s := range n.hub.Ready() {
		n.settle(s.Owner.(*watchStream))
	}
	if n.reads || n.hub.Stats().Lagging == 0 {
		return
	}
	n.reads = true
	w := n.server.world
	n.server.after(evRead, w.dice.spread(n.server.labels.feed, w.plan.watch.read))
}

// settle gives a stream what there is for it, if it has sent what it was given before; and takes in what
// its client has asked for, if there is room.
func (n *informer) settle(s *watchStream) {
	if s.hub == nil {
		return
	}
	for len(s.waiting) > 0 && !n.hub.Full(s.hub) {
		what := s.waiting[0]
		s.waiting = s.waiting[1:]
		n.request(s, what)
	}
	if !s.sending && n.hub.HasResponses(s.hub) {
		s.sending = true
		s.send(n.hub.Take(s.hub))
	}
}

// opened opens a stream.
func (n *informer) opened(s *watchStream) {
	s.hub = n.hub.Open(s)
	n.streams = append(n.streams, s)
	n.tickLater(s)
}

// closed closes a stream that its client has left.
func (n *informer) closed(s *watchStream) {
	n.hub.Close(s.hub)
	s.hub = nil
	n.streams = slices.DeleteFunc(n.streams, func(other *watchStream) bool { return other == s })
	n.want()
	n.settleReady()
}

// asked takes in what a client asks for.
func (n *informer) asked(s *watchStream, what any) {
	s.waiting = append(s.waiting, what)
	n.settle(s)
	n.settleReady()
}

// request carries out what a client asks for, as of everything that is applied by now.
func (n *informer) request(s *watchStream, what any) {
	n.fetch()
	switch what := what.(type) {
	case watch.Create:
		n.hub.Create(s.hub, what)
		n.want()
	case cancelWatch:
		n.hub.Cancel(s.hub, what.id)
		n.want()
	case askProgress:
		if n.hub.Stats().Lagging > 0 {
			n.server.world.mark(progressWhileLagging)
		}
		n.hub.Progress(s.hub)
	}
}

// want lets changes be collected for as long as somebody watches. What was applied before the first one
// began is fetched once more: nobody has told of it.
func (n *informer) want() {
	wanted := n.hub.Stats().Watchers > 0
	before := n.wanted
	n.wanted = wanted
	if wanted && !before {
		n.fetch()
	}
}

// sent goes on when the client has read what the stream was given last.
func (n *informer) sent(s *watchStream) {
	s.sending = false
	n.settle(s)
	n.settleReady()
}

// tick lets a stream tell of progress by itself.
func (n *informer) tick(s *watchStream) {
	if s.hub == nil {
		return
	}
	n.tickLater(s)
	n.hub.Tick(s.hub)
	n.settleReady()
}

func (n *informer) tickLater(s *watchStream) {
	w := n.server.world
	n.server.about(s, evStreamTick, w.now+w.plan.watch.tick+w.dice.spread(s.client.labels.tick, w.plan.watch.tick/10), nil)
}

// about plans an event of this life that is about a stream.
func (s *server) about(stream *watchStream, kind eventKind, at int64, what any) {
	s.world.queue.add(event{at: at, kind: kind, server: s.index, life: s.life, number: uint64(stream.number),
		data: &ofStream{stream, what}})
}

// ofStream is the data of an event that is about a stream.
type ofStream struct {
	stream *watchStream
	what   any
}

// handleWatch lets an event of watching happen.
func (s *server) handleWatch(e *event) {
	n := s.informer
	switch e.kind {
	case evNews:
		n.news()
		return
	case evRead:
		n.read()
		return
	}
	about := e.data.(*ofStream)
	stream := about.stream
	switch e.kind {
	case evStreamOpens:
		n.opened(stream)
	case evStreamEnds:
		if stream.hub != nil {
			n.closed(stream)
		}
	case evStreamAsks:
		if stream.hub != nil {
			n.asked(stream, about.what)
		}
	case evStreamTick:
		n.tick(stream)
	case evStreamTold:
		stream.client.told(stream, about.what.([]watch.Response))
		if s.informer == n && stream.hub != nil {
			n.sent(stream)
		}
	}
}

// describe says how far a server's watching is.
func (n *informer) describe() string {
	stats := n.hub.Stats()
	return fmt.Sprintf("server %d, at revision %d, has told up to %d; %d of its %d watchers lag, %d events wait", n.server.id,
		n.server.machine.store.Revision(), n.hub.Revision(), stats.Lagging, stats.Watchers, stats.Pending)
}
