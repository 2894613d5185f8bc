package wal

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

func TestReadGivesAsMuchAsTheLimitAllows(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1, 2)
	for range 15 { // entries of two groups take turns, over several segments
		w.append(w.entries(1, 2, 900), w.entries(2, 3, 300))
	}
	w.append(w.compact(1, 4))
	w.sync()
	if w.err != nil {
		t.Fatal(w.err)
	}
	size := wire.Size(900)
	for _, c := range []struct {
		first, last raft.Index
		limit, want int
	}{
		{5, 30, 1 << 30, 26}, {5, 5, 0, 1}, {5, 30, 0, 1}, {7, 30, size, 1}, {7, 30, 2*size - 1, 1}, {7, 30, 2 * size, 2},
		{7, 9, 100 * size, 3}, {30, 30, 1, 1},
	} {
		got, err := w.log.Read(1, c.first, c.last, c.limit)
		if err != nil || len(got) != c.want {
			t.Errorf("%+v: got %d, %v", c, len(got), err)
			continue
		}
		for i, record := range got {
			if !slices.Equal(record, w.model.groups[1].entries[int(c.first)-5+i]) {
				t.Errorf("%+v: entry %d differs", c, int(c.first)+i)
			}
		}
	}
	for _, c := range []struct {
		group       wire.GroupID
		first, last raft.Index
		want        error
	}{
		{1, 4, 9, ErrCompacted}, {1, 0, 9, ErrCompacted}, {1, 5, 31, ErrNoEntry}, {1, 31, 31, ErrNoEntry}, {1, 9, 8, ErrNoEntry}, {3, 1, 1, ErrNoGroup},
	} {
		if _, err := w.log.Read(c.group, c.first, c.last, 1); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestReadFindsEveryDamage(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	w.append(w.entries(1, 4, 100))
	w.append(w.entries(1, 4, 100))
	w.sync()
	for i := raft.Index(1); i <= 8; i++ {
		at := w.log.groups[1].position(i)
		for _, b := range []int64{0, 4, 12, 16, 24, 32, 45, 64, 163} {
			file := segmentName(testDir, at.segment)
			must(t, w.disk.Flip(file, at.offset()+b, 0x10))
			var damage *DamageError
			if _, err := w.log.Read(1, i, i, 1); !errors.As(err, &damage) || damage.Index != i || damage.Group != 1 || damage.File != file || damage.Offset != at.offset() {
				t.Errorf("byte %d of entry %d: got %v", b, i, err)
			}
			must(t, w.disk.Flip(file, at.offset()+b, 0x10))
		}
	}
	w.seal()
	if _, err := w.log.Read(1, 1, 8, 1<<20); err != nil || w.err != nil {
		t.Errorf("undamaged: %v, %v", err, w.err)
	}
}

// TestReadKnowsAWellFormedImpostor puts sound records in the place of others.
func TestReadKnowsAWellFormedImpostor(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1, 2)
	w.append(w.entries(1, 4, 100), w.entries(2, 4, 100))
	w.sync()
	file, err := w.disk.Open(segmentName(testDir, 1))
	must(t, err)
	put := func(at position, record []byte) {
		t.Helper()
		_, err := file.WriteAt(record, at.offset())
		must(t, err)
	}
	entries := w.model.groups[1].entries
	place := w.log.groups[1].position(3)
	lie := wire.Record{Kind: wire.RecordCommand, Group: 1, Index: 3, Term: 2, Payload: make([]byte, 100)}
	lie.Hash = wire.Raw(entries[2]).Hash()
	for name, impostor := range map[string][]byte{
		"another entry": entries[1], "another group": w.model.groups[2].entries[2], "another payload": wire.AppendRecord(nil, &lie),
	} {
		put(place, impostor)
		var damage *DamageError
		if _, err := w.log.Read(1, 3, 3, 1); !errors.As(err, &damage) || damage.Index != 3 {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := w.log.Read(1, 2, 4, 1<<20); !errors.As(err, &damage) || damage.Index != 3 {
			t.Errorf("%s, along with others: got %v", name, err)
		}
	}
	put(place, entries[2])
	if _, err := w.log.Read(1, 1, 4, 1<<20); err != nil {
		t.Error(err)
	}
}

func TestBaseAtTellsWhatCompactNeeds(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	w.append(w.entries(1, 12, 50))
	w.append(w.compact(1, 2))
	for _, i := range []raft.Index{2, 3, 5, 9, 10, 12} {
		got, err := w.log.BaseAt(1, i)
		must(t, err)
		want := w.model.groups[1].base
		if i > 2 {
			want = w.base(1, i)
		}
		if got.EntryID != want.EntryID || got.Hash != want.Hash || string(got.Configuration) != string(want.Configuration) {
			t.Errorf("at %d: got %+v, want %+v", i, got, want)
		}
	}
	for _, i := range []raft.Index{1, 13} {
		if _, err := w.log.BaseAt(1, i); !errors.Is(err, ErrNoEntry) {
			t.Errorf("at %d: got %v", i, err)
		}
	}
}

// TestReadersRunBesideTheWriter is for the race detector.
func TestReadersRunBesideTheWriter(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	w.append(w.entries(1, 5, 500))
	w.sync()
	var running sync.WaitGroup
	stop := make(chan struct{})
	beside := func(do func() error) {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		beside(func() error {
			state, _ := w.log.State(1)
			first := max(state.Base.Index+1, min(state.Last, state.Base.Index+10))
			if state.Last < first {
				return nil
			}
			_, err := w.log.Read(1, first, state.Last, 4000)
			if errors.Is(err, ErrCompacted) || errors.Is(err, ErrNoEntry) {
				err = nil // meanwhile
			}
			return err
		})
	}
	beside(func() error { return w.log.Prepare() })
	beside(func() error { return w.log.Release() })
	for i := range 150 {
		w.append(w.entries(1, 3, 1000))
		if i%10 == 5 {
			w.append(w.replace(1, w.model.groups[1].last()-2, 1, 300))
		}
		w.sync()
		if i%7 == 3 {
			w.append(w.compact(1, w.model.groups[1].last()-1))
		}
	}
	close(stop)
	running.Wait()
	w.seal()
	w.kill()
	if w.err != nil {
		t.Fatal(w.err)
	}
}

// TestSegmentBeginsWhileOthersAreReleased is for the race detector.
func TestSegmentBeginsWhileOthersAreReleased(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	for range 5 { // four segments that nobody needs
		w.append(w.entries(1, 1, 5000))
		w.append(w.compact(1, w.model.groups[1].last()))
	}
	w.append(w.entries(1, 1, 10))
	w.sync()
	w.append(w.entries(1, 1, 10))
	w.sync()
	must(t, w.err)
	s, err := w.log.takeSpare()
	must(t, err)
	before := len(w.log.segments)
	var running sync.WaitGroup
	goroutines := runtime.NumGoroutine()
	running.Go(func() { w.release() })
	for runtime.NumGoroutine() > goroutines { // until it is over, and nothing that the detector knows of says so
		runtime.Gosched()
	}
	must(t, w.log.begin(s, 0))
	running.Wait()
	if after := len(w.log.segments); after >= before {
		t.Fatalf("%d segments, and then %d", before, after)
	}
	w.append(w.entries(1, 1, 5000))
	w.sync()
	w.kill()
	must(t, w.err)
}
