package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/raw"
	"github.com/quorate/quorate/bench/internal/report"
)

// pacedEvents is how many events are to be delivered in a second, if the servers have time to spare.
const pacedEvents = 30_000

// runWatchers lets clients put as fast as they can while watchers are told of every put. What counts is
// events, and what is timed is from the beginning of a put to its event at a watcher.
func runWatchers(ctx context.Context, b *bed, r *report.Run) error { return b.watchers(ctx, r, 0) }

// runPacedWatchers lets clients put so often that the watchers are told of pacedEvents events a second.
func runPacedWatchers(ctx context.Context, b *bed, r *report.Run) error {
	return b.watchers(ctx, r, float64(pacedEvents)/float64(max(b.size, 1)))
}

func (b *bed) watchers(ctx context.Context, r *report.Run, pace float64) error {
	if b.size < 1 {
		return errors.New("at least one watcher must be told")
	}
	before, err := b.anonBytes()
	if err != nil {
		return err
	}
	w, err := b.watch(ctx, b.size, allKeys, true)
	if err != nil {
		return err
	}
	after, err := b.anonBytes()
	if err != nil {
		return errors.Join(err, w.stop())
	}
	operations, hangUp, err := b.operations(r.Clients, b.stampedPut)
	if err != nil {
		return errors.Join(err, w.stop())
	}
	defer hangUp()
	_, err = b.measure(ctx, r, loop{operations: operations, pace: pace, edge: w.edge})
	if err == nil {
		err = b.inspect(ctx, r)
	}
	if err = errors.Join(err, w.stop()); err != nil {
		return err
	}
	puts := r.Ops
	r.Add("puts/s", float64(puts)/r.Seconds)
	r.Add("put p99, ms", r.P99Micros/1e3)
	events, delay := w.told()
	r.Ops, r.P50Micros, r.P99Micros = events, micros(delay.Quantile(0.50)), micros(delay.Quantile(0.99))
	r.Add("events delivered of those due", float64(events)/float64(puts*int64(b.size)))
	r.Add("servers' CPU-s per million events", (r.LeaderCPUSeconds+r.FollowersCPUSeconds)/float64(events)*1e6)
	r.Add("memory per watcher created, KiB", float64(after-before)/float64(b.size)/1024)
	return nil
}

// allKeys is the interval of all keys.
func allKeys(int) (key, end string) { return keyPrefix, clientv3.GetPrefixRangeEnd(keyPrefix) }

// stampedPut puts values that say when.
func (b *bed) stampedPut(connection *clientv3.Client) load.Operation {
	return func(ctx context.Context, chance *rand.Rand) error {
		_, err := connection.Put(ctx, b.key(chance), raw.Stamped(time.Now(), b.value(chance)))
		return err
	}
}
