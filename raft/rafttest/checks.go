package rafttest

import (
	"bytes"
	"slices"

	"github.com/quorate/quorate/raft"
)

// History is what an observer who sees everything remembers: what was true once and must stay true.
type History struct {
	// Leaders has the leader of each term, by term.
	Leaders []raft.ServerID
	// Committed has the entries that some leader has committed, from index 1 on.
	Committed []raft.Entry
	// CommittedIn has, for each of them, the term of the leader that committed it.
	CommittedIn []raft.Term
	// Questions are the proposals and reads that no server has answered yet.
	Questions []Question
}

// Question is a proposal or a read that was asked of a server.
type Question struct {
	Server raft.ServerID
	ID     uint64
	// Read: the answer must show at least the entries up to Least, those committed when it was asked.
	Read  bool
	Least raft.Index
	// Transfer: that the server ceases to lead is an answer, too.
	Transfer bool
}

// clone shares the entries with the copy: whoever appends to these slices finds no room in them.
func (h *History) clone() History {
	return History{slices.Clone(h.Leaders), slices.Clip(h.Committed), slices.Clip(h.CommittedIn), slices.Clone(h.Questions)}
}

// asked notes a proposal or a read.
func (h *History) asked(server raft.ServerID, input raft.Input) {
	switch in := input.(type) {
	case raft.Propose:
		h.Questions = append(h.Questions, Question{Server: server, ID: in.ID})
	case raft.ProposeConfiguration:
		h.Questions = append(h.Questions, Question{Server: server, ID: in.ID})
	case raft.TransferLeadership:
		h.Questions = append(h.Questions, Question{Server: server, ID: in.ID, Transfer: true})
	case raft.ReadIndex:
		h.Questions = append(h.Questions, Question{Server: server, ID: in.ID, Read: true, Least: raft.Index(len(h.Committed))})
	}
}

// answered takes a question off the list; false if nobody asked, or if it was answered before.
func (h *History) answered(server raft.ServerID, id uint64) (Question, bool) {
	i := slices.IndexFunc(h.Questions, func(q Question) bool { return q.Server == server && q.ID == id })
	if i < 0 {
		return Question{}, false
	}
	q := h.Questions[i]
	h.Questions = slices.Delete(h.Questions, i, i+1)
	return q, true
}

// latestCommitTerm returns the highest term in which anything was committed.
func (h *History) latestCommitTerm() raft.Term {
	if len(h.CommittedIn) == 0 {
		return 0
	}
	return h.CommittedIn[len(h.CommittedIn)-1]
}

// crashed forgets the questions that a server can no longer answer.
func (h *History) crashed(server raft.ServerID) {
	h.Questions = slices.DeleteFunc(h.Questions, func(q Question) bool { return q.Server == server })
}

// moment is what a check needs to know about a server before the step.
type moment struct {
	role   raft.Role
	term   raft.Term
	commit raft.Index
	last   raft.Index
}

func (s *Server) now() moment {
	return moment{s.Core.Role(), s.Core.CurrentTerm(), s.Core.CommitIndex(), s.Core.LastIndex()}
}

// leadsUntilNow reports whether the server was the leader of its term before, and has just committed that it
// has no vote any more: what it decided in that step it decided as the leader.
func (m moment) leadsUntilNow(s *Server) bool {
	return m.role == raft.Leader && m.term == s.Core.CurrentTerm() && !s.Core.Configuration().Configuration.IsVoter(s.ID)
}

func sameEntry(x, y *raft.Entry) bool {
	return x.Term == y.Term && x.Kind == y.Kind && bytes.Equal(x.Data, y.Data)
}

// SamePrefix reports whether both logs have the same entries up to index.
func SamePrefix(x, y []raft.Entry, index raft.Index) bool {
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
func (c *Cluster) check(s *Server, before moment, out raft.Output) {
	c.checkView(s)
	c.checkConfigurations(s)
	c.checkLogMatching(s)
	c.checkElection(s, before)
	c.checkCommit(s, before, out)
	c.checkApply(s, out.Apply)
	c.checkOrder(s, out.Apply)
	c.checkAnswers(s, before, out)
	c.checkLeases()
	var room [8]raft.PeerStatus
	for _, p := range s.Core.AppendPeers(room[:0]) {
		c.checkProgress(s, &p)
	}
}

// checkView: what the core believes about its log is what its writes have made of it.
func (c *Cluster) checkView(s *Server) {
	if int(s.Core.LastIndex()) != len(s.View) {
		c.Fail("server %d: core's log ends at %d, its writes make it end at %d", s.ID, s.Core.LastIndex(), len(s.View))
		return
	}
	configuration := raft.Index(0)
	base := s.Core.Base().Index
	for i := range s.View {
		if term, ok := s.Core.TermAt(raft.Index(i + 1)); i+1 >= int(base) && (!ok || term != s.View[i].Term) {
			c.Fail("server %d: core has term %d at %d, its writes have %d", s.ID, term, i+1, s.View[i].Term)
		}
		if s.View[i].Kind == raft.KindConfiguration {
			configuration = raft.Index(i + 1)
		}
	}
	if base > s.Disk.State {
		c.Fail("server %d: its log begins after %d, and its state is at %d", s.ID, base, s.Disk.State)
	}
	// Of a configuration before the base it is not known where it was, after a restart.
	if in := s.Core.Configuration().Index; in != configuration && (in > base || configuration > base) {
		c.Fail("server %d: configuration of %d in force, the log's latest is at %d", s.ID, in, configuration)
	}
}

// checkWrite: C2 (terms and votes never go back), C3 (a leader only appends), and writes fit on
// those before them.
func (c *Cluster) checkWrite(s *Server, before moment, p raft.Persist) {
	switch {
	case p.Ticket != s.Asked+1:
		c.Fail("server %d: write %d after write %d", s.ID, p.Ticket, s.Asked)
	case p.HardState == nil:
		c.Fail("server %d: write %d has no hard state", s.ID, p.Ticket)
	case p.HardState.CurrentTerm < s.hard.CurrentTerm:
		c.Fail("server %d: term %d after term %d", s.ID, p.HardState.CurrentTerm, s.hard.CurrentTerm)
	case p.HardState.CurrentTerm == s.hard.CurrentTerm && s.hard.VotedFor != 0 && p.HardState.VotedFor != s.hard.VotedFor:
		c.Fail("one vote per term: server %d votes for %d and for %d in term %d", s.ID, s.hard.VotedFor, p.HardState.VotedFor, s.hard.CurrentTerm)
	case p.Install != nil && p.Install.Base.Index > s.Disk.State || p.CompactTo > s.Disk.State:
		c.Fail("server %d: its log is to begin after %d or %v, and its state is at %d", s.ID, p.CompactTo, p.Install, s.Disk.State)
	case p.TruncateFrom > raft.Index(len(s.View)):
		c.Fail("server %d: truncates from %d, log ends at %d", s.ID, p.TruncateFrom, len(s.View))
	case before.role == raft.Leader && p.HardState.CurrentTerm == before.term && p.TruncateFrom != 0:
		c.Fail("leader append-only: leader %d of term %d truncates from %d", s.ID, before.term, p.TruncateFrom)
	}
	end := raft.Index(len(onto(s.View, &raft.Persist{Install: p.Install}, c.History.Committed)))
	if p.TruncateFrom != 0 {
		end = p.TruncateFrom - 1
	}
	if len(p.Entries) > 0 && p.First != end+1 {
		c.Fail("server %d: write %d appends from %d to a log that ends at %d", s.ID, p.Ticket, p.First, end)
	}
}

// checkLogMatching: C4.
func (c *Cluster) checkLogMatching(s *Server) {
	for _, other := range c.Servers {
		if other == s {
			continue
		}
		x, y := s.View, other.View
		agree := min(len(x), len(y))
		for agree > 0 && x[agree-1].Term != y[agree-1].Term {
			agree--
		}
		if !SamePrefix(x, y, raft.Index(agree)) {
			c.Fail("log matching: servers %d and %d agree at %d (term %d) and differ before it", s.ID, other.ID, agree, x[agree-1].Term)
		}
	}
}

// checkElection: C1 (one leader in a term) and C5 (a leader has everything that is committed).
func (c *Cluster) checkElection(s *Server, before moment) {
	term := s.Core.CurrentTerm()
	if s.Core.Role() != raft.Leader || (before.role == raft.Leader && before.term == term) {
		return
	}
	for int(term) >= len(c.History.Leaders) {
		c.History.Leaders = append(c.History.Leaders, 0)
	}
	// Who is alone needs nobody's vote, and leads before its own is durable. A crash then may undo that
	// nobody has heard of yet, and it comes to lead in the same term once more.
	alone := isQuorum(s.Core.Configuration().Configuration, func(id raft.ServerID) bool { return id == s.ID })
	if was := c.History.Leaders[term]; was != 0 && !(was == s.ID && alone) {
		c.Fail("election safety: both %d and %d lead in term %d", was, s.ID, term)
	}
	c.History.Leaders[term] = s.ID
	c.checkVotes(s)
	// Votes may come so late that a leader of a higher term has committed something in between.
	earlier, _ := slices.BinarySearch(c.History.CommittedIn, term)
	if !SamePrefix(s.View, c.History.Committed, raft.Index(earlier)) {
		c.Fail("leader completeness: leader %d of term %d lacks some of the %d entries committed before", s.ID, term, earlier)
	}
}

// checkCommit: C7 (on a quorum of disks), C8 (the leader counts only at an entry of its own term),
// and the followers commit what a leader has committed.
func (c *Cluster) checkCommit(s *Server, before moment, out raft.Output) {
	commit := s.Core.CommitIndex()
	if commit < before.commit {
		c.Fail("server %d: commit index went from %d back to %d", s.ID, before.commit, commit)
	}
	if int(commit) > len(s.View) {
		c.Fail("server %d: commit index %d, log ends at %d", s.ID, commit, len(s.View))
		return
	}
	for _, event := range out.Events {
		if e, ok := event.(raft.Committed); ok {
			c.checkLeaderCommit(s, before, e.Index)
		}
	}
	if int(s.hard.Commit) > len(c.History.Committed) {
		c.Fail("server %d: writes commit index %d, committed is %d", s.ID, s.hard.Commit, len(c.History.Committed))
	}
	if !SamePrefix(s.View, c.History.Committed, commit) {
		c.Fail("state machine safety: server %d commits up to %d (of term %d), which is not what was committed (%d entries)",
			s.ID, commit, s.View[commit-1].Term, len(c.History.Committed))
	}
}

func (c *Cluster) checkLeaderCommit(s *Server, before moment, index raft.Index) {
	leads := s.Core.Role() == raft.Leader || before.leadsUntilNow(s)
	if !leads || s.View[index-1].Term != s.Core.CurrentTerm() {
		c.Fail("commit rule: server %d (%s of term %d) commits at %d, of term %d",
			s.ID, s.Core.Role(), s.Core.CurrentTerm(), index, s.View[index-1].Term)
	}
	onDisk := func(id raft.ServerID) bool {
		other := c.Server(id)
		return other != nil && SamePrefix(other.Disk.Log, s.View, index)
	}
	if !isQuorum(s.Core.Configuration().Configuration, onDisk) {
		c.Fail("commit: leader %d commits %d, which is not on the disks of a quorum", s.ID, index)
	}
	if known := len(c.History.Committed); int(index) > known && SamePrefix(s.View, c.History.Committed, raft.Index(known)) {
		for _, e := range s.View[known:index] {
			c.History.Committed = append(c.History.Committed, e)
			c.History.CommittedIn = append(c.History.CommittedIn, max(s.Core.CurrentTerm(), c.History.latestCommitTerm()))
		}
	}
}

// checkApply: C6. Spans ascend without gaps, over committed entries that are durable here.
func (c *Cluster) checkApply(s *Server, a raft.Apply) {
	if a == (raft.Apply{}) {
		return
	}
	if a.First != s.Applied+1 || a.Last < a.First {
		c.Fail("server %d: applies %d to %d after %d", s.ID, a.First, a.Last, s.Applied)
	}
	if !SamePrefix(s.Disk.Log, c.History.Committed, a.Last) {
		c.Fail("state machine safety: server %d applies up to %d, which is not committed, or not on its disk", s.ID, a.Last)
	}
}

// checkOrder: C10. applied <= commit <= last, and what the core takes for durable is.
func (c *Cluster) checkOrder(s *Server, a raft.Apply) {
	core := s.Core
	handedOut := max(s.Applied, a.Last)
	if handedOut > core.CommitIndex() || handedOut > max(core.Durable(), s.Disk.State) || core.Durable() > core.LastIndex() {
		c.Fail("server %d: handed out %d, commit %d, durable %d, last %d", s.ID, handedOut, core.CommitIndex(), core.Durable(), core.LastIndex())
	}
	if !SamePrefix(s.Disk.Log, s.View, core.Durable()) {
		c.Fail("server %d: takes %d entries for durable, which its disk does not have", s.ID, core.Durable())
	}
}

// checkLeaving: C9 (no acknowledgement and no vote ahead of the disk) and C11 (no term either).
func (c *Cluster) checkLeaving(s *Server, e *raft.Envelope) {
	if e.From != s.ID || e.Term > s.Disk.Hard.CurrentTerm {
		c.Fail("server %d: %s leaves in term %d, the disk has term %d", s.ID, SayMessage(e), e.Term, s.Disk.Hard.CurrentTerm)
	}
	switch m := e.Message.(type) {
	case *raft.AppendEntriesReply:
		if !SamePrefix(s.Disk.Log, s.View, m.Verified) {
			c.Fail("ack honesty: server %d acknowledges %d, which its disk does not have", s.ID, m.Verified)
		}
		leader := c.Server(e.To)
		if leader.Core != nil && leader.Core.Role() == raft.Leader && leader.Core.CurrentTerm() == e.Term && !SamePrefix(s.Disk.Log, leader.View, m.Verified) {
			c.Fail("ack honesty: server %d acknowledges %d, where leader %d has another entry", s.ID, m.Verified, leader.ID)
		}
	case *raft.RequestVoteReply:
		if m.Granted && (s.Disk.Hard.CurrentTerm != e.Term || s.Disk.Hard.VotedFor != e.To) {
			c.Fail("ack honesty: server %d grants a vote to %d in term %d, the disk has one for %d in term %d",
				s.ID, e.To, e.Term, s.Disk.Hard.VotedFor, s.Disk.Hard.CurrentTerm)
		}
	case *raft.RequestVote:
		if s.Disk.Hard.CurrentTerm != e.Term || s.Disk.Hard.VotedFor != s.ID {
			c.Fail("ack honesty: candidate %d asks for votes in term %d, the disk has a vote for %d in term %d",
				s.ID, e.Term, s.Disk.Hard.VotedFor, s.Disk.Hard.CurrentTerm)
		}
	case *raft.AppendEntries:
		if m.LeaderCommit > m.Last {
			c.Fail("server %d: tells %d of commit index %d with entries up to %d only", s.ID, e.To, m.LeaderCommit, m.Last)
		}
	}
}

// checkProgress: C12. What the leader believes of a peer is no more than the truth, and windows
// keep their bounds. A peer that has gone on to a later term may have dropped what it had.
func (c *Cluster) checkProgress(s *Server, p *raft.PeerStatus) {
	core := s.Core
	peer := c.Server(p.ID)
	most := s.Options.MaxInflightMessages
	switch {
	case p.NextIndex <= p.MatchIndex || p.NextIndex > core.LastIndex()+1:
		c.Fail("leader %d: peer %d has next %d, match %d, log ends at %d", s.ID, p.ID, p.NextIndex, p.MatchIndex, core.LastIndex())
	case peer.Disk.Hard.CurrentTerm <= core.CurrentTerm() && !SamePrefix(peer.Disk.Log, s.View, p.MatchIndex):
		c.Fail("leader %d: peer %d matches up to %d, its disk does not", s.ID, p.ID, p.MatchIndex)
	case most > 0 && p.Inflight > most:
		c.Fail("leader %d: %d appends on their way to %d", s.ID, p.Inflight, p.ID)
	case p.Probing && p.Inflight > 0:
		c.Fail("leader %d: probes %d with %d appends on their way", s.ID, p.ID, p.Inflight)
	case p.Probing && !p.Waiting && !p.Stranded:
		c.Fail("leader %d: probes %d without having asked", s.ID, p.ID)
	case !p.Probing && !accountsForAll(p):
		c.Fail("leader %d: of what peer %d lacks before %d, nothing is on its way (match %d)", s.ID, p.ID, p.NextIndex, p.MatchIndex)
	}
	c.checkInflightBytes(s, p)
}

// checkInflightBytes: the window counts at least what is not acknowledged. It may count more, for an
// append counts as a whole until its last entry is acknowledged; but nothing, once nothing is on its way.
func (c *Cluster) checkInflightBytes(s *Server, p *raft.PeerStatus) {
	bytes := 0
	if p.Inflight > 0 {
		for _, e := range s.View[p.MatchIndex:p.InflightLast] {
			bytes += len(e.Data)
		}
	}
	if p.InflightBytes < bytes || (p.Inflight == 0 && p.InflightBytes != 0) {
		c.Fail("leader %d: counts %d bytes on their way to %d, it is %d", s.ID, p.InflightBytes, p.ID, bytes)
	}
}

// accountsForAll reports whether everything between matchIndex and nextIndex is on its way. If not,
// nobody would ever notice a loss.
func accountsForAll(p *raft.PeerStatus) bool {
	if p.Inflight == 0 {
		return p.NextIndex == p.MatchIndex+1
	}
	return p.InflightLast == p.NextIndex-1
}

// checkAnswers: each proposal and read is answered once; a read shows what was committed before.
func (c *Cluster) checkAnswers(s *Server, before moment, out raft.Output) {
	for _, a := range out.Accepted {
		if _, asked := c.History.answered(s.ID, a.ID); !asked {
			c.Fail("server %d: accepts proposal %d, which nobody waits for", s.ID, a.ID)
		}
	}
	for _, r := range out.Refused {
		if _, asked := c.History.answered(s.ID, r.ID); !asked {
			c.Fail("server %d: refuses %d, which nobody waits for", s.ID, r.ID)
		}
	}
	leads := s.Core.Role() == raft.Leader || before.leadsUntilNow(s)
	for _, r := range out.Reads {
		q, asked := c.History.answered(s.ID, r.ID)
		if !asked || !q.Read {
			c.Fail("server %d: answers read %d, which nobody waits for", s.ID, r.ID)
		}
		if r.Index < q.Least {
			c.Fail("stale read: server %d serves read %d at %d, and %d was committed when it came in", s.ID, r.ID, r.Index, q.Least)
		}
		if !leads || r.Index == 0 || s.View[r.Index-1].Term != s.Core.CurrentTerm() {
			c.Fail("server %d: serves read %d at %d as %s, before an entry of term %d is committed", s.ID, r.ID, r.Index, s.Core.Role(), s.Core.CurrentTerm())
		}
	}
	if s.Core.Role() != raft.Leader {
		c.History.Questions = slices.DeleteFunc(c.History.Questions, func(q Question) bool { return q.Transfer && q.Server == s.ID })
		for _, q := range c.History.Questions {
			if q.Server == s.ID {
				c.Fail("server %d no longer leads, and leaves question %d without an answer", s.ID, q.ID)
			}
		}
	}
}

// checkLeases: while a leader holds a lease by its clock, there is no leader of a later term.
func (c *Cluster) checkLeases() {
	latest := raft.Term(max(1, len(c.History.Leaders))) - 1 // there is a leader of that term, if it is not 0
	for _, s := range c.Servers {
		if s.Options.LeaseReads && s.Core != nil && s.Core.CurrentTerm() < latest && s.Core.LeaseHeld(c.Now) {
			c.Fail("lease: server %d holds one in term %d, and server %d leads in term %d", s.ID, s.Core.CurrentTerm(), c.History.Leaders[latest], latest)
		}
	}
}

// checkRestart: what a server starts with was true before.
func (c *Cluster) checkRestart(s *Server) {
	if !SamePrefix(s.Disk.Log, c.History.Committed, s.Core.CommitIndex()) {
		c.Fail("server %d: starts with commit index %d, which is not what was committed", s.ID, s.Core.CommitIndex())
	}
}
