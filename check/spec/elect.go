package spec

import "github.com/quorate/quorate/raft"

// Timeout makes a server ask whether it could win an election.
//
// Figure 2, Followers 2 and Candidates 4: no word from a leader, or no winner. The question comes
// before the candidacy, and changes no term. (Thesis, section 9.6.)
func (s *State) Timeout() (needs string) {
	if s.Role == raft.Leader {
		return "Timeout: a server that does not lead"
	}
	s.Role, s.Leader = raft.PreCandidate, 0
	s.preVotes = s.group.with(0, s.id)
	s.ask(s.last())
	return ""
}

// BecomeCandidate opens a new term and votes for itself in it.
//
// Figure 2, Candidates 1. Before it, a majority has said that it would vote for this server in the
// term after this one.
func (s *State) BecomeCandidate() (needs string) {
	switch {
	case s.Role != raft.PreCandidate:
		return "BecomeCandidate: a pre-candidate"
	case !s.group.isMajority(s.preVotes):
		return "BecomeCandidate: pre-votes of a majority"
	}
	s.stand()
	return ""
}

// TakeOver makes a server a candidate because its leader says so. Nobody need be asked before: it is no disturbance that
// the leader itself wants. (Thesis, section 3.10.)
func (s *State) TakeOver(from raft.ServerID) (needs string) {
	if s.Role != raft.Follower || s.Leader != from {
		return "TakeOver: a follower of that leader"
	}
	s.stand()
	s.takesOver = true
	return ""
}

// stand opens a new term, with a vote for itself.
func (s *State) stand() {
	s.enterTerm(s.CurrentTerm + 1)
	s.Role, s.VotedFor = raft.Candidate, s.id
	s.votes = s.group.with(0, s.id)
	s.stood = s.last()
}

// BecomeLeader wins the election, and appends the entry that opens the term. What that entry holds is
// seen when it is written. durable is what its own disk has.
//
// Figure 2, Candidates 2 and Leaders 1: votes of a majority, its own among them if that is on disk. A follower only replicates a leader's log
// if it knows that it leads, and so matchIndex begins at 0.
func (s *State) BecomeLeader(durable *Persistent) (needs string) {
	switch {
	case s.Role != raft.Candidate:
		return "BecomeLeader: a candidate"
	case durable.CurrentTerm != s.CurrentTerm || durable.VotedFor != s.id:
		return "BecomeLeader: its vote for itself on disk"
	case !s.group.isMajority(s.votes):
		return "BecomeLeader: votes of a majority"
	}
	s.Role, s.Leader, s.led = raft.Leader, s.id, true
	s.votes = 0
	s.match = [maxVoters]raft.Index{}
	s.Log.append(Entry{Term: s.CurrentTerm})
	return ""
}

// UpdateTerm makes a server a follower in the higher term of a message, of whatever kind.
//
// Figure 2, All Servers 2.
func (s *State) UpdateTerm(term raft.Term) (needs string) {
	if term <= s.CurrentTerm {
		return "UpdateTerm: a higher term"
	}
	s.enterTerm(term)
	s.Role = raft.Follower
	return ""
}

// enterTerm forgets all that belongs to the term before.
func (s *State) enterTerm(term raft.Term) {
	s.CurrentTerm, s.VotedFor, s.Leader = term, 0, 0
	s.votes, s.preVotes, s.match = 0, 0, [maxVoters]raft.Index{}
	s.led, s.stood, s.takesOver, s.asked, s.preVoted = false, raft.EntryID{}, false, nil, 0
}

// StepDown makes a leader a follower of nobody: it has not heard a majority for long. (Thesis,
// section 6.2.)
func (s *State) StepDown() (needs string) {
	if s.Role != raft.Leader {
		return "StepDown: a leader"
	}
	s.Role, s.Leader, s.match = raft.Follower, 0, [maxVoters]raft.Index{}
	return ""
}

// IgnoreCandidate leaves a higher term alone that comes with the wish to be voted for. (Thesis, section
// 4.2.3: who hears a leader does.)
func (s *State) IgnoreCandidate() (needs string) {
	if s.Leader == 0 {
		return "IgnoreCandidate: a leader in its term"
	}
	return ""
}

// Vote gives the one vote of a term.
//
// Figure 2, RequestVote 2: to the first who asks, if its log is at least as up to date as this one.
func (s *State) Vote(candidate raft.ServerID, last raft.EntryID) (needs string) {
	switch {
	case s.VotedFor != 0 && s.VotedFor != candidate:
		return "Vote: no vote for another in this term"
	case !s.isBehind(last):
		return "Vote: a log that is as up to date as its own"
	}
	s.VotedFor = candidate
	return ""
}

// PreVote promises nothing: it says that a vote in the next term would be granted now.
func (s *State) PreVote(candidate raft.ServerID, last raft.EntryID) (needs string) {
	switch {
	case s.Role == raft.Leader:
		return "PreVote: a server that does not lead"
	case !s.isBehind(last):
		return "PreVote: a log that is as up to date as its own"
	}
	s.preVoted = s.group.with(s.preVoted, candidate)
	return ""
}

// isBehind reports whether a log that ends with that entry is at least as up to date as this one.
// (Section 5.4.1.)
func (s *State) isBehind(theirs raft.EntryID) bool {
	ours := s.last()
	if theirs.Term != ours.Term {
		return theirs.Term > ours.Term
	}
	return theirs.Index >= ours.Index
}

// TakeVote counts a vote that was granted to this candidate.
func (s *State) TakeVote(voter raft.ServerID) (needs string) {
	if s.Role != raft.Candidate {
		return "TakeVote: a candidate"
	}
	s.votes = s.group.with(s.votes, voter)
	return ""
}

// TakePreVote counts a pre-vote that was granted to this pre-candidate.
func (s *State) TakePreVote(voter raft.ServerID) (needs string) {
	if s.Role != raft.PreCandidate {
		return "TakePreVote: a pre-candidate"
	}
	s.preVotes = s.group.with(s.preVotes, voter)
	return ""
}
