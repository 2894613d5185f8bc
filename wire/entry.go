package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/quorate/quorate/raft"
)

// GroupID names one Raft group on a host; 0 is not a group.
type GroupID uint64

// Record kinds. The first three are entries (raft.EntryKind); those from 16 on are private to the
// log on disk and never travel.
const (
	RecordCommand       = uint8(raft.KindCommand)
	RecordNoOp          = uint8(raft.KindNoOp)
	RecordConfiguration = uint8(raft.KindConfiguration)
	RecordHardState     = uint8(16)
	RecordTruncate      = uint8(17)
	RecordBase          = uint8(18)
	RecordDrop          = uint8(19)
)

const (
	// RecordHeaderBytes is the size of a record's header.
	RecordHeaderBytes = 64
	// MaxPayloadBytes bounds the payload of one record; whatever claims more is damaged.
	MaxPayloadBytes = 16 << 20
	// RecordAlign is what a record's whole size is padded to with zeros.
	RecordAlign = 8
	// RecordVersion is the layout drawn in doc.go.
	RecordVersion = 1
)

// FlagCopy marks an entry that is written a second time (copied forward, or fetched again from a
// peer): it replays in its place and truncates nothing.
const FlagCopy = uint16(1)

// Hash is the first 128 bits of a SHA-256. The hash of an entry covers the one before it, so equal
// hashes mean equal logs up to there.
type Hash [16]byte

// Record is one record, decoded. Payload aliases the bytes it was decoded from.
type Record struct {
	Kind    uint8
	Flags   uint16
	Group   GroupID
	Index   raft.Index
	Term    raft.Term
	Hash    Hash
	Payload []byte
}

// Size returns the encoded size of a record with that payload, in bytes, padding included.
func Size(payloadBytes int) int {
	return (RecordHeaderBytes + payloadBytes + RecordAlign - 1) &^ (RecordAlign - 1)
}

// GenesisHash is the hash "before the first entry" of a group: it ties the log to its cluster and
// group, so that an entry of another log never fits, however well-formed it is.
func GenesisHash(cluster uint64, group GroupID) Hash {
	var b [32]byte
	copy(b[:], "quorate genesis")
	binary.LittleEndian.PutUint64(b[16:], cluster)
	binary.LittleEndian.PutUint64(b[24:], uint64(group))
	sum := sha256.Sum256(b[:])
	return Hash(sum[:16])
}

// EntryHash returns the hash of the entry r that follows the entry with hash previous. Flags are
// not part of an entry's identity.
func EntryHash(previous Hash, r *Record) Hash {
	const prefix = 16 + 8 + 8 + 8 + 4 + 1
	var small [512]byte
	b := append(small[:0], previous[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Group))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Index))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Term))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload)))
	b = append(b, r.Kind)
	if prefix+len(r.Payload) <= len(small) {
		sum := sha256.Sum256(append(b, r.Payload...))
		return Hash(sum[:16])
	}
	h := sha256.New()
	h.Write(b)
	h.Write(r.Payload)
	sum := h.Sum(small[:0])
	return Hash(sum[:16])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC32C that every format here uses.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// AppendRecord appends the encoding of r to b.
func AppendRecord(b []byte, r *Record) []byte {
	start := len(b)
	b = append(b, make([]byte, RecordHeaderBytes)...)
	b = append(b, r.Payload...)
	for len(b)-start < Size(len(r.Payload)) {
		b = append(b, 0)
	}
	putHeader(b[start:], r)
	return b
}

// putHeader writes the header of r at the start of record.
func putHeader(record []byte, r *Record) {
	h := record[:RecordHeaderBytes]
	binary.LittleEndian.PutUint32(h[4:], Checksum(r.Payload))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(r.Payload)))
	h[12], h[13] = r.Kind, RecordVersion
	binary.LittleEndian.PutUint16(h[14:], r.Flags)
	binary.LittleEndian.PutUint64(h[16:], uint64(r.Group))
	binary.LittleEndian.PutUint64(h[24:], uint64(r.Index))
	binary.LittleEndian.PutUint64(h[32:], uint64(r.Term))
	copy(h[40:], r.Hash[:])
	clear(h[56:])
	binary.LittleEndian.PutUint32(h[0:], Checksum(h[4:]))
}

// ErrTooNew: the bytes are of a layout or kind that only a later version knows. That is not damage:
// a log is not to be cut there, nor a link to be closed.
var ErrTooNew = errors.New("too new for this version")

var (
	// ErrShort: the bytes end before the record does.
	ErrShort = errors.New("record is cut short")
	// ErrHeader: the header is damaged, so nothing in it can be believed.
	ErrHeader = errors.New("record header is damaged")
	// ErrPayload: the header is sound and says which record this was; its payload is damaged.
	ErrPayload = errors.New("record payload is damaged")
)

// DecodeRecord decodes the record at the start of b and returns its encoded size. With ErrPayload
// the record's header fields are returned all the same, and size is right. It allocates nothing.
func DecodeRecord(b []byte) (r Record, size int, err error) {
	if len(b) < RecordHeaderBytes {
		return Record{}, 0, ErrShort
	}
	h := b[:RecordHeaderBytes]
	if binary.LittleEndian.Uint32(h[0:]) != Checksum(h[4:]) {
		return Record{}, 0, ErrHeader
	}
	if h[13] != RecordVersion {
		return Record{}, 0, fmt.Errorf("record layout %d: %w", h[13], ErrTooNew)
	}
	// Compared before it becomes an int, which has 32 bits on some machines.
	claimedBytes := binary.LittleEndian.Uint32(h[8:])
	if claimedBytes > MaxPayloadBytes {
		return Record{}, 0, ErrHeader
	}
	payloadBytes := int(claimedBytes)
	r = Record{
		Kind:  h[12],
		Flags: binary.LittleEndian.Uint16(h[14:]),
		Group: GroupID(binary.LittleEndian.Uint64(h[16:])),
		Index: raft.Index(binary.LittleEndian.Uint64(h[24:])),
		Term:  raft.Term(binary.LittleEndian.Uint64(h[32:])),
		Hash:  Hash(h[40:56]),
	}
	size = Size(payloadBytes)
	if len(b) < size {
		return r, size, ErrShort
	}
	payload := b[RecordHeaderBytes : RecordHeaderBytes+payloadBytes]
	if binary.LittleEndian.Uint32(h[4:]) != Checksum(payload) {
		return r, size, ErrPayload
	}
	for _, pad := range b[RecordHeaderBytes+payloadBytes : size] {
		if pad != 0 {
			return r, size, ErrPayload
		}
	}
	r.Payload = payload
	return r, size, nil
}

// lastEntryKind is the last of the kinds that are kept for entries of later versions.
const lastEntryKind = RecordHardState - 1

// IsEntry reports whether r is an entry of the replicated log.
func (r *Record) IsEntry() bool { return r.Kind >= RecordCommand && r.Kind <= RecordConfiguration }

// SealRecord completes a record whose bytes were laid out before its place in the log was known:
// header space, payload, padding. It sets everything in the header and returns the entry's hash.
func SealRecord(record []byte, payloadBytes int, r Record, previous Hash) Hash {
	r.Payload = record[RecordHeaderBytes : RecordHeaderBytes+payloadBytes]
	r.Hash = EntryHash(previous, &r)
	putHeader(record, &r)
	return r.Hash
}

// Raw is an encoded record that is known to be sound: DecodeRecord has accepted it, or AppendRecord
// or SealRecord made it. Its methods read single fields without checking anything again.
type Raw []byte

// Kind returns the record's kind.
func (r Raw) Kind() uint8 { return r[12] }

// Index returns the entry's index.
func (r Raw) Index() raft.Index { return raft.Index(binary.LittleEndian.Uint64(r[24:])) }

// Term returns the entry's term.
func (r Raw) Term() raft.Term { return raft.Term(binary.LittleEndian.Uint64(r[32:])) }

// Hash returns the entry's hash.
func (r Raw) Hash() Hash { return Hash(r[40:56]) }

// Payload returns the payload, which aliases r.
func (r Raw) Payload() []byte {
	return r[RecordHeaderBytes : RecordHeaderBytes+binary.LittleEndian.Uint32(r[8:])]
}

// Sealed reports whether the record has its header yet.
func (r Raw) Sealed() bool { return r[13] != 0 }

// Follows reports whether the record is the entry that follows the one with hash previous.
func (r Raw) Follows(previous Hash, group GroupID) bool {
	e := Record{Kind: r.Kind(), Group: group, Index: r.Index(), Term: r.Term(), Payload: r.Payload()}
	return EntryHash(previous, &e) == r.Hash()
}
