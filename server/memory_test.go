package server

import (
	"math"
	"testing"
)

const mib = 1 << 20

func TestMemoryLimitLeavesRoomToWorkIn(t *testing.T) {
	for _, test := range []struct{ live, added, want uint64 }{
		{0, 0, 64}, {36, 0, 64}, {40, 0, 66}, {40, 4, 66}, {40, 5, 70}, {40, 32, 178}, {40, 1000, 178}, {1000, 1000, 1378},
	} {
		if got := memoryLimit(test.live*mib, test.added*mib); got != int64(test.want*mib) {
			t.Errorf("%d MiB alive, and %d more in a second: got a limit of %d MiB, want %d", test.live, test.added, got/mib, test.want)
		}
	}
	if got := memoryLimit(math.MaxUint64, math.MaxUint64); got <= 0 {
		t.Errorf("got a limit of %d", got)
	}
}

// What is allocated during a collection counts as alive, but only once; what stays alive counts.
func TestMemoryLimitFollowsTheLeastOfLately(t *testing.T) {
	var p memoryPace
	allocated := uint64(0)
	look := func(live uint64, wantLimit int64, wantChanged bool) {
		t.Helper()
		allocated += 100 * mib
		limit, changed := p.look(live*mib, allocated)
		if limit != wantLimit*mib || changed != wantChanged {
			t.Errorf("%d MiB alive: got %d MiB, changed %v, want %d, %v", live, limit/mib, changed, wantLimit, wantChanged)
		}
	}
	look(80, 228, true)
	look(400, 228, false) // a peak
	for range memoryWindow - 2 {
		look(400, 228, false)
	}
	look(400, 628, true) // they are alive
	look(404, 628, false)
	look(200, 378, true) // and no more
}

// Who allocates little keeps little, once that has been so for a while.
func TestMemoryLimitFollowsTheMostThatIsAllocated(t *testing.T) {
	var p memoryPace
	allocated := uint64(0)
	look := func(added uint64, wantLimit int64, wantChanged bool) {
		t.Helper()
		allocated += added * mib
		if limit, changed := p.look(40*mib, allocated); limit != wantLimit*mib || changed != wantChanged {
			t.Errorf("%d MiB more: got %d MiB, changed %v, want %d, %v", added, limit/mib, changed, wantLimit, wantChanged)
		}
	}
	look(1, 66, true)
	look(500, 178, true) // at once
	for range memoryWindow - 1 {
		look(1, 178, false)
	}
	look(1, 66, true)
}
