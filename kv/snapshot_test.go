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

func TestSnapshotFileIsRestored(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			from, err := kv.Open(engine.open(t), kv.Options{Cluster: 7})
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint64(100) {
				put := &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i%20), Value: fmt.Append(nil, i)}
				if _, err := from.Apply([]kv.Command{{Index: i + 1, Kind: kv.KindPut, Request: marshal(t, put)}}); err != nil {
					t.Fatal(err)
				}
			}
			var file bytes.Buffer
			wrote, err := from.WriteSnapshot(&file)
			if err != nil || file.Len()%512 != 32 || int64(file.Len()) != wrote.Size || wrote.Keys != 20 || wrote.Versions != 100 {
				t.Fatalf("%d bytes: %+v, %v", file.Len(), wrote, err)
			}
			read, err := kv.ReadSnapshot(bytes.NewReader(file.Bytes()))
			if err != nil || read != wrote {
				t.Fatalf("%+v, %v, want %+v", read, err, wrote)
			}
			for i := range file.Len() {
				b := bytes.Clone(file.Bytes())
				b[i] ^= 1
				if _, err := kv.ReadSnapshot(bytes.NewReader(b)); err == nil {
					t.Errorf("byte %d flipped, and nobody sees it", i)
				}
				if _, err := kv.ReadSnapshot(bytes.NewReader(file.Bytes()[:i])); err == nil {
					t.Errorf("cut off at %d, and nobody sees it", i)
				}
			}
			e := engine.open(t)
			if _, err := kv.RestoreSnapshot(&file, e, kv.RestoreOptions{Cluster: 8, RaiseRevision: 1000, MarkCompacted: true}); err != nil {
				t.Fatal(err)
			}
			to, err := kv.Open(e, kv.Options{Cluster: 8})
			if err != nil {
				t.Fatal(err)
			}
			if to.Revision() != 1101 || to.CompactRevision() != 1101 || to.AppliedIndex() != 100 {
				t.Errorf("revision %d, compacted at %d, index %d", to.Revision(), to.CompactRevision(), to.AppliedIndex())
			}
			for _, s := range []*kv.Store{to, from} {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
