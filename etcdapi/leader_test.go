package etcdapi

import "testing"

// TestLeaderThatComesBackInTimeKeepsTheStream: only checks in a row count.
func TestLeaderThatComesBackInTimeKeepsTheStream(t *testing.T) {
	w := newWorld(t, nil)
	leader := w.watchLeader(testContext(t))
	for round := range 3 {
		w.group.setLeader(0)
		for range leaderChecks - 1 {
			if err := leader.check(); err != nil {
				t.Fatalf("round %d: %v, before the leader was away for long", round, err)
			}
		}
		w.group.setLeader(testMember)
		if err := leader.check(); err != nil {
			t.Fatalf("round %d: %v, though there is a leader", round, err)
		}
	}
}
