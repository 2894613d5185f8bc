package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/outage"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// leastInFlight and mostInFlight bound how many writes of the steady load are under way.
	leastInFlight = 64
	mostInFlight  = 20_000
	// checkInterval is how often it is looked whether what is waited for has come.
	checkInterval = 2 * time.Millisecond
	// settleTimeout bounds waiting until the one client has been answered by every server.
	settleTimeout = 2 * time.Minute
)

// steady is a load of puts that begin evenly, whatever becomes of them, from the plain clients of all
// servers; and beside them one such client that puts one after another, and one of Quorate's that does the same.
type steady struct {
	*writes
	rate    float64 // puts per second, without those of the two clients
	one     *outage.Acks
	own     *outage.Acks // of the client of Quorate's
	clients []*clientv3.Client
	ours    ownClients

	stopOpen   chan struct{}
	cancelOnes context.CancelFunc
	running    sync.WaitGroup
	open       load.OpenResult // of the loop, once it is gone
	meter      *meter
}

// plainClients returns clients as etcd's users have them: each knows all servers, and has no settings.
func (b *bed) plainClients(count int) ([]*clientv3.Client, error) {
	var clients []*clientv3.Client
	for range count {
		client, err := cluster.Dial(b.cluster.URLs()...)
		if err != nil {
			closeAll(clients)
			return nil, err
		}
		clients = append(clients, client)
	}
	return clients, nil
}

// startSteady begins the load. The caller must call stop.
func (b *bed) startSteady(ctx context.Context, r *report.Run) (*steady, error) {
	clients, err := b.plainClients(min(r.Clients, maxConnections) + 1)
	if err != nil {
		return nil, err
	}
	ours, err := b.ownClients(1)
	if err != nil {
		closeAll(clients)
		return nil, err
	}
	base := time.Now()
	s := &steady{writes: b.newWrites(base), rate: b.options.rate, one: outage.New(base), own: outage.New(base), clients: clients,
		ours: ours, stopOpen: make(chan struct{})}
	if s.rate == 0 {
		if s.rate, err = b.halfOfRate(ctx, clients[1:], r); err != nil {
			s.close()
			return nil, err
		}
	}
	b.tell("load: %.0f puts a second", s.rate)
	r.Add("load, puts/s", s.rate)
	if s.meter, err = b.startMeter(); err != nil {
		s.close()
		return nil, err
	}
	plan := load.OpenPlan{
		Rate:     s.rate,
		InFlight: min(max(int(1.5*s.rate*b.options.timeout.Seconds()), leastInFlight), mostInFlight),
		MaxOps:   b.options.maxOps,
	}
	s.running.Go(func() {
		s.open = load.Open(ctx, plan, s.stopOpen, func(ctx context.Context, number int64) {
			_, _ = s.put(ctx, clients[1+number%int64(len(clients)-1)], s.begin()) // it is counted there
		})
	})
	ones, cancel := context.WithCancel(ctx)
	s.cancelOnes = cancel
	s.running.Go(func() { s.oneAfterAnother(ones, clients[0], s.one) })
	s.running.Go(func() { s.oneAfterAnother(ones, ours[0].Client, s.own) })
	return s, nil
}

func (s *steady) close() {
	closeAll(s.clients)
	s.ours.close()
}

// halfOfRate returns half of the puts per second that a closed loop of so many clients comes to.
func (b *bed) halfOfRate(ctx context.Context, clients []*clientv3.Client, r *report.Run) (float64, error) {
	var operations []load.Operation
	for i := range r.Clients {
		operations = append(operations, b.put(clients[i%len(clients)]))
	}
	plan := load.Plan{Warmup: b.options.warmup, Window: b.options.window, Grace: grace, MaxOps: b.options.maxOps, Seed: b.seed}
	result := load.Run(ctx, plan, operations, func() {})
	if result.Ops == 0 {
		return 0, fmt.Errorf("no put succeeded before the load; %d errors, one of them: %w", result.Errors, result.FirstError)
	}
	rate := float64(result.Ops) / result.Window.Seconds()
	b.tell("%d clients put %.0f times a second", r.Clients, rate)
	return rate / 2, nil
}

// stop ends the load, once what is under way is answered or out of time.
func (s *steady) stop() {
	close(s.stopOpen)
	s.cancelOnes()
	s.running.Wait()
	s.close()
}

// finish ends the load, fills in the figures of r, and makes sure that nothing is lost.
func (s *steady) finish(ctx context.Context, r *report.Run) error {
	err := s.meter.read(r)
	s.stop()
	if err := errors.Join(context.Cause(ctx), err); err != nil {
		return err
	}
	s.fill(r)
	r.Add("writes left out, too many under way", float64(s.open.LeftOut))
	return s.check(ctx, r)
}

// fill writes into r what the clients saw.
func (w *writes) fill(r *report.Run) {
	r.Ops = int64(w.latency.Count())
	r.P50Micros = micros(w.latency.Quantile(0.50))
	r.P99Micros = micros(w.latency.Quantile(0.99))
	r.Errors = w.errors.sum()
	if w.errors.first != nil {
		r.ErrorExample = w.errors.first.Error()
	}
}

// check reads everything back once all servers are whole.
func (w *writes) check(ctx context.Context, r *report.Run) error {
	if _, err := w.bed.cluster.WaitWhole(ctx); err != nil {
		return err
	}
	w.bed.tell("reading %d acknowledged writes back", w.acknowledged())
	if err := w.missing(ctx); err != nil {
		return err
	}
	r.Add("acknowledged writes", float64(w.acknowledged()))
	r.Add("of these lost", 0) // else it has failed
	return w.bed.weigh(r)
}

// settle waits until the cluster is whole, and the one client has been answered by every server since: its
// connections are all there again. Quorate's client keeps to one server, and must have been answered by that.
func (s *steady) settle(ctx context.Context) (cluster.State, error) {
	if _, err := s.bed.cluster.WaitWhole(ctx); err != nil {
		return cluster.State{}, err
	}
	whole := s.one.Now()
	err := await(ctx, settleTimeout, func() bool { return s.one.Members(whole) == cluster.Servers && s.own.Since(whole) })
	if err != nil {
		return cluster.State{}, fmt.Errorf("wait until every server has answered the one client: %w", err)
	}
	pauseFor(ctx, settlePause)
	return s.bed.cluster.Look(ctx)
}

// await waits until something has come.
func await(ctx context.Context, limit time.Duration, hasCome func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it has not come within %v", limit))
	defer cancel()
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for !hasCome() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
