package pebblekv

import (
	"errors"
	"math/rand"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// feed runs a dialogue to its end, or to the first error of the receiver.
func feed(t *testing.T, from, to *kv.Store) error {
	t.Helper()
	request, err := to.SnapshotRequest()
	if err != nil {
		t.Fatal(err)
	}
	for {
		chunk, _, err := from.ServeSnapshot(request, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		next, complete, err := to.StageSnapshot(chunk)
		if err != nil || complete {
			return err
		}
		request = next
	}
}

// filled returns a store with values that cannot be compressed.
func filled(t *testing.T) *kv.Store {
	t.Helper()
	from := openStore(t, open(t, Options{FS: vfs.NewMem()}))
	value := make([]byte, 1000)
	rng := rand.New(rand.NewSource(1))
	for index := range uint64(300) {
		rng.Read(value)
		put := &pb.PutRequest{Key: value[:10], Value: value}
		if _, err := from.Apply([]kv.Command{command(t, index+1, kv.KindPut, put)}); err != nil {
			t.Fatal(err)
		}
	}
	return from
}

// TestADamagedStageIsBegunAnew: what is staged can be had again, so its damage is nobody's end. That of the plan, which
// comes first, is found when the store is opened, and any other when all that is staged is read.
func TestADamagedStageIsBegunAnew(t *testing.T) {
	from := filled(t)
	for offset, found := range map[int64]bool{500: false, 100_000: true} {
		fs := vfs.NewMem()
		o := Options{FS: fs, Background: func(error) {}, Damage: func(Damage) {}}
		to := openStore(t, open(t, o))
		if err := feed(t, from, to); err != nil {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		damageIn(t, fs, "state/stage", "*.sst", offset)
		to = openStore(t, open(t, o))
		if err := feed(t, from, to); errors.Is(err, kv.ErrSnapshotChunk) != found || err != nil && !found {
			t.Fatalf("damage at %d: %v", offset, err)
		}
		if found {
			if err := feed(t, from, to); err != nil {
				t.Fatalf("anew: %v", err)
			}
		}
		if err := to.InstallSnapshot(nil); err != nil {
			t.Fatal(err)
		}
		want, _, _ := from.HashKV(0)
		if got, _, err := to.HashKV(0); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAStageThatCannotBeOpenedIsBegunAnew is the same for Pebble's own files.
func TestAStageThatCannotBeOpenedIsBegunAnew(t *testing.T) {
	fs := vfs.NewMem()
	o := Options{FS: fs, Background: func(error) {}, Damage: func(Damage) {}}
	e := open(t, o)
	s, err := e.OpenStage(true)
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	b.Set([]byte("a"), []byte("1"))
	if err := errors.Join(b.Commit(), s.Flush(), s.Close()); err != nil {
		t.Fatal(err)
	}
	damageIn(t, fs, "state/stage", "MANIFEST*", 20)
	if s, err = e.OpenStage(false); s != nil || err != nil {
		t.Errorf("opened: %v, %v", s, err)
	}
	if s, err = e.OpenStage(true); s == nil || err != nil {
		t.Fatalf("begun anew: %v, %v", s, err)
	}
	if err := errors.Join(s.Drop(), e.Close()); err != nil {
		t.Fatal(err)
	}
}
