package doctor

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

func TestServerWithoutAStateSaysWhoFeedsIt(t *testing.T) {
	v := viewOf(3)
	v.NoState, v.Feeder = true, 3
	r := Examine(v)
	if r.Progress || r.Blocking() == nil || r.Findings[0].Code != NoState || !strings.Contains(r.Verdict, "s1 has lost its state, and gets it from s3") {
		t.Errorf("says %+v", r)
	}
}

func TestStatesThatDifferAreFound(t *testing.T) {
	v := viewOf(3)
	v.Differing = []raft.ServerID{2}
	r := Examine(v)
	if !r.Progress || len(r.Findings) != 1 || r.Findings[0].Code != StateDiffers || r.Findings[0].About != "s2" {
		t.Errorf("says %+v", r)
	}
	v.Differing, v.Undecided = nil, true
	r = Examine(v)
	if !r.Progress || len(r.Findings) != 1 || r.Findings[0].Code != StatesDiffer || !strings.Contains(r.Findings[0].Todo, "state.damage") {
		t.Errorf("says %+v", r)
	}
}
