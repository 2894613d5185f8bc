package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/raw"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	leaseTTL = 30 // seconds
	// renewal is how often every lease is kept alive, with a pace: three times in its life.
	renewal = 10 * time.Second
	// granters grant leases at a time.
	granters     = 64
	grantTimeout = 2 * time.Minute
	// burstLeases are kept alive at once by a client that does not wait for one after the other.
	burstLeases = 100
)

// runLeases keeps leases alive as fast as the clients can. Each has a stream, on which its share of the
// leases takes turns, one after the other.
func runLeases(ctx context.Context, b *bed, r *report.Run) error { return b.leases(ctx, r, 0, 1) }

// runPacedLeases keeps each lease alive three times in its life.
func runPacedLeases(ctx context.Context, b *bed, r *report.Run) error {
	return b.leases(ctx, r, float64(b.size)/renewal.Seconds(), 1)
}

// runLeaseBursts keeps leases alive as fast as the clients can, many at once. What is timed is a burst.
func runLeaseBursts(ctx context.Context, b *bed, r *report.Run) error {
	return b.leases(ctx, r, 0, burstLeases)
}

// leases keeps leases alive, so many at once.
func (b *bed) leases(ctx context.Context, r *report.Run, pace float64, atOnce int) error {
	if b.size < r.Clients*atOnce {
		return fmt.Errorf("%d leases are too few for %d clients that keep alive %d at once", b.size, r.Clients, atOnce)
	}
	connections, err := b.connect(r.Clients)
	if err != nil {
		return err
	}
	defer closeAll(connections)
	start := time.Now()
	limit, cancel := context.WithTimeoutCause(ctx, grantTimeout, errors.New("granting the leases took too long"))
	defer cancel()
	ids, err := b.grant(limit, connections)
	if err != nil {
		return err
	}
	granted := time.Since(start)
	operations, closeStreams, err := keepers(ctx, connections, ids, r.Clients, atOnce)
	if err != nil {
		return err
	}
	defer closeStreams()
	if _, err := b.measure(ctx, r, loop{operations: operations, pace: pace}); err != nil {
		return err
	}
	r.Ops *= int64(atOnce)
	r.Add("leases granted/s", float64(b.size)/granted.Seconds())
	if err := b.countLeases(ctx); err != nil {
		return err
	}
	return b.inspect(ctx, r)
}

// grant grants all leases and returns their ids.
func (b *bed) grant(ctx context.Context, connections []*clientv3.Client) ([]int64, error) {
	ids, errs := make([]int64, b.size), make([]error, granters)
	var running sync.WaitGroup
	for g := range granters {
		running.Go(func() {
			for i := g; i < b.size && errs[g] == nil; i += granters {
				var lease *clientv3.LeaseGrantResponse
				if lease, errs[g] = connections[g%len(connections)].Grant(ctx, leaseTTL); errs[g] == nil {
					ids[i] = int64(lease.ID)
				}
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		if status.Code(err) == codes.Unimplemented {
			return nil, skip{"there are no leases: " + err.Error()}
		}
	}
	return ids, errors.Join(errs...)
}

// keepers returns clients that keep alive their share of the leases, so many at once, each on a stream of
// its own. The streams end with closeStreams.
func keepers(ctx context.Context, connections []*clientv3.Client, ids []int64, clients, atOnce int) (all []load.Operation, closeStreams func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	for i := range clients {
		stream, err := raw.OpenLeases(ctx, connections[i%len(connections)].ActiveConnection())
		if err != nil {
			cancel()
			return nil, nil, err
		}
		share, next := ids[i*len(ids)/clients:(i+1)*len(ids)/clients], 0
		all = append(all, func(bounded context.Context, _ *rand.Rand) error {
			defer context.AfterFunc(bounded, cancel)() // a stream knows its own context only
			if next+atOnce > len(share) {
				next = 0
			}
			next += atOnce
			return stream.KeepAlive(share[next-atOnce : next]...)
		})
	}
	return all, cancel, nil
}

// countLeases makes sure that no lease was lost.
func (b *bed) countLeases(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	got, err := b.asker.Leases(ctx)
	if err != nil {
		return fmt.Errorf("list the leases: %w", err)
	}
	if len(got.Leases) != b.size {
		return fmt.Errorf("of %d leases there are %d", b.size, len(got.Leases))
	}
	return nil
}
