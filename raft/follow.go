package raft

import "github.com/quorate/quorate/internal/invariant"

// handleAppendEntries takes what the leader of the current term sends.
func (c *Core) handleAppendEntries(from ServerID, m *AppendEntries) {
	if !m.wellFormed(c.currentTerm) {
		return
	}
	c.followLeader(from)

	// Figure 2, AppendEntries 2. Entries are taken only where the one before them matches. By
	// induction, logs that agree on one entry agree on all before it (Log Matching).
	prev := EntryID{m.PrevLogIndex, m.PrevLogTerm}
	if prev.Index > c.commitIndex && !c.log.has(prev) {
		c.refuseAppend(from, m)
		return
	}
	if c.deniesCommitted(m) {
		return
	}

	c.appendNew(m)

	// What this request has verified, and not the end of the log: behind it there may be entries of
	// an older term that the leader does not have.
	// What this log no longer has is committed, so any leader of a later term has it: Leader Completeness.
	verified := max(prev.Index+Index(len(m.Entries)), c.log.base.Index)

	// Figure 2, AppendEntries 5.
	if commit := min(m.LeaderCommit, verified); commit > c.commitIndex {
		c.commitIndex = commit
	}
	c.send(from, &AppendEntriesReply{Round: m.Round, Verified: verified, Promise: c.promises()}, c.log.ticketOf(verified, c.nextTicket))
}

// refuseAppend tells the leader what is in this log before the entry that it asked for. Logs that
// differ there differ in everything behind it. And if all the runs that fit into a refusal differ too,
// then the next request asks for the entry before them, and the refusal of that describes earlier ones.
func (c *Core) refuseAppend(from ServerID, m *AppendEntries) {
	c.tell(AppendRefused{From: from, PrevLogIndex: m.PrevLogIndex, PrevLogTerm: m.PrevLogTerm})
	last := min(c.log.last, m.PrevLogIndex-1)
	c.send(from, &AppendEntriesRefusal{
		Round:        m.Round,
		Commit:       c.commitIndex,
		LastLogIndex: last,
		Runs:         c.log.runsUpTo(last, maxRunsPerReply),
	}, 0)
}

// wellFormed reports whether the request could have come from a leader of that term. The bytes come
// from outside, and an invariant must not be at their mercy.
func (m *AppendEntries) wellFormed(term Term) bool {
	if m.PrevLogTerm > term || (m.PrevLogIndex == 0) != (m.PrevLogTerm == 0) ||
		m.PrevLogIndex > maxIndex-Index(len(m.Entries)) {
		return false
	}
	before := m.PrevLogTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Term < before || e.Term > term || e.Term == 0 || (e.Kind == KindConfiguration) != (e.Configuration != nil) {
			return false
		}
		before = e.Term
	}
	return true
}

// deniesCommitted reports whether the request has other entries than those committed here. No leader
// can send that: it has every committed entry (Leader Completeness, Figure 3).
func (c *Core) deniesCommitted(m *AppendEntries) bool {
	last := min(c.commitIndex, m.PrevLogIndex+Index(len(m.Entries)))
	for i := max(m.PrevLogIndex, c.log.base.Index); i <= last; i++ {
		theirs := m.PrevLogTerm
		if i > m.PrevLogIndex {
			theirs = m.Entries[i-m.PrevLogIndex-1].Term
		}
		if !c.log.has(EntryID{i, theirs}) {
			return true
		}
	}
	return false
}

// maxIndex keeps sums of an index and a length from wrapping.
const maxIndex = Index(1) << 62

// maxTerm keeps the term after this one from wrapping.
const maxTerm = Term(1) << 62

// refuseOldAppend tells a deposed leader that its term is over; the envelope's term says so. The
// round is left out: rounds are numbered per term, and should the deposed leader lead once more, in
// this very term, it would take the refusal for an answer to a message of now, and serve a stale read.
//
// Figure 2, AppendEntries 1.
func (c *Core) refuseOldAppend(from ServerID) { c.send(from, &AppendEntriesRefusal{}, 0) }

// followLeader notes that the leader of the current term is alive.
//
// Figure 2, Candidates 3. Whoever sends AppendEntries in this term has won it.
func (c *Core) followLeader(leader ServerID) {
	invariant.Check(c.role != Leader, "leader %d of term %d got AppendEntries of %d in the same term", c.id, c.currentTerm, leader)
	invariant.Check(c.leader == 0 || c.leader == leader, "both %d and %d lead in term %d", c.leader, leader, c.currentTerm)
	if c.role != Follower || c.leader != leader {
		c.becomeFollower(c.currentTerm, leader, "heard from the leader")
	}
	c.resetElectionTimer()
	c.sinceLeader = 0
	if c.promises() {
		c.heardAt = c.clock
	}
}

// appendNew brings the log in line with the entries of a request whose previous entry matches.
func (c *Core) appendNew(m *AppendEntries) {
	next := m.PrevLogIndex + 1
	entries := m.Entries
	for len(entries) > 0 && next <= c.log.last {
		if next > c.commitIndex && !c.log.has(EntryID{next, entries[0].Term}) {
			// Figure 2, AppendEntries 3. Only a conflict drops entries. A late or repeated request
			// carries a prefix of what is here, and must not shorten the log: its tail may already
			// be acknowledged.
			c.truncateLog(next)
			break
		}
		next, entries = next+1, entries[1:]
	}
	// Figure 2, AppendEntries 4.
	if len(entries) > 0 {
		c.appendToLog(entries)
	}
}
