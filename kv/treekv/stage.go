package treekv

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/internal/ordered"
)

// stage is an engine within the engine: of what is in it, too, a crash keeps a prefix.
type stage struct {
	*Engine
	owner  *Engine
	clear  []kv.Span // of what is sealed
	writes []write
	sealed bool
}

var _ kv.Stage = (*stage)(nil)

// OpenStage opens the stage.
func (e *Engine) OpenStage(create bool) (kv.Stage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, ErrClosed
	case e.stage != nil:
		e.stage = &stage{Engine: e.stage.reopened(), owner: e}
	case create:
		e.stage = &stage{Engine: New(), owner: e}
	default:
		return nil, nil
	}
	return e.stage, nil
}

// reopened returns an engine with what this one holds, which may be closed.
func (e *Engine) reopened() *Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &Engine{states: e.states}
}

// Seal keeps the writes.
func (s *stage) Seal(r kv.Replacement) error {
	into := &sink{}
	if err := r.Fill(into); err != nil {
		return err
	}
	s.clear, s.writes, s.sealed = append(slices.Clone(r.Clear), r.Apart), into.writes, true
	return nil
}

var errNotSealed = errors.New("install: nothing is sealed")

// Install makes a new state, which every crash keeps.
func (s *stage) Install(apart []kv.Pair) error {
	if !s.sealed {
		return errNotSealed
	}
	e := s.owner
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	next := e.states[len(e.states)-1].Clone()
	for _, span := range s.clear {
		empty(&next, span)
	}
	for _, w := range s.writes {
		w.apply(&next)
	}
	for _, p := range apart {
		next.Set(slices.Clone(p.Key), append([]byte{}, p.Value...))
	}
	e.states = []ordered.Tree{next}
	return nil
}

// empty removes what is in a span.
func empty(t *ordered.Tree, span kv.Span) {
	var it ordered.Iter
	before := t.Clone()
	it.Init(&before, span.Lo, span.Hi)
	for ok := it.First(); ok; ok = it.Next() {
		t.Delete(it.Key())
	}
}

// Drop removes the stage.
func (s *stage) Drop() error {
	s.owner.mu.Lock()
	s.owner.stage = nil
	s.owner.mu.Unlock()
	return s.Close()
}

// sink keeps writes, as a batch does.
type sink struct{ batch }

func (s *sink) Set(key, value []byte) error {
	s.batch.Set(key, value)
	return nil
}

func (s *sink) Delete(key []byte) error {
	s.batch.Delete(key)
	return nil
}
