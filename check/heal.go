package check

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Heals says what a server found in its log that has lost entries, and will heal before it goes on, and how far the state
// machine came back. Both are told again by Restored.
func (s *Server) Heals(found Image, applied raft.Index) {
	m, ok := s.matches(&found)
	if !ok {
		s.checker.fail("C2", "server %d, which has lost entries, found in its log: %s; durable was: %s; %d writes were pending",
			s.id, &found, &s.durable, len(s.pending))
		return
	}
	if found.TakenUp != 0 {
		m.write(s.checker.takingUp(&m, found.TakenUp), s.checker)
	}
	s.durable, s.memory, s.pending = m.clipped(), m.clipped(), nil
	s.applied, s.flushed = applied, max(s.flushed, applied) // it is on the disk
}

// Cuts says that a server that heals drops its entries from one on. It has appended that; Synced makes it durable.
func (s *Server) Cuts(from raft.Index) {
	c := s.checker
	if i := int(from) - 1; i < len(c.committed) && s.durable.has(from, c.committed[i].mark) {
		c.fail("C6", "server %d, which heals, cuts entry %d, which is committed", s.id, from)
	}
	s.pending = append(s.pending, replica.Write{TruncateFrom: from})
}

// BeginsAfter says that a server that heals lets its log begin after an entry that its state has. It has appended that; Synced makes
// it durable.
func (s *Server) BeginsAfter(w *replica.Write) {
	if w.Base.Index > s.applied {
		s.checker.fail("C15", "the log of server %d, which heals, begins after entry %d; its state is at %d", s.id, w.Base.Index, s.applied)
	}
	s.rebased(w.Base)
	s.pending = append(s.pending, *w)
}

// Asked says what a server sends while it heals: it is to take no part in the algorithm.
func (s *Server) Asked(to raft.ServerID, m *wire.Message) {
	switch m.Body.(type) {
	case *wire.EntryRequest, *wire.EntryReply, *wire.EntryDoubts, *wire.SnapshotRequest, *wire.SnapshotChunk:
		if m.Term > s.durable.hard.CurrentTerm {
			s.checker.fail("C11", "server %d, which heals, writes of term %d to %d; on its disk is: %s", s.id, m.Term, to, &s.durable)
		}
		return
	}
	s.checker.fail("H1", "server %d sends %T to %d while it heals", s.id, m.Body, to)
}
