package raft

import "testing"

// A late RequestVote of an earlier term is refused in the present one. The refusal overtakes the grant
// of the present term, as it were: it must not hide it.
func TestRefusalOfAnEarlierCandidacyDoesNotHideTheVote(t *testing.T) {
	c := newCluster(Options{}, votersOf(3))
	c.only(1, 2)
	c.campaign(c.server(1), false)
	c.persistAll(c.server(1))
	late := c.takeLast(t, 1, 2)
	c.campaign(c.server(1), false) // term 2
	c.persistAll(c.server(1))
	c.deliver(c.takeLast(t, 1, 2))
	c.persistAll(c.server(2))
	grant := c.takeLast(t, 2, 1)
	c.deliver(late)
	refusal := c.takeLast(t, 2, 1)

	c.deliver(refusal)
	c.deliver(grant)
	c.mustBeWhole(t)
	if role := c.server(1).core.Role(); role != Leader {
		t.Errorf("server 1 is %s, want leader: it has its own vote and that of 2", role)
	}
}

// The same for pre-votes, which have no term of their own to tell one attempt from the next.
func TestRefusalOfAnEarlierAttemptDoesNotHideThePreVote(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
	c.elect(t, 3)
	c.only(1, 2)
	c.step(c.server(1), Campaign{})
	c.deliver(c.takeLast(t, 1, 2))
	refusal := c.takeLast(t, 2, 1) // the leader is alive
	for range c.server(2).options.ElectionTicks {
		c.step(c.server(2), Tick{Random: 9})
	}
	c.step(c.server(1), Campaign{})
	c.deliver(c.takeLast(t, 1, 2))
	grant := c.takeLast(t, 2, 1)

	c.deliver(refusal)
	c.deliver(grant)
	c.mustBeWhole(t)
	if role := c.server(1).core.Role(); role != Candidate {
		t.Errorf("server 1 is %s, want candidate: 2 would vote for it", role)
	}
}

// To say that one would vote for somebody is no word from the leader: it must not keep this server from
// saying the same to the next who asks.
func TestGrantingAPreVoteIsNoWordFromTheLeader(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 1}, 1)
	step(core, from(2, 1, &AppendEntries{Round: 1}))
	for tick := range 2 * core.options.ElectionTicks {
		alive := tick < core.options.ElectionTicks
		for _, id := range []ServerID{2, 3} {
			out := step(core, from(id, 1, &RequestPreVote{LastLogIndex: 1, LastLogTerm: 1}))
			if granted := out.Send[0].Message.(*RequestPreVoteReply).Granted; granted == alive {
				t.Fatalf("%d ticks after a word from the leader: granted %t to %d", tick, granted, id)
			}
		}
		step(core, Tick{Random: 9})
		core.resetElectionTimer() // it does not campaign itself
	}
}

// A leader that has its majority gives no vote and no pre-vote away, whatever the log and the term.
func TestLeaderGivesNoVoteAway(t *testing.T) {
	core := leaderOf(t, 3, 1)
	for range 3 {
		step(core, Tick{}, from(2, 2, &AppendEntriesReply{Round: core.leadState.round}))
	}
	for _, term := range []Term{2, 3, 9} {
		out := step(core, from(3, term, &RequestPreVote{LastLogIndex: 99, LastLogTerm: term}))
		for _, e := range out.Send {
			if e.Message.(*RequestPreVoteReply).Granted {
				t.Errorf("grants a pre-vote in term %d", term)
			}
		}
		step(core, from(3, term, &RequestVote{LastLogIndex: 99, LastLogTerm: term}))
		if core.Role() != Leader || core.CurrentTerm() != 2 {
			t.Fatalf("a candidate of term %d makes it %s of term %d", term, core.Role(), core.CurrentTerm())
		}
	}
}

// The longest log in a lower term, a higher term with a shorter log: each would refuse the other for
// ever if pre-votes did not spread the term that their senders are in.
func TestPreVotesSpreadTheTerm(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
	c.install(c.server(1), 1, 1, 1, 1)
	c.install(c.server(2), 7, 1)
	c.crash(c.server(3), 0)
	for range 2 {
		c.step(c.server(2), Campaign{})
		c.settle()
		c.step(c.server(1), Campaign{})
		c.settle()
	}
	c.mustBeWhole(t)
	if c.server(1).core.Role() != Leader {
		t.Errorf("server 1 is %s of term %d, server 2 %s of term %d; want server 1 to lead",
			c.server(1).core.Role(), c.server(1).core.CurrentTerm(), c.server(2).core.Role(), c.server(2).core.CurrentTerm())
	}
}
