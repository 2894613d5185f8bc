package wire_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/quorate/quorate/wire"
)

func TestZeroedDiskHoldsNoRecord(t *testing.T) {
	if _, _, err := wire.DecodeRecord(make([]byte, 4096)); !errors.Is(err, wire.ErrHeader) {
		t.Errorf("got %v, want %v", err, wire.ErrHeader)
	}
}

func TestRecordErrorsTellWhatIsDamaged(t *testing.T) {
	r := sampleEntries()[0].record
	good := wire.AppendRecord(nil, r)
	header := *r
	header.Payload = nil
	flip := func(at int) []byte {
		b := slices.Clone(good)
		b[at] ^= 0x40
		return b
	}
	padded := wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordCommand, Payload: []byte("abc")})
	padded[len(padded)-1] = 1
	for _, c := range []struct {
		name  string
		bytes []byte
		want  error
		known bool // the header is believed
	}{
		{"nothing", nil, wire.ErrShort, false},
		{"less than a header", good[:wire.RecordHeaderBytes-1], wire.ErrShort, false},
		{"a header alone", good[:wire.RecordHeaderBytes], wire.ErrShort, true},
		{"all but a byte", good[:len(good)-1], wire.ErrShort, true},
		{"damaged checksum", flip(0), wire.ErrHeader, false},
		{"damaged checksum of the payload", flip(4), wire.ErrHeader, false},
		{"damaged length", flip(8), wire.ErrHeader, false},
		{"damaged reserve", flip(63), wire.ErrHeader, false},
		{"damaged payload", flip(64), wire.ErrPayload, true},
	} {
		got, size, err := wire.DecodeRecord(c.bytes)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if c.known && (size != len(good) || !equal(got, header)) {
			t.Errorf("%s: got %+v and size %d, want %+v and size %d", c.name, got, size, header, len(good))
		}
		if !c.known && (size != 0 || !equal(got, wire.Record{})) {
			t.Errorf("%s: got %+v and size %d from a header that cannot be believed", c.name, got, size)
		}
	}
	if _, _, err := wire.DecodeRecord(padded); !errors.Is(err, wire.ErrPayload) {
		t.Errorf("padding that is not zero: got %v, want %v", err, wire.ErrPayload)
	}
}

// The length is a 32-bit number: where int has as many bits, one above 2^31 must not become negative.
func TestRecordOfAnImpossibleLengthIsRefused(t *testing.T) {
	for _, length := range []uint32{wire.MaxPayloadBytes + 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 63, math.MaxUint32} {
		b := wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordNoOp})
		binary.LittleEndian.PutUint32(b[8:], length)
		resealRecord(b)
		if r, size, err := wire.DecodeRecord(b); !errors.Is(err, wire.ErrHeader) || size != 0 {
			t.Errorf("length %d: got %+v, size %d, %v", length, r, size, err)
		}
	}
	longest := wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordNoOp, Payload: make([]byte, wire.MaxPayloadBytes)})
	if _, size, err := wire.DecodeRecord(longest); err != nil || size != len(longest) {
		t.Errorf("the longest payload: got size %d, %v", size, err)
	}
}
