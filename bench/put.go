package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/report"
)

// runPut overwrites random keys with random values.
func runPut(ctx context.Context, b *bed, r *report.Run) error { return b.counted(ctx, r, b.put) }

// counted puts the servers under a closed loop of an operation that writes. A subject that answers
// without having stored anything would be fast, so the revision, which each raises by one, is compared
// afterwards.
func (b *bed) counted(ctx context.Context, r *report.Run, operation func(*clientv3.Client) load.Operation) error {
	before, err := b.revision(ctx)
	if err != nil {
		return err
	}
	writes, err := b.closedLoop(ctx, r, operation)
	if err != nil {
		return err
	}
	after, err := b.revision(ctx)
	if err != nil {
		return err
	}
	if after-before < writes {
		return fmt.Errorf("%d writes were acknowledged, but the revision rose by %d only", writes, after-before)
	}
	return nil
}

func (b *bed) put(connection *clientv3.Client) load.Operation {
	return func(ctx context.Context, chance *rand.Rand) error {
		_, err := connection.Put(ctx, b.key(chance), b.value(chance))
		return err
	}
}
