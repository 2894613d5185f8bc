package kv

import (
	"bytes"
	"cmp"
	"fmt"
)

// ServeSnapshot answers a peer's request with a chunk of at most about maxBytes: one pair may go beyond. The
// chunk is of a pinned view, of which index is the applied index: what the requester's state is at when the
// dialogue is complete. Any goroutine may call it.
//
// Errors: ErrSnapshotRequest, ErrSnapshotBehind, and the engine's.
func (s *Store) ServeSnapshot(request []byte, maxBytes int) (chunk []byte, index uint64, err error) {
	var r snapshotRequest
	if err := r.parse(request); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrSnapshotRequest, err)
	}
	if r.cluster != s.options.Cluster {
		return nil, 0, fmt.Errorf("of cluster %016x: %w", r.cluster, ErrSnapshotRequest)
	}
	v, c, err := s.findView(&r)
	if err != nil {
		return nil, 0, err
	}
	defer v.done()
	m := chunkMaker{view: v, head: c, limit: min(max(maxBytes, 1), maxChunkBytes)}
	if chunk, err = m.chunk(); err != nil {
		return nil, 0, fmt.Errorf("chunk of the view at %d: %w", v.state.applied, err)
	}
	return chunk, v.state.applied, nil
}

// findView finds the view that a request is of, or decides how it goes on, or begins, in another. It returns
// the chunk without its rows.
func (s *Store) findView(r *snapshotRequest) (*view, snapshotChunk, error) {
	c := snapshotChunk{cluster: r.cluster, keys: r.keys}
	if r.staged {
		v := s.views.find(func(of *state) bool { return of.id() == r.view && of.applied > r.have.applied })
		if v != nil {
			c.view, c.from = v.state, r.at
			return v, c, nil
		}
	}
	v, err := s.newestView()
	if err != nil {
		return nil, c, err
	}
	if v == nil {
		return nil, c, ErrSnapshotBehind
	}
	c.view = v.state
	if err := c.decide(v, r); err != nil {
		v.done()
		return nil, c, err
	}
	return v, c, nil
}

// newestView returns a view of what is applied now, or of something later. It returns nil if nothing is.
func (s *Store) newestView() (*view, error) {
	applied := s.AppliedIndex()
	if v := s.views.find(func(of *state) bool { return of.applied >= applied }); v != nil {
		return v, nil
	}
	v, err := newView(s.engine)
	if v != nil && err == nil {
		s.views.add(v)
	}
	return v, err
}

// decide says where a chunk of another view than before begins.
func (c *snapshotChunk) decide(v *view, r *snapshotRequest) error {
	now := &v.state
	if now.applied <= r.have.applied {
		return ErrSnapshotBehind
	}
	if r.staged && now.id() == r.view {
		c.from = r.at // the view was closed, and is pinned once more: nothing has been applied since
		return nil
	}
	// A stage that is ahead of this state is given up for it: whoever it came from may be gone for good, and
	// this server may need the one that asks in order to get any further.
	if r.staged && now.applied >= r.view.applied && r.at.goesOn(now) {
		c.from = r.at.inAnotherView()
		return nil
	}
	c.begin = true
	delta, err := v.hasDelta(&r.have, maxDeltaChanges)
	if delta {
		c.from = position{phase: phaseChanges, next: revision{main: r.have.revision + 1}}
	} else {
		c.full = true
		c.from = position{phase: phaseKeys, next: revision{main: now.revision + 1}}
	}
	return err
}

// hasDelta tells whether what somebody lacks is still there, and is clearly less than everything: fewer
// changes than there are versions before them, and than most.
func (v *view) hasDelta(have *state, most int) (bool, error) {
	if have.applied == 0 || have.revision < v.state.compact || have.revision > v.state.revision {
		return false, nil
	}
	first := appendRevisionKey(nil, revision{main: have.revision + 1})
	before, err := v.open([]byte{spaceRevisions}, first)
	if err != nil {
		return false, err
	}
	since, err := v.open(first, []byte{spaceRevisions + 1})
	if err != nil {
		return false, joinClose(err, before.Close)
	}
	fewer := false
	more, old := since.First(), before.First()
	for n := 0; n <= most && !fewer && (old || !more); n++ {
		if fewer = !more; !fewer {
			more, old = since.Next(), before.Next()
		}
	}
	err = joinClose(since.Error(), since.Close)
	return fewer, joinClose(cmp.Or(err, before.Error()), before.Close)
}

// chunkMaker makes one chunk.
type chunkMaker struct {
	view  *view
	head  snapshotChunk
	limit int

	rows     rows
	keyBytes int
	previous []byte
}

func (m *chunkMaker) chunk() ([]byte, error) {
	var err error
	switch m.head.from.phase {
	case phaseKeys:
		m.head.done, err = m.allVersions()
	case phaseChanges:
		m.head.done, err = m.changes()
	case phaseSpaces:
		m.head.done, err = m.spaces()
	case phaseEnd:
		m.head.done = true
	}
	if err != nil {
		return nil, err
	}
	return checked(append(m.head.appendHead(nil), m.rows...), 0), nil
}

// add adds a pair, and tells whether there is room for more.
func (m *chunkMaker) add(key, value []byte) bool {
	m.rows = m.rows.append(key, value, m.previous)
	m.previous = append(m.previous[:0], key...)
	m.keyBytes += len(key)
	return len(m.rows) < m.limit && m.keyBytes < maxKeyBytes
}

// wants returns which keys are wanted.
func (m *chunkMaker) wants() keyRange {
	if m.head.keys.isUnset() {
		return allKeys()
	}
	return m.head.keys
}

// allVersions adds versions in the order of the engine's keys.
func (m *chunkMaker) allVersions() (done bool, err error) {
	lo, hi := appendBounds(nil, nil, m.wants())
	return m.walk(lo, hi, func(it Iterator, _ []byte) (bool, error) { return m.add(it.Key(), it.Value()), nil })
}

// walk visits pairs behind the key where the chunk begins, until visit returns false. It reports whether all
// were visited.
func (m *chunkMaker) walk(lo, hi []byte, visit func(it Iterator, key []byte) (bool, error)) (done bool, err error) {
	it, err := m.view.open(lo, hi)
	if err != nil {
		return false, err
	}
	defer func() { err = joinClose(err, it.Close) }()
	ok := it.First()
	if from := m.head.from.key; len(from) > 0 && m.head.from.phase != phaseChanges {
		if ok = it.SeekGE(from); ok && bytes.Equal(it.Key(), from) { // may be below lo: then it is at the first
			ok = it.Next()
		}
	}
	for ; ok; ok = it.Next() {
		more, err := visit(it, it.Key())
		if err != nil {
			return false, cmp.Or(it.Error(), err)
		}
		if err := it.Error(); err != nil {
			return false, err
		}
		if !more {
			return false, nil
		}
	}
	return true, it.Error()
}

// changes adds versions in the order in which they were written.
func (m *chunkMaker) changes() (done bool, err error) {
	versions, err := m.view.open([]byte{spaceVersions}, []byte{spaceVersions + 1})
	if err != nil {
		return false, err
	}
	defer func() { err = joinClose(err, versions.Close) }()
	read := reader{cursor: versions}
	wanted := m.wants()
	return m.walk(appendRevisionKey(nil, m.head.from.next), []byte{spaceRevisions + 1},
		func(it Iterator, key []byte) (bool, error) {
			at, err := splitRevisionKey(key)
			if err != nil {
				return false, err
			}
			_, user, err := parseRevisionEntry(it.Value())
			if err != nil || !wanted.has(user) {
				return true, err
			}
			var v version
			if err := read.exactly(user, at, &v); err != nil {
				return false, err
			}
			return m.add(versions.Key(), versions.Value()), nil
		})
}

// spaces adds the other records.
func (m *chunkMaker) spaces() (done bool, err error) {
	for _, span := range sentSpans() {
		done, err = m.walk(span.Lo, span.Hi, func(it Iterator, key []byte) (bool, error) {
			return m.add(key, it.Value()), nil
		})
		if !done || err != nil {
			return false, err
		}
	}
	return true, nil
}
