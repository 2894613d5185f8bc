package kv

import (
	"bytes"
	"cmp"
	"fmt"
)

// Compaction has two halves. The Compact command sets the compaction revision, at once and on all
// servers at the same index; from then on reads below it are refused. What no read can see any more
// is removed later by CompactStep, by each server at its own pace.
//
// A version goes if its main revision is less than the compaction revision and it is not what lives
// at it: a newer version at or below the compaction revision has replaced it, or it is a tombstone.
// Everything at the compaction revision itself stays, tombstones too, because a watch may begin
// there and must be told of them.

// CompactStep removes versions that the last compaction has left without use. It looks at up to
// maxEntries entries of the revision index (at least 1), and reports whether nothing is left to do.
// Answers, hashes and digests do not depend on when and whether it runs, and reads may run beside
// it. The error is the engine's; after one the store applies nothing more.
func (s *Store) CompactStep(maxEntries int) (done bool, err error) {
	if s.failed != nil {
		return false, s.failed
	}
	target := s.current.Load().compact
	if s.progress.target == target && s.progress.done || target < 0 {
		return true, nil
	}
	p := s.progress
	if p.target != target {
		// A newer compaction, while an older one may be under way. What was dealt with stays so,
		// but for what stands at the main revision that was reached: if that was the older target,
		// it was spared for it.
		p = progress{target: target, next: revision{main: p.next.main}}
	}
	if err := s.removeStep(&p, max(maxEntries, 1)); err != nil {
		s.failed = fmt.Errorf("remove what is compacted at %d: %w", target, err)
		return false, s.failed
	}
	s.progress = p
	return p.done, nil
}

// removeStep advances p by up to n entries, in one batch.
func (s *Store) removeStep(p *progress, n int) (err error) {
	entries, err := s.engine.NewIterator(
		appendRevisionKey(nil, p.next), appendRevisionKey(nil, revision{main: p.target + 1}))
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, entries.Close) }()
	versions, err := s.engine.NewIterator([]byte{spaceVersions}, []byte{spaceVersions + 1})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, versions.Close) }()

	r := remover{versions: versions, target: p.target, batch: s.newBatch()}
	ok := entries.First()
	for ; ok && n > 0; n-- {
		at, err := r.entry(entries.Key(), entries.Value())
		if err != nil {
			r.batch.Discard()
			return cmp.Or(entries.Error(), err)
		}
		p.next = revision{at.main, at.sub + 1}
		ok = entries.Next()
	}
	if err := entries.Error(); err != nil {
		r.batch.Discard()
		return err
	}
	if !ok {
		p.next, p.done = revision{main: p.target}, true
	}
	r.batch.Set(progressKey(), appendProgress(nil, p))
	return s.commit(r.batch)
}

// remover deletes from a batch what entries of the revision index make superfluous.
type remover struct {
	versions Iterator
	target   int64
	batch    Batch
	key      []byte
	scratch  []byte
}

// entry deals with one entry: it removes the version that the entry's has replaced, and the
// entry's own if it is a tombstone. Whatever is older still has been removed when the replaced one
// was dealt with: in this pass, or, if it is older than where the pass began, in one before.
func (r *remover) entry(k, value []byte) (revision, error) {
	at, err := splitRevisionKey(k)
	if err != nil {
		return at, err
	}
	tombstone, user, err := parseRevisionEntry(value)
	if err != nil {
		return at, err
	}
	r.key = appendVersionKey(r.key[:0], user, at)
	if !r.versions.SeekGE(r.key) || !bytes.Equal(r.versions.Key(), r.key) {
		if err := r.versions.Error(); err != nil {
			return at, err
		}
		return at, fmt.Errorf("key %q has no version at %d.%d: %w", user, at.main, at.sub, ErrCorrupt)
	}
	if tombstone && at.main < r.target {
		r.remove(r.key, at)
	}
	prefix := len(r.key) - suffixBytes
	if r.versions.Next() && bytes.HasPrefix(r.versions.Key(), r.key[:prefix]) {
		older, err := splitSuffix(r.versions.Key(), prefix)
		if err != nil {
			return at, err
		}
		if older.main < r.target {
			r.remove(r.versions.Key(), older)
		}
	}
	return at, r.versions.Error()
}

func (r *remover) remove(versionKey []byte, at revision) {
	r.batch.Delete(versionKey)
	r.scratch = appendRevisionKey(r.scratch[:0], at)
	r.batch.Delete(r.scratch)
}
