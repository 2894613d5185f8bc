package kv

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Responses are etcd's protobuf messages, appended field by field in the order of their numbers,
// with zero values left out: what protobuf's own encoder makes of them. Their headers (field 1) are
// the caller's, but for those inside a transaction, which carry a revision and no ids.

// Fields of the response messages.
const (
	fieldHeader = protowire.Number(1) // of every response

	headerRevision = protowire.Number(3)

	rangeKVs   = protowire.Number(2)
	rangeMore  = protowire.Number(3)
	rangeCount = protowire.Number(4)

	putPrevKV = protowire.Number(2)

	deleteDeleted = protowire.Number(2)
	deletePrevKVs = protowire.Number(3)

	txnSucceeded = protowire.Number(2)
	txnResponses = protowire.Number(3)

	kvKey            = protowire.Number(1)
	kvCreateRevision = protowire.Number(2)
	kvModRevision    = protowire.Number(3)
	kvVersion        = protowire.Number(4)
	kvValue          = protowire.Number(5)
	kvLease          = protowire.Number(6)
)

// appendInt appends an integer field, unless it is zero.
func appendInt(b []byte, num protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, varint), uint64(v))
}

func sizeInt(num protowire.Number, v int64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeVarint(uint64(v))
}

// appendBool appends a boolean field, unless it is false.
func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendInt(b, num, 1)
}

// appendOctets appends a bytes field, unless it is empty.
func appendOctets(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, octets), v)
}

func sizeOctets(num protowire.Number, v []byte) int {
	if len(v) == 0 {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeBytes(len(v))
}

// appendKeyValue appends v as a field that is an mvccpb.KeyValue.
func appendKeyValue(b []byte, num protowire.Number, v *version) []byte {
	size := sizeOctets(kvKey, v.key) + sizeInt(kvCreateRevision, v.create) + sizeInt(kvModRevision, v.at.main) +
		sizeInt(kvVersion, v.version) + sizeOctets(kvValue, v.value) + sizeInt(kvLease, v.lease)
	b = slices.Grow(b, protowire.SizeTag(num)+protowire.SizeBytes(size))
	b = protowire.AppendVarint(protowire.AppendTag(b, num, octets), uint64(size))
	b = appendOctets(b, kvKey, v.key)
	b = appendInt(b, kvCreateRevision, v.create)
	b = appendInt(b, kvModRevision, v.at.main)
	b = appendInt(b, kvVersion, v.version)
	b = appendOctets(b, kvValue, v.value)
	return appendInt(b, kvLease, v.lease)
}

// beginMessage starts a field that is a message of which the size is not known yet; endMessage,
// given the start, ends it.
func beginMessage(b []byte, num protowire.Number) (_ []byte, start int) {
	b = protowire.AppendTag(b, num, octets)
	return b, len(b)
}

// endMessage puts the size in front of what was appended since start, which it moves up for it.
func endMessage(b []byte, start int) []byte {
	size := len(b) - start
	b = protowire.AppendVarint(b, uint64(size))
	prefix := len(b) - start - size
	var kept [10]byte
	copy(kept[:], b[start+size:])
	copy(b[start+prefix:], b[start:start+size])
	copy(b[start:], kept[:prefix])
	return b
}

// appendHeader appends the header of a response inside a transaction.
func appendHeader(b []byte, revision int64) []byte {
	b, start := beginMessage(b, fieldHeader)
	return endMessage(appendInt(b, headerRevision, revision), start)
}
