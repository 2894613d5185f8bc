package wal

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// FuzzOpen opens whatever there is in a segment, sound checksums or not. If it opens, everything in it
// can be read, the log can be written to, and the next opening finds the same.
func FuzzOpen(f *testing.F) {
	for _, w := range []*world{golden(f), rotting(f)} {
		for number := uint32(1); number <= 2; number++ {
			b := contentOf(f, w.disk, segmentName(testDir, number))
			f.Add(b[:minSegmentBytes], number, true)
		}
	}
	f.Add([]byte{}, uint32(1), false)
	f.Fuzz(func(t *testing.T, b []byte, number uint32, repaired bool) {
		if len(b) > 64<<10 || number == 0 || number > 1<<31 {
			return
		}
		b = append([]byte(nil), b...)
		if whole := len(b) &^ (blockBytes - 1); repaired && whole > 0 {
			binary.LittleEndian.PutUint64(b[40:], uint64(whole))
			b = b[:whole]
			repair(b)
		}
		openAnything(t, number, b)
	})
}

// FuzzReplay opens a segment with sound frames, which hold records that make little sense. Its input is
// the bodies of the frames, each with its length before it.
func FuzzReplay(f *testing.F) {
	for _, w := range []*world{golden(f), rotting(f)} {
		for number := uint32(1); number <= 2; number++ {
			b := contentOf(f, w.disk, segmentName(testDir, number))
			f.Add(bodiesOf(b), uint8(number))
		}
	}
	f.Fuzz(func(t *testing.T, bodies []byte, number uint8) {
		if number == 0 {
			return
		}
		openAnything(t, uint32(number), withBodies(bodies, uint64(number)))
	})
}

// bodiesOf returns the bodies of the frames of a segment, each with its length.
func bodiesOf(b []byte) (bodies []byte) {
	for at := blockBytes; at < len(b); {
		n := int(binary.LittleEndian.Uint32(b[at+8:]))
		if isZero(b[at : at+frameHeaderBytes]) {
			break
		}
		bodies = binary.LittleEndian.AppendUint16(bodies, uint16(n))
		bodies = append(bodies, b[at+frameHeaderBytes:at+frameHeaderBytes+n]...)
		at += frameBytes(n)
	}
	return bodies
}

// withBodies returns a segment with frames that have those bodies, and sound checksums.
func withBodies(bodies []byte, number uint64) []byte {
	const size = 64 << 10
	b := make([]byte, size)
	h := segmentHeader{cluster: testCluster, server: testServer, number: number, bytes: size, firstFrame: 1, previous: number - 1}
	h.chain = firstChain(testCluster, testServer)
	h.put(b)
	before, at := h.chain, blockBytes
	for sequence := uint64(1); len(bodies) >= 2 && at < size; sequence++ {
		n := min(int(binary.LittleEndian.Uint16(bodies)), len(bodies)-2, size-at-frameHeaderBytes)
		body := b[at+frameHeaderBytes : at+frameHeaderBytes+n]
		copy(body, bodies[2:])
		bodies = bodies[2+n:]
		records := uint32(0)
		for rest := body; len(rest) >= wire.RecordHeaderBytes; records++ {
			size := wire.Size(int(binary.LittleEndian.Uint32(rest[8:]) & 0xffff))
			if size > len(rest) {
				break
			}
			rest = rest[size:]
		}
		f := frameHeader{
			bodyBytes: uint32(n), records: records, sequence: sequence, segment: number, synced: sequence - 1, boot: 1, block: uint32(at / blockBytes),
		}
		f.put(b[at:], seedOf(h.chain), before)
		repair(b)
		before = chain(b[at+56 : at+72])
		at += frameBytes(n)
	}
	return b
}

// openAnything opens a log of one file, which may hold anything.
func openAnything(t *testing.T, number uint32, content []byte) {
	t.Helper()
	disk := crashdisk.New(crashdisk.Options{})
	must(t, disk.MkdirAll(testDir))
	setContent(t, disk, segmentName(testDir, number), content)
	options := testOptions(disk, testDir)
	options.Boot = 1 << 63
	bounded(t, "scan", disk, len(content), func(d *crashdisk.Disk) {
		must(t, Scan(d, testDir, func(Item) error { return nil }))
	})
	bounded(t, "open", disk, len(content), func(d *crashdisk.Disk) {
		on := options
		on.FS = d
		if l, _, err := Open(on); err == nil {
			must(t, l.Close())
		}
	})
	l, recovered, err := Open(options)
	if err != nil {
		return
	}
	found, err := modelOf(l, recovered.Groups)
	if err != nil {
		t.Fatal(err)
	}
	const group = 1 << 50
	if err := l.Append([]Write{{Group: group, Base: &Base{}}}); errors.Is(err, ErrRefused) {
		return // there is such a group
	} else if err != nil {
		t.Fatal(err)
	}
	must(t, l.Append([]Write{{Group: group, HardState: &raft.HardState{CurrentTerm: maxIndex}}}))
	must(t, l.Append([]Write{{Group: group, Drop: true}}))
	must(t, l.Seal())
	must(t, l.Close())
	l, recovered, err = Open(options)
	if err != nil {
		t.Fatal(err)
	}
	again, err := modelOf(l, recovered.Groups)
	if err != nil {
		t.Fatal(err)
	}
	if found.fingerprint() != again.fingerprint() {
		t.Fatalf("%d groups, and then %d, or something in them differs", len(found.groups), len(again.groups))
	}
	must(t, l.Close())
}
