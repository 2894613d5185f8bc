package wire

import "encoding/binary"

// uvarint decodes the number at the start of b and returns its size; a size of 0 or less if there is
// none. Every number has one encoding, the shortest: otherwise a configuration that was decoded and
// encoded again could differ from the bytes in the log, whose hash and signatures cover the bytes.
func uvarint(b []byte) (value uint64, size int) {
	value, size = binary.Uvarint(b)
	if size > 1 && b[size-1] == 0 {
		return 0, 0
	}
	return value, size
}
