package main

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate/bench/internal/report"
)

// runBurst measures puts beside many watchers that are created all at once, each of a key of its own;
// when all are there their streams are ended, and it begins again.
func runBurst(ctx context.Context, b *bed, r *report.Run) error {
	return b.beside(ctx, r, &burst{bed: b})
}

// burst creates watchers, again and again.
type burst struct {
	bed     *bed
	cancel  context.CancelFunc
	running sync.WaitGroup

	// The creator's, until it is gone:
	bursts int
	took   time.Duration // all of them together
	err    error
}

func (u *burst) start(ctx context.Context) error {
	ctx, u.cancel = context.WithCancel(ctx)
	u.running.Go(func() {
		for ctx.Err() == nil && u.err == nil {
			began := time.Now()
			w, err := u.bed.watch(ctx, u.bed.size, u.oneKey, false)
			if err == nil {
				u.bursts++
				u.took += time.Since(began)
				err = w.stop()
			}
			if ctx.Err() == nil {
				u.err = err
			}
		}
	})
	return nil
}

func (u *burst) oneKey(watcher int) (key, end string) {
	return keyName(watcher % u.bed.options.keys), ""
}

func (u *burst) edge() {}

func (u *burst) stop(r *report.Run) error {
	if u.cancel != nil {
		u.cancel()
	}
	u.running.Wait()
	if u.bursts > 0 {
		r.Add("time to create all, s", u.took.Seconds()/float64(u.bursts))
	}
	r.Add("bursts", float64(u.bursts))
	return u.err
}
