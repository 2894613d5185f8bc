package kv

import (
	"encoding/binary"
	"fmt"
)

// FormatNumber is the number of the layout drawn in doc.go. An engine with a higher one is refused.
const FormatNumber = 1

// First byte of a version and of an entry of the revision index.
const (
	kindPut       = 1
	kindTombstone = 2
)

// version is one version of a key: what a put stored, or (tombstone) that the key was deleted.
// Slices alias what they were read from.
type version struct {
	key       []byte
	at        revision
	tombstone bool
	create    int64 // main revision at which the key came into being
	version   int64 // number of puts since then
	lease     int64 // 0: none
	value     []byte
}

// appendVersion appends the value that is stored under a version's key.
func appendVersion(b []byte, v *version) []byte {
	if v.tombstone {
		return append(b, kindTombstone)
	}
	b = append(b, kindPut)
	b = binary.AppendUvarint(b, uint64(v.create))
	b = binary.AppendUvarint(b, uint64(v.version))
	b = binary.AppendUvarint(b, uint64(v.lease))
	return append(b, v.value...)
}

// parse sets everything but key and revision from what appendVersion made. The value aliases b.
func (v *version) parse(b []byte) error {
	if len(b) == 1 && b[0] == kindTombstone {
		v.tombstone, v.create, v.version, v.lease, v.value = true, 0, 0, 0, nil
		return nil
	}
	if len(b) == 0 || b[0] != kindPut {
		return fmt.Errorf("version of key %q at %d: %w", v.key, v.at.main, ErrCorrupt)
	}
	create, n := binary.Uvarint(b[1:])
	count, m := binary.Uvarint(b[1+max(n, 0):])
	lease, o := binary.Uvarint(b[1+max(n, 0)+max(m, 0):])
	if n <= 0 || m <= 0 || o <= 0 {
		return fmt.Errorf("version of key %q at %d: %w", v.key, v.at.main, ErrCorrupt)
	}
	v.tombstone = false
	v.create, v.version, v.lease, v.value = int64(create), int64(count), int64(lease), b[1+n+m+o:]
	return nil
}

// isTombstone tells a tombstone without parsing the rest.
func isTombstone(b []byte) bool { return len(b) > 0 && b[0] == kindTombstone }

// appendRevisionEntry appends the value that is stored under a revision: what happened, and to
// which key.
func appendRevisionEntry(b []byte, tombstone bool, key []byte) []byte {
	kind := byte(kindPut)
	if tombstone {
		kind = kindTombstone
	}
	return append(append(b, kind), key...)
}

func parseRevisionEntry(b []byte) (tombstone bool, key []byte, err error) {
	if len(b) < 2 || b[0] != kindPut && b[0] != kindTombstone {
		return false, nil, fmt.Errorf("revision entry %x: %w", b, ErrCorrupt)
	}
	return b[0] == kindTombstone, b[1:], nil
}

const (
	formatMagic   = "qkv\x00"
	formatBytes   = 4 + 4 + 8
	appliedBytes  = 8 + 8 + 8 + 16 + 8
	progressBytes = 8 + 8 + 4 + 1
)

func appendFormat(b []byte, cluster uint64) []byte {
	b = append(b, formatMagic...)
	b = binary.BigEndian.AppendUint32(b, FormatNumber)
	return binary.BigEndian.AppendUint64(b, cluster)
}

// checkFormat refuses what this version or this cluster must not open.
func checkFormat(b []byte, cluster uint64) error {
	if len(b) < 8 || string(b[:4]) != formatMagic {
		return fmt.Errorf("format record %x: %w", b, ErrCorrupt)
	}
	if n := binary.BigEndian.Uint32(b[4:]); n > FormatNumber {
		return fmt.Errorf("format %d, this version knows up to %d: %w", n, FormatNumber, ErrNewerFormat)
	}
	if len(b) != formatBytes {
		return fmt.Errorf("format record %x: %w", b, ErrCorrupt)
	}
	if c := binary.BigEndian.Uint64(b[8:]); c != cluster {
		return fmt.Errorf("state of cluster %016x, ours is %016x: %w", c, cluster, ErrOtherCluster)
	}
	return nil
}

// state is what every batch leaves behind beside keys; readers get it whole.
type state struct {
	applied  uint64 // index of the last command applied
	revision int64  // main revision of the last change; 1 in an empty store
	compact  int64  // compaction revision; -1 before the first compaction, as etcd has it
	digest   Digest
	time     uint64 // log time of the last command
	alarms   alarms // in records of their own
	tokens   tokens // likewise
	position []byte // what the host has stored with a state that was installed; nil: none was
}

func initialState() state { return state{revision: 1, compact: -1} }

func appendState(b []byte, s *state) []byte {
	b = binary.BigEndian.AppendUint64(b, s.applied)
	b = binary.BigEndian.AppendUint64(b, uint64(s.revision))
	b = binary.BigEndian.AppendUint64(b, uint64(s.compact))
	b = append(b, s.digest[:]...)
	return binary.BigEndian.AppendUint64(b, s.time)
}

func parseState(b []byte) (state, error) {
	if len(b) == appliedBytes-8 {
		b = append(b[:len(b):len(b)], make([]byte, 8)...) // from before there was a time
	}
	if len(b) != appliedBytes {
		return state{}, fmt.Errorf("applied record %x: %w", b, ErrCorrupt)
	}
	return state{
		applied:  binary.BigEndian.Uint64(b),
		revision: int64(binary.BigEndian.Uint64(b[8:])),
		compact:  int64(binary.BigEndian.Uint64(b[16:])),
		digest:   Digest(b[24:40]),
		time:     binary.BigEndian.Uint64(b[40:]),
	}, nil
}

// progress says how far the removal of compacted versions has come: every entry of the revision
// index before next has been dealt with for the compaction to target.
type progress struct {
	target int64
	next   revision
	done   bool // nothing is left to remove for target
}

func appendProgress(b []byte, p *progress) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.target))
	b = binary.BigEndian.AppendUint64(b, uint64(p.next.main))
	b = binary.BigEndian.AppendUint32(b, p.next.sub)
	if p.done {
		return append(b, 1)
	}
	return append(b, 0)
}

func parseProgress(b []byte) (progress, error) {
	if len(b) != progressBytes || b[20] > 1 {
		return progress{}, fmt.Errorf("compaction progress %x: %w", b, ErrCorrupt)
	}
	return progress{
		target: int64(binary.BigEndian.Uint64(b)),
		next:   revision{int64(binary.BigEndian.Uint64(b[8:])), binary.BigEndian.Uint32(b[16:])},
		done:   b[20] == 1,
	}, nil
}
