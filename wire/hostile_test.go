package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// allocationFactor and allocationFloor bound what a decoder may allocate, garbage included: that many
// times the size of its input, and a little. A configuration is the worst case: an empty URL is one
// byte in the input and sixteen in memory.
const (
	allocationFactor = 24
	allocationFloor  = 4 << 10
)

// decodeBounded decodes, and fails the test if that allocates more than a small multiple of the input.
// The runtime counts for all goroutines, those of a fuzzer included, so an excess is measured again: a
// decoder's own comes every time.
func decodeBounded(t testing.TB, s *sample, b []byte) (value any, err error) {
	t.Helper()
	limit := uint64(allocationFactor*len(b) + allocationFloor)
	var spent uint64
	for range 5 {
		spent = allocated(func() { value, err = s.decode(b) })
		if spent <= limit {
			return value, err
		}
	}
	t.Errorf("%s: decoding %d bytes allocates %d, more than %d", s.file, len(b), spent, limit)
	return value, err
}

// damaged calls f with b cut short at every place, and with every single bit flipped.
func damaged(b []byte, f func(damage string, at int, b []byte)) {
	for n := range b {
		f("cut at byte", n, slices.Clone(b[:n]))
	}
	for bit := range 8 * len(b) {
		d := slices.Clone(b)
		d[bit/8] ^= 1 << (bit % 8)
		f("flipped bit", bit, d)
	}
}

func TestNoDamagedRecordOrMessagePasses(t *testing.T) {
	for _, s := range samples() {
		if !s.checksummed {
			continue
		}
		damaged(s.golden(t), func(damage string, at int, b []byte) {
			if got, err := s.decode(b); err == nil {
				t.Errorf("%s: %s %d: decoded to %+v", s.file, damage, at, got)
			}
		})
	}
}

// A peer gone mad computes checksums over whatever it sends, so they are no defence: every damage is
// tried again with the checksums made right.
func TestDamageUnderGoodChecksumsIsBounded(t *testing.T) {
	for _, s := range samples() {
		if s.file == "genesis" {
			continue
		}
		damaged(s.golden(t), func(damage string, at int, b []byte) {
			if strings.HasPrefix(s.file, "record") {
				resealRecord(b)
			} else if s.checksummed {
				resealMessage(b)
			}
			value, err := decodeBounded(t, &s, b)
			if err == nil {
				checkStable(t, b, value)
			}
		})
	}
}

// checkStable checks that what was decoded from b can be encoded, and that this decodes to the same.
// Where nothing in the format is left to later versions, b itself is the only encoding of its value.
func checkStable(t testing.TB, b []byte, value any) {
	t.Helper()
	var again []byte
	var back any
	var err error
	switch v := value.(type) {
	case wire.Record:
		again = wire.AppendRecord(nil, &v)
		back, _, err = wire.DecodeRecord(again)
		// But for the kept bytes, and the checksum that covers them.
		if !bytes.Equal(again[4:56], b[4:56]) || !bytes.Equal(again[64:], b[64:len(again)]) {
			t.Errorf("record %x is encoded again as %x", b, again)
		}
	case wire.Message:
		again = wire.AppendMessage(nil, &v, recordsOf(&v)...)
		back, err = wire.DecodeMessage(again)
	case wire.Command:
		again = wire.AppendCommand(nil, &v)
		back, err = wire.DecodeCommand(again)
		if !bytes.Equal(again, b) {
			t.Errorf("command %x is encoded again as %x", b, again)
		}
	case *wire.Configuration:
		again = wire.AppendConfiguration(nil, v)
		back, err = wire.DecodeConfiguration(again)
		if !bytes.Equal(again, b) {
			t.Errorf("configuration %x is encoded again as %x", b, again)
		}
	default:
		t.Fatalf("nothing is known of a %T", value)
	}
	if err != nil {
		t.Errorf("%x: encoded again, %x: %v", b, again, err)
	} else if !equal(back, value) {
		t.Errorf("%x: decoded %+v, encoded again %+v", b, value, back)
	}
}
