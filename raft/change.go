package raft

import "slices"

// How one configuration follows another. (Paper §6, thesis §4.3.)
//
// Whoever gets a vote or loses one does so by way of a joint configuration, C_old,new: while it is in
// force, every decision needs a majority of C_old and one of C_new. So there is no moment at which
// C_old and C_new could decide without each other, however many servers change at once:
//
//	C_old ──▶ C_old,new ──committed──▶ C_new
//	             │  ▲
//	             └──┘ another aim: C_old,new2
//
// Learners and what the servers' keys and addresses are do not count in any majority, so they change
// in one step.

// Joint reports whether the configuration is C_old,new.
func (c *Configuration) Joint() bool { return len(c.OldVoters) > 0 }

// wellFormed reports whether the lists are sorted, somebody votes, and nobody both votes and learns. A
// server that loses its vote may go on as a learner, and is in OldVoters and in Learners meanwhile.
func (c *Configuration) wellFormed() bool {
	for _, ids := range [][]ServerID{c.Voters, c.OldVoters, c.Learners} {
		for i, id := range ids {
			if id == 0 || i > 0 && id <= ids[i-1] {
				return false
			}
		}
	}
	return len(c.Voters) > 0 && !slices.ContainsFunc(c.Learners, func(id ServerID) bool { return contains(c.Voters, id) })
}

// follows reports whether c may stand next after the configuration now, which is committed.
func (c *Configuration) follows(now *Configuration) bool {
	switch {
	case now.Joint() && c.Joint():
		// Any two decisions have a majority of C_old in common, whatever they aim at.
		return slices.Equal(c.OldVoters, now.OldVoters)
	case now.Joint():
		return slices.Equal(c.Voters, now.Voters) && slices.Equal(c.Learners, now.Learners)
	case c.Joint():
		return slices.Equal(c.OldVoters, now.Voters)
	default:
		return slices.Equal(c.Voters, now.Voters)
	}
}

// proposeConfiguration appends a configuration that follows the one in force.
//
// One change at a time, and none before an entry of this term is committed: else two changes, each
// unknown to the other's majority, could both be decided. (Thesis §4.1, and its correction of 2015.)
func (c *Core) proposeConfiguration(in *ProposeConfiguration) {
	next := in.Entry.Configuration
	switch {
	case c.role != Leader:
		c.refuse(in.ID, NotLeader)
	case next == nil || !next.wellFormed():
		c.refuse(in.ID, ChangeNotAllowed)
	case c.commitIndex < c.leadState.firstOfTerm || !c.configurationIsSettled(next) || c.leadState.transferring():
		c.refuse(in.ID, ChangeInProgress)
	case !next.follows(c.configuration()):
		c.refuse(in.ID, ChangeNotAllowed)
	default:
		c.accept(in.ID, []Entry{in.Entry})
	}
}

// configurationIsSettled reports whether the configuration in force is committed, or need not be for
// next: a leader may give a joint configuration another aim while it cannot be committed, because too many
// of C_new are out of reach. It is its own then, for an earlier one is committed along with the first entry
// of this term. So nobody else can have left it for C_new: an earlier leader has never had it, and a later
// one needs a majority of C_old, of which this one then hears.
func (c *Core) configurationIsSettled(next *Configuration) bool {
	now := c.log.configuration()
	return now.Index <= c.commitIndex || next.Joint() && now.Configuration.Joint()
}

// leaveIfRemoved makes a leader a follower once it has committed a configuration in which it has no
// vote. Until then it leads a group without counting itself. (Paper §6.)
func (c *Core) leaveIfRemoved() {
	if now := c.log.configuration(); now.Index <= c.commitIndex && !now.Configuration.IsVoter(c.id) {
		c.becomeFollower(c.currentTerm, 0, "has no vote any more")
	}
}
