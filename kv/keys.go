package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The first byte of every key in the engine names the space that it is in. doc.go draws them all;
// those that this package does not write yet are reserved here, so that nobody else takes them.
const (
	spaceMeta      = 0x01 // format, applied: one key each
	spaceLocal     = 0x02 // this server's own housekeeping; no part of the replicated state
	spaceVersions  = 0x10 // (key, revision) -> version
	spaceRevisions = 0x11 // revision -> key

	spaceLeases        = 0x20 // lease -> time to live
	spaceLeaseKeys     = 0x21 // (lease, key)
	spaceAuth          = 0x30 // users and roles
	spaceAlarms        = 0x38
	spaceSessions      = 0x40
	spaceAnswers       = 0x41 // (session, sequence) -> the answer, until it is acknowledged
	spaceConfiguration = 0x48 // what the host has stored with a state that was installed
	spaceTokens        = 0x50 // by which servers may join

	spaceEnd = 0xff // is after all spaces
)

const (
	suffixBytes   = 12 // of a version's key: the revision, inverted
	escapeByte    = 0x00
	escapedZero   = 0xff // 00 ff stands for a 00 of the user's key
	endOfKey      = 0x01 // 00 01 ends it
	afterEndOfKey = 0x02 // 00 02 is after all versions of a key and before every longer key
)

// revision is where a change stands in the order of all: main is the revision that etcd's API
// shows, one for each request that changed something, and sub counts the changes within it.
type revision struct {
	main int64
	sub  uint32
}

// lastSub is a sub revision at or above that of any change.
const lastSub = 1<<32 - 1

func (r revision) before(o revision) bool {
	return r.main < o.main || r.main == o.main && r.sub < o.sub
}

// appendKeyPrefix appends the part of a version's key that all versions of a user's key share:
// space, escaped key, end mark. Their order as bytes is the order of the users' keys.
func appendKeyPrefix(b, key []byte) []byte {
	b = append(b, spaceVersions)
	for {
		i := bytes.IndexByte(key, escapeByte)
		if i < 0 {
			break
		}
		b = append(b, key[:i]...)
		b = append(b, escapeByte, escapedZero)
		key = key[i+1:]
	}
	b = append(b, key...)
	return append(b, escapeByte, endOfKey)
}

// appendVersionKey appends the key of a version. The revision is inverted, so that the newest
// version comes first and "the latest at revision r" is one seek.
func appendVersionKey(b, key []byte, r revision) []byte {
	return appendInverted(appendKeyPrefix(b, key), r)
}

func appendInverted(b []byte, r revision) []byte {
	b = binary.BigEndian.AppendUint64(b, ^uint64(r.main))
	return binary.BigEndian.AppendUint32(b, ^r.sub)
}

// PrefixLen returns how many of a key's first bytes all versions of the same user's key share. Of
// a key in another space it is the whole length. An engine may build filters on it.
func PrefixLen(key []byte) int {
	if len(key) == 0 || key[0] != spaceVersions {
		return len(key)
	}
	for i := 1; i < len(key)-1; {
		at := bytes.IndexByte(key[i:], escapeByte)
		if at < 0 || i+at+1 >= len(key) {
			break
		}
		if key[i+at+1] == endOfKey {
			return i + at + 2
		}
		i += at + 2
	}
	return len(key)
}

// splitVersionKey takes a version's key apart. The user's key is unescaped into scratch if it has
// zeros, else it aliases k; the (possibly grown) scratch is returned for the next call.
func splitVersionKey(k, scratch []byte) (key []byte, r revision, newScratch []byte, err error) {
	prefix := PrefixLen(k)
	if r, err = splitSuffix(k, prefix); err != nil {
		return nil, revision{}, scratch, err
	}
	escaped := k[1 : prefix-2]
	if bytes.IndexByte(escaped, escapeByte) < 0 {
		return escaped, r, scratch, nil
	}
	scratch = scratch[:0]
	for i := 0; i < len(escaped); i++ {
		scratch = append(scratch, escaped[i])
		if escaped[i] == escapeByte {
			i++ // its ff
		}
	}
	return scratch, r, scratch, nil
}

// splitSuffix reads the revision of a version's key, which begins after its prefix.
func splitSuffix(k []byte, prefix int) (revision, error) {
	if prefix < 1+2 || len(k) != prefix+suffixBytes {
		return revision{}, fmt.Errorf("version key %x: %w", k, ErrCorrupt)
	}
	return revision{int64(^binary.BigEndian.Uint64(k[prefix:])), ^binary.BigEndian.Uint32(k[prefix+8:])}, nil
}

// appendRevisionKey appends the key of an entry of the revision index, in ascending order.
func appendRevisionKey(b []byte, r revision) []byte {
	b = append(b, spaceRevisions)
	b = binary.BigEndian.AppendUint64(b, uint64(r.main))
	return binary.BigEndian.AppendUint32(b, r.sub)
}

func splitRevisionKey(k []byte) (revision, error) {
	if len(k) != 1+8+4 || k[0] != spaceRevisions {
		return revision{}, fmt.Errorf("revision key %x: %w", k, ErrCorrupt)
	}
	return revision{int64(binary.BigEndian.Uint64(k[1:])), binary.BigEndian.Uint32(k[9:])}, nil
}

func formatKey() []byte   { return []byte{spaceMeta, 'f'} }
func appliedKey() []byte  { return []byte{spaceMeta, 'a'} }
func progressKey() []byte { return []byte{spaceLocal, 'c'} }
func positionKey() []byte { return []byte{spaceConfiguration, 'p'} }
