package server

import (
	"math"
	"testing"
)

const mib = 1 << 20

func TestMemoryLimitLeavesRoomToWorkIn(t *testing.T) {
	for _, test := range []struct{ live, want uint64 }{
		{0, 160 * mib}, {76 * mib, 160 * mib}, {80 * mib, 164 * mib}, {1000 * mib, 1314 * mib},
	} {
		if got := memoryLimit(test.live); got != int64(test.want) {
			t.Errorf("%d MiB alive: got a limit of %d MiB, want %d", test.live/mib, got/mib, test.want/mib)
		}
	}
	if got := memoryLimit(math.MaxUint64); got <= 0 {
		t.Errorf("got a limit of %d", got)
	}
}

// What is allocated during a collection counts as alive, but only once; what stays alive counts.
func TestMemoryLimitFollowsTheLeastOfLately(t *testing.T) {
	var p memoryPace
	look := func(live uint64, wantLimit int64, wantChanged bool) {
		t.Helper()
		limit, changed := p.look(live * mib)
		if limit != wantLimit*mib || changed != wantChanged {
			t.Errorf("%d MiB alive: got %d MiB, changed %v, want %d, %v", live, limit/mib, changed, wantLimit, wantChanged)
		}
	}
	look(70, 160, true)
	look(400, 160, false) // a peak
	for range memoryWindow - 2 {
		look(400, 160, false)
	}
	look(400, 564, true) // they are alive
	look(404, 564, false)
	look(200, 314, true) // and no more
}
