package check

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
)

// elected checks a server that leads from now on.
func (s *Server) elected() {
	c := s.checker
	term := s.view.Term
	if other, ok := c.leaders[term]; ok {
		c.fail("C1", "server %d is elected in term %d, in which %d was elected before", s.id, term, other.id)
		return
	}
	s.voted(term, s.id, "leads by")
	configuration := c.configurationOf(&s.view)
	granted := func(voter raft.ServerID) bool { return c.votes[ballot{voter, term}] == s.id }
	if !configuration.HasQuorum(granted) {
		c.fail("C1", "server %d leads in term %d with %s", s.id, term, countOf("votes", configuration, granted))
	}
	if n := c.committedBefore(term); n > 0 {
		if e := c.committed[n-1]; s.memory.last() < n || s.memory.log[n-1] != e.mark {
			c.fail("C5", "server %d leads in term %d without entry %d of term %d, committed in term %d; its log ends at %d",
				s.id, term, n, e.term, e.committedIn, s.memory.last())
		}
	}
	began := len(s.memory.log)
	for began > 0 && s.memory.log[began-1].term == term {
		began--
	}
	c.leaders[term] = leader{s.id, slices.Clip(s.memory.log[:began])}
}

// committedBefore returns the last index that was committed by the leader of an earlier term. One who
// won late may lead in a term that is over for the others, and misses what was committed since.
func (c *Checker) committedBefore(term raft.Term) raft.Index {
	n := c.Committed()
	for n > 0 && c.committed[n-1].committedIn >= term {
		n--
	}
	return n
}

// had reports whether the leader of a term had that entry in its log, in that term or before.
func (l *leader) had(term raft.Term, index raft.Index, m mark) bool {
	if index <= raft.Index(len(l.log)) {
		return l.log[index-1] == m
	}
	return m.term == term
}

// committed checks an advance of the commit index.
func (s *Server) committed(before View) {
	c := s.checker
	commit := s.view.Commit
	var added []*entry
	for i := before.Commit + 1; i <= commit; i++ {
		m := s.memory.log[i-1]
		switch {
		case i > c.Committed():
			e := c.known(i, m)
			e.committedIn = s.view.Term
			c.committed = append(c.committed, e)
			added = append(added, e)
		case c.committed[i-1].mark != m:
			c.fail("C6", "server %d commits entry %d of term %d, but the entry of term %d was committed there",
				s.id, i, m.term, c.committed[i-1].term)
			return
		}
	}
	m := s.memory.log[commit-1]
	counts := commit != s.installed // what is in another server's state was committed there
	if counts && s.view.Role == raft.Leader && before.Role == raft.Leader && before.Term == s.view.Term && m.term != s.view.Term {
		c.fail("C8", "leader %d of term %d commits up to entry %d, which is of term %d", s.id, s.view.Term, commit, m.term)
	}
	durable := func(id raft.ServerID) bool { return c.Server(id).durable.has(commit, m) }
	// Whoever learns of it later may act on another configuration.
	configuration := c.committed[commit-1].committedBy
	if len(added) > 0 {
		configuration = c.configurationOf(&s.view)
		if earlier := c.configurationOf(&before); earlier.HasQuorum(durable) {
			configuration = earlier // it has appended the next one since
		}
		for _, e := range added {
			e.committedBy = configuration
		}
	}
	if !configuration.HasQuorum(durable) {
		c.fail("C7", "server %d commits entry %d of term %d, which is on %s", s.id, commit, m.term, countOf("disks", configuration, durable))
	}
}

// configurationOf returns the one that was in force.
func (c *Checker) configurationOf(v *View) *raft.Configuration {
	if v.Configuration != nil {
		return v.Configuration
	}
	return &raft.Configuration{Voters: c.options.Voters}
}

// countOf says how many of the voters have something.
func countOf(what string, c *raft.Configuration, has func(raft.ServerID) bool) string {
	count := func(voters []raft.ServerID) int {
		n := 0
		for _, id := range voters {
			if has(id) {
				n++
			}
		}
		return n
	}
	text := fmt.Sprintf("%d %s of %d", count(c.Voters), what, len(c.Voters))
	if c.Joint() {
		text = fmt.Sprintf("%d %s of %d, and %s", count(c.OldVoters), what, len(c.OldVoters), text)
	}
	return text
}
