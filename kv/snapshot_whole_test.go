package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
)

// snapshotFile makes a file of chunks, with sums that are right.
func snapshotFile(header []byte, chunks []snapshotChunk, keys, versions uint64) []byte {
	b := bytes.Clone(header)
	for _, c := range chunks {
		piece := c.encode()
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(piece))), piece...)
	}
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 0), keys), versions)
	b = append(b, make([]byte, padding(int64(len(b))))...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// TestAFileIsOfOneViewFromItsBeginToItsEnd: a sum that is right makes no snapshot of what is none.
func TestAFileIsOfOneViewFromItsBeginToItsEnd(t *testing.T) {
	header := binary.BigEndian.AppendUint64(append([]byte(fileMagic), 0, 0, 0, snapshotLayout), 7)
	whole := func() []snapshotChunk {
		c := exampleChunks()
		keys, changes, spaces := c[0], c[1], c[2]
		keys.done = true
		changes.begin, changes.done, changes.from.next, changes.rows = false, true, keys.from.next, nil
		spaces.from.key, spaces.keys = nil, keyRange{}
		return []snapshotChunk{keys, changes, spaces}
	}
	file := snapshotFile(header, whole(), 1, 2)
	if info, err := ReadSnapshot(bytes.NewReader(file)); err != nil || info.Keys != 1 || info.Versions != 2 || info.Index != 9 {
		t.Fatalf("%+v, %v", info, err)
	}
	change := func(do func(c []snapshotChunk)) []byte {
		c := whole()
		do(c)
		return snapshotFile(header, c, 1, 2)
	}
	for name, b := range map[string][]byte{
		"of other keys than it says":     snapshotFile(header, whole(), 2, 2),
		"of other versions than it says": snapshotFile(header, whole(), 1, 3),
		"without its last chunk":         snapshotFile(header, whole()[:2], 1, 2),
		"without chunks":                 snapshotFile(header, nil, 0, 0),
		"without its first chunk":        snapshotFile(header, whole()[1:], 0, 0),
		"twice as long":                  snapshotFile(header, append(whole(), whole()...), 1, 2),
		"that begins like another":       snapshotFile(append([]byte("x"), header[1:]...), whole(), 1, 2),
		"that does not begin":            change(func(c []snapshotChunk) { c[0].begin = false }),
		"of a delta":                     change(func(c []snapshotChunk) { c[0].full = false }),
		"of two views":                   change(func(c []snapshotChunk) { c[2].view.applied++ }),
		"that has a gap":                 change(func(c []snapshotChunk) { c[2].from.key = appendLeaseKey(nil, 0) }),
		"of two clusters":                change(func(c []snapshotChunk) { c[1].cluster++ }),
		"of another cluster than it says": change(func(c []snapshotChunk) {
			for i := range c {
				c[i].cluster++
			}
		}),
		"of some keys only": change(func(c []snapshotChunk) { c[0].keys.key = []byte("a") }),
	} {
		if _, err := ReadSnapshot(bytes.NewReader(b)); !errors.Is(err, ErrSnapshotFile) {
			t.Errorf("a file %s: %v", name, err)
		}
	}
	newer := bytes.Clone(header)
	newer[len(fileMagic)+3]++
	if _, err := ReadSnapshot(bytes.NewReader(snapshotFile(newer, whole(), 1, 2))); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("a file of a newer layout: %v", err)
	}
}
