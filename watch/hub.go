package watch

import (
	"maps"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
)

// Options bound what a hub holds. The zero value of each means its default.
type Options struct {
	// QueueBytes: a stream whose queue has come to so many bytes is full. Default 256 KiB.
	QueueBytes int
	// ResponseBytes: a response with events of several revisions ends when it has come to so many bytes.
	// Default 256 KiB.
	ResponseBytes int
	// WindowRevisions is how many revisions a read looks at, at most. Default 1000.
	WindowRevisions int64
}

const (
	defaultQueueBytes      = 256 << 10
	defaultResponseBytes   = 256 << 10
	defaultWindowRevisions = 1000
)

func (o Options) withDefaults() Options {
	if o.QueueBytes == 0 {
		o.QueueBytes = defaultQueueBytes
	}
	if o.ResponseBytes == 0 {
		o.ResponseBytes = defaultResponseBytes
	}
	if o.WindowRevisions == 0 {
		o.WindowRevisions = defaultWindowRevisions
	}
	return o
}

// Hub tells watchers of changes.
type Hub struct {
	options Options

	revision int64 // up to which synced watchers have been told
	compact  int64 // revisions below it are gone

	streams []*Stream
	groups  index
	lagging queue     // watchers that wait for a read
	ready   []*Stream // with responses, not given out by Ready yet

	reading   []*watcher // of those in lagging, the ones that the read under way is for
	readFrom  int64
	events    []Event  // of the batch under way
	fields    [][]byte // their encodings; nil until one is needed
	fullField [][]byte // and those with what was before
	touched   []*group // that an event of the batch concerns

	stats Stats
}

// Stats count what a hub has.
type Stats struct {
	Streams, Watchers int
	// Lagging watchers are not up to date; Pending events wait in the queues of streams.
	Lagging, Pending int
}

// New returns a hub without streams, at a revision of a store and what that has compacted (-1:
// nothing).
func New(o Options, revision, compact int64) *Hub {
	return &Hub{options: o.withDefaults(), revision: revision, compact: compact, groups: newIndex()}
}

// Stats returns the counts.
func (h *Hub) Stats() Stats { return h.stats }

// Revision is the one up to which the hub has been told of changes.
func (h *Hub) Revision() int64 { return h.revision }

// Stream is one client's.
type Stream struct {
	// Owner is the driver's: what the stream is to it.
	Owner any

	at       int // in Hub.streams
	watchers map[int64]*watcher
	nextID   int64
	farthest int64 // the highest revision that a watcher was to begin at

	queue  []Response
	bytes  int    // what the queue holds
	shared []byte // the events counted last, which several responses in a row may share
	listed bool   // in Hub.ready

	parked   queue // lagging watchers, while the queue is full
	lagging  int   // watchers that lag, parked or not
	notified int   // watchers that want to be told of progress
}

// watcher is one interval of keys that is watched.
type watcher struct {
	id     int64
	stream *Stream
	group  *group
	asked  int64 // the revision to begin at; 0: from the one after its creation on

	state watcherState
	// next is, of a lagging one, the first revision that it has not been told of. Of a synced one it is
	// where it began, which may be in the future: below, it is told nothing.
	next int64
	at   int // of a synced one: in group.synced
	link link

	notify, fragment bool
	quiet            bool // no event since the last tick
}

type watcherState uint8

const (
	synced  watcherState = iota
	lagging              // in Hub.lagging or Stream.parked
	gone                 // canceled by a compaction; its id is the client's until it cancels, too
)

// Open returns a new stream.
func (h *Hub) Open(owner any) *Stream {
	s := &Stream{Owner: owner, at: len(h.streams), watchers: make(map[int64]*watcher)}
	h.streams = append(h.streams, s)
	h.stats.Streams++
	return s
}

// Close forgets a stream with all its watchers.
func (h *Hub) Close(s *Stream) {
	for _, id := range slices.Sorted(maps.Keys(s.watchers)) {
		h.remove(s.watchers[id])
	}
	h.Take(s)
	last := len(h.streams) - 1
	h.streams[s.at] = h.streams[last]
	h.streams[s.at].at = s.at
	h.streams[last] = nil
	h.streams = h.streams[:last]
	if s.listed {
		h.ready = slices.DeleteFunc(h.ready, func(other *Stream) bool { return other == s })
	}
	h.stats.Streams--
}

// Create is what a client asks for.
type Create struct {
	// Key and End are the interval: no End means the one key, one zero byte every key from Key on. An
	// empty Key is the lowest there is.
	Key, End []byte
	// Start is the first revision to be told of; 0: the next one.
	Start int64
	// ID is the watcher's; 0: the hub chooses.
	ID int64
	// NoPut and NoDelete: these are not wanted.
	NoPut, NoDelete bool
	// Previous: events have what was there before.
	Previous bool
	// Notify: Tick tells of progress.
	Notify bool
	// Fragment: responses may be sent in pieces.
	Fragment bool
}

// Reasons for which nothing is created, in etcd's words, which clients know.
const (
	reasonCompacted = "etcdserver: mvcc: required revision has been compacted" // for a negative revision, too
	reasonEmpty     = "mvcc: watcher range is empty"
	reasonDuplicate = "mvcc: duplicate watch ID provided on the WatchStream"
)

// noID stands for no watcher, or for all of a stream.
const noID = -1

// Create creates a watcher, or tells why not. The response to it comes before anything else of that
// watcher, and in the order of the calls.
func (h *Hub) Create(s *Stream, c Create) {
	if len(c.Key) == 0 {
		c.Key = []byte{0}
	}
	key := interval{key: string(c.Key), end: string(c.End), from: len(c.End) == 1 && c.End[0] == 0}
	reason := ""
	switch {
	case c.Start < 0:
		reason = reasonCompacted
	case key.isEmpty():
		reason = reasonEmpty
	case c.ID != 0 && s.watchers[c.ID] != nil:
		reason = reasonDuplicate
	}
	if reason != "" {
		h.send(s, Response{WatchID: noID, Revision: h.revision, Created: true, Canceled: true, Reason: reason})
		return
	}
	w := &watcher{id: c.ID, stream: s, asked: c.Start, notify: c.Notify, fragment: c.Fragment, quiet: true}
	if w.id == 0 {
		w.id = s.freeID()
	}
	h.send(s, Response{WatchID: w.id, Revision: h.revision, Created: true})
	h.add(w, groupKey{interval: key, previous: c.Previous, noPut: c.NoPut, noDelete: c.NoDelete})
}

// freeID is the next id that the client has not taken itself.
func (s *Stream) freeID() int64 {
	for s.watchers[s.nextID] != nil {
		s.nextID++
	}
	s.nextID++
	return s.nextID - 1
}

// add puts a new watcher where it belongs.
func (h *Hub) add(w *watcher, key groupKey) {
	s := w.stream
	s.watchers[w.id] = w
	s.farthest = max(s.farthest, w.asked)
	if w.notify {
		s.notified++
	}
	h.stats.Watchers++
	w.group = h.groups.take(key)
	w.next = w.asked
	switch {
	case w.asked == 0 || w.asked > h.revision:
		w.next = max(w.asked, h.revision+1)
		w.group.add(w)
	case w.asked < h.compact:
		h.lag(w, w.asked)
		h.cancelCompacted(w)
	default:
		h.lag(w, w.asked)
	}
}

// Cancel ends a watcher, and tells so. What was queued for it before is still sent. An id that is not
// there is ignored.
func (h *Hub) Cancel(s *Stream, id int64) {
	w := s.watchers[id]
	if w == nil {
		return
	}
	h.remove(w)
	h.send(s, Response{WatchID: id, Revision: h.revision, Canceled: true})
}

// remove forgets a watcher.
func (h *Hub) remove(w *watcher) {
	if w.state != gone {
		h.release(w)
	}
	delete(w.stream.watchers, w.id)
}

// release takes a watcher from where it waits for events.
func (h *Hub) release(w *watcher) {
	if w.state == lagging {
		h.unlag(w)
	} else {
		w.group.remove(w)
	}
	h.groups.release(w.group)
	if w.notify {
		w.stream.notified--
	}
	h.stats.Watchers--
	w.group, w.state = nil, gone
}

// cancelCompacted ends a lagging watcher, because what it would be told next is compacted. As in etcd,
// the revision in its header is 0.
func (h *Hub) cancelCompacted(w *watcher) {
	h.release(w)
	h.send(w.stream, Response{WatchID: w.id, Canceled: true, CompactRevision: h.compact})
}

// Compact tells that revisions below one are gone. Watchers that needed them are canceled.
func (h *Hub) Compact(revision int64) {
	h.notReading()
	if revision <= h.compact {
		return
	}
	h.compact = revision
	h.cancelCompactedAll()
}

// comeTo notes that the hub has come to a revision. It may have learned of a compaction before of what was
// compacted, from a read: whoever lags since just now may need that.
func (h *Hub) comeTo(revision int64) {
	before := h.revision
	h.revision = revision
	if h.compact > before+1 {
		h.cancelCompactedAll()
	}
}

// cancelCompactedAll cancels those who lag and need what is compacted.
func (h *Hub) cancelCompactedAll() {
	h.lagging.each(h.cancelIfCompacted)
	for _, s := range h.streams {
		s.parked.each(h.cancelIfCompacted)
	}
}

func (h *Hub) cancelIfCompacted(w *watcher) {
	if w.next < h.compact {
		h.cancelCompacted(w)
	}
}

// Progress answers a client's question how far its stream is: if all its watchers are up to date, every
// event of a revision that is not above the answer's stands before it in the stream. Otherwise there is
// no answer.
func (h *Hub) Progress(s *Stream) {
	if s.lagging > 0 || s.begins(h.revision) {
		return
	}
	h.send(s, Response{WatchID: noID, Revision: h.revision})
}

// begins tells whether a watcher has yet to begin, or whether there is none.
func (s *Stream) begins(now int64) bool {
	some := false
	if s.farthest <= now {
		for _, w := range s.watchers { //tidy:ordered whether there is one does not depend on it
			if w.state != gone {
				return false
			}
		}
		return true
	}
	for _, w := range s.watchers { //tidy:ordered whether there is one does not depend on it
		if w.state != gone && w.asked > now {
			return true
		}
		some = some || w.state != gone
	}
	return !some
}

// Tick tells of progress those watchers that asked for it, are up to date, and have not been told of
// anything since the last tick. A stream that is full has other troubles.
func (h *Hub) Tick(s *Stream) {
	if s.notified == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.watchers)) {
		w := s.watchers[id]
		if !w.notify || w.state == gone {
			continue
		}
		if w.quiet && w.state == synced && w.asked <= h.revision && !h.Full(s) {
			h.send(s, Response{WatchID: id, Revision: h.revision})
		}
		w.quiet = true
	}
}

// notReading checks that the driver has not forgotten to bring what it was sent for.
func (h *Hub) notReading() {
	invariant.Check(len(h.reading) == 0, "a read from revision %d is under way", h.readFrom)
}
