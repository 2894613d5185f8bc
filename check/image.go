package check

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// image is what a disk holds of the group.
type image struct {
	hard raft.HardState
	// log[i] is the entry at index i+1. No array is ever written again where it was filled, so a clipped
	// copy of the slice keeps what it had.
	log []mark
}

// clipped returns a copy that goes its own way from here.
func (m *image) clipped() image {
	return image{m.hard, slices.Clip(m.log)}
}

func (m *image) last() raft.Index { return raft.Index(len(m.log)) }

// has reports whether the image has the entry at index.
func (m *image) has(index raft.Index, want mark) bool {
	return index >= 1 && index <= m.last() && m.log[index-1] == want
}

func (m *image) truncate(from raft.Index) {
	if from <= m.last() {
		m.log = m.log[: from-1 : from-1]
	}
}

// write applies one write.
func (m *image) write(w *replica.Write, c *Checker) {
	for step := range m.steps(w, c) {
		step()
	}
}

// install lets the log begin after a state at index, which has what was committed up to there. In the image those
// entries stand as if they were in the log. What follows is kept if the log had that entry.
func (m *image) install(index raft.Index, c *Checker) {
	if index > c.Committed() || m.has(index, c.committed[index-1].mark) {
		return // the first is a violation, and was found
	}
	m.log = make([]mark, index)
	for i, e := range c.committed[:index] {
		m.log[i] = e.mark
	}
}

// steps yields the parts of a write, in the order in which the log applies them.
func (m *image) steps(w *replica.Write, c *Checker) func(yield func(func()) bool) {
	return func(yield func(func()) bool) {
		if w.Base != nil && !yield(func() { m.install(w.Base.Index, c) }) {
			return
		}
		if w.HardState != nil && !yield(func() { m.hard = *w.HardState }) {
			return
		}
		if w.TruncateFrom != 0 && !yield(func() { m.truncate(w.TruncateFrom) }) {
			return
		}
		for _, b := range w.Records {
			r := wire.Raw(b)
			if !yield(func() { m.log = append(m.log, mark{r.Term(), r.Hash()}) }) {
				return
			}
		}
	}
}

// Image is what opening a log has found.
type Image struct {
	HardState raft.HardState
	Last      raft.Index
	LastTerm  raft.Term
	// LastHash is that of the last entry; of an empty log it does not matter.
	LastHash wire.Hash
	// TakenUp is the index of a state of another server that was found beside the log, if the log does not begin after
	// it yet: it does once the server has started.
	TakenUp raft.Index
}

// is reports whether the image is the one found. The hash of the last entry covers all before it. The
// commit index in a hard state is a hint that may be cut to the end of the log.
func (m *image) is(found *Image) bool {
	if m.hard.CurrentTerm != found.HardState.CurrentTerm || m.hard.VotedFor != found.HardState.VotedFor ||
		min(m.hard.Commit, m.last()) != found.HardState.Commit || m.last() != found.Last {
		return false
	}
	return found.Last == 0 || m.log[found.Last-1] == mark{found.LastTerm, found.LastHash}
}

// matches looks for the state found among those that a crash may leave: everything synced, and any
// part of what was written since, in the order in which it was written. It returns that image.
func (s *Server) matches(found *Image) (image, bool) {
	m := s.durable.clipped()
	if m.is(found) {
		return m, true
	}
	for i := range s.pending {
		for step := range m.steps(&s.pending[i], s.checker) {
			step()
			if m.is(found) {
				return m, true
			}
		}
	}
	// A start that did not come to its end may have taken up the state.
	m = s.durable.clipped()
	for step := range m.steps(s.checker.takingUp(&m, s.installed), s.checker) {
		step()
		if m.is(found) {
			return m, true
		}
	}
	return image{}, false
}

// takingUp is the write by which a server takes up the state of another that it has found.
func (c *Checker) takingUp(m *image, state raft.Index) *replica.Write {
	if state == 0 || state > c.Committed() {
		return &replica.Write{}
	}
	w := &replica.Write{Base: &wire.Position{EntryID: raft.EntryID{Index: state, Term: c.committed[state-1].term}}}
	if w.Base.Term > m.hard.CurrentTerm {
		w.HardState = &raft.HardState{CurrentTerm: w.Base.Term, Commit: m.hard.Commit}
	}
	return w
}

// String shows an image in a violation.
func (m *image) String() string {
	text := fmt.Sprintf("term %d, vote %d, commit %d, last %d", m.hard.CurrentTerm, m.hard.VotedFor, m.hard.Commit, m.last())
	if n := len(m.log); n > 0 {
		text += fmt.Sprintf(" of term %d, hash %x", m.log[n-1].term, m.log[n-1].hash[:4])
	}
	return text
}

func (f *Image) String() string {
	return fmt.Sprintf("term %d, vote %d, commit %d, last %d of term %d, hash %x", f.HardState.CurrentTerm,
		f.HardState.VotedFor, f.HardState.Commit, f.Last, f.LastTerm, f.LastHash[:4])
}
