package wal

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/wire"
)

func segmentsIn(t testing.TB, w *world) (count int) {
	t.Helper()
	names, err := w.disk.List(testDir)
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			count++
		}
	}
	return count
}

func TestReleaseKeepsTheNumberOfSegmentsSmall(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1, 2)
	w.append(w.entries(2, 3, 10))
	created := 0
	for range 60 {
		w.append(w.entries(1, 2, 2500))
		w.sync()
		w.append(w.compact(1, w.model.groups[1].last()))
		w.moveForward(100) // group 2 keeps nothing from being released
		w.sync()
		w.release()
		if n := segmentsIn(t, w); n > 3+maxSpares {
			t.Fatalf("%d segments", n)
		}
	}
	w.seal()
	w.release()
	for _, op := range w.disk.Operations() {
		if op.Kind == crashdisk.Create {
			created++
		}
	}
	if created > 6 {
		t.Errorf("%d segments were made, where old ones could have been used again", created)
	}
	w.kill()
	if w.err != nil {
		t.Fatal(w.err)
	}
}

func TestNothingIsMovedOutOfTheOnlySegment(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	w.append(w.entries(1, 3, 10))
	w.sync()
	must(t, w.err)
	if n, err := w.log.MoveForward(1000); n != 0 || err != nil {
		t.Errorf("%d entries were moved: %v", n, err)
	}
	w.kill()
	must(t, w.err)
}

func TestNothingIsReleasedThatSomebodyNeeds(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1, 2)
	w.append(w.entries(2, 1, 10))
	for range 12 {
		w.append(w.entries(1, 2, 2500))
		w.append(w.compact(1, w.model.groups[1].last()))
		w.sync()
		w.release()
	}
	w.seal()
	w.seal()
	w.release()
	before := segmentsIn(t, w)
	groups, bytes := w.log.PinnedBy()
	if !slices.Equal(groups, []wire.GroupID{2}) || bytes < int64(before-maxSpares-1)*w.options.SegmentBytes || before < 4 {
		t.Errorf("%d segments, pinned by %v with %d bytes in use", before, groups, bytes)
	}
	w.append(w.compact(2, 1))
	w.release() // too early: that is not even durable
	if n := segmentsIn(t, w); n != before {
		t.Errorf("%d segments are left of %d, and what allowed it was not durable", n, before)
	}
	w.sync()
	w.seal()
	w.release()
	if n := segmentsIn(t, w); n >= before {
		t.Errorf("%d segments are left of %d", n, before)
	}
	w.kill()
	if w.err != nil {
		t.Fatal(w.err)
	}
}

func TestSegmentThatIsReadIsNotReleased(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	for range 12 {
		w.append(w.entries(1, 2, 2500))
	}
	r, err := w.log.plan(1, 1, 2, 1)
	must(t, err)
	w.append(w.compact(1, w.model.groups[1].last()))
	w.seal()
	w.seal()
	w.append(w.entries(1, 1, 10))
	w.sync()
	before := segmentsIn(t, w)
	w.release()
	if n := segmentsIn(t, w); n != before {
		t.Errorf("%d segments are left of %d, with somebody reading the first", n, before)
	}
	if _, err := r.fetch(); err != nil {
		t.Error(err)
	}
	w.log.done(r)
	w.release()
	if n := segmentsIn(t, w); n >= before {
		t.Errorf("%d segments are left of %d", n, before)
	}
}

func TestOneRecordMayBeLargerThanASegment(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = minSegmentBytes
	w.start(1)
	w.append(w.entries(1, 1, wire.MaxPayloadBytes))
	w.append(w.entries(1, 2, 10))
	w.appendInFrames(w.entries(1, 3, 1<<20))
	w.seal()
	w.kill()
	if w.err != nil {
		t.Fatal(w.err)
	}
	too := wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordCommand, Group: 1, Index: 7, Term: 2, Payload: make([]byte, wire.MaxPayloadBytes+1)})
	if err := w.log.Append([]Write{{Group: 1, First: 7, Records: [][]byte{too}}}); !errors.Is(err, ErrRefused) {
		t.Errorf("%d bytes: got %v", len(too), err)
	}
}

func TestManyGroupsOutgrowASegment(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = minSegmentBytes
	w.open()
	var writes []Write
	for id := wire.GroupID(1); id <= 500; id++ {
		writes = append(writes, w.create(id), w.hardState(id, 2, 1))
	}
	w.appendInFrames(writes...)
	for id := wire.GroupID(1); id <= 500; id += 7 {
		w.append(w.entries(id, 1, 100))
	}
	w.seal()
	if n := segmentsIn(t, w); n > 40 {
		t.Errorf("%d segments", n)
	}
	w.kill()
	if w.err != nil {
		t.Fatal(w.err)
	}
}
