package wire_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/wire"
)

func TestEntriesFoundThatLieAreRefused(t *testing.T) {
	found := func(index, term, state uint64, record []byte) []byte {
		b := binary.LittleEndian.AppendUint64(nil, index)
		b = binary.LittleEndian.AppendUint64(b, term)
		return append(binary.LittleEndian.AppendUint64(b, state), record...)
	}
	entry := func(change func(*wire.Record)) []byte {
		r := &wire.Record{Kind: wire.RecordNoOp, Group: sampleGroup, Index: 5, Term: 3, Payload: []byte("x")}
		change(r)
		return wire.AppendRecord(nil, r)
	}
	good := entry(func(*wire.Record) {})
	damaged := slices.Clone(good)
	damaged[wire.RecordHeaderBytes] ^= 1
	for _, c := range []struct {
		name     string
		variable []byte
		want     error
	}{
		{"nothing", nil, nil},
		{"the entry", found(5, 3, 1, good), nil},
		{"one that it lacks, and one of a later state", slices.Concat(found(5, 3, 2, nil), found(6, 3, 9, nil)), nil},
		{"half an answer", found(5, 3, 1, nil)[:20], wire.ErrMalformed},
		{"no record", found(5, 3, 1, nil), wire.ErrShort},
		{"a damaged record", found(5, 3, 1, damaged), wire.ErrPayload},
		{"another index", found(6, 3, 1, good), wire.ErrMalformed},
		{"another term", found(5, 4, 1, good), wire.ErrMalformed},
		{"another group", found(5, 3, 1, entry(func(r *wire.Record) { r.Group++ })), wire.ErrMalformed},
		{"a hard state", found(5, 3, 1, entry(func(r *wire.Record) { r.Kind = wire.RecordHardState })), wire.ErrMalformed},
		{"too many", slices.Repeat(found(5, 3, 2, nil), wire.MaxWanted+1), wire.ErrMalformed},
	} {
		s := sample{file: c.name, decode: func(b []byte) (any, error) { return wire.DecodeMessage(b) }}
		if _, err := decodeBounded(t, &s, messageWith(&wire.EntryReply{}, c.variable)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDoubtsThatAreNoneAreRefused(t *testing.T) {
	record := func(change func(*wire.Record)) []byte {
		r := &wire.Record{Kind: wire.RecordNoOp, Group: sampleGroup, Index: 5, Term: 3, Payload: []byte("x")}
		change(r)
		return wire.AppendRecord(nil, r)
	}
	good := record(func(*wire.Record) {})
	for _, c := range []struct {
		name     string
		variable []byte
		want     error
	}{
		{"two entries", slices.Concat(good, good), nil},
		{"nothing", nil, wire.ErrShort},
		{"half of one", good[:len(good)-1], wire.ErrShort},
		{"one and a half", slices.Concat(good, good[:20]), wire.ErrShort},
		{"another group", record(func(r *wire.Record) { r.Group++ }), wire.ErrMalformed},
		{"a hard state", record(func(r *wire.Record) { r.Kind = wire.RecordHardState }), wire.ErrMalformed},
		{"as many as there may be", slices.Repeat(good, wire.MaxWanted), nil},
		{"too many", slices.Repeat(good, wire.MaxWanted+1), wire.ErrMalformed},
	} {
		s := sample{file: c.name, decode: func(b []byte) (any, error) { return wire.DecodeMessage(b) }}
		if _, err := decodeBounded(t, &s, messageWith(&wire.EntryDoubts{}, c.variable)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestRequestsForEntriesAreBounded(t *testing.T) {
	for n, want := range map[int]error{
		0: wire.ErrMalformed, 1: nil, wire.MaxWanted: nil, wire.MaxWanted + 1: wire.ErrMalformed, 1 << 15: wire.ErrMalformed,
	} {
		s := sample{file: "request", decode: func(b []byte) (any, error) { return wire.DecodeMessage(b) }}
		if _, err := decodeBounded(t, &s, messageWith(&wire.EntryRequest{}, make([]byte, 32*n))); !errors.Is(err, want) {
			t.Errorf("%d entries: got %v, want %v", n, err, want)
		}
	}
	for _, n := range []int{31, 33} {
		s := sample{file: "request", decode: func(b []byte) (any, error) { return wire.DecodeMessage(b) }}
		if _, err := decodeBounded(t, &s, messageWith(&wire.EntryRequest{}, make([]byte, n))); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
}
