package raft

import "testing"

// A refusal describes at most maxRunsPerReply runs. If it always described the last ones of the log,
// a leader that agrees with none of them would ask about the entry before them again and again.
func TestLogsThatDifferInMoreRunsThanFitAreReconciled(t *testing.T) {
	const runs = 2*maxRunsPerReply + 500
	var odd, even []Term
	for i := range Term(runs) {
		odd, even = append(odd, 2*i+1), append(even, 2*i+2)
	}
	c := newCluster(Options{}, votersOf(3))
	c.install(c.server(1), 2*runs, odd...)
	c.install(c.server(2), 0, even...)
	refusals := 0
	c.tell = func(_ string, args ...any) {
		for _, a := range args {
			if _, is := a.(AppendRefused); is {
				refusals++
			}
		}
	}
	c.only(1, 3)
	c.elect(t, 1)
	refusals, c.connected = 0, nil
	for range 2 { // until the leader asks again
		c.step(c.server(1), Tick{})
		c.settle()
	}
	c.mustBeWhole(t)
	if got := len(c.server(2).disk.log); got != runs+1 || c.server(2).disk.log[0].Term != 1 {
		t.Errorf("server 2 has %d entries, want the leader's %d", got, runs+1)
	}
	if refusals != 3 {
		t.Errorf("%d refusals, want one for every %d runs", refusals, maxRunsPerReply)
	}
}
