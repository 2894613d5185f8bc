package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/report"
)

// runLinearizableRange reads random keys one by one. The reads are linearizable: they see every write
// that was acknowledged before they began.
func runLinearizableRange(ctx context.Context, b *bed, r *report.Run) error {
	_, err := b.closedLoop(ctx, r, b.linearizableRange)
	return err
}

func (b *bed) linearizableRange(connection *clientv3.Client) load.Operation {
	return func(ctx context.Context, chance *rand.Rand) error {
		key := b.key(chance)
		got, err := connection.Get(ctx, key)
		if err != nil {
			return err
		}
		if len(got.Kvs) != 1 || string(got.Kvs[0].Key) != key || len(got.Kvs[0].Value) != b.options.valueBytes {
			return fmt.Errorf("read of key %s: got %d keys, want its value of %d bytes", key, len(got.Kvs), b.options.valueBytes)
		}
		return nil
	}
}
