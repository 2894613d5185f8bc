package wal

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

func TestScrubFindsRotInAnyEntry(t *testing.T) {
	w := ofAllKinds(t)
	l, recovered, err := opened(t, w, w.disk)
	must(t, err)
	entries := 0
	for _, g := range recovered.Groups {
		for i := g.Base.Index + 1; i <= g.Last; i++ {
			entries++
			image := w.disk.Clone()
			at := l.groups[g.ID].position(i)
			must(t, image.Flip(segmentName(testDir, at.segment), at.offset()+wire.RecordHeaderBytes-1, 1))
			other := &Log{options: l.options, groups: l.groups, sorted: l.sorted}
			for _, s := range l.segments { // the same log, on a disk that rots while it is open
				c := *s
				c.file, err = image.Open(s.name)
				must(t, err)
				other.segments = append(other.segments, &c)
			}
			var damage *DamageError
			if err := scrubAll(t, other); !errors.As(err, &damage) || damage.Group != g.ID || damage.Index != i && damage.Index != i+1 {
				t.Fatalf("entry %d of group %d: got %v", i, g.ID, err)
			}
		}
	}
	if entries == 0 {
		t.Fatal("no entries")
	}
	must(t, scrubAll(t, l))
	must(t, l.Close())
}

// scrubAll scrubs a whole log a little at a time, and checks that no step reads too much.
func scrubAll(t *testing.T, l *Log) error {
	t.Helper()
	var at Scrubbing
	for steps := 0; ; steps++ {
		next, bytes, err := l.Scrub(at, 500)
		if err != nil {
			return err
		}
		if bytes > 500+9000+wire.RecordHeaderBytes+8 {
			t.Fatalf("%d bytes in one step", bytes)
		}
		if next == (Scrubbing{}) {
			if steps < 4 {
				t.Fatalf("all of the log in %d steps", steps)
			}
			return nil
		}
		if next == at {
			t.Fatalf("no step from %v", at)
		}
		at = next
	}
}

func TestScrubPassesOverHoles(t *testing.T) {
	w := rotting(t)
	l, _, err := opened(t, w, w.disk)
	must(t, err)
	at := l.groups[1].position(2)
	must(t, l.Close())
	for b := range int64(4) {
		must(t, w.disk.Flip(segmentName(testDir, at.segment), at.offset()+wire.RecordHeaderBytes+b, 0xff))
	}
	l, recovered, err := opened(t, w, w.disk)
	must(t, err)
	defer l.Close()
	if holes := recovered.Groups[0].Holes; len(holes) != 1 || holes[0].Index != raft.Index(2) {
		t.Fatalf("holes %v", holes)
	}
	next, bytes, err := l.Scrub(Scrubbing{}, 1<<20)
	if err != nil || next != (Scrubbing{}) || bytes == 0 {
		t.Errorf("got %v, %d bytes, %v", next, bytes, err)
	}
}
