package kv_test

import (
	"bytes"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// feed runs a dialogue to its end, and returns how many bytes were sent.
func feed(t *testing.T, from, to *kv.Store, maxBytes int) (sent int) {
	t.Helper()
	request, err := to.SnapshotRequest()
	if err != nil {
		t.Fatal(err)
	}
	for {
		chunk, index, err := from.ServeSnapshot(request, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if index != from.AppliedIndex() {
			t.Fatalf("index %d, want %d", index, from.AppliedIndex())
		}
		sent += len(chunk)
		next, complete, err := to.StageSnapshot(chunk)
		if err != nil {
			t.Fatal(err)
		}
		if complete {
			return sent
		}
		request = next
	}
}

func TestAnEmptyStoreIsGivenACopyOfEverything(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			from, err := kv.Open(engine.open(t), kv.Options{Cluster: 7})
			if err != nil {
				t.Fatal(err)
			}
			e := engine.open(t)
			to, err := kv.Open(e, kv.Options{Cluster: 7})
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint64(100) {
				put := &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i%20), Value: fmt.Append(nil, i)}
				if _, err := from.Apply([]kv.Command{{Index: i + 1, Kind: kv.KindPut, Request: marshal(t, put)}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, size := range []int{1, 100} {
				feed(t, from, to, size)
				if err := to.DropStaged(); err != nil {
					t.Fatal(err)
				}
			}
			feed(t, from, to, 1000)
			if err := to.InstallSnapshot([]byte("position")); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(to.InstalledPosition(), []byte("position")) {
				t.Error("position")
			}
			a, _, _ := from.HashKV(0)
			b, _, err := to.HashKV(0)
			if err != nil || a != b {
				t.Errorf("%v %v %v", a, b, err)
			}
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			if err := from.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
