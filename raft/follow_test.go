package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// A refusal describes at most maxRunsPerReply runs. If it always described the last ones of the log,
// a leader that agrees with none of them would ask about the entry before them again and again.
func TestLogsThatDifferInMoreRunsThanFitAreReconciled(t *testing.T) {
	const runs = 2*raft.MaxRunsPerReply + 500
	var odd, even []raft.Term
	for i := range raft.Term(runs) {
		odd, even = append(odd, 2*i+1), append(even, 2*i+2)
	}
	c := newGroup(raft.Options{}, rafttest.Voters(3))
	c.Install(c.Server(1), 2*runs, odd...)
	c.Install(c.Server(2), 0, even...)
	refusals := 0
	c.Tell = func(_ string, args ...any) {
		for _, a := range args {
			if _, is := a.(raft.AppendRefused); is {
				refusals++
			}
		}
	}
	c.only(1, 3)
	c.elect(t, 1)
	refusals, c.Connected = 0, nil
	for range 2 { // until the leader asks again
		c.Step(c.Server(1), raft.Tick{})
		c.Settle()
	}
	c.mustBeWhole(t)
	if got := len(c.Server(2).Disk.Log); got != runs+1 || c.Server(2).Disk.Log[0].Term != 1 {
		t.Errorf("server 2 has %d entries, want the leader's %d", got, runs+1)
	}
	if refusals != 3 {
		t.Errorf("%d refusals, want one for every %d runs", refusals, raft.MaxRunsPerReply)
	}
}
