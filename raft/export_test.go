package raft

// What the tests of package raft_test may do to a core that nobody else may. They are in a package of
// their own because the cluster that they play with, rafttest, imports this one.

// LoseTheLeader lets so much time pass that the server no longer believes in its leader.
func (c *Core) LoseTheLeader() { c.sinceLeader = c.options.ElectionTicks }

// StepDown makes a follower of a leader.
func (c *Core) StepDown() { c.becomeFollower(c.currentTerm, 0, "no answer from a majority") }

// StandForElection opens a new term without asking first.
func (c *Core) StandForElection() { c.becomeCandidate() }

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
