package wal

import (
	"errors"
	"reflect"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
)

// TestCompactToMakesTheBaseOfWhatTheLogKnows compares with a base that is given.
func TestCompactToMakesTheBaseOfWhatTheLogKnows(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.open()
	w.append(w.create(1), w.hardState(1, 1, 0), w.entries(1, 5, 100))
	w.append(w.entries(1, 6, 100)) // the fifth and the tenth are configurations
	w.sync()
	for _, to := range []raft.Index{3, 5, 8} {
		want := w.base(1, to)
		write := w.apply(Write{Group: 1, Base: &want})
		write.Base, write.CompactTo = nil, to
		w.append(write)
		got, _ := w.log.State(1)
		if got.Base != want.EntryID || got.BaseHash != want.Hash || string(got.Configurations[0].Bytes) != string(want.Configuration) {
			t.Errorf("compacted at %d: %+v, want %+v", to, got, want)
		}
	}
	w.sync()
	w.close()
	must(t, w.err)
	reopened, _, found, err := w.reopen(w.disk)
	if err != nil || !reflect.DeepEqual(found.fingerprint(), w.model.fingerprint()) {
		t.Errorf("reopened as another log: %v", err)
	}
	must(t, reopened.Close())
}

func TestCompactToWhatIsNotThereIsRefused(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.open()
	w.append(w.create(1), w.hardState(1, 1, 0), w.entries(1, 5, 100))
	w.append(w.compact(1, 2))
	for _, write := range []Write{
		{Group: 1, CompactTo: 1}, {Group: 1, CompactTo: 2}, {Group: 1, CompactTo: 6}, {Group: 2, CompactTo: 1},
		{Group: 1, CompactTo: 4, Base: &Base{EntryID: raft.EntryID{Index: 9, Term: 1}}},
	} {
		if err := w.log.Append([]Write{write}); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", write, err)
		}
	}
	w.sync()
	w.close()
	must(t, w.err)
}

func TestBehindCountsTheBytesOfSegments(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.open()
	w.append(w.create(1), w.hardState(1, 1, 0))
	if got := w.log.Behind(1, 1<<20); got != 0 {
		t.Errorf("empty: %d", got)
	}
	for range 40 { // several segments
		w.append(w.entries(1, 1, 1000))
	}
	w.sync()
	last := raft.Index(40)
	before := raft.Index(0)
	for _, bytes := range []int64{1 << 40, 30_000, 10_000, 2_000, 0} {
		got := w.log.Behind(1, bytes)
		if got < before || got > last {
			t.Errorf("behind %d bytes: %d after %d", bytes, got, before)
		}
		if kept := int64(last-got) * 1000; kept > bytes {
			t.Errorf("behind %d bytes: %d, whose entries alone have %d", bytes, got, kept)
		}
		if less := int64(last-got+1) * 6000; got > 0 && got < last && less < bytes {
			t.Errorf("behind %d bytes: %d, and more would fit", bytes, got)
		}
		before = got
	}
	if before != last {
		t.Errorf("behind nothing: %d, want %d", before, last)
	}
	w.append(w.compact(1, 20))
	if got := w.log.Behind(1, 1<<40); got != 20 {
		t.Errorf("compacted: %d, want its base", got)
	}
	if got := w.log.Behind(7, 1); got != 0 {
		t.Errorf("no group: %d", got)
	}
	w.sync()
	w.close()
	must(t, w.err)
}
