package wal

import (
	"runtime"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// What Open and Scan may allocate for a log of a few MiB, garbage included: a multiple of its size, and
// so much for the segment that Open begins. A log of nothing but groups is the worst: what is known of
// a group takes some 200 bytes, is kept twice during recovery, and is written anew.
const (
	allocationFactor = 96
	allocationFloor  = 1 << 20
)

// bounded runs f on copies of a disk, and fails the test if it allocates more than the size of a log
// there allows. The runtime counts for all goroutines, so an excess is measured again: f's own comes
// every time.
func bounded(t testing.TB, what string, disk *crashdisk.Disk, logBytes int, f func(*crashdisk.Disk)) {
	t.Helper()
	limit := uint64(allocationFactor*logBytes + allocationFloor)
	var spent uint64
	for range 5 {
		image := disk.Clone()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f(image)
		runtime.ReadMemStats(&after)
		if spent = after.TotalAlloc - before.TotalAlloc; spent <= limit {
			return
		}
	}
	t.Errorf("%s: %d bytes allocated for a log of %d, more than %d", what, spent, logBytes, limit)
}

// openBounded opens the log of one file, as Open and Scan do, and returns what Open says to it.
func openBounded(t testing.TB, what string, content []byte, options Options) (err error) {
	t.Helper()
	disk := crashdisk.New(crashdisk.Options{})
	must(t, disk.MkdirAll(testDir))
	setContent(t, disk, segmentName(testDir, 1), content)
	bounded(t, what+", scanned", disk, len(content), func(d *crashdisk.Disk) {
		must(t, Scan(d, testDir, func(Item) error { return nil }))
	})
	bounded(t, what+", opened", disk, len(content), func(d *crashdisk.Disk) {
		var l *Log
		options.FS = d
		if l, _, err = Open(options); err == nil {
			must(t, l.Close())
		}
	})
	return err
}

// hostileSegment returns a segment of one sound frame with that body, which the header calls so long.
func hostileSegment(body []byte, records, claimedBytes uint32) []byte {
	size := blockBytes + frameBytes(len(body)) + blockBytes
	b := make([]byte, size)
	h := segmentHeader{cluster: testCluster, server: testServer, number: 1, bytes: uint64(size), firstFrame: 1}
	h.chain = firstChain(testCluster, testServer)
	h.put(b)
	copy(b[blockBytes+frameHeaderBytes:], body)
	f := frameHeader{
		bodyChecksum: wire.Checksum(body), bodyBytes: claimedBytes, records: records, sequence: 1, segment: 1, boot: 1, block: 1,
	}
	f.put(b[blockBytes:], seedOf(h.chain), h.chain)
	return b
}

// TestHostileLogsCostInProportion makes logs of many of the smallest things that a log may be full of.
func TestHostileLogsCostInProportion(t *testing.T) {
	base := func(group wire.GroupID, index raft.Index) wire.Record {
		return wire.Record{Kind: wire.RecordBase, Group: group, Index: index, Term: min(1, raft.Term(index)), Hash: wire.Hash{1}}
	}
	for name, next := range map[string]func(i int) wire.Record{
		"groups":             func(i int) wire.Record { return base(wire.GroupID(i+1), 0) },
		"groups, descending": func(i int) wire.Record { return base(wire.GroupID(1<<40-i), 0) },
		"bases":              func(i int) wire.Record { return base(1, raft.Index(i+1)) },
		"groups that come and go": func(i int) wire.Record {
			if i%2 == 0 {
				return base(1, 5)
			}
			return wire.Record{Kind: wire.RecordDrop, Group: 1}
		},
		"no group's entries": func(i int) wire.Record {
			return wire.Record{Kind: wire.RecordNoOp, Group: 1, Index: raft.Index(i + 1), Term: 1}
		},
	} {
		var body []byte
		records := 0
		for ; len(body) < 1<<20; records++ {
			r := next(records)
			body = wire.AppendRecord(body, &r)
		}
		options := testOptions(nil, testDir)
		err := openBounded(t, name, hostileSegment(body, uint32(records), uint32(len(body))), options)
		if refused := name == "no group's entries"; (err != nil) != refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClaimedLengthsCostNothing: the numbers in headers are believed only as far as there are bytes.
func TestClaimedLengthsCostNothing(t *testing.T) {
	r := wire.Record{Kind: wire.RecordBase, Group: 1, Hash: wire.Hash{1}}
	body := wire.AppendRecord(nil, &r)
	sound := hostileSegment(body, 1, uint32(len(body)))
	if err := openBounded(t, "sound", sound, testOptions(nil, testDir)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"a body of 4 GiB": hostileSegment(body, 1, 1<<32-1),
		"4 Gi records":    hostileSegment(body, 1<<32-1, uint32(len(body))),
	} {
		err := openBounded(t, name, b, testOptions(nil, testDir))
		if records := name == "4 Gi records"; (err != nil) != records { // the other is a torn tail
			t.Errorf("%s: %v", name, err)
		}
	}
}
