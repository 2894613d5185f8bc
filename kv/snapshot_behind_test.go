package kv_test

import (
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// after returns a store after so many commands, which are the same for all.
func after(t *testing.T, commands int) *kv.Store {
	t.Helper()
	store := open(t, treekv.New())
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
	if _, err := to.Verify(nil, func(err error) { t.Errorf("what was given up has left something: %v", err) }); err != nil {
		t.Fatal(err)
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

// What is complete is so until more comes: then it is a stage of another view, which is not there yet.
func TestAStageThatGoesOnIsNotCompleteAnyMore(t *testing.T) {
	from, to := after(t, 20), after(t, 3)
	feed(t, from, to, 100)
	from.ReleaseSnapshots()
	from.ReleaseSnapshots()
	for i := range uint64(2) {
		put := &pb.PutRequest{Key: []byte("later"), Value: fmt.Append(nil, i)}
		if _, err := from.Apply([]kv.Command{{Index: 21 + i, Kind: kv.KindPut, Request: marshal(t, put)}}); err != nil {
			t.Fatal(err)
		}
	}
	request, err := to.SnapshotRequest()
	if err != nil {
		t.Fatal(err)
	}
	chunk, _, err := from.ServeSnapshot(request, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, complete, err := to.StageSnapshot(chunk); err != nil || complete {
		t.Fatalf("complete %t, %v", complete, err)
	}
	if err := to.InstallSnapshot(nil); !errors.Is(err, kv.ErrSnapshotIncomplete) || to.AppliedIndex() != 3 {
		t.Errorf("installed: %v, applied %d", err, to.AppliedIndex())
	}
	feed(t, from, to, 100)
	if err := to.InstallSnapshot(nil); err != nil || to.AppliedIndex() != 22 {
		t.Errorf("applied %d, %v", to.AppliedIndex(), err)
	}
}

// deafEngine does not flush, though its stage does: as if the state had been written and the disk had not kept it.
type deafEngine struct{ *treekv.Engine }

func (deafEngine) Flush() error { return nil }

// What a delta goes on top of is durable before the delta is; and if it is gone all the same, the delta goes, too.
func TestADeltaDoesNotOutliveWhatItIsOnTopOf(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		tree := treekv.New()
		var engine kv.Engine = tree
		if deaf {
			engine = deafEngine{tree}
		}
		from, to := after(t, 20), open(t, engine)
		for i := range uint64(15) {
			put := &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i%5), Value: fmt.Append(nil, i)}
			if _, err := to.Apply([]kv.Command{{Index: i + 1, Kind: kv.KindPut, Request: marshal(t, put)}}); err != nil {
				t.Fatal(err)
			}
		}
		request, err := to.SnapshotRequest()
		if err != nil {
			t.Fatal(err)
		}
		chunk, _, err := from.ServeSnapshot(request, 1)
		if err != nil || chunk[5]&3 != 1 {
			t.Fatalf("no delta: %v", err)
		}
		if _, _, err := to.StageSnapshot(chunk); err != nil {
			t.Fatal(err)
		}
		stages := false // of the state all is lost that was not durable, and of the stage nothing
		crashed := tree.Crash(func(batches int) int {
			if !stages {
				stages = true
				return 0
			}
			return batches
		})
		again := open(t, crashed)
		request, err = again.SnapshotRequest()
		if err != nil {
			t.Fatal(err)
		}
		if kept := len(request) > emptyRequest; kept == deaf || kept && again.AppliedIndex() != 15 {
			t.Errorf("flushed %t: the stage is kept: %t, on top of %d", !deaf, kept, again.AppliedIndex())
		}
	}
}

// The log may go on between the seal and the install, and give a key to a lease that has it no more when the stage ends: or
// the lease would end with a key that is not its own.
func TestALeaseThatHadAKeyMeanwhileHasItNoMore(t *testing.T) {
	from, to := after(t, 20), after(t, 20)
	commands := []kv.Command{
		{Index: 21, Kind: kv.KindLeaseGrant, Request: kv.GrantRequest(1, 10)},
		{Index: 22, Kind: kv.KindPut, Request: marshal(t, &pb.PutRequest{Key: []byte("k"), Lease: 1})},
		{Index: 23, Kind: kv.KindPut, Request: marshal(t, &pb.PutRequest{Key: []byte("k")})},
	}
	if _, err := from.Apply(commands); err != nil {
		t.Fatal(err)
	}
	feed(t, from, to, 1000)
	if _, err := to.Apply(commands[:2]); err != nil {
		t.Fatal(err)
	}
	if err := to.InstallSnapshot(nil); err != nil {
		t.Fatal(err)
	}
	if keys, err := to.LeaseKeys(1); len(keys) > 0 || err != nil {
		t.Errorf("the lease has %q, %v", keys, err)
	}
	if _, err := to.Verify(nil, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
}

// What was removed before an install says nothing of what comes with it.
func TestRemovalBeginsAnewAfterAnInstall(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%t", restart), func(t *testing.T) { removeAfterInstall(t, restart) })
	}
}

func removeAfterInstall(t *testing.T, restart bool) {
	a, b := treekv.New(), treekv.New()
	from, to := open(t, a), open(t, b)
	index := uint64(0)
	apply := func(kind kv.Kind, request []byte, stores ...*kv.Store) {
		t.Helper()
		index++
		for _, s := range stores {
			if _, err := s.Apply([]kv.Command{{Index: index, Kind: kind, Request: request}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	removeAll := func(s *kv.Store) {
		t.Helper()
		for done := false; !done; {
			var err error
			if done, err = s.CompactStep(100); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 10 {
		apply(kv.KindPut, marshal(t, &pb.PutRequest{Key: []byte("a"), Value: fmt.Append(nil, i)}), from, to)
	}
	apply(kv.KindCompact, kv.CompactionRequest(11), from, to)
	removeAll(to)
	for i := range 30 { // more than there were: all is sent, with what the sender has not removed
		apply(kv.KindPut, marshal(t, &pb.PutRequest{Key: fmt.Append(nil, i)}), from)
	}
	feed(t, from, to, 1000)
	if err := to.InstallSnapshot(nil); err != nil {
		t.Fatal(err)
	}
	if replicated(t, a) != replicated(t, b) {
		t.Error("what the sender has not removed was not sent: the test shows nothing")
	}
	if restart {
		b = b.Crash(func(int) int { return 0 })
		to = open(t, b)
	}
	removeAll(from)
	removeAll(to)
	if got, want := replicated(t, b), replicated(t, a); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func open(t *testing.T, e kv.Engine) *kv.Store {
	t.Helper()
	s, err := kv.Open(e, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
