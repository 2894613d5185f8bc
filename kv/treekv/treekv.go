package treekv

import (
	"errors"
	"slices"
	"sync"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/internal/ordered"
)

// ErrClosed: the engine was closed, or crashed.
var ErrClosed = errors.New("engine is closed")

// Engine is the tree and the states that a crash may return to.
type Engine struct {
	mu     sync.Mutex
	closed bool           // guarded by mu
	states []ordered.Tree // guarded by mu; [0] as of the last flush, the last one current
	stage  *stage         // guarded by mu; nil: there is none
}

var _ kv.Engine = (*Engine)(nil)

// New returns an empty engine.
func New() *Engine { return &Engine{states: make([]ordered.Tree, 1)} }

// Crash ends this engine, as by a loss of power, and returns one that holds what was left: keep is
// told how many batches were committed since the last flush, and says how many of them, the first
// ones, are left, from 0 to that number. If there is a stage, keep is asked once more, for its batches.
func (e *Engine) Crash(keep func(batches int) int) *Engine {
	e.mu.Lock()
	e.closed = true
	states, staged := e.states, e.stage
	e.mu.Unlock()
	left := states[keep(len(states)-1)]
	after := &Engine{states: []ordered.Tree{left.Clone()}}
	if staged != nil {
		after.stage = &stage{Engine: staged.Crash(keep), owner: after}
	}
	return after
}

// Unflushed returns how many batches were committed since the last flush.
func (e *Engine) Unflushed() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.states) - 1
}

// Flush makes the newest state the one that every crash keeps.
func (e *Engine) Flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.states = []ordered.Tree{e.states[len(e.states)-1]}
	return nil
}

// GetDurable looks into the state as of the last flush.
func (e *Engine) GetDurable(key []byte) ([]byte, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, false, ErrClosed
	}
	value, ok := e.states[0].Get(key)
	if isDamaged(value) {
		return nil, false, ErrDamaged
	}
	return slices.Clone(value), ok, nil
}

// Close ends the engine. What it held can be had by Crash.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

// NewIterator opens an iterator on the newest state.
func (e *Engine) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	return newIterator(&e.states[len(e.states)-1], lo, hi), nil
}

// iterator is the tree's own, which needs no closing, and has no errors but for what is damaged. States are never
// changed, so it stays as it is.
type iterator struct {
	ordered.Iter
	state *ordered.Tree
	err   error // of the last movement
}

func newIterator(state *ordered.Tree, lo, hi []byte) *iterator {
	it := &iterator{state: state}
	it.Init(state, lo, hi)
	return it
}

func (it *iterator) Clone(lo, hi []byte) (kv.Iterator, error) {
	return newIterator(it.state, lo, hi), nil
}

func (it *iterator) First() bool                { return it.readable(it.Iter.First()) }
func (it *iterator) Last() bool                 { return it.readable(it.Iter.Last()) }
func (it *iterator) SeekGE(key []byte) bool     { return it.readable(it.Iter.SeekGE(key)) }
func (it *iterator) SeekLT(key []byte) bool     { return it.readable(it.Iter.SeekLT(key)) }
func (it *iterator) SeekPrefix(key []byte) bool { return it.SeekGE(key) }
func (it *iterator) Next() bool                 { return it.readable(it.Iter.Next()) }
func (it *iterator) Prev() bool                 { return it.readable(it.Iter.Prev()) }
func (it *iterator) Valid() bool                { return it.err == nil && it.Iter.Valid() }
func (it *iterator) Error() error               { return it.err }
func (it *iterator) Close() error               { return it.err }

// readable ends a movement, which has found something or not.
func (it *iterator) readable(found bool) bool {
	it.err = nil
	if found && isDamaged(it.Value()) {
		it.err = ErrDamaged
	}
	return found && it.err == nil
}

// NewBatch returns an empty batch.
func (e *Engine) NewBatch() kv.Batch { return &batch{engine: e} }

type batch struct {
	engine *Engine
	writes []write
}

// write sets key, or deletes it if value is nil.
type write struct{ key, value []byte }

func (w *write) apply(t *ordered.Tree) {
	if w.value == nil {
		t.Delete(w.key)
	} else {
		t.Set(w.key, w.value)
	}
}

func (b *batch) Set(key, value []byte) {
	kept := append(make([]byte, 0, len(key)+len(value)), key...)
	kept = append(kept, value...)
	b.writes = append(b.writes, write{kept[:len(key):len(key)], kept[len(key):]})
}

func (b *batch) Delete(key []byte) {
	b.writes = append(b.writes, write{key: slices.Clone(key)})
}

// Commit makes a new state of a copy of the newest.
func (b *batch) Commit() error {
	e := b.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	next := e.states[len(e.states)-1].Clone()
	for _, w := range b.writes {
		w.apply(&next)
	}
	b.writes = nil
	e.states = append(e.states, next)
	return nil
}

func (b *batch) Discard() { b.writes = nil }
