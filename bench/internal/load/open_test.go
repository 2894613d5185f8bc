package load

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// open runs an open loop in virtual time until it ends or stopAfter has passed; each operation takes so long.
func open(t *testing.T, plan OpenPlan, takes, stopAfter time.Duration) (result OpenResult, most int64) {
	var under, peak atomic.Int64
	stop := make(chan struct{})
	time.AfterFunc(stopAfter, func() { close(stop) })
	result = Open(t.Context(), plan, stop, func(context.Context, int64) {
		now := under.Add(1)
		for peak.Load() < now {
			peak.Store(now)
		}
		<-time.After(takes)
		under.Add(-1)
	})
	if under.Load() != 0 {
		t.Errorf("%d operations are still under way", under.Load())
	}
	return result, peak.Load()
}

func TestOpenLoopKeepsItsPaceWhateverOperationsTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result, most := open(t, OpenPlan{Rate: 500, InFlight: 1000, MaxOps: 1e6}, 300*time.Millisecond, 999500*time.Microsecond)
		if result.Begun != 499 || result.LeftOut != 0 {
			t.Errorf("got %+v in just below a second, want 499 begun", result)
		}
		if most < 149 || most > 151 {
			t.Errorf("%d were under way at a time, want 150", most)
		}
	})
}

func TestOpenLoopLeavesOutWhatIsDueWhileTooManyAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result, most := open(t, OpenPlan{Rate: 1000, InFlight: 3, MaxOps: 1e6}, time.Hour, 100500*time.Microsecond)
		if result.Begun != 3 || result.LeftOut != 97 || most != 3 {
			t.Errorf("got %+v and %d under way, want 3 begun and 97 left out", result, most)
		}
	})
}

func TestOpenLoopEndsWhenItsOperationsAreSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result, _ := open(t, OpenPlan{Rate: 1000, InFlight: 10, MaxOps: 7}, time.Millisecond, time.Hour)
		if result.Begun != 7 {
			t.Errorf("got %+v, want 7 begun", result)
		}
	})
}

func TestOpenLoopNumbersItsOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sum atomic.Int64
		Open(t.Context(), OpenPlan{Rate: 1000, InFlight: 10, MaxOps: 4}, nil, func(_ context.Context, number int64) { sum.Add(1 << number) })
		if sum.Load() != 0b1111 {
			t.Errorf("numbers are %b, want each from 0 to 3 once", sum.Load())
		}
	})
}

func TestOpenLoopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Microsecond)
		defer cancel()
		result := Open(ctx, OpenPlan{Rate: 1000, InFlight: 100, MaxOps: 1e6}, nil, func(ctx context.Context, _ int64) { <-ctx.Done() })
		if result.Begun != 10 {
			t.Errorf("got %+v, want 10 begun", result)
		}
	})
}
