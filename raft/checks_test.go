package raft

import (
	"bytes"
	"slices"
)

// history is what an observer who sees everything remembers: what was true once and must stay true.
type history struct {
	// leaders has the leader of each term, by term.
	leaders []ServerID
	// committed has the entries that some leader has committed, from index 1 on.
	committed []Entry
	// committedIn has, for each of them, the term of the leader that committed it.
	committedIn []Term
	// questions are the proposals and reads that no server has answered yet.
	questions []question
}

// question is a proposal or a read that was asked of a server.
type question struct {
	server ServerID
	id     uint64
	// read: the answer must show at least the entries up to least, those committed when it was asked.
	read  bool
	least Index
}

func (h *history) clone() history {
	return history{slices.Clone(h.leaders), slices.Clone(h.committed), slices.Clone(h.committedIn), slices.Clone(h.questions)}
}

// asked notes a proposal or a read.
func (h *history) asked(server ServerID, input Input) {
	switch in := input.(type) {
	case Propose:
		h.questions = append(h.questions, question{server: server, id: in.ID})
	case ProposeConfiguration:
		h.questions = append(h.questions, question{server: server, id: in.ID})
	case ReadIndex:
		h.questions = append(h.questions, question{server: server, id: in.ID, read: true, least: Index(len(h.committed))})
	}
}

// answered takes a question off the list; false if nobody asked, or if it was answered before.
func (h *history) answered(server ServerID, id uint64) (question, bool) {
	i := slices.IndexFunc(h.questions, func(q question) bool { return q.server == server && q.id == id })
	if i < 0 {
		return question{}, false
	}
	q := h.questions[i]
	h.questions = slices.Delete(h.questions, i, i+1)
	return q, true
}

// latestCommitTerm returns the highest term in which anything was committed.
func (h *history) latestCommitTerm() Term {
	if len(h.committedIn) == 0 {
		return 0
	}
	return h.committedIn[len(h.committedIn)-1]
}

// crashed forgets the questions that a server can no longer answer.
func (h *history) crashed(server ServerID) {
	h.questions = slices.DeleteFunc(h.questions, func(q question) bool { return q.server == server })
}

// moment is what a check needs to know about a server before the step.
type moment struct {
	role   Role
	term   Term
	commit Index
	last   Index
}

func (s *server) now() moment {
	return moment{s.core.Role(), s.core.CurrentTerm(), s.core.CommitIndex(), s.core.LastIndex()}
}

func sameEntry(x, y *Entry) bool {
	return x.Term == y.Term && x.Kind == y.Kind && bytes.Equal(x.Data, y.Data)
}

// samePrefix reports whether both logs have the same entries up to index.
func samePrefix(x, y []Entry, index Index) bool {
	if int(index) > len(x) || int(index) > len(y) {
		return false
	}
	for i := range int(index) {
		if !sameEntry(&x[i], &y[i]) {
			return false
		}
	}
	return true
}

// check looks for whatever the step of one server can have broken.
func (c *cluster) check(s *server, before moment, out Output) {
	c.checkView(s)
	c.checkLogMatching(s)
	c.checkElection(s, before)
	c.checkCommit(s, before, out)
	c.checkApply(s, out.Apply)
	c.checkOrder(s)
	c.checkAnswers(s, out)
	if s.core.role == Leader {
		for _, p := range s.core.leadState.peers {
			c.checkProgress(s, p)
		}
	}
}

// checkView: what the core believes about its log is what its writes have made of it.
func (c *cluster) checkView(s *server) {
	if int(s.core.LastIndex()) != len(s.view) {
		c.fail("server %d: core's log ends at %d, its writes make it end at %d", s.id, s.core.LastIndex(), len(s.view))
		return
	}
	configuration := Index(0)
	for i := range s.view {
		if term, ok := s.core.TermAt(Index(i + 1)); !ok || term != s.view[i].Term {
			c.fail("server %d: core has term %d at %d, its writes have %d", s.id, term, i+1, s.view[i].Term)
		}
		if s.view[i].Kind == KindConfiguration {
			configuration = Index(i + 1)
		}
	}
	if in := s.core.Configuration().Index; in != configuration {
		c.fail("server %d: configuration of %d in force, the log's latest is at %d", s.id, in, configuration)
	}
}

// checkWrite: C2 (terms and votes never go back), C3 (a leader only appends), and writes fit on
// those before them.
func (c *cluster) checkWrite(s *server, before moment, p Persist) {
	switch {
	case p.Ticket != s.asked+1:
		c.fail("server %d: write %d after write %d", s.id, p.Ticket, s.asked)
	case p.HardState == nil:
		c.fail("server %d: write %d has no hard state", s.id, p.Ticket)
	case p.HardState.CurrentTerm < s.hard.CurrentTerm:
		c.fail("server %d: term %d after term %d", s.id, p.HardState.CurrentTerm, s.hard.CurrentTerm)
	case p.HardState.CurrentTerm == s.hard.CurrentTerm && s.hard.VotedFor != 0 && p.HardState.VotedFor != s.hard.VotedFor:
		c.fail("one vote per term: server %d votes for %d and for %d in term %d", s.id, s.hard.VotedFor, p.HardState.VotedFor, s.hard.CurrentTerm)
	case p.TruncateFrom > Index(len(s.view)):
		c.fail("server %d: truncates from %d, log ends at %d", s.id, p.TruncateFrom, len(s.view))
	case before.role == Leader && p.HardState.CurrentTerm == before.term && p.TruncateFrom != 0:
		c.fail("leader append-only: leader %d of term %d truncates from %d", s.id, before.term, p.TruncateFrom)
	}
	end := Index(len(s.view))
	if p.TruncateFrom != 0 {
		end = p.TruncateFrom - 1
	}
	if len(p.Entries) > 0 && p.First != end+1 {
		c.fail("server %d: write %d appends from %d to a log that ends at %d", s.id, p.Ticket, p.First, end)
	}
}

// checkLogMatching: C4.
func (c *cluster) checkLogMatching(s *server) {
	for _, other := range c.servers {
		if other == s {
			continue
		}
		x, y := s.view, other.view
		agree := min(len(x), len(y))
		for agree > 0 && x[agree-1].Term != y[agree-1].Term {
			agree--
		}
		if !samePrefix(x, y, Index(agree)) {
			c.fail("log matching: servers %d and %d agree at %d (term %d) and differ before it", s.id, other.id, agree, x[agree-1].Term)
		}
	}
}

// checkElection: C1 (one leader in a term) and C5 (a leader has everything that is committed).
func (c *cluster) checkElection(s *server, before moment) {
	term := s.core.CurrentTerm()
	if s.core.Role() != Leader || (before.role == Leader && before.term == term) {
		return
	}
	for int(term) >= len(c.history.leaders) {
		c.history.leaders = append(c.history.leaders, 0)
	}
	// Who is alone needs nobody's vote, and leads before its own is durable. A crash then may undo that
	// nobody has heard of yet, and it comes to lead in the same term once more.
	alone := len(s.core.configuration().Voters) == 1
	if was := c.history.leaders[term]; was != 0 && !(was == s.id && alone) {
		c.fail("election safety: both %d and %d lead in term %d", was, s.id, term)
	}
	c.history.leaders[term] = s.id
	// Votes may come so late that a leader of a higher term has committed something in between.
	earlier, _ := slices.BinarySearch(c.history.committedIn, term)
	if !samePrefix(s.view, c.history.committed, Index(earlier)) {
		c.fail("leader completeness: leader %d of term %d lacks some of the %d entries committed before", s.id, term, earlier)
	}
}

// checkCommit: C7 (on a quorum of disks), C8 (the leader counts only at an entry of its own term),
// and the followers commit what a leader has committed.
func (c *cluster) checkCommit(s *server, before moment, out Output) {
	commit := s.core.CommitIndex()
	if commit < before.commit {
		c.fail("server %d: commit index went from %d back to %d", s.id, before.commit, commit)
	}
	if int(commit) > len(s.view) {
		c.fail("server %d: commit index %d, log ends at %d", s.id, commit, len(s.view))
		return
	}
	for _, event := range out.Events {
		if e, ok := event.(Committed); ok {
			c.checkLeaderCommit(s, e.Index)
		}
	}
	if int(s.hard.Commit) > len(c.history.committed) {
		c.fail("server %d: writes commit index %d, committed is %d", s.id, s.hard.Commit, len(c.history.committed))
	}
	if !samePrefix(s.view, c.history.committed, commit) {
		c.fail("state machine safety: server %d commits up to %d (of term %d), which is not what was committed (%d entries)",
			s.id, commit, s.view[commit-1].Term, len(c.history.committed))
	}
}

func (c *cluster) checkLeaderCommit(s *server, index Index) {
	if s.core.Role() != Leader || s.view[index-1].Term != s.core.CurrentTerm() {
		c.fail("commit rule: server %d (%s of term %d) commits at %d, of term %d",
			s.id, s.core.Role(), s.core.CurrentTerm(), index, s.view[index-1].Term)
	}
	onDisk := func(id ServerID) bool {
		other := c.server(id)
		return other != nil && samePrefix(other.disk.log, s.view, index)
	}
	if !s.core.configuration().HasQuorum(onDisk) {
		c.fail("commit: leader %d commits %d, which is not on the disks of a quorum", s.id, index)
	}
	if known := len(c.history.committed); int(index) > known && samePrefix(s.view, c.history.committed, Index(known)) {
		for _, e := range s.view[known:index] {
			c.history.committed = append(c.history.committed, e)
			c.history.committedIn = append(c.history.committedIn, max(s.core.CurrentTerm(), c.history.latestCommitTerm()))
		}
	}
}

// checkApply: C6. Spans ascend without gaps, over committed entries that are durable here.
func (c *cluster) checkApply(s *server, a Apply) {
	if a == (Apply{}) {
		return
	}
	if a.First != s.applied+1 || a.Last < a.First {
		c.fail("server %d: applies %d to %d after %d", s.id, a.First, a.Last, s.applied)
	}
	if !samePrefix(s.disk.log, c.history.committed, a.Last) {
		c.fail("state machine safety: server %d applies up to %d, which is not committed, or not on its disk", s.id, a.Last)
	}
}

// checkOrder: C10. applied <= commit <= last, and what the core takes for durable is.
func (c *cluster) checkOrder(s *server) {
	core := s.core
	if core.handedOut > core.commitIndex || core.handedOut > core.log.durable || core.log.durable > core.log.last {
		c.fail("server %d: handed out %d, commit %d, durable %d, last %d", s.id, core.handedOut, core.commitIndex, core.log.durable, core.log.last)
	}
	if !samePrefix(s.disk.log, s.view, core.Durable()) {
		c.fail("server %d: takes %d entries for durable, which its disk does not have", s.id, core.Durable())
	}
}

// checkLeaving: C9 (no acknowledgement and no vote ahead of the disk) and C11 (no term either).
func (c *cluster) checkLeaving(s *server, e *Envelope) {
	if e.From != s.id || e.Term > s.disk.hard.CurrentTerm {
		c.fail("server %d: %s leaves in term %d, the disk has term %d", s.id, sayMessage(e), e.Term, s.disk.hard.CurrentTerm)
	}
	switch m := e.Message.(type) {
	case *AppendEntriesReply:
		if !samePrefix(s.disk.log, s.view, m.Verified) {
			c.fail("ack honesty: server %d acknowledges %d, which its disk does not have", s.id, m.Verified)
		}
		leader := c.server(e.To)
		if leader.core != nil && leader.core.Role() == Leader && leader.core.CurrentTerm() == e.Term && !samePrefix(s.disk.log, leader.view, m.Verified) {
			c.fail("ack honesty: server %d acknowledges %d, where leader %d has another entry", s.id, m.Verified, leader.id)
		}
	case *RequestVoteReply:
		if m.Granted && (s.disk.hard.CurrentTerm != e.Term || s.disk.hard.VotedFor != e.To) {
			c.fail("ack honesty: server %d grants a vote to %d in term %d, the disk has one for %d in term %d",
				s.id, e.To, e.Term, s.disk.hard.VotedFor, s.disk.hard.CurrentTerm)
		}
	case *RequestVote:
		if s.disk.hard.CurrentTerm != e.Term || s.disk.hard.VotedFor != s.id {
			c.fail("ack honesty: candidate %d asks for votes in term %d, the disk has a vote for %d in term %d",
				s.id, e.Term, s.disk.hard.VotedFor, s.disk.hard.CurrentTerm)
		}
	case *AppendEntries:
		if m.LeaderCommit > m.Last {
			c.fail("server %d: tells %d of commit index %d with entries up to %d only", s.id, e.To, m.LeaderCommit, m.Last)
		}
	}
}

// checkProgress: C12. What the leader believes of a peer is no more than the truth, and windows
// keep their bounds. A peer that has gone on to a later term may have dropped what it had.
func (c *cluster) checkProgress(s *server, p *peer) {
	core := s.core
	peer := c.server(p.id)
	switch {
	case p.nextIndex <= p.matchIndex || p.nextIndex > core.log.last+1:
		c.fail("leader %d: peer %d has next %d, match %d, log ends at %d", s.id, p.id, p.nextIndex, p.matchIndex, core.log.last)
	case peer.disk.hard.CurrentTerm <= core.currentTerm && !samePrefix(peer.disk.log, s.view, p.matchIndex):
		c.fail("leader %d: peer %d matches up to %d, its disk does not", s.id, p.id, p.matchIndex)
	case len(p.inflight) > core.options.MaxInflightMessages:
		c.fail("leader %d: %d appends on their way to %d", s.id, len(p.inflight), p.id)
	case p.probing && len(p.inflight) > 0:
		c.fail("leader %d: probes %d with %d appends on their way", s.id, p.id, len(p.inflight))
	case p.probing && !p.waiting && !p.stranded:
		c.fail("leader %d: probes %d without having asked", s.id, p.id)
	case !p.probing && !p.accountsForAll():
		c.fail("leader %d: of what peer %d lacks before %d, nothing is on its way (match %d)", s.id, p.id, p.nextIndex, p.matchIndex)
	}
	bytes := 0
	for _, a := range p.inflight {
		bytes += a.bytes
	}
	if bytes != p.inflightBytes {
		c.fail("leader %d: counts %d bytes on their way to %d, it is %d", s.id, p.inflightBytes, p.id, bytes)
	}
}

// accountsForAll reports whether everything between matchIndex and nextIndex is on its way. If not,
// nobody would ever notice a loss.
func (p *peer) accountsForAll() bool {
	if len(p.inflight) == 0 {
		return p.nextIndex == p.matchIndex+1
	}
	return p.inflight[len(p.inflight)-1].last == p.nextIndex-1
}

// checkAnswers: each proposal and read is answered once; a read shows what was committed before.
func (c *cluster) checkAnswers(s *server, out Output) {
	for _, a := range out.Accepted {
		if _, asked := c.history.answered(s.id, a.ID); !asked {
			c.fail("server %d: accepts proposal %d, which nobody waits for", s.id, a.ID)
		}
	}
	for _, r := range out.Refused {
		if _, asked := c.history.answered(s.id, r.ID); !asked {
			c.fail("server %d: refuses %d, which nobody waits for", s.id, r.ID)
		}
	}
	if s.core.Role() != Leader {
		for _, q := range c.history.questions {
			if q.server == s.id {
				c.fail("server %d no longer leads, and leaves question %d without an answer", s.id, q.id)
			}
		}
	}
	for _, r := range out.Reads {
		q, asked := c.history.answered(s.id, r.ID)
		if !asked || !q.read {
			c.fail("server %d: answers read %d, which nobody waits for", s.id, r.ID)
		}
		if r.Index < q.least {
			c.fail("stale read: server %d serves read %d at %d, and %d was committed when it came in", s.id, r.ID, r.Index, q.least)
		}
		if term, _ := s.core.TermAt(r.Index); s.core.Role() != Leader || term != s.core.CurrentTerm() {
			c.fail("server %d: serves read %d at %d as %s, before an entry of term %d is committed", s.id, r.ID, r.Index, s.core.Role(), s.core.CurrentTerm())
		}
	}
}

// checkRestart: what a server starts with was true before.
func (c *cluster) checkRestart(s *server) {
	if !samePrefix(s.disk.log, c.history.committed, s.core.CommitIndex()) {
		c.fail("server %d: starts with commit index %d, which is not what was committed", s.id, s.core.CommitIndex())
	}
}
