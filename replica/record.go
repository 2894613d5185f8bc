package replica

import (
	"encoding/binary"

	"github.com/quorate/quorate/wire"
)

// layOut makes the bytes of a record whose place in the log is not known yet: an empty header that
// says only how long the payload is, the payload, and padding.
func layOut(payloadBytes int, appendPayload func([]byte) []byte) []byte {
	b := make([]byte, wire.RecordHeaderBytes, wire.Size(payloadBytes))
	return finishLayOut(b, 0, appendPayload)
}

// appendLaidOut does the same at the end of b.
func appendLaidOut(b []byte, appendPayload func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, wire.RecordHeaderBytes)...)
	return finishLayOut(b, start, appendPayload)
}

func finishLayOut(b []byte, start int, appendPayload func([]byte) []byte) []byte {
	b = appendPayload(b)
	payloadBytes := len(b) - start - wire.RecordHeaderBytes
	binary.LittleEndian.PutUint32(b[start+8:], uint32(payloadBytes))
	for len(b)-start < wire.Size(payloadBytes) {
		b = append(b, 0)
	}
	return b
}

// payloadBytesOf returns the length of a laid out record's payload.
func payloadBytesOf(record []byte) uint32 { return binary.LittleEndian.Uint32(record[8:]) }

// EntryTime returns the log time of an entry; false if it has none. Commands and no-ops have one.
func EntryTime(record wire.Raw) (uint64, bool) {
	if kind := record.Kind(); kind != wire.RecordCommand && kind != wire.RecordNoOp {
		return 0, false
	}
	payload := record.Payload()
	if len(payload) < 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(payload), true
}
