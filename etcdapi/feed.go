package etcdapi

import (
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/kv"
)

// Feed is where whoever applies commands to the store leaves what they have changed, for those who
// watch. Leaving it never waits: what is not fetched in time is dropped from here, and read from the
// store.
type Feed struct {
	wanted atomic.Bool
	news   chan struct{} // holds one: there is something to fetch

	mu      sync.Mutex // guards pending
	pending batch
}

// batch is what has happened since the last one was fetched.
type batch struct {
	changes           []kv.Change
	bytes             int
	missing           bool // changes are; the store has them
	revision, compact int64
}

// feedBytes is how much may lie in a feed, beside what one apply has changed.
const feedBytes = 4 << 20

// changeBytes is what a change takes up beside its bytes.
const changeBytes = 128

// NewFeed returns a feed for a store at a revision, and what it has compacted.
func NewFeed(revision, compact int64) *Feed {
	return &Feed{news: make(chan struct{}, 1), pending: batch{revision: revision, compact: compact}}
}

// Wanted tells whether anybody watches. If nobody does, an apply need not collect its changes.
func (f *Feed) Wanted() bool { return f.wanted.Load() }

// Add leaves what has changed up to a revision; nil says that it was not collected, or that it did not
// come about by commands. Only one goroutine may add.
func (f *Feed) Add(changes *kv.Changes, revision, compact int64) {
	f.mu.Lock()
	p := &f.pending
	if revision > p.revision {
		p.add(changes)
	}
	p.revision, p.compact = revision, compact
	f.mu.Unlock()
	if f.Wanted() {
		f.tell()
	}
}

func (p *batch) add(changes *kv.Changes) {
	if changes == nil || p.missing || p.bytes > feedBytes {
		p.missing, p.changes, p.bytes = true, nil, 0
		return
	}
	if p.changes == nil {
		p.changes = changes.List
	} else {
		p.changes = append(p.changes, changes.List...)
	}
	p.bytes += changes.Bytes + changeBytes*len(changes.List)
}

func (f *Feed) tell() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// fetch takes what is there.
func (f *Feed) fetch() batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	fetched := f.pending
	f.pending = batch{revision: fetched.revision, compact: fetched.compact}
	return fetched
}
