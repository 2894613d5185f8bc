package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/report"
)

// runPut overwrites random keys with random values. A subject that answers without having stored
// anything would be fast, so the revision, which every put raises by one, is compared afterwards.
func runPut(ctx context.Context, b *bed, r *report.Run) error {
	before, err := b.revision(ctx)
	if err != nil {
		return err
	}
	puts, err := b.closedLoop(ctx, r, b.put)
	if err != nil {
		return err
	}
	after, err := b.revision(ctx)
	if err != nil {
		return err
	}
	if after-before < puts {
		return fmt.Errorf("%d puts were acknowledged, but the revision rose by %d only", puts, after-before)
	}
	return nil
}

func (b *bed) put(connection *clientv3.Client) load.Operation {
	return func(ctx context.Context, chance *rand.Rand) error {
		_, err := connection.Put(ctx, b.key(chance), b.value(chance))
		return err
	}
}
