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
	state, err := t.settle(ctx)
	if err != nil {
		return err
	}
	quiet := t.all.Now()
	pauseFor(ctx, transferWindow)
	quietEnd := t.all.Now()
	if err := t.written(ctx, quietEnd); err != nil {
		return err
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
	ended := t.all.Now()
	if err := t.written(ctx, ended); err != nil {
		return fmt.Errorf("after transfer %d: %w", number+1, err)
	}
	all, one := t.all.LongestGap(began, ended), t.one.LongestGap(began, ended)
	t.bed.tell("transfer %d of %d took %v; no write for %v, of one client for %v", number+1, t.bed.size,
		took.Round(time.Millisecond), all.Round(time.Millisecond), one.Round(time.Millisecond))
	t.run.AddSample("write gap, ms", millis(all))
	t.run.AddSample("write gap without a transfer, ms", millis(t.all.LongestGap(quiet, quietEnd)))
	t.run.AddSample("write gap of one client, ms", millis(one))
	t.run.AddSample("write gap of one client without a transfer, ms", millis(t.one.LongestGap(quiet, quietEnd)))
	t.run.AddSample("answer of MoveLeader, ms", millis(took))
	return nil
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
