package etcdapi

import (
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/watch/feed"
)

// Feed is where whoever applies commands to the store leaves what they have changed, for those who
// watch. Leaving it never waits: what is not fetched in time is dropped from here, and read from the
// store.
type Feed struct {
	wanted atomic.Bool
	news   chan struct{} // holds one: there is something to fetch

	mu      sync.Mutex // guards backlog
	backlog feed.Backlog
}

// feedBytes is how much may lie in a feed, beside what one apply has changed.
const feedBytes = 4 << 20

// NewFeed returns a feed for a store at a revision, and what it has compacted.
func NewFeed(revision, compact int64) *Feed {
	return &Feed{news: make(chan struct{}, 1), backlog: feed.NewBacklog(feedBytes, revision, compact)}
}

// Wanted tells whether anybody watches. If nobody does, an apply need not collect its changes.
func (f *Feed) Wanted() bool { return f.wanted.Load() }

// Add leaves what has changed up to a revision; nil says that it was not collected, or that it did not
// come about by commands. Only one goroutine may add.
func (f *Feed) Add(changes *kv.Changes, revision, compact int64) {
	f.mu.Lock()
	f.backlog.Add(changes, revision, compact)
	f.mu.Unlock()
	if f.Wanted() {
		f.tell()
	}
}

func (f *Feed) tell() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// fetch takes what is there.
func (f *Feed) fetch() feed.Batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.backlog.Take()
}
