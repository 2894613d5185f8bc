package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// A late RequestVote of an earlier term is refused in the present one. The refusal overtakes the grant
// of the present term, as it were: it must not hide it.
func TestRefusalOfAnEarlierCandidacyDoesNotHideTheVote(t *testing.T) {
	c := newGroup(raft.Options{}, rafttest.Voters(3))
	c.only(1, 2)
	c.campaign(c.Server(1), false)
	c.PersistAll(c.Server(1))
	late := c.takeLast(t, 1, 2)
	c.campaign(c.Server(1), false) // term 2
	c.PersistAll(c.Server(1))
	c.Deliver(c.takeLast(t, 1, 2))
	c.PersistAll(c.Server(2))
	grant := c.takeLast(t, 2, 1)
	c.Deliver(late)
	refusal := c.takeLast(t, 2, 1)

	c.Deliver(refusal)
	c.Deliver(grant)
	c.mustBeWhole(t)
	if role := c.Server(1).Core.Role(); role != raft.Leader {
		t.Errorf("server 1 is %s, want leader: it has its own vote and that of 2", role)
	}
}

// The same for pre-votes, which have no term of their own to tell one attempt from the next.
func TestRefusalOfAnEarlierAttemptDoesNotHideThePreVote(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	c.elect(t, 3)
	c.only(1, 2)
	c.Step(c.Server(1), raft.Campaign{})
	c.Deliver(c.takeLast(t, 1, 2))
	refusal := c.takeLast(t, 2, 1) // the leader is alive
	for range c.Server(2).Options.ElectionTicks {
		c.Step(c.Server(2), raft.Tick{Random: 9})
	}
	c.Step(c.Server(1), raft.Campaign{})
	c.Deliver(c.takeLast(t, 1, 2))
	grant := c.takeLast(t, 2, 1)

	c.Deliver(refusal)
	c.Deliver(grant)
	c.mustBeWhole(t)
	if role := c.Server(1).Core.Role(); role != raft.Candidate {
		t.Errorf("server 1 is %s, want candidate: 2 would vote for it", role)
	}
}

// The longest log in a lower term, a higher term with a shorter log: each would refuse the other for
// ever if pre-votes did not spread the term that their senders are in.
func TestPreVotesSpreadTheTerm(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	c.Install(c.Server(1), 1, 1, 1, 1)
	c.Install(c.Server(2), 7, 1)
	c.Crash(c.Server(3), 0)
	for range 2 {
		c.Step(c.Server(2), raft.Campaign{})
		c.Settle()
		c.Step(c.Server(1), raft.Campaign{})
		c.Settle()
	}
	c.mustBeWhole(t)
	if c.Server(1).Core.Role() != raft.Leader {
		t.Errorf("server 1 is %s of term %d, server 2 %s of term %d; want server 1 to lead",
			c.Server(1).Core.Role(), c.Server(1).Core.CurrentTerm(), c.Server(2).Core.Role(), c.Server(2).Core.CurrentTerm())
	}
}
