package sim

import (
	"encoding/binary"
	"math/bits"
)

// trace is a running hash over everything that happens. Two runs with the same hash did the same.
type trace struct{ a, b uint64 }

// add folds a number in.
func (t *trace) add(v uint64) {
	high, low := bits.Mul64(t.a^v^0x94d049bb133111eb, 0x9e3779b97f4a7c15)
	t.a = low ^ high ^ t.b
	t.b = bits.RotateLeft64(t.b^v, 29)*0xbf58476d1ce4e5b9 + low
}

// addBytes folds bytes and their length in.
func (t *trace) addBytes(b []byte) {
	t.add(uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		t.add(binary.LittleEndian.Uint64(b))
	}
	var rest [8]byte
	copy(rest[:], b)
	t.add(binary.LittleEndian.Uint64(rest[:]))
}

// sum returns the hash so far.
func (t *trace) sum() (s [16]byte) {
	u := *t
	u.add(0)
	u.add(0)
	binary.BigEndian.PutUint64(s[:8], u.a)
	binary.BigEndian.PutUint64(s[8:], u.b)
	return s
}
