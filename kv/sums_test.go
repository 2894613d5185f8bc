package kv_test

import (
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/wire"
)

// TestSumsAreTheSameHoweverCommandsAreCutIntoBatches: at the indexes that two stores both know, they say the same; and
// not if one was told something else.
func TestSumsAreTheSameHoweverCommandsAreCutIntoBatches(t *testing.T) {
	const last = 10_000
	apply := func(batch int, odd uint64) []wire.Sum {
		s, err := kv.Open(treekv.New(), kv.Options{SumEvery: 4})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for first := 1; first <= last; first += batch {
			var commands []kv.Command
			for i := first; i < first+batch && i <= last; i++ {
				value := "same"
				if uint64(i) == odd {
					value = "odd"
				}
				commands = append(commands, kv.Command{Index: uint64(i), Time: uint64(i), Kind: kv.KindPut, Request: marshal(t, &pb.PutRequest{Key: fmt.Append(nil, "key", i%10), Value: []byte(value)})})
			}
			if _, err := s.Apply(commands); err != nil {
				t.Fatal(err)
			}
		}
		return s.Sums()
	}
	one := apply(1, 0)
	if len(one) != 57 || one[0].At != last-4*47 || one[48].At != 1024 || one[56].At != 9216 || one[0].Kind != kv.SumDigest {
		t.Fatalf("%d sums, the first %v, the first of the coarse ones %v, the last %v", len(one), one[0], one[min(48, len(one)-1)], one[len(one)-1])
	}
	if many := apply(333, 0); !slices.Equal(one, many) {
		t.Errorf("got %v and %v", one, many)
	}
	other := apply(333, 5000)
	for i := range one {
		if same := one[i] == other[i]; same != (one[i].At < 5000) {
			t.Errorf("at %d: the same: %v", one[i].At, same)
		}
	}
}
