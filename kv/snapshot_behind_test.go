package kv_test

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// after returns a store after so many commands, which are the same for all.
func after(t *testing.T, commands int) *kv.Store {
	t.Helper()
	store, err := kv.Open(treekv.New(), kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i := range commands {
		put := &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i%5), Value: fmt.Append(nil, i)}
		if _, err := store.Apply([]kv.Command{{Index: uint64(i + 1), Kind: kv.KindPut, Request: marshal(t, put)}}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// What is staged may be of a server that is gone for good, and further than any that is left: which need the one that has
// it in order to get any further themselves. It used to be refused by all of them, for ever.
func TestAStageThatNobodyCanGoOnWithIsGivenUp(t *testing.T) {
	gone, left, to := after(t, 20), after(t, 15), after(t, 3)
	request, err := to.SnapshotRequest()
	if err != nil {
		t.Fatal(err)
	}
	chunk, _, err := gone.ServeSnapshot(request, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, complete, err := to.StageSnapshot(chunk); err != nil || complete {
		t.Fatalf("complete %t, %v", complete, err)
	}
	feed(t, left, to, 100) // fails if it is not served
	if err := to.InstallSnapshot([]byte("position")); err != nil {
		t.Fatal(err)
	}
	ours, _, err := to.HashKV(0)
	theirs, _, _ := left.HashKV(0)
	if err != nil || ours != theirs || to.AppliedIndex() != 15 {
		t.Errorf("applied %d, %v, %v, %v", to.AppliedIndex(), ours, theirs, err)
	}
	// Who is not ahead of what is in use gives nothing still.
	if request, err = to.SnapshotRequest(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := after(t, 15).ServeSnapshot(request, 100); err == nil {
		t.Error("served by one that is as far")
	}
}

// A view may be closed between any two requests, and nothing be applied meanwhile. The next one is the same, so the dialogue goes
// on in it: it used to go back, which the receiver does not take of a view that it knows.
func TestADialogueGoesOnThoughItsViewIsPinnedAnewEachTime(t *testing.T) {
	from, to := after(t, 20), after(t, 3)
	request, err := to.SnapshotRequest()
	for chunks, complete := 0, false; !complete; chunks++ {
		var chunk []byte
		if err == nil {
			chunk, _, err = from.ServeSnapshot(request, 1)
		}
		if err == nil {
			request, complete, err = to.StageSnapshot(chunk)
		}
		if err != nil || chunks > 1000 {
			t.Fatalf("chunk %d: %v", chunks+1, err)
		}
		from.ReleaseSnapshots()
		from.ReleaseSnapshots() // what was not used since the last call but one
	}
	if err := to.InstallSnapshot(nil); err != nil || to.AppliedIndex() != 20 {
		t.Errorf("applied %d, %v", to.AppliedIndex(), err)
	}
}
