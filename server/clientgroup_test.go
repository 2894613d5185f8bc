package server

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// TestStateThatWasBegunAnewIsMissingUntilItIsWhole: the log fills it; until it is as far as it was, nobody may read it.
// Then it never is again, however far the log may be ahead.
func TestStateThatWasBegunAnewIsMissingUntilItIsWhole(t *testing.T) {
	var l clientGroup
	missing := func(applied raft.Index, also bool) bool {
		now := replica.Status{Raft: raft.Status{LastApplied: applied}, Snapshots: replica.SnapshotStatus{Missing: also}}
		l.markMissing(&now)
		return now.Snapshots.Missing
	}
	if missing(0, false) {
		t.Error("missing, though it was not begun anew")
	}
	l.whole.Store(10)
	for i, step := range []struct {
		applied    raft.Index
		also, want bool
	}{{0, false, true}, {9, false, true}, {10, true, true}, {10, false, false}, {9, false, false}} {
		if got := missing(step.applied, step.also); got != step.want {
			t.Errorf("step %d: missing: %v, want %v", i, got, step.want)
		}
	}
}
