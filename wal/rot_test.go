package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// rotting is a sealed log of two segments, with a void frame at the end of the first.
func rotting(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = minSegmentBytes
	w.start(1, 2)
	w.append(w.hardState(1, 3, 2), w.hardState(2, 4, 0), w.entries(1, 3, 50))
	w.sync()
	w.kill()
	w.append(w.entries(1, 2, 100), w.entries(2, 1, 20))
	w.sync()
	w.append(w.hardState(1, 5, 1))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w
}

// part is a stretch of bytes of a log, and what it is.
type part struct {
	file     string
	from, to int64
	live     bool // of a frame, or a header, that Open needs and knows to be durable
	entry    raft.EntryID
	group    wire.GroupID
	frame    uint64
	record   *wire.Record // without a payload
}

// partsOf finds out what the bytes of a sound log are.
func partsOf(t testing.TB, w *world) []part {
	t.Helper()
	var items []Item
	must(t, Scan(w.disk, testDir, func(i Item) error {
		if i.Wrong != "" {
			return fmt.Errorf("%+v", i)
		}
		if i.Record != nil {
			record := *i.Record
			i.Record = &record
		}
		items = append(items, i)
		return nil
	}))
	mark, firsts := uint64(0), map[string]uint64{}
	for _, i := range items {
		if i.Frame != nil {
			mark = i.Frame.Synced
		}
		if i.Segment != nil {
			firsts[i.File] = i.Segment.FirstFrame
		}
	}
	var parts []part
	var frame part
	for n, i := range items {
		switch {
		case i.Segment != nil && !i.Segment.Blank:
			parts = append(parts, part{file: i.File, from: 0, to: blockBytes, live: true})
		case i.Frame != nil:
			frame = part{file: i.File, frame: i.Frame.Sequence, live: i.Frame.Sequence <= mark}
			for _, later := range items[n:] {
				if later.Segment != nil && !later.Segment.Blank && i.Frame.Sequence >= later.Segment.FirstFrame {
					frame.live = false
				}
			}
			header := frame
			header.from, header.to = i.Offset, i.Offset+frameHeaderBytes
			parts = append(parts, header)
		case i.Record != nil:
			p := frame
			p.record = i.Record
			p.from, p.to = i.Offset, i.Offset+int64(wire.Size(len(i.Record.Payload)))
			if i.Record.IsEntry() {
				p.group, p.entry = i.Record.Group, raft.EntryID{Index: i.Record.Index, Term: i.Record.Term}
			}
			parts = append(parts, p)
		}
	}
	return parts
}

// TestEveryFlippedBitIsFoundOrDoesNoHarm flips bits all over a sealed log. Open refuses, or it finds
// exactly what was written.
func TestEveryFlippedBitIsFoundOrDoesNoHarm(t *testing.T) {
	w := rotting(t)
	parts := partsOf(t, w)
	names, err := w.disk.List(testDir)
	must(t, err)
	var refused, healed, harmless int
	for _, base := range names {
		file := testDir + "/" + base
		for offset := int64(0); strings.HasSuffix(base, segmentSuffix) && offset < w.options.SegmentBytes; offset++ {
			at := slices.IndexFunc(parts, func(p part) bool { return p.file == file && p.from <= offset && offset < p.to })
			for bit := range 8 {
				if !*crashDeep && (offset%8 != int64(bit) || at < 0 && offset%97 != 0 || offset < blockBytes && offset > 100 && offset%97 != 0) {
					continue
				}
				outcome := w.flip(t, file, offset, byte(1)<<bit, parts, at)
				switch outcome {
				case "refused":
					refused++
				case "healed":
					healed++
				default:
					harmless++
				}
			}
		}
	}
	t.Logf("%d flips refused, %d healed, %d harmless", refused, healed, harmless)
	if refused == 0 || healed == 0 || harmless == 0 {
		t.Error("not everything has happened")
	}
}

func (w *world) flip(t *testing.T, file string, offset int64, mask byte, parts []part, at int) string {
	t.Helper()
	image := w.disk.Clone()
	must(t, image.Flip(file, offset, mask))
	options := w.options
	options.FS = image
	l, recovered, err := Open(options)
	what := fmt.Sprintf("%s at byte %d, bit %#x", file, offset, mask)
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			t.Fatalf("%s: got %v", what, err)
		}
		if at < 0 || !parts[at].live {
			t.Fatalf("%s: nothing that matters there, and got %v", what, err)
		}
		p := parts[at]
		inPayload := p.group != 0 && offset >= p.from+wire.RecordHeaderBytes
		if inPayload && (damage.Group != p.group || damage.Index != p.entry.Index || damage.Term != p.entry.Term || damage.File != file || damage.Offset != p.from) {
			t.Fatalf("%s: got %+v, want entry %v of group %d", what, damage, p.entry, p.group)
		}
		return "refused"
	}
	defer l.Close()
	found, err := modelOf(l, recovered.Groups)
	must(t, err)
	if found.fingerprint() != w.history[len(w.history)-1] {
		t.Fatalf("%s: not found, and the log is another one", what)
	}
	if len(recovered.Healed) > 0 {
		if h := recovered.Healed[0]; at < 0 || h.File != file || h.Offset != parts[at].from {
			t.Fatalf("%s: healed %+v", what, h)
		}
		return "healed"
	}
	if at >= 0 && parts[at].live {
		t.Fatalf("%s: in use, and not noticed", what)
	}
	return "harmless"
}

func TestHardStateIsHealedFromEitherCopy(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second bool // which copies are damaged
		whole         bool // all bits, not just one
	}{
		{"first, one bit", true, false, false},
		{"second, one bit", false, true, false},
		{"first, all of it", true, false, true},
		{"second, all of it", false, true, true},
		{"both, one bit", true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(crashdisk.New(crashdisk.Options{}))
			w.start(1, 2)
			w.append(w.hardState(2, 8, 3), w.entries(1, 2, 100))
			w.sync()
			w.append(w.entries(1, 2, 100))
			w.seal()
			w.close()
			var places []int64
			must(t, Scan(w.disk, testDir, func(i Item) error {
				if i.Record != nil && i.Record.Kind == wire.RecordHardState && i.Record.Group == 2 && i.Record.Term == 8 {
					places = append(places, i.Offset)
				}
				return nil
			}))
			if len(places) != 2 {
				t.Fatalf("the hard state stands at %v, want two places", places)
			}
			for i, damaged := range []bool{c.first, c.second} {
				for b := int64(0); damaged && b < hardStateRecordBytes; b++ {
					if c.whole || b == 70 {
						must(t, w.disk.Flip(segmentName(testDir, 1), places[i]+b, 0xff))
					}
				}
			}
			l, recovered, err := Open(testOptions(w.disk, testDir))
			if c.first && c.second {
				var damage *DamageError
				if !errors.As(err, &damage) {
					t.Fatalf("both copies are damaged: got %v", err)
				}
				return
			}
			must(t, err)
			defer l.Close()
			if got := recovered.Groups[1].HardState; got.CurrentTerm != 8 || got.VotedFor != 3 || len(recovered.Healed) != 1 {
				t.Errorf("got %+v, healed %v", got, recovered.Healed)
			}
		})
	}
}
