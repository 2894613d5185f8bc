package kv

import (
	"bytes"

	"github.com/quorate/quorate/kv/internal/ordered"
)

// mapEngine is as little of an engine as tests within this package need: they cannot import the real ones. What
// is sealed in its stage goes nowhere.
type mapEngine struct {
	tree  ordered.Tree
	stage *mapEngine
}

func newMapEngine() *mapEngine { return &mapEngine{} }

func (e *mapEngine) NewBatch() Batch { return &mapBatch{e: e} }
func (e *mapEngine) NewIterator(lo, hi []byte) (Iterator, error) {
	it := &mapIterator{tree: e.tree.Clone()}
	it.Init(&it.tree, lo, hi)
	return it, nil
}
func (e *mapEngine) GetDurable(key []byte) ([]byte, bool, error) {
	value, ok := e.tree.Get(key)
	return value, ok, nil
}
func (e *mapEngine) Flush() error { return nil }
func (e *mapEngine) Close() error { return nil }
func (e *mapEngine) OpenStage(create bool) (Stage, error) {
	if e.stage == nil && !create {
		return nil, nil
	}
	e.stage = newMapEngine()
	return &mapStage{e.stage, e}, nil
}

type mapStage struct {
	*mapEngine
	owner *mapEngine
}

func (s *mapStage) Seal(r Replacement) error { return r.Fill(mapSink{}) }
func (s *mapStage) Install([]Pair) error     { return nil }
func (s *mapStage) Drop() error {
	s.owner.stage = nil
	return nil
}

// mapSink takes anything.
type mapSink struct{}

func (mapSink) Set(_, _ []byte) error { return nil }
func (mapSink) Delete([]byte) error   { return nil }

type mapBatch struct {
	e      *mapEngine
	writes []func()
}

func (b *mapBatch) Set(key, value []byte) {
	key, value = bytes.Clone(key), bytes.Clone(value)
	b.writes = append(b.writes, func() { b.e.tree.Set(key, value) })
}

func (b *mapBatch) Delete(key []byte) {
	key = bytes.Clone(key)
	b.writes = append(b.writes, func() { b.e.tree.Delete(key) })
}

func (b *mapBatch) Commit() error {
	for _, write := range b.writes {
		write()
	}
	return nil
}
func (b *mapBatch) Discard() {}

type mapIterator struct {
	ordered.Iter
	tree ordered.Tree
}

func (it *mapIterator) SeekPrefix(key []byte) bool { return it.SeekGE(key) }
func (it *mapIterator) Error() error               { return nil }
func (it *mapIterator) Close() error               { return nil }
func (it *mapIterator) Clone(lo, hi []byte) (Iterator, error) {
	c := &mapIterator{tree: it.tree.Clone()}
	c.Init(&c.tree, lo, hi)
	return c, nil
}
