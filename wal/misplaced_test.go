package wal

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// blocksOf reads all blocks of all segments.
func blocksOf(t testing.TB, disk *crashdisk.Disk) map[string][]byte {
	t.Helper()
	names, err := disk.List(testDir)
	must(t, err)
	contents := map[string][]byte{}
	for _, base := range names {
		number, ok := segmentNumber(base)
		if !ok {
			continue
		}
		s, err := openSegment(disk, testDir+"/"+base, number)
		must(t, err)
		b := make([]byte, s.bytes)
		must(t, s.readAt(b, 0))
		must(t, s.file.Close())
		contents[s.name] = b
	}
	return contents
}

// put makes the disk hold other bytes than were written there, without anybody's knowledge.
func put(t testing.TB, disk *crashdisk.Disk, file string, at int64, was, is []byte) {
	t.Helper()
	for i := range was {
		if mask := was[i] ^ is[i]; mask != 0 {
			must(t, disk.Flip(file, at+int64(i), mask))
		}
	}
}

// shrinking is a sealed log whose frames could stand in for each other: what they say makes sense in any
// order, and comes to something else.
func shrinking(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = 12 * blockBytes
	w.start(1, 2)
	for _, next := range []func() Write{
		func() Write { return w.entries(1, 6, 50) },
		func() Write { return w.truncate(1, 6) },
		func() Write { return w.hardState(2, 5, 1) },
		func() Write { return w.truncate(1, 5) },
		func() Write { return w.truncate(1, 4) },
	} {
		w.append(next())
		w.sync()
	}
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w
}

// TestEveryLostOrMisplacedBlockIsFoundOrDoesNoHarm puts zeros, and what belongs elsewhere in the log, in
// the place of each block of a sealed log, as a disk does that loses a write or puts it in the wrong
// place. Open refuses, or it finds exactly what was written.
func TestEveryLostOrMisplacedBlockIsFoundOrDoesNoHarm(t *testing.T) {
	refused, harmless := 0, 0
	for _, w := range []*world{rotting(t), shrinking(t)} {
		contents := blocksOf(t, w.disk)
		for file, content := range contents { //tidy:ordered each image is tried for itself
			for at := 0; at < len(content); at += blockBytes {
				try := func(what string, block []byte) {
					image := w.disk.Clone()
					put(t, image, file, int64(at), content[at:at+blockBytes], block)
					if w.refuses(t, fmt.Sprintf("%s at %d has %s", file, at, what), image) {
						refused++
					} else {
						harmless++
					}
				}
				try("zeros", zeros[:blockBytes])
				for other, source := range contents { //tidy:ordered the same
					for from := 0; from < len(source); from += blockBytes {
						try(fmt.Sprintf("what belongs to %s at %d", other, from), source[from:from+blockBytes])
					}
				}
			}
		}
	}
	t.Logf("%d refused, %d harmless", refused, harmless)
	if refused == 0 || harmless == 0 {
		t.Error("not everything has happened")
	}
}

// refuses opens an image, and reports whether damage was found. If not, what was written must be.
func (w *world) refuses(t *testing.T, what string, image *crashdisk.Disk) bool {
	t.Helper()
	options := w.options
	options.FS = image
	l, recovered, err := Open(options)
	var damage *DamageError
	switch {
	case errors.As(err, &damage):
		return true
	case err != nil:
		t.Fatalf("%s: got %v", what, err)
	}
	defer l.Close()
	found, err := modelOf(l, recovered.Groups)
	if err != nil || found.fingerprint() != w.history[len(w.history)-1] {
		t.Fatalf("%s: not found, and the log is another one: %v", what, err)
	}
	return false
}

// TestEveryFlippedBitIsFoundWhenRead flips bits of the entries of a log that is open, and reads. Read
// returns what was written, or says what is damaged.
func TestEveryFlippedBitIsFoundWhenRead(t *testing.T) {
	w := rotting(t)
	w.open()
	must(t, w.err)
	found := 0
	for _, p := range partsOf(t, w) {
		if p.group == 0 || !p.live {
			continue
		}
		for offset := p.from; offset < p.to; offset++ {
			mask := byte(1) << (offset % 8)
			must(t, w.disk.Flip(p.file, offset, mask))
			what := fmt.Sprintf("%s at byte %d, in entry %v of group %d", p.file, offset, p.entry, p.group)
			if w.readsDamage(t, what, p.group, p.entry.Index) {
				found++
			}
			must(t, w.disk.Flip(p.file, offset, mask))
		}
	}
	t.Logf("%d flips found", found)
	if found == 0 {
		t.Error("nothing was found")
	}
	w.close()
	must(t, w.err)
}

// readsDamage reads everything of a group, and reports whether damage to the entry was noticed.
func (w *world) readsDamage(t *testing.T, what string, id wire.GroupID, damaged raft.Index) bool {
	t.Helper()
	g := w.model.groups[id]
	records, err := w.log.Read(id, g.base.Index+1, g.last(), 1<<20)
	var damage *DamageError
	switch {
	case err == nil && slices.EqualFunc(records, g.entries, func(a, b []byte) bool { return string(a) == string(b) }):
		return false // only padding
	case err == nil:
		t.Fatalf("%s: not found, and other entries are read", what)
	case !errors.As(err, &damage) || damage.Group != id || damage.Index != damaged:
		t.Fatalf("%s: got %v", what, err)
	}
	return true
}
