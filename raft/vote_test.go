package raft

import "testing"

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
