package etcdapi

import (
	"context"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/watch/feed"
)

// hub drives a watch.Hub: it is the goroutine that the hub belongs to. Streams send it what their
// clients ask for, one thing at a time, and are given batches of responses, one at a time. So a stream
// holds what the hub allows it in its queue, and as much on its way to the client.
type hub struct {
	server  *Server
	feed    *Feed
	watch   *watch.Hub
	asked   chan question
	streams map[*watchStream]struct{}
	counts  atomic.Pointer[watch.Stats]
}

// question is what a stream wants of the hub: a *pb.WatchRequest, or one of the types below.
type question struct {
	stream *watchStream
	what   any
}

type (
	opened struct{} // the stream is new
	ended  struct{} // it is over
	tick   struct{} // it is time to tell of progress
	sent   struct{} // the batch that the stream was given last has left
)

// windowChanges is how many changes a read for lagging watchers looks at, wanted or not. It bounds how
// long the others wait for it: a few milliseconds.
const windowChanges = 2000

func newHub(s *Server) *hub {
	first := s.options.Feed.fetch()
	l := &hub{
		server: s, feed: s.options.Feed, watch: watch.New(s.options.Watch, first.Revision, first.Compact),
		asked: make(chan question), streams: make(map[*watchStream]struct{}),
	}
	l.counts.Store(new(watch.Stats))
	return l
}

// ask puts a question. It reports false if the server closes.
func (l *hub) ask(stream *watchStream, what any) bool {
	select {
	case l.asked <- question{stream, what}:
		return true
	case <-l.server.context.Done():
		return false
	}
}

// restPerRead is how long the hub reads nothing for those who lag after a read, in times of what the read
// took. So they take up a quarter of a CPU at most, and whoever reads a long history does not slow down
// those who put. A read takes milliseconds; on a machine with so much else to do that it takes longer,
// mostRest keeps those who lag from waiting for that several times over.
const (
	restPerRead = 3
	mostRest    = 25 * time.Millisecond
)

// run is the hub's loop: one read for those who lag, then what there is for the others for as long as the
// read took several times over.
func (l *hub) run(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for resting := true; ctx.Err() == nil; {
		if read, some := l.nextRead(resting); some {
			began := time.Now()
			l.read(read)
			rest.Reset(min(restPerRead*time.Since(began), mostRest))
			resting = true
		} else {
			select {
			case q := <-l.asked:
				l.answer(q)
			case <-l.feed.news:
				l.fetch()
			case <-rest.C:
				resting = false
			case <-ctx.Done():
			}
		}
		for _, s := range l.watch.Ready() {
			l.settle(s.Owner.(*watchStream))
		}
		now := l.watch.Stats()
		l.counts.Store(&now)
	}
}

// nextRead returns what is to be read, if it is time for that.
func (l *hub) nextRead(resting bool) (watch.Read, bool) {
	if resting {
		return watch.Read{}, false
	}
	return l.watch.NextRead()
}

// answer answers a question.
func (l *hub) answer(q question) {
	s := q.stream
	if _, ok := q.what.(opened); ok {
		s.hubs = l.watch.Open(s)
		l.streams[s] = struct{}{}
	}
	if s.hubs == nil {
		return // it has failed
	}
	switch what := q.what.(type) {
	case ended:
		l.close(s)
		return
	case tick:
		l.watch.Tick(s.hubs)
	case sent:
		s.sending = false
	case *pb.WatchRequest:
		l.request(s, what)
		s.waiting = true
	}
	if s.hubs != nil {
		l.settle(s)
	}
}

func (l *hub) close(s *watchStream) {
	l.watch.Close(s.hubs)
	s.hubs = nil
	delete(l.streams, s)
	l.want()
}

// settle gives a stream what there is for it, if it has sent what it was given before; and lets its
// client ask for more, if there is room.
func (l *hub) settle(s *watchStream) {
	if !s.sending && l.watch.HasResponses(s.hubs) {
		s.batches <- l.watch.Take(s.hubs) // never waits: what was in it has been sent
		s.sending = true
	}
	if s.waiting && !l.watch.Full(s.hubs) {
		s.accepted <- struct{}{} // never waits: the client has asked for one thing
		s.waiting = false
	}
}

// request carries out what a client asks for, as of everything that is applied by now.
func (l *hub) request(s *watchStream, r *pb.WatchRequest) {
	l.fetch()
	switch {
	case s.hubs == nil: // it has failed just now
	case r.GetCreateRequest() != nil:
		l.watch.Create(s.hubs, createOf(r.GetCreateRequest()))
		l.want()
	case r.GetCancelRequest() != nil:
		l.watch.Cancel(s.hubs, r.GetCancelRequest().WatchId)
		l.want()
	case r.GetProgressRequest() != nil:
		l.watch.Progress(s.hubs)
	}
}

func createOf(r *pb.WatchCreateRequest) watch.Create {
	c := watch.Create{
		Key: r.Key, End: r.RangeEnd, Start: r.StartRevision, ID: r.WatchId,
		Previous: r.PrevKv, Notify: r.ProgressNotify, Fragment: r.Fragment,
	}
	for _, filter := range r.Filters {
		c.NoPut = c.NoPut || filter == pb.WatchCreateRequest_NOPUT
		c.NoDelete = c.NoDelete || filter == pb.WatchCreateRequest_NODELETE
	}
	return c
}

// want lets changes be collected for as long as somebody watches. What was applied before the first one
// began is fetched once more: nobody has told of it.
func (l *hub) want() {
	wanted := l.watch.Stats().Watchers > 0
	if l.feed.wanted.Swap(wanted) != wanted && wanted {
		l.fetch()
	}
}

// fetch tells the hub what is new.
func (l *hub) fetch() {
	if err := feed.Tell(l.watch, l.server.store, l.feed.fetch()); err != nil {
		l.fail(err)
	}
}

// read reads what the hub asks for.
func (l *hub) read(r watch.Read) {
	if err := feed.Read(l.watch, l.server.store, r, windowChanges); err != nil {
		l.fail(err)
	}
}

// fail ends all streams, because the store cannot be read.
func (l *hub) fail(err error) {
	l.server.storeFailed(err)
	for s := range l.streams {
		close(s.failed)
		l.close(s)
	}
}
