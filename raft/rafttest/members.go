package rafttest

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// What must hold when members change: one configuration follows another as the paper says, and who leads was
// elected by both majorities. That a commit is on the disks of both is part of C7.

// checkConfigurations: a joint configuration begins with the voters that there are, ends with those that
// it aims at, and keeps C_old as long as it lasts. What follows it, or what it follows, is committed first; only
// another aim need not wait.
func (c *Cluster) checkConfigurations(s *Server) {
	now, index := s.Disk.First, raft.Index(0)
	for i := range s.View {
		if s.View[i].Kind != raft.KindConfiguration {
			continue
		}
		next, at := s.View[i].Configuration, raft.Index(i+1)
		otherAim := now.Joint() && next.Joint()
		follows := slices.Equal(next.Voters, now.Voters) // as who learns changes, or as C_new follows C_old,new
		if next.Joint() {
			follows = slices.Equal(next.OldVoters, now.Voters)
		}
		if otherAim {
			follows = slices.Equal(next.OldVoters, now.OldVoters)
		}
		if !follows {
			c.Fail("membership: server %d has a configuration at %d that does not follow the one at %d", s.ID, at, index)
		}
		if int(index) > len(c.History.Committed) && !otherAim {
			c.Fail("membership: server %d has a configuration at %d, and the one before it, at %d, is not committed", s.ID, at, index)
		}
		now, index = next, at
	}
}

// isQuorum says what a quorum is a second time, so that the core is not asked whether it is right: more than
// half of the voters, and more than half of C_old.
func isQuorum(c *raft.Configuration, yes func(raft.ServerID) bool) bool {
	for _, voters := range [][]raft.ServerID{c.Voters, c.OldVoters} {
		have := 0
		for _, id := range voters {
			if yes(id) {
				have++
			}
		}
		if len(voters) > 0 && 2*have <= len(voters) {
			return false
		}
	}
	return true
}

// checkVotes: C1 (elected by the votes of a quorum). Whoever has voted for a leader has that on its disk, or has gone on to a later term.
func (c *Cluster) checkVotes(s *Server) {
	term := s.Core.CurrentTerm()
	mayHaveVoted := func(id raft.ServerID) bool {
		voter := c.Server(id)
		if id == s.ID || voter == nil {
			return id == s.ID
		}
		hard := &voter.Disk.Hard
		return hard.CurrentTerm > term || hard.CurrentTerm == term && hard.VotedFor == s.ID
	}
	if !isQuorum(s.Core.Configuration().Configuration, mayHaveVoted) {
		c.Fail("election: leader %d of term %d does not have the votes of a quorum", s.ID, term)
	}
}
