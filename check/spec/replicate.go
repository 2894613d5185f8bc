package spec

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// ClientRequest appends an entry to the leader's log.
//
// Figure 2, Leaders 2.
func (s *State) ClientRequest(e Entry) (needs string) {
	switch {
	case s.Role != raft.Leader:
		return "ClientRequest: a leader"
	case e.Term != s.CurrentTerm:
		return "ClientRequest: an entry of the leader's term"
	}
	s.Log.append(e)
	return ""
}

// FollowLeader takes the sender of AppendEntries of the current term for its leader.
//
// Figure 2, Candidates 3.
func (s *State) FollowLeader(leader raft.ServerID) (needs string) {
	switch {
	case s.led || (s.Leader != 0 && s.Leader != leader):
		return "FollowLeader: one leader in a term (Election Safety)"
	}
	s.Role, s.Leader = raft.Follower, leader
	s.votes, s.preVotes = 0, 0
	return ""
}

// Append takes the entries of AppendEntries into a follower's log, and what is committed.
//
// Figure 2, AppendEntries 2 to 5: only after an entry that this log has; an entry in conflict goes, and
// all that follow it, and nothing else goes; what is new is appended; and the leader's commit index
// counts up to the last entry that this very message has shown to be the leader's.
func (s *State) Append(prev raft.EntryID, entries []Entry, leaderCommit raft.Index) (needs string) {
	if s.Role != raft.Follower {
		return "Append: a follower"
	}
	if !s.Log.has(prev) {
		return "Append: the entry before the new ones"
	}
	last := prev.Index + raft.Index(len(entries))
	for i := prev.Index + 1; i <= last; i++ {
		if i <= s.Log.Last() && s.Log.At(i).Term == entries[i-prev.Index-1].Term {
			continue
		}
		if i <= s.CommitIndex {
			return "Append: no entry in conflict with a committed one (Leader Completeness)"
		}
		if i <= s.Log.Last() {
			s.Log.truncate(i)
		}
		s.Log.append(entries[i-prev.Index-1:]...)
		break
	}
	s.CommitIndex = max(s.CommitIndex, min(leaderCommit, last))
	return ""
}

// Install puts the prefix of a state in the place of the log: entries that are committed, up to where the state is. If
// the log has the last of them, it has them all, and keeps what follows.
//
// Figure 13, InstallSnapshot 6 to 8. The state comes by a way of its own, and its term like that of a message.
func (s *State) Install(prefix []Entry) (needs string) {
	at := raft.EntryID{Index: raft.Index(len(prefix)), Term: prefix[len(prefix)-1].Term}
	if at.Term > s.CurrentTerm {
		s.UpdateTerm(at.Term)
	}
	if at.Index > s.CommitIndex && !s.Log.has(at) {
		s.StepDown()
		s.Role, s.Log = raft.Follower, Log{added: prefix}
	}
	if !s.Log.has(at) {
		return "Install: the committed entries"
	}
	s.CommitIndex = max(s.CommitIndex, at.Index)
	return ""
}

// TakeMatch notes how much of the leader's log a follower has on its disk.
//
// Figure 2, Leaders 3, success: matchIndex goes up.
func (s *State) TakeMatch(follower raft.ServerID, verified raft.Index) (needs string) {
	if s.Role != raft.Leader {
		return "TakeMatch: a leader"
	}
	if i := slices.Index(s.group.voters, follower); i >= 0 {
		s.match[i] = max(s.match[i], verified)
	}
	return ""
}

// AdvanceCommit makes the leader's commit index n. durable is what the leader's own disk has.
//
// Figure 2, Leaders 4: a majority has it, and it is of the current term. (Section 5.4.2.)
func (s *State) AdvanceCommit(n raft.Index, durable *Persistent) (needs string) {
	switch {
	case s.Role != raft.Leader:
		return "AdvanceCommit: a leader"
	case n <= s.CommitIndex || n > s.Log.Last():
		return "AdvanceCommit: an entry of the log that is not committed"
	case s.Log.At(n).Term != s.CurrentTerm:
		return "AdvanceCommit: an entry of the leader's own term"
	}
	have := set(0)
	for i, id := range s.group.voters {
		if s.match[i] >= n || (id == s.id && durable.has(n, s.Log.At(n))) {
			have |= 1 << i
		}
	}
	if !s.group.isMajority(have) {
		return "AdvanceCommit: a majority that has the entry on disk"
	}
	s.CommitIndex = n
	return ""
}
