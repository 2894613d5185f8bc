package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/hist"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// bulkOps is how many operations a transaction of a bulk load has: as many as etcd allows.
	bulkOps = 128
	// bulkTimeout bounds a bulk load, besides a second for each thousand operations, and bulkTry a transaction.
	bulkTimeout = time.Minute
	bulkTry     = time.Minute
	// bulkTold is how often progress is told.
	bulkTold = 15 * time.Second
	// scatter makes numbers in order into numbers all over the place; a prime that divides no number of keys.
	scatter = 15_485_863
)

// bulk is a load of operations in large transactions, by several clients, as quickly as they can.
type bulk struct {
	count   int // of operations
	op      func(i int) clientv3.Op
	clients int

	next    atomic.Int64
	mu      sync.Mutex // guards latency
	latency hist.Histogram
}

// bulk carries out count operations. The first that fails ends it.
func (b *bed) bulk(ctx context.Context, clients, count int, op func(i int) clientv3.Op) (*bulk, error) {
	limit := bulkTimeout + time.Duration(count)*time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("took too long"))
	defer cancel()
	connections, err := b.connect(clients)
	if err != nil {
		return nil, err
	}
	defer closeAll(connections)
	l := &bulk{count: count, op: op, clients: clients}
	errs := make([]error, clients)
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() { errs[i] = l.run(ctx, connections[i%len(connections)], cancel) })
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		l.tell(ctx, b)
	}()
	running.Wait()
	cause := context.Cause(ctx)
	cancel()
	<-told
	if int(l.next.Load()) < count || errors.Join(errs...) != nil {
		return nil, fmt.Errorf("carry out %d operations: %w", count, errors.Join(append(errs, cause)...))
	}
	return l, nil
}

// run is one client.
func (l *bulk) run(ctx context.Context, connection *clientv3.Client, giveUp func()) error {
	var latency hist.Histogram
	perTxn := bulkOps
	for {
		from := int(l.next.Add(int64(perTxn))) - perTxn
		if from >= l.count || ctx.Err() != nil {
			break
		}
		var ops []clientv3.Op
		for i := from; i < min(from+perTxn, l.count); i++ {
			ops = append(ops, l.op(i))
		}
		bounded, cancel := context.WithTimeout(ctx, bulkTry)
		began := time.Now()
		_, err := connection.Txn(bounded).Then(ops...).Commit()
		cancel()
		if err != nil {
			giveUp()
			return fmt.Errorf("operations %d to %d: %w", from, from+len(ops)-1, err)
		}
		latency.Add(time.Since(began))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.Merge(&latency)
	return nil
}

func (l *bulk) tell(ctx context.Context, b *bed) {
	ticker := time.NewTicker(bulkTold)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.tell("%d of %d operations", min(int(l.next.Load()), l.count), l.count)
		case <-ctx.Done():
			return
		}
	}
}

// load carries out operations as bulk does, and makes them the operations of the run.
func (b *bed) load(ctx context.Context, r *report.Run, count int, op func(i int) clientv3.Op) error {
	spent, err := b.startMeter()
	if err != nil {
		return err
	}
	l, err := b.bulk(ctx, r.Clients, count, op)
	if err := errors.Join(err, spent.read(r)); err != nil {
		return err
	}
	r.Ops = int64(count)
	r.P50Micros, r.P99Micros = micros(l.latency.Quantile(0.50)), micros(l.latency.Quantile(0.99))
	return nil
}

// bulkValue is the value of the operation with that number, the same for all subjects.
func (b *bed) bulkValue(i int) string {
	at := int(uint64(i) * scatter % poolBytes)
	return b.pool[at : at+b.options.valueBytes]
}

// putInOrder puts key after key, of so many, in an order all over the place, from the beginning again when all are
// there. Two of a transaction are never the same if there are more than bulkOps.
func (b *bed) putInOrder(keys int) func(i int) clientv3.Op {
	return func(i int) clientv3.Op {
		return clientv3.OpPut(keyName(int(uint64(i)*scatter%uint64(keys))), b.bulkValue(i))
	}
}
