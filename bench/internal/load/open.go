package load

import (
	"context"
	"sync"
	"time"
)

// openTick is how often an open loop looks whether something is due.
const openTick = time.Millisecond

// OpenPlan bounds an open loop: operations begin evenly, whether or not those before are answered.
// Every field must be above zero.
type OpenPlan struct {
	Rate     float64 // operations per second
	InFlight int     // under way at a time; what is due while so many are is left out
	MaxOps   int64   // begun; the loop ends early when they are spent
}

// OpenResult is what became of an open loop.
type OpenResult struct {
	Begun   int64
	LeftOut int64 // due while too many were under way
}

// Open begins operations, each in a goroutine of its own and with its number, until stop is closed or ctx
// ends, and returns when all have returned. Each must bound itself; its ctx ends only with ctx.
func Open(ctx context.Context, plan OpenPlan, stop <-chan struct{}, operate func(ctx context.Context, number int64)) OpenResult {
	var result OpenResult
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, plan.InFlight)
	ticker := time.NewTicker(openTick)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return result
		case <-ctx.Done():
			return result
		}
		due := int64(time.Since(began).Seconds() * plan.Rate)
		for result.Begun+result.LeftOut < due {
			if result.Begun == plan.MaxOps {
				return result
			}
			select {
			case free <- struct{}{}:
			default:
				result.LeftOut++
				continue
			}
			number := result.Begun
			result.Begun++
			running.Go(func() {
				operate(ctx, number)
				<-free
			})
		}
	}
}
