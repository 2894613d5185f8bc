package kv

import "google.golang.org/protobuf/encoding/protowire"

// The requests are etcd's protobuf messages, decoded here strictly and without allocation: what
// this version does not know is refused, since servers of two versions would read it differently.
// Where protobuf leaves nothing open, we do as it says: of a scalar given twice the last counts, a
// message given twice is merged. All slices alias the request's bytes.

// field is one field of a message: an integer, or bytes (also of an embedded message).
type field struct {
	num   protowire.Number
	typ   protowire.Type
	int   uint64
	bytes []byte
}

// is tells whether the field has this number and is of the type that the number stands for; a
// known number with another type is an unknown field to protobuf, and so to us.
func (f *field) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

// nextField takes the first field off b.
func nextField(b []byte) (f field, rest []byte, code Code) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, nil, CodeMalformed
	}
	f.num, f.typ, b = num, typ, b[n:]
	switch typ {
	case protowire.VarintType:
		f.int, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	case protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType:
		return field{}, nil, CodeUnknownField // no field of any request has such a type
	default:
		return field{}, nil, CodeMalformed
	}
	if n < 0 {
		return field{}, nil, CodeMalformed
	}
	return f, b[n:], CodeOK
}

const (
	varint = protowire.VarintType
	octets = protowire.BytesType
)

// eachField lets take have every field of a message, until there is one that it does not know. The
// requests that are asked for most go through their fields themselves.
func eachField(b []byte, take func(f field) (known bool)) Code {
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		b = rest
		if !take(f) {
			return CodeUnknownField
		}
	}
	return CodeOK
}

// keyRange is an interval of users' keys as requests give it.
type keyRange struct{ key, end []byte }

// isPoint: no range_end means the one key.
func (r keyRange) isPoint() bool { return len(r.end) == 0 }

// isFrom: a range_end of one zero byte means every key from key on.
func (r keyRange) isFrom() bool { return len(r.end) == 1 && r.end[0] == 0 }

// isUnset: no range was given, which a request for a snapshot takes for all keys.
func (r keyRange) isUnset() bool { return len(r.key) == 0 && len(r.end) == 0 }

// has tells whether a key is in the range.
func (r keyRange) has(key []byte) bool {
	if r.isPoint() {
		return string(key) == string(r.key)
	}
	return string(r.key) <= string(key) && (r.isFrom() || string(key) < string(r.end))
}

// rangeRequest is etcd's RangeRequest.
type rangeRequest struct {
	keyRange
	limit, revision                      int64
	order                                sortOrder
	target                               sortTarget
	serializable, keysOnly, countOnly    bool
	minMod, maxMod, minCreate, maxCreate int64
}

// sortOrder and sortTarget have the numbers of RangeRequest.SortOrder and RangeRequest.SortTarget.
type sortOrder int32

const (
	orderNone sortOrder = iota
	orderAscend
	orderDescend
)

type sortTarget int32

const (
	sortByKey sortTarget = iota
	sortByVersion
	sortByCreate
	sortByMod
	sortByValue
)

func (r *rangeRequest) decode(b []byte) Code {
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		b = rest
		switch {
		case f.is(1, octets):
			r.key = f.bytes
		case f.is(2, octets):
			r.end = f.bytes
		case f.is(3, varint):
			r.limit = int64(f.int)
		case f.is(4, varint):
			r.revision = int64(f.int)
		case f.is(5, varint):
			r.order = sortOrder(f.int)
		case f.is(6, varint):
			r.target = sortTarget(f.int)
		case f.is(7, varint):
			r.serializable = f.int != 0
		case f.is(8, varint):
			r.keysOnly = f.int != 0
		case f.is(9, varint):
			r.countOnly = f.int != 0
		case f.is(10, varint):
			r.minMod = int64(f.int)
		case f.is(11, varint):
			r.maxMod = int64(f.int)
		case f.is(12, varint):
			r.minCreate = int64(f.int)
		case f.is(13, varint):
			r.maxCreate = int64(f.int)
		default:
			return CodeUnknownField
		}
	}
	return CodeOK
}

// putRequest is etcd's PutRequest.
type putRequest struct {
	key, value               []byte
	lease                    int64
	prevKV                   bool
	ignoreValue, ignoreLease bool
}

func (p *putRequest) decode(b []byte) Code {
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		b = rest
		switch {
		case f.is(1, octets):
			p.key = f.bytes
		case f.is(2, octets):
			p.value = f.bytes
		case f.is(3, varint):
			p.lease = int64(f.int)
		case f.is(4, varint):
			p.prevKV = f.int != 0
		case f.is(5, varint):
			p.ignoreValue = f.int != 0
		case f.is(6, varint):
			p.ignoreLease = f.int != 0
		default:
			return CodeUnknownField
		}
	}
	return CodeOK
}

// deleteRequest is etcd's DeleteRangeRequest.
type deleteRequest struct {
	keyRange
	prevKV bool
}

func (d *deleteRequest) decode(b []byte) Code {
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		b = rest
		switch {
		case f.is(1, octets):
			d.key = f.bytes
		case f.is(2, octets):
			d.end = f.bytes
		case f.is(3, varint):
			d.prevKV = f.int != 0
		default:
			return CodeUnknownField
		}
	}
	return CodeOK
}

// compactRequest is etcd's CompactionRequest. Waiting for the removal (physical) is the caller's
// business; the state does not depend on it.
type compactRequest struct {
	revision int64
	physical bool
}

// CompactionRequest encodes etcd's request to compact up to a revision, for those who compact by themselves.
func CompactionRequest(revision int64) []byte { return appendInt(nil, 1, revision) }

func (c *compactRequest) decode(b []byte) Code {
	return eachField(b, func(f field) bool {
		switch {
		case f.is(1, varint):
			c.revision = int64(f.int)
		case f.is(2, varint):
			c.physical = f.int != 0
		default:
			return false
		}
		return true
	})
}
