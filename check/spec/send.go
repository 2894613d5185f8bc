package spec

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// Send lets a message leave, from a server with this disk. What a message says must be so in the
// sender's state, and what it promises must be durable: a server that forgets a promise in a crash
// would break it.
func (s *State) Send(e *Envelope, durable *Persistent, m *Messages) (needs string) {
	if needs := s.maySend(e, durable, m); needs != "" {
		return needs
	}
	end := Entry{}
	if body, ok := e.Body.(*AppendEntries); ok {
		end = s.Log.At(body.last())
	}
	return m.add(e, end)
}

func (s *State) maySend(e *Envelope, durable *Persistent, m *Messages) (needs string) {
	switch {
	case e.Term != s.CurrentTerm:
		return "Send: a message of its current term"
	case e.Term > durable.CurrentTerm:
		return "Send: a term that is durable"
	}
	switch body := e.Body.(type) {
	case RequestVote:
		return s.mayAsk(body, durable)
	case TimeoutNow:
		return s.mayHandOver(e.To)
	case Vote:
		return mayGrant(e, body, durable)
	case RequestPreVote:
		if !slices.Contains(s.asked, body.Last) {
			return "RequestPreVote: the log with which it asks for pre-votes"
		}
	case PreVote:
		if body.Granted && !s.group.has(s.preVoted, e.To) {
			return "PreVote: a candidate for whom it would vote"
		}
	case *AppendEntries:
		return s.mayReplicate(body)
	case Match:
		return s.mayMatch(e, body, durable, m)
	case Conflict:
		return s.mayRefuse(e, body, m)
	}
	return ""
}

// mayAsk: Figure 2, RequestVote RPC. A candidate tells the end of its log, and its vote for itself is
// durable. It may have lost the election meanwhile.
func (s *State) mayAsk(m RequestVote, durable *Persistent) (needs string) {
	switch {
	case durable.CurrentTerm != s.CurrentTerm || durable.VotedFor != s.id:
		return "RequestVote: its vote for itself on disk"
	case m.Last != s.stood:
		return "RequestVote: the log with which it became a candidate"
	case m.Transfer && !s.takesOver:
		return "RequestVote: the leader's word, for what only the leader may ask for"
	}
	return ""
}

// mayHandOver: the leader hands over to one who has its whole log, or that one could not win. It may have stepped down
// meanwhile.
func (s *State) mayHandOver(to raft.ServerID) (needs string) {
	i := slices.Index(s.group.voters, to)
	switch {
	case !s.led || i < 0:
		return "TimeoutNow: the leader of the term, and a voter"
	case s.Role == raft.Leader && s.match[i] != s.Log.Last():
		return "TimeoutNow: a follower that has the whole log"
	}
	return ""
}

// mayGrant: a vote is on disk before anybody can count on it.
func mayGrant(e *Envelope, m Vote, durable *Persistent) (needs string) {
	if m.Granted && (durable.CurrentTerm != e.Term || durable.VotedFor != e.To) {
		return "Vote: the vote on disk, before it leaves"
	}
	return ""
}

// mayReplicate: Figure 2, AppendEntries RPC. The entries are those of the leader's log, and what it
// calls committed is. It may have stepped down meanwhile, for nobody else leads in its term.
func (s *State) mayReplicate(m *AppendEntries) (needs string) {
	switch {
	case !s.led:
		return "AppendEntries: the leader of the term"
	case m.last() > s.Log.Last() || !s.Log.has(m.Prev):
		return "AppendEntries: an entry of its log before the new ones"
	case m.LeaderCommit > s.CommitIndex:
		return "AppendEntries: no more commits than it knows of"
	}
	for i, e := range m.Entries {
		if s.Log.At(m.Prev.Index+raft.Index(i)+1) != e {
			return "AppendEntries: entries of its log"
		}
	}
	return ""
}

// mayMatch: Figure 2, AppendEntries RPC, success. It answers a message that has arrived, for as far as
// that went, and the follower's disk has the leader's entry there: so it has all before it as well.
func (s *State) mayMatch(e *Envelope, m Match, durable *Persistent, sent *Messages) (needs string) {
	a := sent.append(e.To, e.Term, m.Round)
	switch {
	case a == nil || a.to != s.id || !a.taken:
		return "Match: a message of the leader that has arrived"
	case m.Verified > a.last && m.Verified <= s.CommitIndex:
		// Any leader has what is committed (Leader Completeness), whatever its message has shown.
		if !durable.has(m.Verified, s.Log.At(m.Verified)) {
			return "Match: the committed entries on disk"
		}
	case m.Verified != a.last:
		return "Match: what this message has shown"
	case !durable.has(m.Verified, a.end):
		return "Match: the leader's entries on disk"
	}
	return ""
}

// mayRefuse: Figure 2, AppendEntries RPC, failure.
func (s *State) mayRefuse(e *Envelope, m Conflict, sent *Messages) (needs string) {
	if m.Commit > s.CommitIndex {
		return "Conflict: no more commits than it knows of"
	}
	if m.Round == 0 { // to a leader whose term is over
		return ""
	}
	if a := sent.append(e.To, e.Term, m.Round); a == nil || a.to != s.id || !a.taken {
		return "Conflict: a message of the leader that has arrived"
	}
	return ""
}
