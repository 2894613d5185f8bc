package wire_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/wire"
)

// The fuzzers share one property: whatever the bytes are, decoding does not panic and allocates no more
// than a small multiple of them; and what was decoded can be encoded, and is then decoded to the same.
// The golden files are seeds, along with the few under testdata/fuzz. A fuzzer cannot guess checksums,
// so each input under a checksum is tried as it is and with the checksums made right.

func addGolden(f *testing.F, prefix string) {
	for _, s := range samples() {
		if len(s.file) >= len(prefix) && s.file[:len(prefix)] == prefix {
			f.Add(s.golden(f))
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	addGolden(f, "record")
	s := sample{file: "record", decode: func(b []byte) (any, error) { r, _, err := wire.DecodeRecord(b); return r, err }}
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed := slices.Clone(b)
		resealRecord(sealed)
		for _, b := range [][]byte{b, sealed} {
			if _, size, err := wire.DecodeRecord(b); size < 0 || size > wire.Size(wire.MaxPayloadBytes) || err == nil && size > len(b) {
				t.Errorf("size %d of %d bytes, %v", size, len(b), err)
			}
			if value, err := decodeBounded(t, &s, b); err == nil {
				checkStable(t, b, value)
			}
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	addGolden(f, "message")
	s := sample{file: "message", decode: func(b []byte) (any, error) { return wire.DecodeMessage(b) }}
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed := slices.Clone(b)
		resealMessage(sealed)
		for _, b := range [][]byte{b, sealed} {
			if value, err := decodeBounded(t, &s, b); err == nil {
				checkStable(t, b, value)
			}
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	addGolden(f, "command")
	s := sample{file: "command", decode: func(b []byte) (any, error) { return wire.DecodeCommand(b) }}
	f.Fuzz(func(t *testing.T, b []byte) {
		if value, err := decodeBounded(t, &s, b); err == nil {
			checkStable(t, b, value)
		}
	})
}

func FuzzDecodeConfiguration(f *testing.F) {
	addGolden(f, "configuration")
	s := sample{file: "configuration", decode: func(b []byte) (any, error) { return wire.DecodeConfiguration(b) }}
	f.Fuzz(func(t *testing.T, b []byte) {
		value, err := decodeBounded(t, &s, b)
		if err != nil {
			return
		}
		checkStable(t, b, value)
		if core := value.(*wire.Configuration).Raft(); string(core.Data) != string(b) {
			t.Errorf("the core gets %x, the log has %x", core.Data, b)
		}
	})
}
