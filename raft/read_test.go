package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// A request of an earlier term that comes late is refused in the present term. If the refusal named
// the request's round, the leader would take it for an answer to one of its own messages, made in
// this term with the same number: an answer from before the read, and from before the election that
// deposed this leader.
func TestAnswerToAnEarlierTermConfirmsNoRead(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	old := c.elect(t, 1)
	for range 5 {
		c.Step(old, raft.Tick{})
	}
	late := c.takeLast(t, 1, 2) // its round number is higher than any that server 1 uses below at first
	c.Network = nil

	c.elect(t, 1) // once more, in term 2
	c.Deliver(late)
	stale := c.takeLast(t, 2, 1)

	c.only(2, 3)
	c.elect(t, 3)
	c.Step(c.Server(3), raft.Propose{ID: 1, Entries: []raft.Entry{rafttest.Command("x")}})
	c.Settle()

	out := c.Step(old, raft.ReadIndex{ID: 2})
	for c.Broken == "" && old.Core.Round() < late.Message.(*raft.AppendEntries).Round {
		c.Step(old, raft.Tick{})
	}
	c.mustBeWhole(t)
	if len(out.Reads) > 0 || old.Core.Role() != raft.Leader {
		t.Fatalf("server 1 is %s and has served %v: the test is about a leader that waits", old.Core.Role(), out.Reads)
	}
	c.Deliver(stale)
	c.mustBeWhole(t)
}

// Rounds of reads are heartbeats. With so many of them that none of its own is due, a leader must still
// notice that an append got lost.
func TestReadsDoNotHideThatAnAppendGotLost(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 20, HeartbeatTicks: 5}, rafttest.Voters(3))
	leader := c.elect(t, 1)
	c.Settle()
	c.Step(leader, raft.Propose{ID: 1, Entries: []raft.Entry{rafttest.Command("x")}})
	c.takeLast(t, 1, 3) // it is lost
	c.Settle()
	for i := range 15 {
		c.Step(leader, raft.Tick{})
		c.Step(leader, raft.ReadIndex{ID: uint64(10 + i)})
		c.Settle()
	}
	c.mustBeWhole(t)
	if got, want := c.Server(3).Core.LastIndex(), leader.Core.LastIndex(); got != want {
		t.Errorf("server 3 has entries up to %d, the leader up to %d", got, want)
	}
}
