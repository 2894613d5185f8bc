package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/report"
)

// nestedKeys is how many keys the range within a nested transaction reads.
const nestedKeys = 10

// runNested commits transactions within transactions: two puts, two compares that hold, and a range of
// ten keys. As with puts, the revision must have risen by every acknowledged one.
func runNested(ctx context.Context, b *bed, r *report.Run) error {
	return b.counted(ctx, r, b.nested)
}

func (b *bed) nested(connection *clientv3.Client) load.Operation {
	return func(ctx context.Context, chance *rand.Rand) error {
		at := chance.IntN(b.options.keys)
		// No key may be changed twice in a transaction, so they follow each other.
		first, second, other := keyName(at), keyName((at+1)%b.options.keys), keyName((at+2)%b.options.keys)
		from := chance.IntN(max(1, b.options.keys-nestedKeys))
		inner := clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(second), ">", 0)},
			[]clientv3.Op{
				clientv3.OpPut(second, b.value(chance)),
				clientv3.OpGet(keyName(from), clientv3.WithRange(keyName(from+nestedKeys))),
			},
			[]clientv3.Op{clientv3.OpDelete(other)})
		got, err := connection.Txn(ctx).
			If(clientv3.Compare(clientv3.Version(first), ">", 0)).
			Then(clientv3.OpPut(first, b.value(chance)), inner).
			Else(clientv3.OpDelete(other)).
			Commit()
		if err != nil {
			return err
		}
		return checkNested(got, keyName(from))
	}
}

func checkNested(got *clientv3.TxnResponse, from string) error {
	if !got.Succeeded || len(got.Responses) != 2 {
		return fmt.Errorf("a transaction took the wrong branch: %v", got)
	}
	inner := got.Responses[1].GetResponseTxn()
	if inner == nil || !inner.Succeeded || len(inner.Responses) != 2 {
		return fmt.Errorf("a nested transaction took the wrong branch: %v", inner)
	}
	keys := inner.Responses[1].GetResponseRange().GetKvs()
	if len(keys) == 0 || string(keys[0].Key) != from {
		return errors.New("the range of a nested transaction does not begin with the key asked for")
	}
	return nil
}
