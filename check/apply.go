package check

import (
	"bytes"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// Applied says that a server's state machine has applied entries and gave these answers, and what its
// digest is after the last of them.
func (s *Server) Applied(entries []replica.Entry, answers [][]byte, digest [16]byte) {
	c := s.checker
	if len(answers) != len(entries) {
		c.fail("C6", "state machine of server %d gave %d answers to %d entries", s.id, len(answers), len(entries))
		return
	}
	for i := range entries {
		e := s.nextApplied(&entries[i])
		if e == nil {
			return
		}
		c.applied(s, &entries[i], e, answers[i])
	}
	if len(entries) > 0 {
		s.digested(digest)
	}
}

// nextApplied checks that an entry is the committed one at its index, and the next for this server.
// It returns nil after a violation.
func (s *Server) nextApplied(a *replica.Entry) *entry {
	c := s.checker
	switch {
	case a.Index != s.applied+1:
		c.fail("C10", "state machine of server %d applies entry %d after %d", s.id, a.Index, s.applied)
		return nil
	case a.Index > s.view.Commit || a.Index > s.durable.last():
		c.fail("C10", "state machine of server %d applies entry %d, but committed there is %d, and durable %d",
			s.id, a.Index, s.view.Commit, s.durable.last())
		return nil
	}
	s.applied = a.Index
	e := c.committed[a.Index-1]
	if !e.is(a) {
		c.fail("C6", "server %d applies at %d an entry of term %d, %x, other than the committed one of term %d",
			s.id, a.Index, a.Term, a.Command.Request, e.term)
		return nil
	}
	return e
}

// is reports whether an entry for the state machine is what the record holds. The record has been
// checked against its hash; the request and the user are its last bytes.
func (e *entry) is(a *replica.Entry) bool {
	if a.Term != e.term {
		return false
	}
	if a.Command.Kind == 0 {
		return e.op == nil
	}
	payload := e.record.Payload()
	return bytes.HasSuffix(payload, a.Command.Request) && len(payload) > 9 && payload[9] == a.Command.Kind &&
		(e.op == nil || e.op.ID == IDOf(a.Command.User))
}

// applied notes what an entry came to, and compares.
func (c *Checker) applied(s *Server, a *replica.Entry, e *entry, answer []byte) {
	if e.applied {
		if !bytes.Equal(e.answer, answer) {
			c.fail("K1", "server %d answers to entry %d with %x, another with %x", s.id, a.Index, answer, e.answer)
		}
		return
	}
	e.applied, e.answer = true, answer
	if a.Command.Kind != 0 {
		origin := a.Command.Origin
		if before, ok := c.origins[origin]; ok {
			c.fail("S1", "command %d of server %d, boot %d, is applied at %d and at %d",
				origin.Sequence, origin.Server, origin.Boot, before, a.Index)
		}
		c.origins[origin] = a.Index
	}
	c.history.applied(c, a.Index, a.Command.Time, e)
}

// digested checks the digest after the last applied entry.
func (s *Server) digested(digest [16]byte) {
	c := s.checker
	e := c.committed[s.applied-1]
	if e.digested && e.digest != digest {
		c.fail("K2", "after entry %d the digest of server %d is %x, another's was %x", s.applied, s.id, digest, e.digest)
	}
	e.digest, e.digested = digest, true
}

// Installed says that a server's state is another's now, which was at index, durably, and what its digest is.
func (s *Server) Installed(index raft.Index, digest [16]byte) {
	c := s.checker
	switch {
	case index <= s.applied:
		c.fail("C15", "server %d takes over a state of entry %d, and has applied %d", s.id, index, s.applied)
		return
	case index > c.Committed():
		c.fail("C15", "server %d takes over a state of entry %d, and committed is %d", s.id, index, c.Committed())
		return
	}
	s.applied, s.flushed, s.installed = index, index, index
	s.digested(digest)
}

// Flushed says that the state up to an index is durable.
func (s *Server) Flushed(index raft.Index) {
	if index > s.applied {
		s.checker.fail("C10", "server %d has made its state durable up to %d, having applied %d", s.id, index, s.applied)
	}
	s.flushed = max(s.flushed, index)
}

// Reopened checks the digest with which the state machine came back after a restart.
func (s *Server) Reopened(digest [16]byte) {
	if s.applied > 0 {
		s.digested(digest)
	}
}
