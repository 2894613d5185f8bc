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
type rangeCall func(ctx context.Context, connection *grpc.ClientConn, key, end string, limit int64) (raw.Keys, error)

// runRange reads so many keys at a time, beginning anywhere.
func runRange(ctx context.Context, b *bed, r *report.Run) error {
	return b.ranges(ctx, r, raw.Range, true)
}

// runRangeStream reads the same in pieces.
func runRangeStream(ctx context.Context, b *bed, r *report.Run) error {
	return b.ranges(ctx, r, raw.RangeStream, true)
}

// runPage reads the first so many of all keys from one on, as one does who lists them page by page: the
// answer says how many there are behind.
func runPage(ctx context.Context, b *bed, r *report.Run) error {
	return b.ranges(ctx, r, raw.Range, false)
}

// ranges reads so many keys at a time: those of an interval, or as many of all that follow.
func (b *bed) ranges(ctx context.Context, r *report.Run, call rangeCall, whole bool) error {
	if b.size < 1 || b.size > b.options.keys {
		return fmt.Errorf("a range of %d keys needs -keys to be at least that, and is of one at least", b.size)
	}
	_, err := b.closedLoop(ctx, r, func(connection *clientv3.Client) load.Operation {
		return func(ctx context.Context, chance *rand.Rand) error {
			return b.rangeOnce(ctx, chance.IntN(b.options.keys-b.size+1), whole, connection.ActiveConnection(), call)
		}
	})
	r.Add("keys/s", float64(r.Ops)*float64(b.size)/r.Seconds)
	return err
}

func (b *bed) rangeOnce(ctx context.Context, from int, whole bool, connection *grpc.ClientConn, call rangeCall) error {
	given := int64(b.size)
	end, limit, count := keyName(from+b.size), int64(0), given
	if !whole {
		end, limit, count = clientv3.GetPrefixRangeEnd(keyPrefix), given, int64(b.options.keys-from)
	}
	got, err := call(ctx, connection, keyName(from), end, limit)
	if err != nil {
		return err
	}
	if got.Given != given || got.Count != count || got.Bytes < given*int64(b.options.valueBytes) {
		return fmt.Errorf("range of %d keys from number %d on: got %+v", given, from, got)
	}
	return nil
}
