package kv

import (
	"bytes"

	"github.com/quorate/quorate/kv/internal/ordered"
)

// overlay holds the versions that a batch has written so far, for the reads of the batch's later
// commands: the engine shows a batch only once it is committed. They are put in order only when
// something is read, which batches of plain puts on cached keys never do.
type overlay struct {
	tree    ordered.Tree
	pending []overlayEntry // written, not in the tree yet
	arena   []byte         // where the next keys and values go
}

type overlayEntry struct{ key, value []byte }

const arenaBytes = 64 << 10

// reset forgets everything, and keeps some memory.
func (o *overlay) reset() {
	o.tree.Reset()
	clear(o.pending)
	o.pending = o.pending[:0]
	if cap(o.arena) > arenaBytes {
		o.arena = nil
	}
	o.arena = o.arena[:0]
}

// room returns a slice of length 0 and capacity at least n, in memory that stays put until reset.
func (o *overlay) room(n int) []byte {
	if cap(o.arena)-len(o.arena) < n {
		o.arena = make([]byte, 0, max(n, arenaBytes))
	}
	return o.arena[len(o.arena):len(o.arena):cap(o.arena)]
}

// keep makes permanent what was appended to room.
func (o *overlay) keep(b []byte) []byte {
	o.arena = o.arena[:len(o.arena)+len(b)]
	return b[:len(b):len(b)]
}

// add adds an entry, of which the slices must stay as they are.
func (o *overlay) add(key, value []byte) {
	o.pending = append(o.pending, overlayEntry{key, value})
}

// index puts in order what is pending.
func (o *overlay) index() *ordered.Tree {
	for _, e := range o.pending {
		o.tree.Set(e.key, e.value)
	}
	clear(o.pending)
	o.pending = o.pending[:0]
	return &o.tree
}

// cursor is the part of Iterator that reads of versions need.
type cursor interface {
	SeekGE(key []byte) bool
	SeekPrefix(key []byte) bool
	Next() bool
	Key() []byte
	Value() []byte
	Error() error
}

// mergedCursor shows the entries of an engine's iterator and of the overlay as one ordered map. A
// version is written once, so no key is in both.
type mergedCursor struct {
	base   Iterator
	over   ordered.Iter
	baseOK bool // base is on an entry
	onBase bool // and that is the merged position
}

func (m *mergedCursor) SeekGE(key []byte) bool {
	m.baseOK = m.base.SeekGE(key)
	m.over.SeekGE(key)
	return m.settle()
}

func (m *mergedCursor) SeekPrefix(key []byte) bool {
	m.baseOK = m.base.SeekPrefix(key)
	m.over.SeekGE(key)
	return m.settle()
}

func (m *mergedCursor) Next() bool {
	if m.onBase {
		m.baseOK = m.base.Next()
	} else {
		m.over.Next()
	}
	return m.settle()
}

// settle moves the merged position to the lower of the two.
func (m *mergedCursor) settle() bool {
	m.onBase = m.baseOK && (!m.over.Valid() || bytes.Compare(m.base.Key(), m.over.Key()) < 0)
	return m.baseOK || m.over.Valid()
}

func (m *mergedCursor) Key() []byte {
	if m.onBase {
		return m.base.Key()
	}
	return m.over.Key()
}

func (m *mergedCursor) Value() []byte {
	if m.onBase {
		return m.base.Value()
	}
	return m.over.Value()
}

func (m *mergedCursor) Error() error { return m.base.Error() }
