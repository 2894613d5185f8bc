package check

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Sent checks a message of the algorithm as it leaves. Other messages promise nothing.
func (s *Server) Sent(to raft.ServerID, m *wire.Message) {
	c := s.checker
	if _, ok := m.Body.(raft.Message); !ok {
		return
	}
	disk := &s.durable
	if m.Term > disk.hard.CurrentTerm {
		c.fail("C11", "server %d sends %T of term %d; on its disk is: %s", s.id, m.Body, m.Term, disk)
	}
	switch body := m.Body.(type) {
	case *raft.RequestVote:
		s.voted(m.Term, s.id, "asks with")
		if disk.hard.CurrentTerm == m.Term && disk.hard.VotedFor != s.id {
			c.fail("C9", "server %d asks for votes in term %d; on its disk is: %s", s.id, m.Term, disk)
		}
	case *raft.RequestVoteReply:
		if body.Granted {
			s.voted(m.Term, to, "gives")
			if disk.hard.CurrentTerm == m.Term && disk.hard.VotedFor != to {
				c.fail("C9", "server %d gives %d its vote in term %d; on its disk is: %s", s.id, to, m.Term, disk)
			}
		}
	case *raft.AppendEntries:
		s.sentAppend(to, m.Term, body)
	case *raft.AppendEntriesReply:
		s.acknowledges(to, m.Term, body.Verified)
	}
	s.shadowSent(to, m)
}

// sentAppend checks what a leader tells a follower.
func (s *Server) sentAppend(to raft.ServerID, term raft.Term, m *raft.AppendEntries) {
	c := s.checker
	l := c.leaders[term]
	if l.id != s.id {
		c.fail("C1", "server %d sends AppendEntries of term %d, in which %d was elected", s.id, term, l.id)
	}
	if m.LeaderCommit > c.Committed() {
		c.fail("C6", "server %d tells %d that %d is committed; that is so up to %d", s.id, to, m.LeaderCommit, c.Committed())
	}
}

// acknowledges checks that everything that a server says it has is on its disk, and is what the leader
// of that term has.
func (s *Server) acknowledges(to raft.ServerID, term raft.Term, verified raft.Index) {
	c := s.checker
	l := c.leaders[term]
	if l.id != to {
		c.fail("C9", "server %d acknowledges to %d in term %d, in which %d was elected", s.id, to, term, l.id)
		return
	}
	if verified > s.durable.last() {
		c.fail("C9", "server %d acknowledges entry %d to %d in term %d; on its disk is: %s", s.id, verified, to, term, &s.durable)
		return
	}
	if verified > 0 && !l.had(term, verified, s.durable.log[verified-1]) {
		c.fail("C9", "server %d acknowledges entry %d to %d in term %d; on its disk there is another entry, of term %d",
			s.id, verified, to, term, s.durable.log[verified-1].term)
	}
	s.acknowledged[term] = max(s.acknowledged[term], verified)
}

// Believes checks what a leader knows of its peers.
func (s *Server) Believes(peers []raft.PeerStatus) {
	c := s.checker
	for i := range peers {
		p := &peers[i]
		said := c.Server(p.ID).acknowledged[s.view.Term]
		if p.MatchIndex > said || p.NextIndex <= p.MatchIndex || p.NextIndex > s.view.Last+1 {
			c.fail("C12", "leader %d of term %d takes server %d to match up to %d, next %d; it has acknowledged %d in that term",
				s.id, s.view.Term, p.ID, p.MatchIndex, p.NextIndex, said)
		}
	}
}

// checkFollowerCommit checks that a follower commits no more than what the messages of this step have
// verified, and what their senders called committed; or as far as the state is that it has taken over.
func (s *Server) checkFollowerCommit(inputs []replica.Input, writes []replica.Write, before, now View) {
	if now.Commit <= before.Commit || before.Role == raft.Leader || now.Role == raft.Leader {
		return
	}
	allowed := before.Commit
	for i := range writes {
		if at := writes[i].Base; at != nil {
			allowed = max(allowed, at.Index)
		}
	}
	for _, in := range inputs {
		if r, ok := in.(replica.Receive); ok {
			if m, ok := r.Message.Body.(*raft.AppendEntries); ok {
				allowed = max(allowed, min(m.LeaderCommit, m.PrevLogIndex+raft.Index(len(m.Entries))))
			}
		}
	}
	if now.Commit > allowed {
		s.checker.fail("C12", "follower %d commits up to %d; what it was told and has verified allows %d", s.id, now.Commit, allowed)
	}
}
