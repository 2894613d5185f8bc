package main

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// settlePause is how long a cluster that is whole is let alone before the next failure.
	settlePause = 500 * time.Millisecond
	// outageTimeout bounds how long a failure of the leader may keep clients from writing.
	outageTimeout = time.Minute
	// maxMissed is how often in a row the leader may change by itself before it is made to.
	maxMissed = 5
)

// The ways in which leaders fail, in turn: by kill -9, which closes their connections, and by SIGSTOP,
// which does not.
const (
	killed = "killed"
	silent = "silent"
)

var failureKinds = [...]string{killed, silent}

// runFailover lets the leader fail so many times, and measures from the failure to the first write that is
// acknowledged.
func runFailover(ctx context.Context, b *bed, r *report.Run) error {
	if b.size < 1 {
		return fmt.Errorf("the size of failover is the number of failures, and that is 1 at least")
	}
	s, err := b.startSteady(ctx, r)
	if err != nil {
		return err
	}
	f := &failover{steady: s, run: r}
	for i := 0; i < b.size && err == nil; i++ {
		// Rounds begin with one kind and the other, so that both are equally often there in the end.
		err = f.next(ctx, i, failureKinds[(i+r.Round+1)%len(failureKinds)])
	}
	if err != nil {
		s.stop()
		return err
	}
	if err := s.finish(ctx, r); err != nil {
		return err
	}
	r.AddMedians()
	return nil
}

// failover lets leaders fail under a load.
type failover struct {
	*steady
	run *report.Run
}

// next lets the leader fail once, and tries again if there was another before that.
func (f *failover) next(ctx context.Context, number int, kind string) error {
	for range maxMissed {
		hit, err := f.fail(ctx, number, kind)
		if err != nil {
			return fmt.Errorf("failure %d, %s: %w", number+1, kind, err)
		}
		if hit {
			return nil
		}
		f.bed.tell("failure %d hit no leader: there was another one already; again", number+1)
	}
	return fmt.Errorf("the leader changed by itself %d times in a row", maxMissed)
}

// fail lets the leader fail and brings it back. It reports false if the leader had changed by itself.
func (f *failover) fail(ctx context.Context, number int, kind string) (hit bool, err error) {
	state, err := f.settle(ctx)
	if err != nil {
		return false, err
	}
	failed := f.all.Now()
	if err := f.strike(state.Leader, kind); err != nil {
		return false, err
	}
	var writable, one, own time.Duration // when
	err = await(ctx, outageTimeout, func() bool {
		var anybody, plain, ours bool
		writable, anybody = f.all.FirstAbove(state.Term)
		one, plain = f.one.FirstAbove(state.Term)
		own, ours = f.own.FirstAbove(state.Term)
		return anybody && plain && ours
	})
	if err != nil {
		return false, fmt.Errorf("wait for acknowledged writes: %w", err)
	}
	if err := f.bringBack(state.Leader, kind); err != nil {
		return false, err
	}
	if writable < failed {
		return false, nil
	}
	f.bed.tell("failure %d of %d, %s: writable after %v, one client writes after %v, one of Quorate's after %v", number+1, f.bed.size, kind,
		rounded(writable-failed), rounded(one-failed), rounded(own-failed))
	f.run.AddSample(kind+": cluster writable, ms", millis(writable-failed))
	f.run.AddSample(kind+": one client writes, ms", millis(one-failed))
	f.run.AddSample(kind+": one client of Quorate's writes, ms", millis(own-failed))
	return true, nil
}

func (f *failover) strike(server int, kind string) error {
	if kind == silent {
		return f.bed.cluster.Pause(server)
	}
	f.bed.cluster.Kill(server)
	return nil
}

func (f *failover) bringBack(server int, kind string) error {
	if kind == silent {
		return f.bed.cluster.Resume(server)
	}
	return f.bed.cluster.Restart(server)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
