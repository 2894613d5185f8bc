package feed

import "github.com/quorate/quorate/kv"

// Backlog is what has happened in a store since the last batch was taken.
type Backlog struct {
	limitBytes int
	pending    Batch
}

// Batch is what has happened between two revisions.
type Batch struct {
	Changes []kv.Change
	// Missing: there are changes, and they are not here. The store has them.
	Missing bool
	// Revision and Compact are the store's after all of it.
	Revision, Compact int64

	bytes int
}

// changeBytes is what a change takes up beside its bytes.
const changeBytes = 128

// NewBacklog returns an empty backlog of a store at a revision, and what that has compacted. It holds so
// many bytes, beside what one apply has changed.
func NewBacklog(limitBytes int, revision, compact int64) Backlog {
	return Backlog{limitBytes: limitBytes, pending: Batch{Revision: revision, Compact: compact}}
}

// Add takes in what has changed up to a revision; nil says that it was not collected, or that it did not
// come about by commands.
func (b *Backlog) Add(changes *kv.Changes, revision, compact int64) {
	p := &b.pending
	if revision > p.Revision {
		b.add(changes)
	}
	p.Revision, p.Compact = revision, compact
}

func (b *Backlog) add(changes *kv.Changes) {
	p := &b.pending
	if changes == nil || p.Missing || p.bytes > b.limitBytes {
		p.Missing, p.Changes, p.bytes = true, nil, 0
		return
	}
	if p.Changes == nil {
		p.Changes = changes.List
	} else {
		p.Changes = append(p.Changes, changes.List...)
	}
	p.bytes += changes.Bytes + changeBytes*len(changes.List)
}

// Take takes what there is.
func (b *Backlog) Take() Batch {
	taken := b.pending
	b.pending = Batch{Revision: taken.Revision, Compact: taken.Compact}
	return taken
}
