package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// plan is a load of 1 s warm-up and 4 s window. The tests run in a bubble of virtual time.
var plan = Plan{Warmup: time.Second, Window: 4 * time.Second, Grace: 2 * time.Second, MaxOps: 1 << 30, Seed: 7}

// taking returns an operation that is answered after d.
func taking(d time.Duration) Operation {
	return func(ctx context.Context, _ *rand.Rand) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func noEdge() {}

func TestOnlyOperationsAnsweredWithinTheWindowCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// At 300 ms each, answers come at 0.3 s, 0.6 s, ... : 3 in the warm-up, 13 within 1 s - 5 s, and
		// the one under way at 5 s is answered in the grace.
		got := Run(t.Context(), plan, []Operation{taking(300 * time.Millisecond)}, noEdge)
		if got.Ops != 13 || got.Total != 17 || got.Errors != 0 {
			t.Errorf("got %d ops of %d, %d errors; want 13 of 17, 0 errors", got.Ops, got.Total, got.Errors)
		}
		if got.Window != plan.Window {
			t.Errorf("window %v, want %v", got.Window, plan.Window)
		}
		if p50 := got.Latency.Quantile(0.5); p50 < 300*time.Millisecond || p50 > 305*time.Millisecond {
			t.Errorf("p50 %v, want 300 ms", p50)
		}
	})
}

func TestEdgesAreCalledAtBothEndsOfTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var got []time.Duration
		Run(t.Context(), plan, []Operation{taking(time.Second)}, func() { got = append(got, time.Since(start)) })
		if want := []time.Duration{time.Second, 5 * time.Second}; !slices.Equal(got, want) {
			t.Fatalf("edges at %v, want %v", got, want)
		}
	})
}

func TestEachClientRepeatsItsOwnOperationOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		operations := slices.Repeat([]Operation{taking(210 * time.Millisecond)}, 5)
		operations = append(operations, taking(300*time.Millisecond))
		got := Run(t.Context(), plan, operations, noEdge)
		// Within the window, the slow client is answered 13 times, each other one 19 times (1.05 s,
		// 1.26 s, ... 4.83 s).
		if want := int64(5*19 + 13); got.Ops != want {
			t.Fatalf("got %d ops, want %d", got.Ops, want)
		}
	})
}

func TestLoadEndsEarlyWhenItsOperationsAreSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bounded := plan
		bounded.MaxOps = 30
		operations := slices.Repeat([]Operation{taking(210 * time.Millisecond)}, 3)
		got := Run(t.Context(), bounded, operations, noEdge)
		// Ten each: the tenth is answered at 2.1 s, which is when all are spent.
		if got.Total != 30 || got.Window != 1100*time.Millisecond {
			t.Fatalf("got %d operations and a window of %v, want 30 and 1.1s", got.Total, got.Window)
		}
	})
}

func TestOperationsThatHangAreCancelledAndCountAsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := Run(t.Context(), plan, []Operation{taking(time.Hour), taking(time.Hour)}, noEdge)
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("the load took %v, want warm-up, window and grace: 7s", took)
		}
		if got.Errors != 2 || !errors.Is(got.FirstError, context.DeadlineExceeded) {
			t.Errorf("got %d errors, first %v; want 2 deadlines exceeded", got.Errors, got.FirstError)
		}
	})
}

func TestFailedOperationsAreErrorsAndPauseTheirClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		refuse := func(context.Context, *rand.Rand) error { return refused }
		uneven := plan
		uneven.Window -= time.Millisecond // so that no pause ends together with the window
		got := Run(t.Context(), uneven, []Operation{refuse}, noEdge)
		// One every 10 ms for 4.999 s.
		if got.Ops != 0 || got.Errors != 500 || !errors.Is(got.FirstError, refused) {
			t.Fatalf("got %d ops, %d errors, first %v; want 0, 500, refused", got.Ops, got.Errors, got.FirstError)
		}
	})
}

func TestInterruptEndsTheLoadAndIsNoErrorOfTheSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		got := Run(ctx, plan, []Operation{taking(time.Hour)}, noEdge)
		if took := time.Since(start); took != 2*time.Second || got.Errors != 0 {
			t.Fatalf("ended after %v with %d errors, want 2s and none", took, got.Errors)
		}
	})
}

func TestTheSameSeedAsksTheSame(t *testing.T) {
	asked := func(seed uint64) (got []uint64) {
		synctest.Test(t, func(t *testing.T) {
			seeded := plan
			seeded.Seed = seed
			wait := taking(900 * time.Millisecond)
			Run(t.Context(), seeded, []Operation{func(ctx context.Context, chance *rand.Rand) error {
				got = append(got, chance.Uint64())
				return wait(ctx, chance)
			}}, noEdge)
		})
		return got
	}
	first, again, other := asked(1), asked(1), asked(2)
	if !slices.Equal(first, again) {
		t.Errorf("seed 1 asked %v, then %v", first, again)
	}
	if slices.Equal(first, other) {
		t.Errorf("seeds 1 and 2 both asked %v", first)
	}
}

func TestPaceIsEvenAndOfAllClientsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paced := plan
		paced.Pace = 2
		start := time.Now()
		var began [2][]time.Duration
		var operations []Operation
		for i := range began {
			operations = append(operations, func(ctx context.Context, chance *rand.Rand) error {
				began[i] = append(began[i], time.Since(start))
				return taking(10*time.Millisecond)(ctx, chance)
			})
		}
		got := Run(t.Context(), paced, operations, noEdge)
		all := slices.Concat(began[0], began[1])
		slices.Sort(all)
		for i, at := range all {
			if want := time.Duration(i+1) * time.Second / 2; at != want {
				t.Errorf("operation %d began at %v, want %v", i, at, want)
			}
		}
		// Answers come at 0.51 s, 1.01 s, ...: 8 of them within 1 s - 5 s. The window's end is one
		// operation's beginning; whether that still begins is open.
		if got.Ops != 8 {
			t.Errorf("got %d ops, want 8", got.Ops)
		}
		if took := time.Since(start); took > 5100*time.Millisecond {
			t.Errorf("took %v: clients waited for turns behind the window's end", took)
		}
	})
}
