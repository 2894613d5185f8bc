package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// messageWith returns an encoded message with other bytes in place of its variable part.
func messageWith(body any, variable []byte) []byte {
	b := wire.AppendMessage(nil, &wire.Message{Group: sampleGroup, Term: sampleTerm, Body: body}, variable)
	resealMessage(b)
	return b
}

func TestForwardedCommandsThatLieAreRefused(t *testing.T) {
	shortest := wire.AppendCommand(nil, &wire.Command{})
	longest := append(slices.Clone(shortest), make([]byte, wire.MaxPayloadBytes-len(shortest))...)
	anonymous := wire.AppendCommand(nil, &wire.Command{User: make([]byte, wire.MaxUserBytes+1)})
	later := slices.Clone(shortest)
	later[8]++
	withLength := func(n uint64, command []byte) []byte { return append(binary.AppendUvarint(nil, n), command...) }
	for _, c := range []struct {
		name     string
		variable []byte
		want     error
	}{
		{"the shortest command", withLength(uint64(len(shortest)), shortest), nil},
		{"no command", nil, nil},
		{"a command too short for one", withLength(uint64(len(shortest))-1, shortest[1:]), wire.ErrMalformed},
		{"an empty command", []byte{0}, wire.ErrMalformed},
		{"a million empty commands", make([]byte, 1<<20), wire.ErrMalformed},
		{"a length beyond the end", withLength(uint64(len(shortest))+1, shortest), wire.ErrMalformed},
		{"a length of all ones", withLength(math.MaxUint64, shortest), wire.ErrMalformed},
		{"a length without end", bytes.Repeat([]byte{0x80}, 100), wire.ErrMalformed},
		{"a command longer than a record", withLength(wire.MaxPayloadBytes+1, make([]byte, wire.MaxPayloadBytes+1)), wire.ErrMalformed},
		{"the longest command", withLength(wire.MaxPayloadBytes, longest), nil},
		{"a user name too long", withLength(uint64(len(anonymous)), anonymous), wire.ErrCommand},
		{"a command of a later layout", withLength(uint64(len(later)), later), wire.ErrTooNew},
	} {
		b := messageWith(&wire.Forward{Boot: 1, Batch: 1}, c.variable)
		s := sample{file: c.name, decode: func(b []byte) (any, error) { return wire.DecodeMessage(b) }}
		value, err := decodeBounded(t, &s, b)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if err != nil {
			continue
		}
		for _, command := range value.(wire.Message).Body.(*wire.Forward).Commands {
			wire.SetCommandTime(command, 1) // as the leader does, unread
		}
	}
}

func TestEntriesOutOfPlaceAreRefused(t *testing.T) {
	entry := func(change func(*wire.Record)) []byte {
		r := &wire.Record{Kind: wire.RecordNoOp, Group: sampleGroup, Index: sampleIndex + 1, Term: sampleTerm}
		change(r)
		return wire.AppendRecord(nil, r)
	}
	good := entry(func(*wire.Record) {})
	second := entry(func(r *wire.Record) { r.Index++ })
	for _, c := range []struct {
		name    string
		prev    raft.Index
		records []byte
		want    error
	}{
		{"two in a row", sampleIndex, slices.Concat(good, second), nil},
		{"a gap", sampleIndex, entry(func(r *wire.Record) { r.Index++ }), wire.ErrMalformed},
		{"the same twice", sampleIndex, slices.Concat(good, good), wire.ErrMalformed},
		{"another group's", sampleIndex, entry(func(r *wire.Record) { r.Group++ }), wire.ErrMalformed},
		{"hard state", sampleIndex, entry(func(r *wire.Record) { r.Kind = wire.RecordHardState }), wire.ErrMalformed},
		{"kind 0", sampleIndex, entry(func(r *wire.Record) { r.Kind = 0 }), wire.ErrMalformed},
		{"a kind of a later version", sampleIndex, entry(func(r *wire.Record) { r.Kind = 4 }), wire.ErrTooNew},
		{"index 0 after the last index of all", math.MaxUint64, entry(func(r *wire.Record) { r.Index = 0 }), wire.ErrMalformed},
		{"half a record behind", sampleIndex, slices.Concat(good, second[:40]), wire.ErrShort},
		{"zeros behind", sampleIndex, slices.Concat(good, make([]byte, 64)), wire.ErrHeader},
	} {
		m := &wire.Message{Group: sampleGroup, Term: sampleTerm, Body: &raft.AppendEntries{PrevLogIndex: c.prev}}
		if got, err := wire.DecodeMessage(wire.AppendMessage(nil, m, c.records)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got.Body, err, c.want)
		}
	}
}

func TestRefusalWithPartOfARunOrTooManyIsRefused(t *testing.T) {
	for _, c := range []struct {
		bytes int
		ok    bool
	}{{0, true}, {16, true}, {17, false}, {15, false}, {1000 * 16, true}, {1 << 20, false}} {
		_, err := wire.DecodeMessage(messageWith(&raft.AppendEntriesRefusal{}, make([]byte, c.bytes)))
		if c.ok != (err == nil) || (err != nil && !errors.Is(err, wire.ErrMalformed)) {
			t.Errorf("%d bytes of runs: got %v", c.bytes, err)
		}
	}
}

func TestMessageBeyondTheLimitIsRefused(t *testing.T) {
	b := messageWith(&wire.ForwardReply{}, make([]byte, wire.MaxMessageBytes))
	if _, err := wire.DecodeMessage(b); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("got %v, want %v", err, wire.ErrMalformed)
	}
}

func TestClaimThatIsNotOneMemberIsRefused(t *testing.T) {
	member := configurationOf(1, memberEntry(1, 0, bare...))[2:]
	for _, c := range []struct {
		name     string
		variable []byte
		want     error
	}{
		{"a member", member, nil},
		{"no member", nil, wire.ErrConfiguration},
		{"half a member", member[:len(member)/2], wire.ErrConfiguration},
		{"a member and a byte", append(slices.Clone(member), 0), wire.ErrMalformed},
	} {
		b := messageWith(&wire.ReadRequest{}, c.variable) // a Claim would bring a member of its own
		b = slices.Delete(b, wire.MessageHeaderBytes, wire.MessageHeaderBytes+16)
		b[0], b[2] = byte(wire.KindClaim), 0
		resealMessage(b)
		if got, err := wire.DecodeMessage(b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestChangeThatIsNoneIsRefused(t *testing.T) {
	edit := append([]byte{0}, configurationOf(1, memberEntry(1, 0, bare...))[2:]...)
	for _, c := range []struct {
		name     string
		variable []byte
		want     error
	}{
		{"an edit", edit, nil},
		{"no edit", nil, wire.ErrMalformed},
		{"half an edit", edit[:len(edit)/2], wire.ErrConfiguration},
		{"an edit and a byte", append(slices.Clone(edit), 0), wire.ErrConfiguration},
		{"of a later kind", append([]byte{8}, edit[1:]...), wire.ErrTooNew},
		{"of a role of later", append([]byte{0}, configurationOf(1, memberEntry(1, 128, bare...))[2:]...), wire.ErrTooNew},
		{"as many as there may be", bytes.Repeat(edit, wire.MaxMembers), nil},
		{"one more", bytes.Repeat(edit, wire.MaxMembers+1), wire.ErrMalformed},
	} {
		b := messageWith(&wire.ForwardReply{}, c.variable) // boot and a number, as a Change has
		b[0] = byte(wire.KindChange)
		resealMessage(b)
		if got, err := wire.DecodeMessage(b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestChunkThatIsNoneIsRefused(t *testing.T) {
	position := wire.AppendPosition(nil, &wire.Position{
		EntryID: raft.EntryID{Index: 5, Term: 2}, Configuration: wire.AppendConfiguration(nil, sampleConfiguration()),
	})
	with := func(position []byte) []byte {
		return append(binary.AppendUvarint(nil, uint64(len(position))), position...)
	}
	at := func(offset int, b byte) []byte {
		changed := slices.Clone(position)
		changed[offset] = b
		return with(changed)
	}
	const served, unavailable = 1, 2
	for _, c := range []struct {
		name     string
		outcome  uint64
		variable []byte
		want     error
	}{
		{"a position and nothing else", served, with(position), nil},
		{"nothing", served, nil, wire.ErrMalformed},
		{"no position", served, with(nil), wire.ErrMalformed},
		{"a position where there is no piece", unavailable, with(position), wire.ErrMalformed},
		{"no piece", unavailable, with(nil), nil},
		{"longer than there is", served, with(position)[:20], wire.ErrMalformed},
		{"short", served, with(position[:20]), wire.ErrPosition},
		{"of a later layout", served, at(0, 2), wire.ErrTooNew},
		{"of no layout", served, at(0, 0), wire.ErrPosition},
		{"of no entry", served, at(1, 0), wire.ErrPosition},
		{"of no term", served, at(9, 0), wire.ErrPosition},
		{"without a configuration", served, with(position[:33]), wire.ErrConfiguration},
	} {
		b := messageWith(&wire.SnapshotChunk{Outcome: wire.SnapshotUnavailable}, nil)
		b = append(b[:wire.MessageHeaderBytes+24], c.variable...)
		binary.LittleEndian.PutUint64(b[wire.MessageHeaderBytes+16:], c.outcome)
		resealMessage(b)
		if got, err := wire.DecodeMessage(b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// The smallest things that a message may be full of take the most memory for their size.
func TestFullMessageAllocatesASmallMultiple(t *testing.T) {
	var records []byte
	for i := range raft.Index(16384) {
		records = wire.AppendRecord(records, &wire.Record{Kind: wire.RecordNoOp, Group: sampleGroup, Index: i + 1, Term: 1})
	}
	shortest := wire.AppendCommand(nil, &wire.Command{})
	command := append(binary.AppendUvarint(nil, uint64(len(shortest))), shortest...)
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"no-ops", messageWith(&raft.AppendEntries{}, records)},
		{"commands", messageWith(&wire.Forward{}, bytes.Repeat(command, 32768))},
		{"runs", messageWith(&raft.AppendEntriesRefusal{}, make([]byte, 1024*16))},
	} {
		spent := allocated(func() {
			if _, err := wire.DecodeMessage(c.bytes); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
		if limit := uint64(5 * len(c.bytes)); spent > limit {
			t.Errorf("decoding %d bytes of %s allocates %d, more than %d", len(c.bytes), c.name, spent, limit)
		}
	}
}
