package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/outage"
	"github.com/quorate/quorate/bench/internal/report"
)

// crowd is a closed loop of puts: each writer puts one after another, whatever becomes of the servers.
type crowd struct {
	*writes
	own     []*outage.Acks // of each writer
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// startCrowd begins the load, of so many writers, who share the clients. The caller must call stop.
func (w *writes) startCrowd(ctx context.Context, clients []*clientv3.Client, writers int) *crowd {
	c := &crowd{writes: w}
	ctx, c.cancel = context.WithCancel(ctx)
	for i := range writers {
		own := w.all.Like()
		c.own = append(c.own, own)
		c.running.Go(func() { c.oneAfterAnother(ctx, clients[i%len(clients)], own) })
	}
	return c
}

// stop ends the load; who has been answered is counted.
func (c *crowd) stop() {
	c.cancel()
	c.running.Wait()
}

// settle waits until all servers are whole and every writer has been answered since.
func (c *crowd) settle(ctx context.Context) error {
	if _, err := c.bed.cluster.WaitWhole(ctx); err != nil {
		return err
	}
	whole := c.all.Now()
	err := await(ctx, settleTimeout, func() bool {
		for _, own := range c.own {
			if !own.Since(whole) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("wait until every client was answered: %w", err)
	}
	return nil
}

// report adds the gaps between two moments, and what failed at any time.
func (c *crowd) report(r *report.Run, from, to time.Duration) {
	for _, own := range c.own {
		r.AddSample("longest gap of each client, ms", millis(own.LongestGap(from, to)))
	}
	r.AddSample("longest gap of all clients together, ms", millis(c.all.LongestGap(from, to)))
	c.fill(r)
	r.Add("requests that failed", float64(r.Errors))
	for i, name := range c.errors.names {
		r.Add("failed: "+name, float64(c.errors.counts[i]))
	}
}

// failedSoFar is how many requests have failed.
func (w *writes) failedSoFar() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errors.sum()
}
