package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/bench/internal/hist"
)

// pauseAfterError keeps a client whose server is gone from spinning.
const pauseAfterError = 10 * time.Millisecond

// Operation does one operation and returns when it is answered. All chance it needs comes from
// chance, so that every subject is asked the same.
type Operation func(ctx context.Context, chance *rand.Rand) error

// Plan bounds a load in time and in number. Every field must be above zero but
// Seed, Warmup and Pace.
type Plan struct {
	Warmup time.Duration
	Window time.Duration
	Grace  time.Duration // for the operations under way when the window ends; then they are cancelled
	MaxOps int64         // all operations begun, in all phases; the load ends early when they are spent
	Seed   uint64
	// Pace is how many operations begin in a second, all clients together and evenly; 0: as many as can.
	// A client that is still busy when its turn comes begins late, so that a pace is a bound only.
	Pace float64
}

// Result is what the clients saw.
type Result struct {
	Ops        int64           // answered well within the window
	Total      int64           // answered well in all three phases
	Errors     int64           // failed, in all three phases
	FirstError error           // of one client that had any, nil if none failed
	Window     time.Duration   // how long the window really was
	Latency    *hist.Histogram // of the operations in Ops
}

// The phases of a run, as all clients see them.
const (
	warming int32 = iota
	measuring
	over
)

// run is what the clients of one load share.
type run struct {
	interrupted context.Context // the caller's: its end is no error of the subject
	began       time.Time
	pace        float64
	turns       atomic.Int64 // that were given out, with a pace
	phase       atomic.Int32
	left        atomic.Int64 // operations that may still begin
	spent       chan struct{}
	closeSpent  sync.Once
	ended       chan struct{} // closed when the window has
}

// client is one closed loop and what it alone has counted.
type client struct {
	operate    Operation
	chance     *rand.Rand
	latency    hist.Histogram
	total      int64
	errors     int64
	firstError error
}

// Run lets every operation be repeated by a client of its own and calls edge at both ends of the
// window, from the calling goroutine. It ends when the plan does or when ctx does.
func Run(ctx context.Context, plan Plan, operations []Operation, edge func()) Result {
	r := &run{interrupted: ctx, began: time.Now(), pace: plan.Pace, spent: make(chan struct{}),
		ended: make(chan struct{})}
	r.left.Store(plan.MaxOps)
	bounded, cancel := context.WithTimeout(ctx, plan.Warmup+plan.Window+plan.Grace)
	defer cancel()

	clients := make([]client, len(operations))
	var running sync.WaitGroup
	for i := range clients {
		clients[i].operate = operations[i]
		clients[i].chance = rand.New(rand.NewPCG(plan.Seed, uint64(i)))
		running.Go(func() { clients[i].loop(bounded, r) })
	}

	r.wait(plan.Warmup)
	edge()
	r.phase.Store(measuring)
	start := time.Now()
	r.wait(plan.Window)
	r.phase.Store(over)
	close(r.ended)
	window := time.Since(start)
	edge()

	running.Wait()
	return sum(clients, window)
}

// wait returns after d, or as soon as there is nothing more to wait for.
func (r *run) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.spent:
	case <-r.interrupted.Done():
	}
}

// awaitTurn waits until it is time for one more operation. It reports false when ctx has ended, or the
// window has.
func (r *run) awaitTurn(ctx context.Context) bool {
	if r.pace == 0 {
		return ctx.Err() == nil
	}
	at := r.began.Add(time.Duration(float64(r.turns.Add(1)) / r.pace * float64(time.Second)))
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-r.ended:
		return false
	case <-ctx.Done():
		return false
	}
}

// begin tells whether one more operation may begin.
func (r *run) begin() bool {
	if r.phase.Load() == over {
		return false
	}
	if r.left.Add(-1) < 0 {
		r.closeSpent.Do(func() { close(r.spent) })
		return false
	}
	return true
}

func (c *client) loop(ctx context.Context, r *run) {
	for r.awaitTurn(ctx) && r.begin() {
		start := time.Now()
		err := c.operate(ctx, c.chance)
		took := time.Since(start)
		switch {
		case err == nil:
			c.total++
			if r.phase.Load() == measuring {
				c.latency.Add(took)
			}
		case r.interrupted.Err() == nil:
			c.errors++
			if c.firstError == nil {
				c.firstError = err
			}
			pause(ctx)
		}
	}
}

func pause(ctx context.Context) {
	timer := time.NewTimer(pauseAfterError)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func sum(clients []client, window time.Duration) Result {
	result := Result{Window: window, Latency: &hist.Histogram{}}
	for i := range clients {
		c := &clients[i]
		result.Latency.Merge(&c.latency)
		result.Total += c.total
		result.Errors += c.errors
		if result.FirstError == nil {
			result.FirstError = c.firstError
		}
	}
	result.Ops = int64(result.Latency.Count())
	return result
}
