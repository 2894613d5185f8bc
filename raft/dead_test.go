package raft_test

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// forgetTheDead removes messages that can no longer change anything, whatever else happens and
// whenever they arrive.
func (p *printer) forgetTheDead(c *rafttest.Cluster, left *bounds) {
	c.Network = slices.DeleteFunc(c.Network, func(e rafttest.Letter) bool { return p.isDead(c, &e.Envelope, left) })
}

// isDead compares terms with those on disk, for a crash may bring these back.
func (p *printer) isDead(c *rafttest.Cluster, e *raft.Envelope, left *bounds) bool {
	to := c.Server(e.To)
	disk := to.Disk.Hard.CurrentTerm
	current := to.Core.CurrentTerm() == e.Term
	// Then a reply is for nothing but what it says of the log.
	noRounds := p.ahead.NoTicks && p.ahead.NoReads && p.bounds.promise == 0
	switch m := e.Message.(type) {
	case *raft.RequestVoteReply:
		// A refusal brings nothing but its term. A vote counts once, and for a candidate; who no longer
		// is the candidate of that term will never be again, for each candidacy opens a new term.
		return e.Term < disk || e.Term == disk && !(m.Granted && current && to.Core.Role() == raft.Candidate && !to.Core.HasVoteOf(e.From))
	case *raft.RequestPreVoteReply:
		return e.Term < disk
	case *raft.AppendEntriesReply:
		return e.Term < disk || e.Term == disk && (!isLeader(to, e.Term) || noRounds && !mayComeBack(to, e.From, left) && tellsNothing(to, e.From, m))
	case *raft.AppendEntriesRefusal:
		return e.Term < disk || e.Term == disk && (!isLeader(to, e.Term) || noRounds && !mayComeBack(to, e.From, left) && isOld(to, e.From, m.Round))
	case *raft.RequestVote, *raft.AppendEntries:
		// The answer to a request of an old term brings nothing but a newer term. If its sender has the
		// newest there will ever be, on disk, the answer is dead, and so the request.
		return e.Term < disk && noRounds && !left.mayStand() && c.Server(e.From).Disk.Hard.CurrentTerm >= latestTerm(c)
	}
	return false
}

// isLeader reports whether a server leads in that term. If not, and it has come to that term on its
// disk, and has led there, then it will not again.
func isLeader(s *rafttest.Server, term raft.Term) bool {
	return s.Core.Role() == raft.Leader && s.Core.CurrentTerm() == term
}

// mayComeBack reports whether a leader may still take in a peer anew, having left it out: then it knows
// nothing of that peer, and nothing about it is old. Who is a peer leaves with C_new, and comes back with
// another change.
func mayComeBack(leader *rafttest.Server, peer raft.ServerID, left *bounds) bool {
	switch {
	case left.changes == 0:
		return false
	case !leader.Core.HasPeer(peer):
		return true
	case leader.Core.Configuration().Configuration.Joint():
		return true
	}
	return left.changes > 1
}

// tellsNothing reports whether a reply is neither new to its leader, nor the answer to a probe. Later
// it will be neither: matchIndex and the rounds of probes only go up.
func tellsNothing(leader *rafttest.Server, peer raft.ServerID, m *raft.AppendEntriesReply) bool {
	_, answersProbe := leader.Core.RoundMatters(peer, m.Round)
	return !answersProbe && (!leader.Core.HasPeer(peer) || m.Verified <= leader.Core.MatchIndexOf(peer))
}

// isOld reports whether a refusal has been dealt with, as will be for ever after. That of an old term
// has round 0.
func isOld(leader *rafttest.Server, peer raft.ServerID, round raft.Round) bool {
	isNews, _ := leader.Core.RoundMatters(peer, round)
	return !isNews
}

// latestTerm returns the highest term of any server.
func latestTerm(c *rafttest.Cluster) raft.Term {
	latest := raft.Term(0)
	for _, s := range c.Servers {
		latest = max(latest, s.Core.CurrentTerm())
	}
	return latest
}
