package sim

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// What a detailed story says of requests and messages.

// describe says what a request asks for.
func describe(r *request) string {
	text := strings.TrimPrefix(fmt.Sprintf("%T%+v", r.Request, r.Request), "check.")
	if r.Serializable {
		return "serializable " + text
	}
	return text
}

// describeMessage says what a message says.
func describeMessage(m *wire.Message) string {
	term := fmt.Sprintf(" of term %d", m.Term)
	switch b := m.Body.(type) {
	case *raft.RequestVote:
		return fmt.Sprintf("RequestVote%s, log ends at %d of term %d", term, b.LastLogIndex, b.LastLogTerm)
	case *raft.RequestVoteReply:
		return "RequestVote is " + granted(b.Granted) + term
	case *raft.RequestPreVote:
		return fmt.Sprintf("RequestPreVote%s, log ends at %d of term %d", term, b.LastLogIndex, b.LastLogTerm)
	case *raft.RequestPreVoteReply:
		return "RequestPreVote is " + granted(b.Granted) + term
	case *raft.AppendEntries:
		return fmt.Sprintf("AppendEntries%s, round %d: after %d of term %d up to %d, committed %d", term, b.Round, b.PrevLogIndex,
			b.PrevLogTerm, b.Last, b.LeaderCommit)
	case *raft.AppendEntriesReply:
		return fmt.Sprintf("AppendEntries%s, round %d: agrees up to %d", term, b.Round, b.Verified)
	case *raft.AppendEntriesRefusal:
		return fmt.Sprintf("AppendEntries%s, round %d: refused, log ends at %d, committed %d", term, b.Round, b.LastLogIndex, b.Commit)
	case *wire.Forward:
		return fmt.Sprintf("Forward%s, boot %d: batch %d of %d commands", term, b.Boot, b.Batch, len(b.Commands))
	case *wire.ForwardReply:
		return fmt.Sprintf("Forward%s, boot %d: taken up to batch %d", term, b.Boot, b.Batch)
	case *wire.ReadRequest:
		return fmt.Sprintf("Read%s, boot %d: number %d", term, b.Boot, b.Number)
	case *wire.ReadReply:
		return fmt.Sprintf("Read%s, boot %d: number %d may be served at %d", term, b.Boot, b.Number, b.Index)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m.Body), "*wire.") + term
}

func granted(yes bool) string {
	if yes {
		return "granted"
	}
	return "refused"
}

// isNews reports whether a message that arrives is worth telling. Heartbeats are not, nor is that they
// are answered.
func (s *server) isNews(l *link, m *wire.Message) bool {
	core := s.replica.Core()
	switch b := m.Body.(type) {
	case *raft.AppendEntries:
		return m.Term != core.CurrentTerm() || core.Leader() == 0 || len(b.Entries) > 0 || b.LeaderCommit > core.CommitIndex()
	case *raft.AppendEntriesReply:
		before := l.verified
		l.verified = raft.EntryID{Index: b.Verified, Term: m.Term}
		return l.verified != before
	}
	return true
}
