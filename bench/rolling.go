package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/outage"
	"github.com/quorate/quorate/bench/internal/report"
)

// maxRollingClients is how many clients may write while servers are restarted: each has connections of
// its own to all of them.
const maxRollingClients = 1000

// runRolling restarts one server after the other, so many times around, while clients write one put after
// another, and measures what they see of it.
func runRolling(ctx context.Context, b *bed, r *report.Run) error {
	if b.size < 1 || r.Clients > maxRollingClients {
		return fmt.Errorf("the size of rolling is how often all servers are restarted, 1 at least; it has up to %d clients", maxRollingClients)
	}
	l, err := b.startRolling(ctx, r)
	if err != nil {
		return err
	}
	spent, err := b.startMeter()
	began := l.all.Now()
	for i := 0; i < b.size*cluster.Servers && err == nil; i++ {
		err = l.restart(ctx, i)
	}
	ended := l.all.Now()
	err = errors.Join(err, spent.read(r))
	l.stop()
	if err != nil {
		return err
	}
	for _, own := range l.own {
		r.AddSample("longest gap of each client, ms", millis(own.LongestGap(began, ended)))
	}
	r.AddSample("longest gap of all clients together, ms", millis(l.all.LongestGap(began, ended)))
	l.fill(r)
	r.Add("requests that failed", float64(r.Errors))
	for i, name := range l.errors.names {
		r.Add("failed: "+name, float64(l.errors.counts[i]))
	}
	if err := l.check(ctx, r); err != nil {
		return err
	}
	r.AddMedians()
	return nil
}

// rolling restarts servers under clients that each write one put after another.
type rolling struct {
	*writes
	run     *report.Run
	own     []*outage.Acks // of each client
	cancel  context.CancelFunc
	running sync.WaitGroup
	hangUp  func()
}

func (b *bed) startRolling(ctx context.Context, r *report.Run) (*rolling, error) {
	clients, err := b.plainClients(r.Clients)
	if err != nil {
		return nil, err
	}
	base := time.Now()
	l := &rolling{writes: b.newWrites(base), run: r, hangUp: func() { closeAll(clients) }}
	ctx, l.cancel = context.WithCancel(ctx)
	for _, client := range clients {
		own := outage.New(base)
		l.own = append(l.own, own)
		l.running.Go(func() { l.oneAfterAnother(ctx, client, own) })
	}
	return l, nil
}

func (l *rolling) stop() {
	l.cancel()
	l.running.Wait()
	l.hangUp()
}

// restart ends one server and starts it again, once all are whole and all clients have been answered.
func (l *rolling) restart(ctx context.Context, number int) error {
	if err := l.settle(ctx); err != nil {
		return err
	}
	server := number % cluster.Servers
	role := "a follower"
	if server == l.bed.cluster.Leader {
		role = "the leader"
	}
	began := time.Now()
	if err := l.bed.cluster.Terminate(ctx, server); err != nil {
		return err
	}
	down := time.Now()
	if err := l.bed.cluster.Restart(server); err != nil {
		return err
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	whole := time.Now()
	l.bed.tell("restart %d of %d, %s: ended after %v, whole again after %v", number+1, l.bed.size*cluster.Servers, role,
		down.Sub(began).Round(time.Millisecond), whole.Sub(down).Round(time.Millisecond))
	l.run.AddSample("from SIGTERM to its end, ms", millis(down.Sub(began)))
	l.run.AddSample("from its start to whole, ms", millis(whole.Sub(down)))
	return nil
}

// settle waits until all servers are whole and every client has been answered since.
func (l *rolling) settle(ctx context.Context) error {
	if _, err := l.bed.cluster.WaitWhole(ctx); err != nil {
		return err
	}
	whole := l.all.Now()
	err := await(ctx, settleTimeout, func() bool {
		for _, own := range l.own {
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
