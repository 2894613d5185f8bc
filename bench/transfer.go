package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

// transferWindow is how long writes are looked at around a transfer, and as long before it without one.
const transferWindow = time.Second

// runTransfer hands leadership over so many times, and measures the longest time in which no write is
// acknowledged, without and with that.
func runTransfer(ctx context.Context, b *bed, r *report.Run) error {
	if b.size < 1 {
		return fmt.Errorf("the size of transfer is the number of transfers, and that is 1 at least")
	}
	s, err := b.startSteady(ctx, r)
	if err != nil {
		return err
	}
	t := &transfer{steady: s, run: r}
	for i := 0; i < b.size && err == nil; i++ {
		err = t.next(ctx, i)
	}
	if err != nil {
		s.stop()
		return err
	}
	r.Add("transfers that failed", float64(t.failed))
	if err := s.finish(ctx, r); err != nil {
		return err
	}
	r.AddMedians()
	return nil
}

// transfer hands leadership over under a load.
type transfer struct {
	*steady
	run    *report.Run
	failed int
}

// next hands leadership to the server behind the leader.
func (t *transfer) next(ctx context.Context, number int) error {
	state, quiet, err := t.quietly(ctx)
	if err != nil {
		return fmt.Errorf("before transfer %d: %w", number+1, err)
	}
	began := t.all.Now()
	err = t.move(ctx, state)
	took := t.all.Now() - began
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case status.Code(err) == codes.Unimplemented:
		return skip{fmt.Sprintf("leadership cannot be handed over by MoveLeader: %v", err)}
	case err != nil:
		t.failed++
		t.bed.tell("transfer %d of %d FAILED after %v: %v", number+1, t.bed.size, took.Round(time.Millisecond), err)
		return nil
	}
	pauseFor(ctx, transferWindow-took)
	moved, err := t.gaps(ctx, began)
	if err != nil {
		return fmt.Errorf("after transfer %d: %w", number+1, err)
	}
	t.bed.tell("transfer %d of %d took %v; no write for %v, of one client for %v", number+1, t.bed.size,
		took.Round(time.Millisecond), moved.all.Round(time.Millisecond), moved.one.Round(time.Millisecond))
	t.run.AddSample("write gap, ms", millis(moved.all))
	t.run.AddSample("write gap without a transfer, ms", millis(quiet.all))
	t.run.AddSample("write gap of one client, ms", millis(moved.one))
	t.run.AddSample("write gap of one client without a transfer, ms", millis(quiet.one))
	t.run.AddSample("answer of MoveLeader, ms", millis(took))
	return nil
}

// gaps are the longest times without an acknowledged write, of all clients together and of one.
type gaps struct{ all, one time.Duration }

// gaps finds them from a moment up to now, and waits for their ends.
func (t *transfer) gaps(ctx context.Context, from time.Duration) (gaps, error) {
	to := t.all.Now()
	err := t.written(ctx, to)
	return gaps{all: t.all.LongestGap(from, to), one: t.one.LongestGap(from, to)}, err
}

// quietly finds the gaps of a time in which the leader stays the same, which is what the machine does by
// itself.
func (t *transfer) quietly(ctx context.Context) (cluster.State, gaps, error) {
	for range maxMissed {
		before, err := t.settle(ctx)
		if err != nil {
			return cluster.State{}, gaps{}, err
		}
		from := t.all.Now()
		pauseFor(ctx, transferWindow)
		quiet, err := t.gaps(ctx, from)
		if err != nil {
			return cluster.State{}, gaps{}, err
		}
		if after, err := t.bed.cluster.Look(ctx); err == nil && after.Term == before.Term {
			return after, quiet, nil
		}
		t.bed.tell("the leader has changed by itself; again")
	}
	return cluster.State{}, gaps{}, fmt.Errorf("the leader changed by itself %d times in a row", maxMissed)
}

// written waits until writes are acknowledged after a moment: a gap must have an end.
func (t *transfer) written(ctx context.Context, after time.Duration) error {
	err := await(ctx, outageTimeout, func() bool { return t.all.Since(after) && t.one.Since(after) })
	if err != nil {
		return fmt.Errorf("wait for acknowledged writes: %w", err)
	}
	return nil
}

// move asks the leader to hand over to the server behind it.
func (t *transfer) move(ctx context.Context, state cluster.State) error {
	servers := t.bed.cluster.Servers
	leader, err := cluster.Dial(servers[state.Leader].URL)
	if err != nil {
		return err
	}
	defer leader.Close()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err = leader.MoveLeader(ctx, state.IDs[(state.Leader+1)%len(servers)])
	return err
}
