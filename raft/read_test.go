package raft

import "testing"

// A request of an earlier term that comes late is refused in the present term. If the refusal named
// the request's round, the leader would take it for an answer to one of its own messages, made in
// this term with the same number: an answer from before the read, and from before the election that
// deposed this leader.
func TestAnswerToAnEarlierTermConfirmsNoRead(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
	old := c.elect(t, 1)
	for range 5 {
		c.step(old, Tick{})
	}
	late := c.takeLast(t, 1, 2) // its round number is higher than any that server 1 uses below at first
	c.network = nil

	c.elect(t, 1) // once more, in term 2
	c.deliver(late)
	stale := c.takeLast(t, 2, 1)

	c.only(2, 3)
	c.elect(t, 3)
	c.step(c.server(3), Propose{ID: 1, Entries: []Entry{command("x")}})
	c.settle()

	out := c.step(old, ReadIndex{ID: 2})
	for c.broken == "" && old.core.leadState.round < late.Message.(*AppendEntries).Round {
		c.step(old, Tick{})
	}
	c.mustBeWhole(t)
	if len(out.Reads) > 0 || old.core.Role() != Leader {
		t.Fatalf("server 1 is %s and has served %v: the test is about a leader that waits", old.core.Role(), out.Reads)
	}
	c.deliver(stale)
	c.mustBeWhole(t)
}
