package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// hashByTheDrawing computes an entry's hash as doc.go draws it.
func hashByTheDrawing(previous wire.Hash, r *wire.Record) wire.Hash {
	var b bytes.Buffer
	b.Write(previous[:])
	for _, v := range []any{uint64(r.Group), uint64(r.Index), uint64(r.Term), uint32(len(r.Payload)), r.Kind, r.Payload} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	sum := sha256.Sum256(b.Bytes())
	return wire.Hash(sum[:16])
}

// Short and long payloads take different paths through EntryHash.
func TestEntryHashIsWhatIsDrawn(t *testing.T) {
	for n := range 1100 {
		r := &wire.Record{Kind: wire.RecordCommand, Group: 3, Index: raft.Index(n), Term: 2, Payload: bytes.Repeat([]byte{byte(n)}, n)}
		previous := wire.Hash{byte(n), 15: 1}
		if got, want := wire.EntryHash(previous, r), hashByTheDrawing(previous, r); got != want {
			t.Fatalf("payload of %d bytes: got %x, want %x", n, got, want)
		}
	}
}

func TestEntryHashDependsOnAllThatMakesAnEntry(t *testing.T) {
	base := wire.Record{Kind: wire.RecordCommand, Group: 1, Index: 2, Term: 3, Payload: []byte("abc")}
	seen := map[wire.Hash]string{wire.EntryHash(wire.Hash{}, &base): "the base"}
	note := func(what string, h wire.Hash) {
		t.Helper()
		if other, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", what, other)
		}
		seen[h] = what
	}
	for _, c := range []struct {
		what   string
		change func(*wire.Record)
	}{
		{"another kind", func(r *wire.Record) { r.Kind = wire.RecordNoOp }},
		{"another group", func(r *wire.Record) { r.Group++ }},
		{"another index", func(r *wire.Record) { r.Index++ }},
		{"another term", func(r *wire.Record) { r.Term++ }},
		{"another payload", func(r *wire.Record) { r.Payload = []byte("abd") }},
		{"a zero more", func(r *wire.Record) { r.Payload = []byte("abc\x00") }},
		{"no payload", func(r *wire.Record) { r.Payload = nil }},
	} {
		r := base
		c.change(&r)
		note(c.what, wire.EntryHash(wire.Hash{}, &r))
	}
	for i := range len(wire.Hash{}) {
		var previous wire.Hash
		previous[i] = 1
		note("another previous hash", wire.EntryHash(previous, &base))
	}
}

// An entry that was copied forward, or fetched again, is still the same entry.
func TestEntryHashIgnoresHowItIsKept(t *testing.T) {
	r := wire.Record{Kind: wire.RecordCommand, Group: 1, Index: 2, Term: 3, Payload: []byte("abc")}
	want := wire.EntryHash(wire.Hash{}, &r)
	r.Flags, r.Hash = wire.FlagCopy, wire.Hash{1}
	if got := wire.EntryHash(wire.Hash{}, &r); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestChainsOfOtherGroupsAndClustersHaveNothingInCommon(t *testing.T) {
	seen := map[wire.Hash]bool{}
	for _, cluster := range []uint64{0, 1, 1 << 63} {
		for _, group := range []wire.GroupID{0, 1, 1 << 63} {
			h := wire.GenesisHash(cluster, group)
			for i := range raft.Index(10) {
				if seen[h] {
					t.Errorf("cluster %d, group %d: the hash after %d entries occurs twice", cluster, group, i)
				}
				seen[h] = true
				// The records themselves are the same in all chains: only what came before differs.
				h = wire.EntryHash(h, &wire.Record{Kind: wire.RecordNoOp, Group: 5, Index: i + 1, Term: 1})
			}
		}
	}
}

func TestRawRecordFollowsOnlyItsPredecessor(t *testing.T) {
	previous := wire.GenesisHash(sampleCluster, sampleGroup)
	for _, e := range sampleEntries() {
		raw := wire.Raw(wire.AppendRecord(nil, e.record))
		if !raw.Follows(previous, sampleGroup) {
			t.Errorf("%s does not follow the entry before it", e.name)
		}
		if raw.Follows(previous, sampleGroup+1) {
			t.Errorf("%s follows in another group", e.name)
		}
		if raw.Follows(wire.Hash{1}, sampleGroup) {
			t.Errorf("%s follows another entry", e.name)
		}
		previous = e.record.Hash
	}
}

// The check value that catalogues of checksums give for CRC-32C, so that nobody has to read our code.
func TestChecksumIsCRC32C(t *testing.T) {
	if got := wire.Checksum([]byte("123456789")); got != 0xE3069283 {
		t.Errorf("got %#x, want 0xe3069283", got)
	}
}
