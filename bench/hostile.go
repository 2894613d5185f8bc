package main

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/bench/internal/report"
)

// hostile is a client that should not hurt others.
type hostile interface {
	// start begins it, and returns when it is under way. It goes on until stop, or until ctx ends.
	start(ctx context.Context) error
	// edge is called at both ends of the window.
	edge()
	// stop ends it, and adds to r what it has seen. It is called once, also if start fails.
	stop(r *report.Run) error
}

// beside measures what clients that put see and what the servers hold, first without a hostile client
// and then with it. The figures of r are of the second.
func (b *bed) beside(ctx context.Context, r *report.Run, h hostile) error {
	operations, hangUp, err := b.operations(r.Clients, b.put)
	if err != nil {
		return err
	}
	defer hangUp()
	calm := report.Run{Case: r.Case, Round: r.Round}
	memory := b.followMemory()
	_, err = b.measure(ctx, &calm, loop{operations: operations})
	calmPeak, memoryErr := memory.stop()
	if err := errors.Join(err, memoryErr); err != nil {
		return err
	}

	memory = b.followMemory()
	err = h.start(ctx)
	if err == nil {
		_, err = b.measure(ctx, r, loop{operations: operations, edge: h.edge})
	}
	peak, memoryErr := memory.stop()
	addBeside(r, &calm, calmPeak, peak)
	if err := errors.Join(err, memoryErr, h.stop(r)); err != nil {
		return err
	}
	return b.inspect(ctx, r)
}

// addBeside adds what the clients saw before to r, and the quotients of after and before.
func addBeside(r, calm *report.Run, calmPeak, peak int64) {
	per := func(ops int64, seconds float64) float64 {
		return float64(ops) / max(seconds, time.Millisecond.Seconds())
	}
	rate, calmRate := per(r.Ops, r.Seconds), per(calm.Ops, calm.Seconds)
	r.Add("puts/s without", calmRate)
	r.Add("put p99 without, ms", calm.P99Micros/1e3)
	r.Add("puts/s, with over without", rate/max(calmRate, 1))
	r.Add("put p99, with over without", r.P99Micros/max(calm.P99Micros, 1))
	r.Add("peak memory without, MiB", float64(calmPeak)/(1<<20))
	r.Add("peak memory, MiB", float64(peak)/(1<<20))
}
