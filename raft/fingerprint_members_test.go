package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// TestStatesDifferInAConfigurationThatIsInNoLog: its leader has lost it, and only a message has it still. The
// order of what can happen hides that from TestReductionsLoseNoState.
func TestStatesDifferInAConfigurationThatIsInNoLog(t *testing.T) {
	b := b2(bounds{led: true})
	x := newExplorer(b)
	print := func(to raft.ServerID, voters []raft.ServerID) uint64 {
		c := x.start(b)
		entry := b.towards(c.Server(1), voters)
		entry.Term = 1
		c.Network = []rafttest.Letter{{Envelope: raft.Envelope{From: 1, To: to, Term: 1, Message: &raft.AppendEntries{
			PrevLogIndex: 1, PrevLogTerm: 1, Last: 2, Entries: []raft.Entry{entry},
		}}}}
		left := b
		left.changes = 0
		return x.printer.eye().print(c, &left)
	}
	toWhoStays := print(2, []raft.ServerID{1, 2, 4})
	if print(2, []raft.ServerID{1, 3, 4}) == toWhoStays {
		t.Error("whether the receiver leaves makes no difference")
	}
	if print(3, []raft.ServerID{1, 3, 4}) != toWhoStays {
		t.Error("the name of the receiver makes a difference")
	}
}
