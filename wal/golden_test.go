package wal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/wire"
)

var update = flag.Bool("update", false, "write the golden files anew: a format that is out in the world must never change")

// golden makes the log of which the bytes are in testdata: two segments, entries of two groups, a
// truncation, hard states, configurations, a copy, a compaction, and seals.
func golden(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1, 2)
	w.append(w.entries(1, 5, 30), w.entries(2, 2, 17))
	w.sync()
	w.append(w.hardState(1, 3, 2), w.replace(1, 4, 1, 5))
	w.seal()
	w.kill()
	w.append(w.compact(1, 2), w.drop(2))
	w.moveForward(1)
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w
}

// TestFormatNeverChanges compares the bytes of a small log, and what they mean, with testdata.
func TestFormatNeverChanges(t *testing.T) {
	w := golden(t)
	checkGolden(t, "log.txt", described(t, w.disk))
	for number := uint32(1); number <= 2; number++ {
		name := fmt.Sprintf("segment%d.hex", number)
		checkGolden(t, name, dump(contentOf(t, w.disk, segmentName(testDir, number))))
	}
}

// TestOldBytesAreUnderstood opens what testdata has, and encodes all of it again.
func TestOldBytesAreUnderstood(t *testing.T) {
	disk := crashdisk.New(crashdisk.Options{})
	must(t, disk.MkdirAll(testDir))
	for number := uint32(1); number <= 2; number++ {
		text, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("segment%d.hex", number)))
		must(t, err)
		b := undump(t, string(text))
		setContent(t, disk, segmentName(testDir, number), b)
		encodeAgain(t, number, b)
	}
	w := golden(t)
	w.options.Boot++
	l, at, _, err := w.reopen(disk)
	if err != nil || at != len(w.history)-1 {
		t.Fatalf("step %d of %d: %v", at, len(w.history)-1, err)
	}
	must(t, l.Close())
}

// encodeAgain decodes headers and records, and checks that encoding gives the same bytes.
func encodeAgain(t *testing.T, number uint32, b []byte) {
	t.Helper()
	h, err := decodeSegmentHeader(b)
	must(t, err)
	block := make([]byte, blockBytes)
	h.put(block)
	if !bytes.Equal(block, b[:blockBytes]) {
		t.Errorf("segment %d: the header is encoded differently", number)
	}
	before, seed := h.chain, seedOf(h.chain)
	for at := blockBytes; at < len(b); {
		f, ok := decodeFrameHeader(b[at:], seed, uint64(number), uint32(at/blockBytes))
		if !ok {
			return
		}
		header := make([]byte, frameHeaderBytes)
		f.put(header, seed, before)
		if !bytes.Equal(header, b[at:at+frameHeaderBytes]) {
			t.Errorf("segment %d: the frame at %d is encoded differently", number, at)
		}
		before = f.chain
		body := b[at+frameHeaderBytes : at+frameHeaderBytes+int(f.bodyBytes)]
		var again []byte
		for rest := body; len(rest) > 0; {
			record, size, err := wire.DecodeRecord(rest)
			must(t, err)
			if state, ok := hardStateOf(&record); ok && record.Kind == wire.RecordHardState {
				again = appendHardState(again, record.Group, state, record.Index, record.Hash)
			} else {
				again = wire.AppendRecord(again, &record)
			}
			rest = rest[size:]
		}
		if !bytes.Equal(again, body) {
			t.Errorf("segment %d: the records of the frame at %d are encoded differently", number, at)
		}
		at += frameBytes(int(f.bodyBytes))
	}
}

// described says what Scan finds, a line each.
func described(t testing.TB, disk *crashdisk.Disk) string {
	t.Helper()
	var b strings.Builder
	must(t, Scan(disk, testDir, func(i Item) error {
		switch {
		case i.Segment != nil:
			s := i.Segment
			fmt.Fprintf(&b, "%s: blank %v, cluster %#x, server %#x, number %d after %d, %d bytes, from frame %d\n",
				filepath.Base(i.File), s.Blank, s.Cluster, s.Server, s.Number, s.Previous, s.Bytes, s.FirstFrame)
		case i.Frame != nil:
			f := i.Frame
			fmt.Fprintf(&b, "%6d frame %d, boot %d, synced %d: %d records, %d bytes\n", i.Offset, f.Sequence, f.Boot, f.Synced, f.Records, f.BodyBytes)
		case i.Record != nil:
			r := i.Record
			fmt.Fprintf(&b, "%6d   kind %d, flags %d, group %d, index %d, term %d, %d bytes %q\n",
				i.Offset, r.Kind, r.Flags, r.Group, r.Index, r.Term, len(r.Payload), bytes.TrimRight(r.Payload, "\x00"))
		default:
			fmt.Fprintf(&b, "%6d unknown, %d bytes\n", i.Offset, i.Unknown)
		}
		if i.Wrong != "" {
			fmt.Fprintf(&b, "       wrong: %s\n", i.Wrong)
		}
		return nil
	}))
	return b.String()
}

// dump writes the lines of 32 bytes that are not all zeros, and how many bytes there are.
func dump(b []byte) string {
	var text strings.Builder
	for at := 0; at < len(b); at += 32 {
		if line := b[at : at+32]; !isZero(line) {
			fmt.Fprintf(&text, "%06x %x\n", at, line)
		}
	}
	fmt.Fprintf(&text, "%06x\n", len(b))
	return text.String()
}

func undump(t testing.TB, text string) []byte {
	t.Helper()
	b := make([]byte, 0, 64<<10)
	for line := range strings.Lines(text) {
		var at int
		var digits string
		if n, _ := fmt.Sscanf(line, "%x %s", &at, &digits); n == 0 {
			t.Fatalf("what is %q?", line)
		}
		line, err := hex.DecodeString(digits)
		must(t, err)
		b = append(b, make([]byte, at-len(b))...)
		b = append(b, line...)
	}
	return b
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", name, got)
	}
}
