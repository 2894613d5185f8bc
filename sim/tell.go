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
	switch b := m.Body.(type) {
	case *wire.Forward:
		return fmt.Sprintf("Forward, boot %d: batch %d of %d commands", b.Boot, b.Batch, len(b.Commands))
	case *wire.ForwardReply:
		return fmt.Sprintf("ForwardReply, boot %d: taken up to batch %d", b.Boot, b.Batch)
	case *wire.ReadRequest:
		return fmt.Sprintf("ReadRequest, boot %d: number %d", b.Boot, b.Number)
	case *wire.ReadReply:
		return fmt.Sprintf("ReadReply, boot %d: number %d may be served at %d", b.Boot, b.Number, b.Index)
	case raft.Message:
		return b.String()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m.Body), "*wire.")
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
