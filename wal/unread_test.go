package wal

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/wire"
)

// What stands for what could not be read is taken for nothing that may be in a log.
func TestWhatStandsForWhatIsUnreadIsNothing(t *testing.T) {
	block := bytes.Repeat([]byte{unreadByte}, blockBytes)
	if _, ok := decodeFrameHeader(block, 0, 1, 1); ok || isZero(block) {
		t.Error("it is a frame, or blank")
	}
	if _, _, err := wire.DecodeRecord(block); err == nil {
		t.Error("it is a record")
	}
	if _, err := decodeSegmentHeader(block); err == nil {
		t.Error("it is the header of a segment")
	}
}

// Who does not keep holes, and who can read nothing at all, is told what the disk says.
func TestWhatIsUnreadIsNoDamageForWhoKeepsNoHoles(t *testing.T) {
	w := ofAllKinds(t)
	for file, content := range blocksOf(t, w.disk) {
		image := w.disk.Clone()
		must(t, image.Unread(file, blockBytes))
		options := w.options
		options.FS = image
		var damage *DamageError
		if _, _, err := Open(options); !errors.Is(err, syscall.EIO) || errors.As(err, &damage) {
			t.Errorf("%s: got %v", file, err)
		}
		for at := int64(0); at < int64(len(content)); at += blockBytes {
			must(t, image.Unread(file, at))
		}
		if _, _, err := opened(t, w, image); !errors.Is(err, syscall.EIO) || errors.As(err, &damage) {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

// The last frame, of which nothing says that it was durable, may be what was acknowledged last. If it has rotted it is taken for a torn tail, which is the
// published exception; a disk that says that it does not read it is believed.
func TestEndOfTheLogThatIsUnreadIsNoTornTail(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.options.SegmentBytes = minSegmentBytes
	w.start(1)
	w.append(w.hardState(1, 3, 0), w.entries(1, 6, 300))
	w.sync()
	w.append(w.entries(1, 1, 100))
	w.sync()
	if w.err != nil {
		t.Fatal(w.err)
	}
	last := Item{}
	must(t, Scan(w.disk, testDir, func(i Item) error {
		if i.Frame != nil {
			last = i
		}
		return nil
	}))
	for _, unread := range []bool{false, true} {
		image := w.disk.Clone()
		if unread {
			must(t, image.Unread(last.File, last.Offset))
		} else {
			must(t, image.Flip(last.File, last.Offset, 1))
			must(t, image.Flip(last.File, last.Offset+40, 1))
		}
		l, recovered, err := opened(t, w, image)
		var damage *DamageError
		switch {
		case unread && (!errors.Is(err, syscall.EIO) || errors.As(err, &damage)):
			t.Errorf("unread: got %v, %+v", err, recovered)
		case !unread && (err != nil || recovered.TornTail == nil):
			t.Errorf("rotten: got %v, %+v", err, recovered)
		case !unread:
			must(t, l.Close())
		}
	}
}

// A file of which a part cannot be read is not used again, for who knows what else it does not read.
func TestSegmentsThatAreNotReadAreNotUsedAgain(t *testing.T) {
	for _, unread := range []bool{false, true} {
		w := newWorld(crashdisk.New(crashdisk.Options{}))
		w.options.SegmentBytes = minSegmentBytes
		w.start(1)
		w.append(w.hardState(1, 3, 0), w.entries(1, 6, 3000))
		w.sync()
		w.seal()
		w.close()
		if w.err != nil {
			t.Fatal(w.err)
		}
		image := w.disk.Clone()
		if unread {
			must(t, image.Unread(testDir+"/0000000000000001.seg", minSegmentBytes-blockBytes))
		}
		l, _, err := opened(t, w, image)
		must(t, err)
		first := l.segments[0]
		if first.unread != unread {
			t.Errorf("that the disk does not read it: %v", first.unread)
		}
		l.needed = first.number + 1
		if _, recycle, err := l.takeReleasable(); err != nil || recycle == unread {
			t.Errorf("unread: %v; used again: %v, %v", unread, recycle, err)
		}
		must(t, l.Close())
	}
}
