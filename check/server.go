package check

import (
	"bytes"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Server is what the checker knows of one server.
type Server struct {
	checker *Checker
	id      raft.ServerID

	// durable is what is on the disk for certain; pending are the writes that may be there as well.
	durable image
	pending []replica.Write

	// While the server runs:
	up     bool
	memory image // its log, written or not
	view   View
	// applied is how far its state machine is; flushed how far it comes back after a crash at least.
	applied, flushed raft.Index
	// installed is where the latest state was that it took from another server.
	installed raft.Index

	// acknowledged is the highest index that this server has acknowledged in each term.
	acknowledged map[raft.Term]raft.Index

	shadow *shadow // nil unless Options.Model
}

// View is what can be seen of a replica between two steps.
type View struct {
	Role         raft.Role
	Term         raft.Term
	Commit, Last raft.Index
	// Durable is the last index that the replica takes to be on its disk.
	Durable raft.Index
	// Configuration is the one in force; nil: that of Options.Voters, always.
	Configuration *raft.Configuration
	// Bound: by what is known of it besides, the server may have promised to vote for nobody.
	Bound bool
}

// ViewOf looks at a core.
func ViewOf(c *raft.Core) View {
	return View{Role: c.Role(), Term: c.CurrentTerm(), Commit: c.CommitIndex(), Last: c.LastIndex(), Durable: c.Durable(), Configuration: c.Configuration().Configuration}
}

// Server returns the record of a server, which begins with an empty disk.
func (c *Checker) Server(id raft.ServerID) *Server {
	for _, s := range c.servers {
		if s.id == id {
			return s
		}
	}
	s := &Server{checker: c, id: id, acknowledged: map[raft.Term]raft.Index{}, shadow: c.shadowed(id)}
	c.servers = append(c.servers, s)
	return s
}

// Restored says what a server found in its log when it started, with its replica as it then was, and
// how far the state machine came back.
func (s *Server) Restored(found Image, view View, applied raft.Index) {
	c := s.checker
	m, ok := s.matches(&found)
	if !ok {
		c.fail("C2", "server %d found in its log: %s; durable was: %s; %d writes were pending", s.id, &found, &s.durable, len(s.pending))
		return
	}
	if found.TakenUp != 0 {
		m.write(c.takingUp(&m, found.TakenUp), c)
	}
	s.durable, s.memory, s.pending = m.clipped(), m.clipped(), nil
	s.up, s.view, s.applied = true, View{}, applied
	s.checkVote()
	if applied < s.flushed {
		c.fail("C2", "state machine of server %d came back at index %d, but %d was durable", s.id, applied, s.flushed)
	}
	if applied > c.Committed() {
		c.fail("C10", "state machine of server %d is at %d, but committed is %d", s.id, applied, c.Committed())
	}
	s.look(view)
	s.shadowRestarted(&found, view)
}

// WouldRestore says what a start would find in the log now, after the worst crash.
func (s *Server) WouldRestore(found Image) {
	if _, ok := s.matches(&found); !ok {
		s.checker.fail("C2", "after a crash now server %d would find in its log: %s; durable is: %s", s.id, &found, &s.durable)
	}
}

// Lost says that the server, which is no more, has lost the state of its state machine, and nothing else.
func (s *Server) Lost() { s.flushed, s.installed = 0, 0 }

// Stopped says that the server is no more, until Restored.
func (s *Server) Stopped() { s.up = false }

// Appended says that writes went to the disk.
func (s *Server) Appended(writes []replica.Write) {
	s.pending = append(s.pending, writes...)
	s.shadowAppended(writes)
}

// Synced says that everything that was appended is durable.
func (s *Server) Synced() {
	for i := range s.pending {
		s.durable.write(&s.pending[i], s.checker)
	}
	s.pending = nil
	s.checkVote()
	s.shadowSynced()
}

// checkVote checks the vote on the disk against all that this server has promised in that term.
func (s *Server) checkVote() {
	if h := &s.durable.hard; h.VotedFor != 0 {
		s.voted(h.CurrentTerm, h.VotedFor, "has on its disk")
	}
}

// voted notes a vote that others may count on, now or after a restart.
func (s *Server) voted(term raft.Term, candidate raft.ServerID, how string) {
	c := s.checker
	b := ballot{s.id, term}
	if before := c.votes[b]; before != 0 && before != candidate {
		c.fail("C2", "server %d %s a vote for %d in term %d, after one for %d", s.id, how, candidate, term, before)
	}
	c.votes[b] = candidate
}

// Stepped says that a replica took in inputs, wants writes to be written, and is now as in view.
func (s *Server) Stepped(inputs []replica.Input, writes []replica.Write, view View) {
	before := s.view
	for i := range writes {
		s.wrote(&writes[i], before, view)
	}
	s.checkFollowerCommit(inputs, writes, before, view)
	s.look(view)
	s.shadowStepped(inputs, writes, view)
}

// wrote notes what a server has in memory from now on.
func (s *Server) wrote(w *replica.Write, before, now View) {
	c := s.checker
	if w.CompactTo > s.flushed {
		c.fail("C15", "server %d drops its log up to entry %d; its state is durable up to %d", s.id, w.CompactTo, s.flushed)
	}
	if w.Base != nil {
		s.rebased(w.Base)
	}
	if w.TruncateFrom != 0 {
		if before.Role == raft.Leader && now.Role == raft.Leader && before.Term == now.Term {
			c.fail("C3", "leader %d of term %d drops its entries from %d on, the last being %d", s.id, now.Term, w.TruncateFrom, s.memory.last())
		}
		if w.TruncateFrom <= s.view.Commit {
			c.fail("C6", "server %d drops its entries from %d on, but has committed %d", s.id, w.TruncateFrom, s.view.Commit)
		}
		s.memory.truncate(w.TruncateFrom)
	}
	if len(w.Records) > 0 && w.First != s.memory.last()+1 {
		c.fail("C10", "server %d appends entry %d after entry %d", s.id, w.First, s.memory.last())
		return
	}
	for _, b := range w.Records {
		e := c.learn(s.id, s.memory.last()+1, wire.Raw(b), s.lastHash())
		s.memory.log = append(s.memory.log, e.mark)
	}
}

// rebased notes that a server's log begins after a state that it has taken from another.
func (s *Server) rebased(at *wire.Position) {
	c := s.checker
	if at.Index > s.flushed {
		c.fail("C15", "the log of server %d begins after entry %d; its state is durable up to %d", s.id, at.Index, s.flushed)
	}
	if at.Index > c.Committed() || c.committed[at.Index-1].mark != (mark{at.Term, at.Hash}) {
		c.fail("C15", "the log of server %d begins after entry %d of term %d, which was not committed", s.id, at.Index, at.Term)
		return
	}
	if c.options.Configuration != nil && !bytes.Equal(at.Configuration, c.configurationAt(at.Index)) {
		c.fail("C15", "the log of server %d begins after entry %d with another configuration than was in force there", s.id, at.Index)
	}
	s.memory.install(at.Index, c)
}

func (s *Server) lastHash() wire.Hash {
	if n := len(s.memory.log); n > 0 {
		return s.memory.log[n-1].hash
	}
	return s.checker.options.Genesis
}

// look checks what a server is now against what it was and against all others.
func (s *Server) look(view View) {
	c := s.checker
	if view.Last != s.memory.last() || view.Commit > view.Last || view.Durable > view.Last || s.applied > view.Commit {
		c.fail("C10", "server %d: applied %d, commit %d, durable %d, last %d; its writes end at %d",
			s.id, s.applied, view.Commit, view.Durable, view.Last, s.memory.last())
		return
	}
	if view.Durable > 0 && !s.durable.has(view.Durable, s.memory.log[view.Durable-1]) {
		c.fail("C10", "server %d takes entry %d of term %d for durable; on its disk is: %s",
			s.id, view.Durable, s.memory.log[view.Durable-1].term, &s.durable)
	}
	if view.Term < s.view.Term || view.Term < s.durable.hard.CurrentTerm {
		c.fail("C2", "server %d went from term %d to term %d; on its disk is: %s", s.id, s.view.Term, view.Term, &s.durable)
	}
	before := s.view
	s.view = view
	if view.Role == raft.Leader && (before.Role != raft.Leader || before.Term != view.Term) {
		s.elected()
	}
	if view.Commit > before.Commit {
		s.committed(before)
	}
}
