package raft

import "slices"

// What the tests of package raft_test may do to a core that nobody else may. They are in a package of
// their own because the cluster that they play with, rafttest, imports this one.

// LoseTheLeader lets so much time pass that the server no longer believes in its leader.
func (c *Core) LoseTheLeader() { c.sinceLeader = c.options.WindowTicks }

// StepDown makes a follower of a leader.
func (c *Core) StepDown() { c.becomeFollower(c.currentTerm, 0, "no answer from a majority") }

// StandForElection opens a new term without asking first, unless its own vote is promised.
func (c *Core) StandForElection() {
	if !c.isBound() {
		c.becomeCandidate(false)
	}
}

// Round returns that of the leader's latest AppendEntries.
func (c *Core) Round() Round { return c.leadState.round }

// Peer returns what the leader knows of one peer.
func (c *Core) Peer(id ServerID) PeerStatus {
	for _, p := range c.AppendPeers(nil) {
		if p.ID == id {
			return p
		}
	}
	return PeerStatus{}
}

// RoundMatters tells what a leader will make of the round of a reply, as far as it goes without ticks
// and reads: whether a refusal is news, and whether the request that probes is answered. A message
// from or to peer of the leader's own term behaves like any other of which this says the same.
func (c *Core) RoundMatters(peer ServerID, round Round) (isNews, answersProbe bool) {
	if c.role != Leader {
		return false, false
	}
	p := c.leadState.peer(peer)
	return p != nil && round > p.reconciledAt, p != nil && p.waiting && round == p.probeRound
}

// RoundsAbout returns the rounds that a leader keeps about a peer, 0 for those that mean nothing now: of
// its probe, of its latest answer, the first that confirms the reads under way, and the first whose
// refusal is news.
func (c *Core) RoundsAbout(peer ServerID) (probe, answered, since, news Round) {
	p := c.leadState.peer(peer)
	if p == nil {
		return 0, 0, 0, 0
	}
	if p.waiting {
		probe = p.probeRound
	}
	if len(c.leadState.reads.confirming) > 0 {
		since = c.leadState.reads.since
	}
	return probe, p.answered, since, p.reconciledAt + 1
}

// RoundMade returns how long ago a leader made a round, as far as a lease can still tell.
func (c *Core) RoundMade(round Round) uint64 { return c.past(c.leadState.made.of(round)) }

// IsBound reports whether this server may have promised its vote to nobody.
func (c *Core) IsBound() bool { return c.isBound() }

// MatchIndexOf returns how far a leader knows a peer's log to agree with its own.
func (c *Core) MatchIndexOf(peer ServerID) Index { return c.leadState.peer(peer).matchIndex }

// VotedFor returns whom this server has voted for in the current term; 0: nobody.
func (c *Core) VotedFor() ServerID { return c.votedFor }

// MayLead reports whether this server campaigns once it misses its leader.
func (c *Core) MayLead() bool { return c.mayLead() }

// HasPeer reports whether this server leads, and id is one of its peers.
func (c *Core) HasPeer(id ServerID) bool { return c.role == Leader && c.leadState.peer(id) != nil }

// HasVoteOf reports whether this server is a candidate and id has granted it its vote.
func (c *Core) HasVoteOf(id ServerID) bool {
	return c.role == Candidate && slices.Contains(c.votes, vote{id, true})
}

// Names of this package that its external tests need as well.
const (
	RaceEnabled     = raceEnabled
	MaxRunsPerReply = maxRunsPerReply
	MaxProbeEntries = maxProbeEntries
)

var (
	EachLog    = eachLog
	CanCoexist = canCoexist
	EntriesOf  = entriesOf
	SentTo     = sentTo
)
