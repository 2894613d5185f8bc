package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// refillFrom fills all holes of a log from what was written there, and makes that durable.
func refillFrom(t testing.TB, l *Log, m *model) (filled int) {
	t.Helper()
	for _, g := range l.sorted {
		for len(g.gaps) > 0 {
			p := g.gaps[0]
			w := Write{Group: g.id, First: p.First}
			for i := p.First; i <= p.Last; i++ {
				w.Records = append(w.Records, m.copyOf(g.id, i))
			}
			if short := w; len(w.Records) > 1 {
				short.Records = w.Records[1:]
				short.First++
				if err := l.Append([]Write{short}); !errors.Is(err, ErrRefused) {
					t.Fatalf("a part of the gap from %d to %d: got %v", p.First, p.Last, err)
				}
			}
			must(t, l.Append([]Write{w}))
			filled += len(w.Records)
		}
		for len(g.holes) > 0 {
			h := g.holes[0]
			must(t, l.Append([]Write{{Group: g.id, First: h.Index, Records: [][]byte{m.copyOf(g.id, h.Index)}}}))
			filled++
		}
	}
	must(t, l.Seal())
	return filled
}

// copyOf returns a copy of an entry as a peer would send it.
func (m *model) copyOf(id wire.GroupID, i raft.Index) []byte {
	g := m.groups[id]
	record := slices.Clone(g.entries[i-g.base.Index-1])
	setCopyFlag(record)
	return record
}

// opened opens a log that may have holes.
func opened(t testing.TB, w *world, disk *crashdisk.Disk) (*Log, Recovered, error) {
	t.Helper()
	options := w.options
	options.FS, options.KeepHoles = disk, true
	return Open(options)
}

// healsFrom opens a damaged log, fills its holes, opens it again, and checks that it is what it was. It says
// what became of it.
func healsFrom(t testing.TB, w *world, image *crashdisk.Disk, what string) string {
	t.Helper()
	l, recovered, err := opened(t, w, image)
	if err != nil {
		var damage *DamageError
		if unread := strings.Contains(what, "unread"); errors.As(err, &damage) == unread || errors.Is(err, syscall.EIO) != unread {
			t.Fatalf("%s: got %v", what, err)
		}
		return "refused"
	}
	if recovered.TornTail != nil && strings.Contains(what, "2 blocks") && !strings.Contains(what, "unread") {
		must(t, l.Close())
		return "torn tail" // the last frame and the mark that it was durable are lost together: the published exception
	}
	outcome := "harmless"
	if len(recovered.Healed) > 0 {
		outcome = "mended"
	}
	want := w.history[len(w.history)-1]
	if refillFrom(t, l, w.model) > 0 {
		outcome = "filled"
	}
	if outcome == "filled" {
		// it is looked at when it is opened again
	} else if found, err := modelOf(l, recovered.Groups); err == nil && found.fingerprint() != want &&
		strings.Contains(what, "2 blocks") && !strings.Contains(what, "unread") && slices.Contains(w.history, found.fingerprint()) {
		must(t, l.Close())
		return "torn tail" // the same: it is as if they had never been written
	} else if err != nil || found.fingerprint() != want {
		t.Fatalf("%s: %s, and the log is another one: %v", what, outcome, err)
	}
	must(t, l.Close())
	l, recovered, err = opened(t, w, image)
	if err != nil {
		t.Fatalf("%s: %s, and then: %v", what, outcome, err)
	}
	found, err := modelOf(l, recovered.Groups)
	if err != nil || found.fingerprint() != want {
		t.Fatalf("%s: %s, and the log is another one when opened again: %v", what, outcome, err)
	}
	must(t, l.Close())
	if !strings.Contains(what, "unread") {
		return outcome
	}
	image.ReadAgain() // and what was lost is there, besides the copies
	l, recovered, err = opened(t, w, image)
	if err != nil {
		t.Fatalf("%s: %s, then everything could be read, and: %v", what, outcome, err)
	}
	defer l.Close()
	found, err = modelOf(l, recovered.Groups)
	if err != nil || found.fingerprint() != want || l.hasHoles() {
		t.Fatalf("%s: %s, and the log is another one when everything can be read: %v", what, outcome, err)
	}
	return outcome
}

// TestEveryFlippedByteHealsOrIsRefused flips each byte of a small log that has all kinds of records, in several ways.
// Where the log is opened, and its holes are filled by a peer, it is what it was, now and when it is opened again.
func TestEveryFlippedByteHealsOrIsRefused(t *testing.T) {
	for name, w := range map[string]*world{"rotting": rotting(t), "full": ofAllKinds(t), "compacted": compacted(t)} {
		parts := partsOf(t, w)
		counts := map[string]int{}
		n := 0
		names, err := w.disk.List(testDir)
		must(t, err)
		for _, base := range names {
			file := testDir + "/" + base
			size, err := w.disk.Durable().Size(file)
			must(t, err)
			for offset := int64(0); strings.HasSuffix(base, segmentSuffix) && offset < size; offset++ {
				at := slices.IndexFunc(parts, func(p part) bool { return p.file == file && p.from <= offset && offset < p.to })
				common := at < 0 || offset < blockBytes && offset > 100 || offset > parts[at].from+wire.RecordHeaderBytes+40
				if n++; (common && n%97 != 0 || n%3 != 0) && !*crashDeep {
					continue
				}
				for m, mask := range []byte{1 << (offset % 8), 0xff} {
					if n%2 != m && !*crashDeep {
						continue
					}
					image := w.disk.Clone()
					must(t, image.Flip(file, offset, mask))
					what := fmt.Sprintf("%s, %s at byte %d, bits %#x", name, file, offset, mask)
					outcome := healsFrom(t, w, image, what)
					if outcome == "harmless" && at >= 0 && parts[at].live {
						t.Fatalf("%s: in use, and not noticed", what)
					}
					if outcome == "refused" {
						_, _, err := opened(t, w, image)
						t.Fatalf("%s: refused: %v", what, err)
					}
					counts[outcome]++
				}
			}
		}
		t.Logf("%s: %v", name, counts)
		if name == "full" && counts["filled"] == 0 || counts["mended"] == 0 || counts["harmless"] == 0 {
			t.Errorf("%s: not everything has happened", name)
		}
	}
}

// ofAllKinds is a sealed log with records of all kinds.
func ofAllKinds(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = 12 * blockBytes
	w.start(1, 2, 3)
	w.append(w.entries(1, 4, 30), w.entries(2, 6, 60), w.configuration(1, "two"))
	w.sync()
	w.append(w.hardState(1, 7, 2), w.replace(1, 4, 3, 40), w.drop(3))
	w.sync()
	w.append(w.compact(2, 3), w.hardState(2, 7, 1), w.entries(2, 2, 700))
	w.sync()
	for range 3 {
		w.append(w.entries(2, 2, 9000), w.entries(1, 1, 0))
		w.sync()
	}
	w.append(w.compact(2, 9))
	w.moveForward(3000)
	w.sync()
	w.append(w.truncate(1, 6), w.hardState(2, 9, 0))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w
}

// ofOneGroup is a sealed log as a server has it: many frames of one group, in several segments, with truncations.
func ofOneGroup(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = 12 * blockBytes
	w.start(1)
	for round := range 6 {
		for range 4 {
			w.append(w.entries(1, 1+round%3, 40))
			w.sync()
		}
		w.append(w.hardState(1, raft.Term(10+round), 1), w.replace(1, w.model.groups[1].last()-1, 2, 30))
		w.sync()
		w.append(w.entries(1, 1, 5000))
		w.sync()
	}
	w.append(w.entries(1, 2, 10))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w
}

// TestEveryLostBlockHealsOrIsRefused loses each block of logs, and two in a row. Where the log is opened, and what it lacks
// comes from a peer, it is what it was.
func TestEveryLostBlockHealsOrIsRefused(t *testing.T) {
	for name, w := range map[string]*world{"rotting": rotting(t), "full": ofAllKinds(t), "one group": ofOneGroup(t)} {
		n := 0
		counts := map[string]int{}
		for file, content := range blocksOf(t, w.disk) {
			for at := int64(0); at < int64(len(content)); at += blockBytes {
				for blocks := int64(1); blocks <= 2 && at+blocks*blockBytes <= int64(len(content)); blocks++ {
					for how, is := range map[string][]byte{"zeros": make([]byte, blocks*blockBytes), "noise": noise(int(blocks * blockBytes))} {
						if n++; n%3 != 0 && !*crashDeep && name != "one group" {
							continue
						}
						image := w.disk.Clone()
						put(t, image, file, at, content[at:at+blocks*blockBytes], is)
						counts[healsFrom(t, w, image, fmt.Sprintf("%s, %d blocks of %s at %d: %s", name, blocks, file, at, how))]++
					}
				}
			}
		}
		t.Logf("%s: %v", name, counts)
		if name == "one group" && (counts["filled"] < 2*counts["refused"] || counts["harmless"] == 0) {
			t.Errorf("%s: too much is refused", name)
		}
	}
}

// TestEveryUnreadBlockHealsOrIsRefused lets the disk refuse to read each block of logs, and two in a row. That is like a lost block, but for
// the end of the log: it is never taken for a torn tail.
func TestEveryUnreadBlockHealsOrIsRefused(t *testing.T) {
	for name, w := range map[string]*world{"rotting": rotting(t), "full": ofAllKinds(t), "one group": ofOneGroup(t)} {
		counts := map[string]int{}
		for file, content := range blocksOf(t, w.disk) {
			for at := int64(0); at < int64(len(content)); at += blockBytes {
				for blocks := int64(1); blocks <= 2 && at+blocks*blockBytes <= int64(len(content)); blocks++ {
					image := w.disk.Clone()
					for k := range blocks {
						must(t, image.Unread(file, at+k*blockBytes))
					}
					counts[healsFrom(t, w, image, fmt.Sprintf("%s, %d blocks of %s at %d are unread", name, blocks, file, at))]++
				}
			}
		}
		t.Logf("%s: %v", name, counts)
		if counts["torn tail"] > 0 || name == "one group" && (counts["filled"] < 2*counts["refused"] || counts["harmless"] == 0) {
			t.Errorf("%s: too much is refused, or taken for a torn tail", name)
		}
	}
}

// A frame that is lost may have replaced entries. If they were taken for what was there, a server that cuts its log at the gap would
// have forgotten what it has acknowledged.
func TestWhatALostFrameMayHaveReplacedIsLostToo(t *testing.T) {
	for _, c := range []struct {
		name        string
		term        raft.Term  // of what is lost, and what comes after it; that before it is of term 2
		from        raft.Index // at which the lost frame begins, after entry 5, of which 3 are committed
		entries     int        // that it has
		damage      bool       // of the entry behind it
		ends        bool       // what comes after it is the beginning of a segment
		first, last raft.Index // of the gap
		doubted     bool       // entries 4 and 5, of term 2
	}{
		{name: "replaced by more", term: 7, from: 4, entries: 3, first: 4, last: 6, doubted: true},
		{name: "followed by damage", term: 7, from: 4, entries: 2, damage: true, first: 4, last: 6, doubted: true},
		{name: "at the end of a segment", term: 7, from: 4, entries: 3, ends: true, first: 4, last: 6, doubted: true},
		{name: "not replaced", term: 7, from: 6, entries: 1, first: 4, last: 6, doubted: true},
		{name: "of the same leader", term: 2, from: 6, entries: 1, first: 6, last: 6},
		{name: "of the same leader, followed by damage", term: 2, from: 6, entries: 1, damage: true, first: 6, last: 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(crashdisk.New(crashdisk.Options{}))
			w.options.SegmentBytes = 12 * blockBytes
			w.start(1)
			w.append(w.entries(1, 3, 30))
			w.append(w.entries(1, 2, 30))
			w.append(w.hardState(1, c.term, 1))
			w.sync()
			w.append(w.replace(1, c.from, c.entries, 30))
			w.sync()
			if !c.ends {
				w.append(w.entries(1, 1, 30))
			}
			w.seal()
			for c.ends && w.err == nil && (w.log.active.number == 1 || w.log.frames < 2) {
				w.append(w.hardState(1, w.model.groups[1].hardState.CurrentTerm+1, 1))
				w.seal()
			}
			want := w.history[len(w.history)-1]
			w.close()
			if w.err != nil {
				t.Fatal(w.err)
			}
			behind := c.from + raft.Index(c.entries)
			parts := partsOf(t, w)
			for _, p := range parts {
				switch {
				case p.live && p.entry.Index == c.from && p.entry.Term == c.term:
					header := slices.IndexFunc(parts, func(other part) bool { return other.frame == p.frame })
					for at := parts[header].from; at < parts[header].to; at++ {
						must(t, w.disk.Flip(p.file, at, 0x5a))
					}
				case p.live && p.entry.Index == behind && c.damage:
					must(t, w.disk.Flip(p.file, p.from+wire.RecordHeaderBytes, 3))
					must(t, w.disk.Flip(p.file, p.from+wire.RecordHeaderBytes+7, 3))
				}
			}
			l, recovered, err := opened(t, w, w.disk)
			must(t, err)
			if g := recovered.Groups[0]; len(g.Gaps) != 1 || g.Gaps[0].First != c.first || g.Gaps[0].Last != c.last {
				t.Fatalf("got gaps %+v, want one from %d to %d", g.Gaps, c.first, c.last)
			}
			var doubted []raft.EntryID
			for _, b := range recovered.Groups[0].Gaps[0].Doubted {
				r, _, err := wire.DecodeRecord(b)
				must(t, err)
				doubted = append(doubted, raft.EntryID{Index: r.Index, Term: r.Term})
			}
			if want := []raft.EntryID{{Index: 4, Term: 2}, {Index: 5, Term: 2}}; c.doubted != slices.Equal(doubted, want) || !c.doubted && doubted != nil {
				t.Errorf("doubted are %v", doubted)
			}
			var others [][]byte // which follow what is before the gap, and lead nowhere
			before := recovered.Groups[0].Gaps[0].Before
			for i := c.first; i <= c.last; i++ {
				r := wire.Record{Kind: wire.RecordCommand, Group: 1, Index: i, Term: c.term, Flags: wire.FlagCopy, Payload: []byte("another")}
				r.Hash = wire.EntryHash(before, &r)
				before = r.Hash
				others = append(others, wire.AppendRecord(nil, &r))
			}
			if err := l.Append([]Write{{Group: 1, First: c.first, Records: others}}); !errors.Is(err, ErrRefused) {
				t.Errorf("filled with other entries: got %v", err)
			}
			refillFrom(t, l, w.model)
			must(t, l.Close())
			l, recovered, err = opened(t, w, w.disk)
			must(t, err)
			defer l.Close()
			if found, err := modelOf(l, recovered.Groups); err != nil || found.fingerprint() != want {
				t.Errorf("filled, it is another log: %v", err)
			}
		})
	}
}

// A frame repeats the hard states of the one before it, and no more: of two in a row that are lost, the first may have had a vote. In
// the last segment, where nothing else repeats it, that is refused, whatever of them is lost; one alone is not.
func TestTwoLostFramesInARowMayHaveHadAVote(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	for _, write := range []func() Write{
		func() Write { return w.entries(1, 3, 30) },
		func() Write { return w.hardState(1, 7, 3) },
		func() Write { return w.entries(1, 1, 30) },
		func() Write { return w.entries(1, 1, 30) },
	} {
		w.append(write())
		w.sync()
	}
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	const voted = 3 // its frame
	lose := func(image *crashdisk.Disk, frame uint64, what func(p part) bool) {
		for _, p := range partsOf(t, w) {
			if p.frame == frame && what(p) {
				for at := p.from; at < p.to; at++ {
					must(t, image.Flip(p.file, at, 0x5a))
				}
			}
		}
	}
	header := func(p part) bool { return p.record == nil }
	body := func(p part) bool { return p.record != nil }
	for name, second := range map[string]func(part) bool{"header": header, "body": body, "nothing": nil} {
		image := w.disk.Clone()
		lose(image, voted, header)
		if second != nil {
			lose(image, voted+1, second)
		}
		l, recovered, err := opened(t, w, image)
		if second != nil {
			if damage := (*DamageError)(nil); !errors.As(err, &damage) {
				t.Errorf("%s of the second: got %v", name, err)
			}
			continue
		}
		must(t, err)
		if got := recovered.Groups[0].HardState; got.CurrentTerm != 7 || got.VotedFor != 3 {
			t.Errorf("of one that is lost, the hard state is %+v", got)
		}
		must(t, l.Close())
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// compacted is a sealed log that begins late: its first segment repeats bases, and has entries and copies in the same frame.
func compacted(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = minSegmentBytes
	w.start(1, 2)
	w.append(w.hardState(1, 3, 2), w.hardState(2, 4, 0), w.entries(1, 7, 50), w.entries(2, 4, 60))
	w.sync()
	w.append(w.compact(1, 3), w.compact(2, 2))
	for range 4 {
		w.append(w.entries(1, 1, 3000), w.entries(2, 2, 200))
		w.sync()
		w.append(w.compact(1, w.model.groups[1].last()-2), w.compact(2, w.model.groups[2].last()-3))
		w.moveForward(10_000)
		w.sync()
		w.append(w.entries(1, 2, 3000))
		w.seal()
		w.release()
	}
	w.append(w.hardState(1, 5, 1), w.entries(1, 2, 10))
	w.append(w.compact(1, w.model.groups[1].last()-1))
	w.seal()
	w.append(w.entries(2, 1, 0))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	if _, err := w.disk.Durable().Size(segmentName(testDir, 1)); err == nil {
		t.Fatal("the first segment is still there")
	}
	return w
}

// TestBasesAreMadeGood destroys each base of a log: the whole record, its header, its payload, and with an entry of the same frame
// besides. Whatever the log knows from before is made good without a peer; it does not know what a group begins with, and what
// the first frame says that is left.
func TestBasesAreMadeGood(t *testing.T) {
	for name, w := range map[string]*world{"full": ofAllKinds(t), "compacted": compacted(t)} {
		counts := map[string]int{}
		var first string
		for _, p := range partsOf(t, w) {
			if !p.live || p.record == nil || p.record.Kind != wire.RecordBase {
				continue
			}
			if first == "" {
				first = p.file
			}
			isFirst := p.record.Index == 0 || p.file == first && p.from < 2*blockBytes
			for how, at := range map[string][2]int64{
				"all": {p.from, p.to}, "header": {p.from, p.from + wire.RecordHeaderBytes}, "name": {p.from + 16, p.from + 56},
				"payload": {p.from + wire.RecordHeaderBytes, p.to},
			} {
				for _, also := range []bool{false, true} {
					image := w.disk.Clone()
					for offset := at[0]; offset < at[1]; offset++ {
						must(t, image.Flip(p.file, offset, byte(1+offset*7%255)))
					}
					if also && !loseEntry(t, w, image, p) {
						continue
					}
					what := fmt.Sprintf("%s, %s of %v of %s at %d, with an entry: %v", name, how, p.record.Kind, p.file, p.from, also)
					outcome := healsFrom(t, w, image, what)
					counts[outcome]++
					// If its checksum has gone, too, the body's is the proof, and with an entry that is gone.
					if outcome == "refused" && !isFirst && !(also && (how == "all" || how == "header")) {
						_, _, err := opened(t, w, image)
						t.Errorf("%s: refused: %v", what, err)
					}
					if outcome == "harmless" {
						t.Errorf("%s: not noticed", what)
					}
				}
			}
		}
		t.Logf("%s: %v", name, counts)
		if counts["mended"] == 0 {
			t.Errorf("%s: nothing was made good", name)
		}
	}
}

// loseEntry damages the payload of an entry in the frame of another record; false if it has none.
func loseEntry(t testing.TB, w *world, image *crashdisk.Disk, p part) bool {
	for _, other := range partsOf(t, w) {
		if other.file == p.file && other.frame == p.frame && other.entry.Index != 0 && other.to-other.from > wire.RecordHeaderBytes {
			must(t, image.Flip(other.file, other.from+wire.RecordHeaderBytes, 3))
			must(t, image.Flip(other.file, other.from+wire.RecordHeaderBytes+7, 3))
			return true
		}
	}
	return false
}

// TestDamageIsNoTornTailLater damages each frame that only the last one calls durable, as the first start of a segment
// left it, again and again: however often the log is opened, the damage is not taken for a torn tail.
func TestDamageIsNoTornTailLater(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = minSegmentBytes
	w.start(1)
	for w.log.room() > 0 && w.log.active.bytes-w.log.offset > blockBytes {
		w.append(w.hardState(1, w.model.groups[1].hardState.CurrentTerm+1, 1))
		w.sync()
	}
	full := w.log.active.number
	w.append(w.hardState(1, w.model.groups[1].hardState.CurrentTerm+1, 1)) // fills the segment
	w.sync()
	for w.log.active.number == full {
		w.seal() // begins the next one, whose only frame calls the one before it durable
	}
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	want := w.history[len(w.history)-1]
	var last part
	for _, p := range partsOf(t, w) {
		if p.live && p.record != nil && p.file == segmentName(testDir, full) {
			last = p
		}
	}
	image := w.disk.Clone()
	must(t, image.Flip(last.file, last.from+wire.RecordHeaderBytes, 1))
	for boot := range 3 {
		w.options.Boot++
		l, recovered, err := opened(t, w, image)
		if err != nil {
			t.Fatalf("start %d: %v", boot, err)
		}
		if found, err := modelOf(l, recovered.Groups); err != nil || found.fingerprint() != want || recovered.TornTail != nil || len(recovered.Healed) == 0 {
			t.Fatalf("start %d: healed %v, torn tail %v: the log is another one: %v", boot, recovered.Healed, recovered.TornTail, err)
		}
		must(t, l.Close())
	}
}

// The mark that calls a damaged frame durable may only be in the cache of a machine whose power goes after the next start: what
// that start has mended stays mended.
func TestDamageThatWasMendedIsNoTornTailAfterACrash(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	for range 3 {
		w.append(w.hardState(1, w.model.groups[1].hardState.CurrentTerm+1, 1))
		w.sync()
	}
	w.do(func() error {
		_, err := w.log.writeFrame(nil) // half a Seal
		return err
	})
	if w.err != nil {
		t.Fatal(w.err)
	}
	want, pending := w.history[len(w.history)-1], w.disk.Pending()
	var last part
	for _, p := range partsOf(t, w) {
		if p.live && p.record != nil {
			last = p
		}
	}
	w.disk.Kill()
	must(t, w.disk.Flip(last.file, last.from+wire.RecordHeaderBytes, 1))
	for boot := range 2 {
		w.options.Boot++
		l, recovered, err := opened(t, w, w.disk)
		if err != nil {
			t.Fatalf("start %d: %v", boot, err)
		}
		found, err := modelOf(l, recovered.Groups)
		if err != nil || found.fingerprint() != want || recovered.TornTail != nil || boot == 0 && len(recovered.Healed) == 0 || pending == 0 {
			t.Fatalf("start %d: healed %v, torn tail %v: the log is another one: %v", boot, recovered.Healed, recovered.TornTail, err)
		}
		w.disk.Kill()
		w.disk = w.disk.CrashNow()
	}
}

// A log may begin after an entry that is lost, if it is the very one that was there; another one of its term is refused.
func TestLogBeginsAfterAHole(t *testing.T) {
	w := rotting(t)
	image := w.disk.Clone()
	for _, p := range partsOf(t, w) {
		if p.group == 1 && p.entry.Index == 2 {
			for k := range int64(5) {
				must(t, image.Flip(p.file, p.from+wire.RecordHeaderBytes+k, 0xff))
			}
		}
	}
	l, recovered, err := opened(t, w, image)
	must(t, err)
	g := recovered.Groups[0]
	if len(g.Holes) != 1 || g.Holes[0].Index != 2 || g.Droppable(2) != 2 || g.Droppable(1) != 0 {
		t.Fatalf("holes %v, droppable up to %d", g.Holes, g.Droppable(2))
	}
	h := g.Holes[0]
	p, err := l.Position(1, 2)
	if err != nil || p.Hash != h.Hash || p.EntryID != h.EntryID {
		t.Fatalf("its position is %+v: %v", p, err)
	}
	other := Base{EntryID: h.EntryID, Hash: wire.Hash{1}, Configuration: p.Configuration}
	if err := l.Append([]Write{{Group: 1, Base: &other}}); !errors.Is(err, ErrRefused) {
		t.Fatalf("another entry of its term: %v", err)
	}
	must(t, l.Append([]Write{{Group: 1, Base: &Base{EntryID: h.EntryID, Hash: h.Hash, Configuration: p.Configuration}}}))
	must(t, l.Seal())
	must(t, l.Close())
	l, recovered, err = opened(t, w, image)
	must(t, err)
	defer l.Close()
	if now := recovered.Groups[0]; now.Base != h.EntryID || now.Last != g.Last || len(now.Holes) > 0 || now.LastHash != g.LastHash {
		t.Errorf("opened again it is %+v, and was %+v", now, g)
	}
}

// Where it is not known which entry was lost, the log does not begin on a guess: only what is behind the gap can prove it.
func TestLogBeginsAfterAGapOnlyIfThatIsProved(t *testing.T) {
	w := ofOneGroup(t)
	tried := 0
	for file, content := range blocksOf(t, w.disk) {
		for at := int64(0); at < int64(len(content)); at += blockBytes {
			image := w.disk.Clone()
			put(t, image, file, at, content[at:at+blockBytes], noise(blockBytes))
			l, recovered, err := opened(t, w, image)
			if err != nil || len(recovered.Groups[0].Gaps) == 0 {
				continue
			}
			g, p := recovered.Groups[0], recovered.Groups[0].Gaps[0]
			right := wire.Raw(w.model.groups[1].entries[p.Last-g.Base.Index-1])
			base := Base{EntryID: raft.EntryID{Index: p.Last, Term: right.Term()}, Hash: right.Hash(), Configuration: []byte("there")}
			wrong := base
			wrong.Hash = wire.Hash{1}
			if g.MayBeginAfter(p.Last, wrong.Hash) || !g.MayBeginAfter(p.Last, base.Hash) || p.First < p.Last && g.MayBeginAfter(p.First, base.Hash) || !g.MayBeginAfter(p.Last+1, base.Hash) {
				t.Errorf("gap %d to %d: it may begin after what is not proved, or not after what is", p.First, p.Last)
			}
			if err := l.Append([]Write{{Group: 1, Base: &wrong}}); !errors.Is(err, ErrRefused) {
				t.Errorf("gap %d to %d: it begins after what is not proved: %v", p.First, p.Last, err)
			}
			if after, err := l.Position(1, p.Last+1); err == nil && (p.Last+1)%5 != 0 { // every fifth is a configuration, and it may have been one that is lost
				t.Errorf("gap %d to %d: the configuration in force behind it is %q", p.First, p.Last, after.Configuration)
			}
			if to := g.Droppable(p.Last); to >= p.First {
				t.Errorf("gap %d to %d: droppable up to %d", p.First, p.Last, to)
			}
			if err := l.Append([]Write{{Group: 1, CompactTo: p.First}}); !errors.Is(err, ErrRefused) {
				t.Errorf("gap %d to %d: compacted into it: %v", p.First, p.Last, err)
			}
			must(t, l.Append([]Write{{Group: 1, Base: &base}}))
			must(t, l.Seal())
			must(t, l.Close())
			l, recovered, err = opened(t, w, image)
			if err != nil {
				t.Fatalf("gap %d to %d, opened again: %v", p.First, p.Last, err)
			}
			if now := recovered.Groups[0]; now.Base != base.EntryID || now.Last != g.Last || len(now.Holes) != len(g.Holes)-int(p.Last-p.First)-1 {
				t.Errorf("gap %d to %d: opened again it is %+v", p.First, p.Last, now)
			}
			must(t, l.Close())
			tried++
		}
	}
	if tried < 5 {
		t.Errorf("only %d gaps", tried)
	}
}
