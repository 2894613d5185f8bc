package wire_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/wire"
)

func TestCommandsThatLieAreRefused(t *testing.T) {
	shortest := wire.AppendCommand(nil, &wire.Command{})
	user := func(n int) []byte {
		return wire.AppendCommand(nil, &wire.Command{User: make([]byte, n), Request: []byte("x")})
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		ok    bool
	}{
		{"the shortest", shortest, true},
		{"nothing", nil, false},
		{"without the last number", shortest[:len(shortest)-1], false},
		{"without its numbers", shortest[:20], false},
		{"a user name as long as may be", user(wire.MaxUserBytes), true},
		{"a user name too long", user(wire.MaxUserBytes + 1), false},
		{"a user name beyond the end", append(slices.Clone(shortest[:len(shortest)-1]), 5, 'b', 'o', 'b'), false},
		{"a number of eleven bytes", append(slices.Clone(shortest[:20]), bytes.Repeat([]byte{0xFF}, 30)...), false},
		{"a number in more bytes than it needs", append(slices.Clone(shortest[:20]), 0x80, 0, 0, 0, 0, 0, 0, 0), false},
	} {
		s := sample{file: c.name, decode: func(b []byte) (any, error) { return wire.DecodeCommand(b) }}
		value, err := decodeBounded(t, &s, c.bytes)
		if c.ok != (err == nil) || (err != nil && !errors.Is(err, wire.ErrCommand)) {
			t.Errorf("%s: got %+v, %v", c.name, value, err)
		}
		if err == nil {
			checkStable(t, c.bytes, value)
		}
	}
}

func TestDecodingACommandAllocatesNothing(t *testing.T) {
	command := wire.AppendCommand(nil, sampleCommand())
	record := wire.AppendRecord(nil, sampleEntries()[0].record)
	if n := testing.AllocsPerRun(10, func() { _, _ = wire.DecodeCommand(command) }); n != 0 {
		t.Errorf("DecodeCommand allocates %v times", n)
	}
	if n := testing.AllocsPerRun(10, func() { _, _, _ = wire.DecodeRecord(record) }); n != 0 {
		t.Errorf("DecodeRecord allocates %v times", n)
	}
}
