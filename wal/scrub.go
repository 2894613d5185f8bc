package wal

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Scrubbing is how far Scrub has come: the entry that is next. The zero value is the beginning.
type Scrubbing struct {
	Group wire.GroupID
	Index raft.Index
}

// Scrub reads the next entries of the log, about limitBytes of them, and checks them as Read does, to find
// rot before somebody needs what it hits. It returns how far it has come, the beginning again when it has seen everything, and
// how many bytes it has read. A *DamageError says what it has found. Holes are known, and passed over.
func (l *Log) Scrub(at Scrubbing, limitBytes int) (next Scrubbing, bytes int, err error) {
	for bytes < limitBytes {
		first, last, ok := l.scrubNext(&at)
		if !ok {
			return Scrubbing{}, bytes, nil
		}
		records, err := l.Read(at.Group, first, last, limitBytes-bytes)
		var hole *HoleError
		switch {
		case errors.As(err, &hole):
			at.Index = first + 1
			continue
		case errors.Is(err, ErrCompacted), errors.Is(err, ErrNoEntry), errors.Is(err, ErrNoGroup):
			return at, bytes, nil // it has changed meanwhile
		case err != nil:
			return at, bytes, err
		}
		for _, record := range records {
			bytes += len(record)
		}
		at.Index = first + raft.Index(len(records))
	}
	return at, bytes, nil
}

// scrubNext says which entries are next, in this group or in the next one that has any.
func (l *Log) scrubNext(at *Scrubbing) (first, last raft.Index, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, _ := slices.BinarySearchFunc(l.sorted, at.Group, byID)
	for ; k < len(l.sorted); k++ {
		g := l.sorted[k]
		if g.id != at.Group {
			*at = Scrubbing{Group: g.id}
		}
		if first = max(at.Index, g.base.Index+1); first <= g.last() {
			return first, g.last(), true
		}
	}
	return 0, 0, false
}
