package feed_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/watch/feed"
)

func TestABacklogHoldsSoMuch(t *testing.T) {
	const limit = 4 << 10
	change := func(revision int64) *kv.Changes {
		return &kv.Changes{List: []kv.Change{{Revision: revision}}, Bytes: limit / 4}
	}
	for last := int64(2); last < 10; last++ {
		b := feed.NewBacklog(limit, 1, -1)
		for revision := int64(2); revision <= last; revision++ {
			b.Add(change(revision), revision, revision-3)
		}
		got, fits := b.Take(), last <= 5 // four of them, with what they take up beside their bytes
		if got.Missing == fits || fits && len(got.Changes) != int(last-1) || !fits && got.Changes != nil || got.Revision != last || got.Compact != last-3 {
			t.Errorf("up to revision %d: took %+v", last, got)
		}
		b.Add(change(last+1), last+1, 0)
		if got := b.Take(); got.Missing || len(got.Changes) != 1 || got.Revision != last+1 || got.Compact != 0 {
			t.Errorf("after that: took %+v", got)
		}
		b.Add(nil, last+1, 1)
		if got := b.Take(); got.Missing || got.Compact != 1 {
			t.Errorf("nothing has changed: took %+v", got)
		}
		b.Add(nil, last+2, 1)
		if got := b.Take(); !got.Missing || got.Revision != last+2 {
			t.Errorf("not collected: took %+v", got)
		}
	}
}

// brokenStore cannot be read.
type brokenStore struct{ feed.Store }

var errBroken = errors.New("the disk is gone")

func (brokenStore) AddPrevious([]kv.Change, func(*kv.Change) bool) error { return errBroken }

func (brokenStore) Changes(kv.ChangesQuery) (kv.Changes, int64, kv.Code, error) {
	return kv.Changes{}, 0, kv.CodeOK, errBroken
}

// compactedStore has compacted what is asked for.
type compactedStore struct{ feed.Store }

func (compactedStore) Changes(kv.ChangesQuery) (kv.Changes, int64, kv.Code, error) {
	return kv.Changes{}, 0, kv.CodeCompacted, nil
}

func (compactedStore) CompactRevision() int64 { return 2 }

// TestWhatCannotBeReadIsNotSkipped: whoever waits for it goes on waiting, or is told that it is gone.
func TestWhatCannotBeReadIsNotSkipped(t *testing.T) {
	h := watch.New(watch.Options{}, 1, -1)
	s := h.Open(nil)
	h.Create(s, watch.Create{Key: []byte("a"), Previous: true})
	h.Take(s)
	batch := feed.Batch{Changes: []kv.Change{{Revision: 2, Key: []byte("a"), Event: []byte("e")}}, Revision: 2, Compact: -1}
	if err := feed.Tell(h, brokenStore{}, batch); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	r, ok := h.NextRead()
	if !ok || r.From != 2 {
		t.Fatalf("to be read is %+v, %v", r, ok)
	}
	if err := feed.Read(h, brokenStore{}, r, 10); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if h.HasResponses(s) {
		t.Errorf("told %+v", h.Take(s))
	}
	again, ok := h.NextRead()
	if !ok || again != r {
		t.Fatalf("to be read is then %+v, %v", again, ok)
	}
	if err := feed.Read(h, compactedStore{}, again, 10); err != nil {
		t.Error(err)
	}
	if h.HasResponses(s) { // revision 2 itself is still there
		t.Errorf("told %+v", h.Take(s))
	}
}
