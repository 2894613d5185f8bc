package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/bench/internal/raw"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// historyWriters put at a time while a history is made, values of historyBytes.
	historyWriters = 256
	historyBytes   = 32
	// historyTimeout bounds making a history, besides a second for each thousand revisions.
	historyTimeout = time.Minute
)

// runHistory makes a history of so many revisions and measures puts beside a watcher at the leader that
// begins at revision 1. When it has come to where the history ended it begins again.
func runHistory(ctx context.Context, b *bed, r *report.Run) error {
	if err := b.makeHistory(ctx); err != nil {
		return fmt.Errorf("make a history of %d revisions: %w", b.size, err)
	}
	end, err := b.revision(ctx)
	if err != nil {
		return err
	}
	return b.beside(ctx, r, &history{bed: b, end: end})
}

// makeHistory puts until there are so many revisions more.
func (b *bed) makeHistory(ctx context.Context) error {
	limit := historyTimeout + time.Duration(b.size)*time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("took too long"))
	defer cancel()
	connections, err := b.connect(historyWriters)
	if err != nil {
		return err
	}
	defer closeAll(connections)
	errs := make([]error, historyWriters)
	var running sync.WaitGroup
	for w := range historyWriters {
		running.Go(func() {
			chance := rand.New(rand.NewPCG(b.seed, uint64(w)))
			for i := w; i < b.size && errs[w] == nil; i += historyWriters {
				at := chance.IntN(poolBytes)
				_, errs[w] = connections[w%len(connections)].Put(ctx, b.key(chance), b.pool[at:min(at+historyBytes, len(b.pool))])
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// history is a watcher that reads all there is from the beginning, again and again.
type history struct {
	bed      *bed
	end      int64 // the revision at which it begins again
	cancel   context.CancelFunc
	running  sync.WaitGroup
	counting atomic.Bool

	// The reader's, until it is gone:
	events int64 // within the window
	passes int
	first  time.Duration // of the first pass
	err    error
}

func (h *history) start(ctx context.Context) error {
	ctx, h.cancel = context.WithCancel(ctx)
	h.running.Go(func() {
		began := time.Now()
		for ctx.Err() == nil && h.err == nil {
			err := h.pass(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				h.err = err
			default:
				if h.passes++; h.passes == 1 {
					h.first = time.Since(began)
				}
			}
		}
	})
	return nil
}

// pass reads from revision 1 to the end, and makes sure that nothing is missing.
func (h *history) pass(ctx context.Context) error {
	w, err := h.bed.watchLeader(ctx)
	if err != nil {
		return err
	}
	defer w.hangUp()
	key, end := allKeys(0)
	if err := w.Create(key, end, 1); err != nil {
		return err
	}
	var a raw.Answer
	for last := int64(1); last < h.end; {
		if err := w.Receive(&a); err != nil {
			return err
		}
		if a.Canceled || a.Gaps > 0 || a.Events > 0 && a.First != last+1 {
			return fmt.Errorf("after revision %d of %d came %+v", last, h.end, a)
		}
		if a.Events == 0 {
			continue
		}
		last = a.Last
		if h.counting.Load() {
			h.events += int64(a.Events)
		}
	}
	return nil
}

func (h *history) edge() { h.counting.Store(!h.counting.Load()) }

func (h *history) stop(r *report.Run) error {
	if h.cancel != nil {
		h.cancel()
	}
	h.running.Wait()
	r.Add("events/s from the past", float64(h.events)/max(r.Seconds, time.Millisecond.Seconds()))
	if h.passes > 0 {
		r.Add("first pass, s", h.first.Seconds())
	}
	return h.err
}
