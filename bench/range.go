package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/raw"
	"github.com/quorate/quorate/bench/internal/report"
)

// rangeCall reads a range of keys with their values.
type rangeCall func(ctx context.Context, connection *grpc.ClientConn, key, end string) (raw.Keys, error)

// runRange reads so many keys at a time, beginning anywhere.
func runRange(ctx context.Context, b *bed, r *report.Run) error { return b.ranges(ctx, r, raw.Range) }

// runRangeStream reads the same in pieces.
func runRangeStream(ctx context.Context, b *bed, r *report.Run) error {
	return b.ranges(ctx, r, raw.RangeStream)
}

func (b *bed) ranges(ctx context.Context, r *report.Run, call rangeCall) error {
	if b.size < 1 || b.size > b.options.keys {
		return fmt.Errorf("a range of %d keys needs -keys to be at least that, and is of one at least", b.size)
	}
	_, err := b.closedLoop(ctx, r, func(connection *clientv3.Client) load.Operation {
		return func(ctx context.Context, chance *rand.Rand) error {
			return b.rangeOnce(ctx, chance, connection.ActiveConnection(), call)
		}
	})
	r.Add("keys/s", float64(r.Ops)*float64(b.size)/r.Seconds)
	return err
}

func (b *bed) rangeOnce(ctx context.Context, chance *rand.Rand, connection *grpc.ClientConn, call rangeCall) error {
	from := chance.IntN(b.options.keys - b.size + 1)
	got, err := call(ctx, connection, keyName(from), keyName(from+b.size))
	if err != nil {
		return err
	}
	want := int64(b.size)
	if got.Given != want || got.Count != want || got.Bytes < want*int64(b.options.valueBytes) {
		return fmt.Errorf("range of %d keys: got %+v", want, got)
	}
	return nil
}
