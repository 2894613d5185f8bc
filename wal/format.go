package wal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// A log is a directory of segments, 0000000000000001.seg and so on, in hexadecimal. A segment is a
// header block and then frames, each of which starts a block of its own:
//
//	block 0         blocks 1 ...            ...                     zeros, or an older segment's rest
//	┌──────────────┬──────────────┬────────┬───────────────────────┬─────────────────
//	│segment header│frame 17      │frame 18│frame 19               │0000000000000000
//	└──────────────┴──────────────┴────────┴───────────────────────┴─────────────────
//
// All numbers are little-endian. A checksum is a CRC32C.
const (
	// blockBytes is what frames are aligned to: no disk tears a block that it is not writing.
	blockBytes = 4096
	// formatVersion is the layout drawn in this file.
	formatVersion = 1
	// chainBytes is the length of a chain value: the first 128 bits of a SHA-256.
	chainBytes = 16
)

// The segment header fills block 0. It is written together with the segment's first frame; until
// then block 0 is zeros and the segment is blank, whatever is behind it.
//
//	 0  8 bytes  magic "QUORALOG"
//	 8  u32      checksum of bytes 12 to 4095
//	12  u32      format version
//	16  u64      cluster
//	24  u64      server
//	32  u64      segment number, from 1
//	40  u64      size of the segment's file in bytes
//	48  u64      sequence number of the first frame
//	56  16 bytes chain value before the first frame
//	72  u64      number of the segment before, 0 for none
//	80           zeros
//
// A segment takes up the log where its header says: frames of the segment before it that have higher
// sequence numbers are void. See recover.go for why there may be any.
const segmentMagic = "QUORALOG"

// segmentHeaderBytes is how much of block 0 is not always zeros.
const segmentHeaderBytes = 80

type segmentHeader struct {
	cluster, server uint64
	number          uint64
	bytes           uint64
	firstFrame      uint64
	chain           chain
	previous        uint64
}

// chain is a value of the physical chain that runs through all frames of a log.
type chain [chainBytes]byte

// firstChain is the value before the first frame of a log.
func firstChain(cluster, server uint64) chain {
	var b [32]byte
	copy(b[:], "quorate log")
	binary.LittleEndian.PutUint64(b[16:], cluster)
	binary.LittleEndian.PutUint64(b[24:], server)
	sum := sha256.Sum256(b[:])
	return chain(sum[:chainBytes])
}

// put writes the header into a block, which is all zeros.
func (h *segmentHeader) put(b []byte) {
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[12:], formatVersion)
	binary.LittleEndian.PutUint64(b[16:], h.cluster)
	binary.LittleEndian.PutUint64(b[24:], h.server)
	binary.LittleEndian.PutUint64(b[32:], h.number)
	binary.LittleEndian.PutUint64(b[40:], h.bytes)
	binary.LittleEndian.PutUint64(b[48:], h.firstFrame)
	copy(b[56:], h.chain[:])
	binary.LittleEndian.PutUint64(b[72:], h.previous)
	binary.LittleEndian.PutUint32(b[8:], wire.Checksum(b[12:blockBytes]))
}

// errNoHeader says that a block is not a segment's header: blank, torn, or damaged.
var errNoHeader = errors.New("no sound segment header")

// decodeSegmentHeader reads block 0. The checksum comes before the version, so that a flipped bit is
// never taken for a newer format: the place of the checksum can never change.
func decodeSegmentHeader(b []byte) (h segmentHeader, err error) {
	if string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[8:]) != wire.Checksum(b[12:blockBytes]) {
		return h, errNoHeader
	}
	if version := binary.LittleEndian.Uint32(b[12:]); version != formatVersion {
		return h, fmt.Errorf("%w: format %d, this version knows %d", ErrNewerFormat, version, formatVersion)
	}
	return segmentHeader{
		cluster:    binary.LittleEndian.Uint64(b[16:]),
		server:     binary.LittleEndian.Uint64(b[24:]),
		number:     binary.LittleEndian.Uint64(b[32:]),
		bytes:      binary.LittleEndian.Uint64(b[40:]),
		firstFrame: binary.LittleEndian.Uint64(b[48:]),
		chain:      chain(b[56:72]),
		previous:   binary.LittleEndian.Uint64(b[72:]),
	}, nil
}

// A frame is what one write puts there: a header, wire records back to back, zeros up to the next
// block.
//
//	 0  u32      header checksum: of the chain value in the segment's header, then bytes 4 to 71
//	 4  u32      body checksum
//	 8  u32      length of the body in bytes
//	12  u32      number of records in it
//	16  u64      sequence number, from 1, one more than that of the frame before
//	24  u64      segment number
//	32  u64      synced: every frame up to this sequence number was durable when this one was written
//	40  u64      boot number of the writer
//	48  u32      which block of the segment the frame starts at
//	52  u32      flags: 1 if the end of the log is suspect, see Log.Suspect; others are zero
//	56  16 bytes chain: hash of the chain value before, and bytes 4 to 55
//	72           the body
//
// The header checksum takes in the segment's chain value so that a frame can be recognized by
// itself, even if the one before it is gone: nothing else that may be on the disk, not an older
// segment's frame, not a block of a client's value, has a chance to pass for a frame of this segment.
const frameHeaderBytes = 72

type frameHeader struct {
	bodyChecksum uint32
	bodyBytes    uint32
	records      uint32
	sequence     uint64
	segment      uint64
	synced       uint64
	boot         uint64
	block        uint32
	flags        uint32
	chain        chain
}

const flagSuspect = 1

// put writes the header and returns the chain value after the frame. The caller has set everything
// else but the chain.
func (h *frameHeader) put(b []byte, seed uint32, before chain) chain {
	binary.LittleEndian.PutUint32(b[4:], h.bodyChecksum)
	binary.LittleEndian.PutUint32(b[8:], h.bodyBytes)
	binary.LittleEndian.PutUint32(b[12:], h.records)
	binary.LittleEndian.PutUint64(b[16:], h.sequence)
	binary.LittleEndian.PutUint64(b[24:], h.segment)
	binary.LittleEndian.PutUint64(b[32:], h.synced)
	binary.LittleEndian.PutUint64(b[40:], h.boot)
	binary.LittleEndian.PutUint32(b[48:], h.block)
	binary.LittleEndian.PutUint32(b[52:], h.flags)
	h.chain = nextChain(before, b)
	copy(b[56:], h.chain[:])
	binary.LittleEndian.PutUint32(b[0:], headerChecksum(seed, b))
	return h.chain
}

// decodeFrameHeader reads the header of a frame of a segment with that seed and number at that
// block; false if there is none.
func decodeFrameHeader(b []byte, seed uint32, number uint64, block uint32) (h frameHeader, ok bool) {
	if binary.LittleEndian.Uint32(b[0:]) != headerChecksum(seed, b) {
		return h, false
	}
	h = frameHeader{
		bodyChecksum: binary.LittleEndian.Uint32(b[4:]),
		bodyBytes:    binary.LittleEndian.Uint32(b[8:]),
		records:      binary.LittleEndian.Uint32(b[12:]),
		sequence:     binary.LittleEndian.Uint64(b[16:]),
		segment:      binary.LittleEndian.Uint64(b[24:]),
		synced:       binary.LittleEndian.Uint64(b[32:]),
		boot:         binary.LittleEndian.Uint64(b[40:]),
		block:        binary.LittleEndian.Uint32(b[48:]),
		flags:        binary.LittleEndian.Uint32(b[52:]),
		chain:        chain(b[56:72]),
	}
	sound := h.segment == number && h.block == block && h.sequence > h.synced
	return h, sound
}

// seedOf is what the header checksums of a segment's frames start from.
func seedOf(c chain) uint32 { return wire.Checksum(c[:]) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func headerChecksum(seed uint32, header []byte) uint32 {
	return crc32.Update(seed, castagnoli, header[4:frameHeaderBytes])
}

// nextChain returns the chain value after the frame with that header.
func nextChain(before chain, header []byte) chain {
	var b [chainBytes + 52]byte
	copy(b[:], before[:])
	copy(b[chainBytes:], header[4:56])
	sum := sha256.Sum256(b[:])
	return chain(sum[:chainBytes])
}

// frameBytes returns how many bytes of the segment a frame with that body takes.
func frameBytes(bodyBytes int) int {
	return (frameHeaderBytes + bodyBytes + blockBytes - 1) &^ (blockBytes - 1)
}

// hardStateBytes is the payload of a HardState record:
//
//	0  u64  votedFor, 0 for none
//	8  u64  commit
//
// Its header has the current term. In the first frame of a segment, index and hash of the header
// name the last entry of the group's log at that point, so that a log whose older segments are gone
// can be told from one that lost some. Elsewhere they are zero.
const hardStateBytes = 16

// hardStateRecordBytes is the size of a whole HardState record.
const hardStateRecordBytes = wire.RecordHeaderBytes + hardStateBytes

func appendHardState(b []byte, group wire.GroupID, s raft.HardState, last raft.Index, hash wire.Hash) []byte {
	start := len(b)
	b = append(b, zeros[:hardStateRecordBytes]...)
	payload := b[start+wire.RecordHeaderBytes:] // put in place at once: anything else would be an allocation
	binary.LittleEndian.PutUint64(payload[0:], uint64(s.VotedFor))
	binary.LittleEndian.PutUint64(payload[8:], uint64(s.Commit))
	return wire.AppendRecord(b[:start], &wire.Record{
		Kind: wire.RecordHardState, Group: group, Term: s.CurrentTerm, Index: last, Hash: hash, Payload: payload,
	})
}

// hardStateOf reads a HardState record; false if it is not one.
func hardStateOf(r *wire.Record) (raft.HardState, bool) {
	if len(r.Payload) != hardStateBytes {
		return raft.HardState{}, false
	}
	return raft.HardState{
		CurrentTerm: r.Term,
		VotedFor:    raft.ServerID(binary.LittleEndian.Uint64(r.Payload[0:])),
		Commit:      raft.Index(binary.LittleEndian.Uint64(r.Payload[8:])),
	}, true
}

// clearCopyFlag makes a copy of an entry record what it is a copy of.
func clearCopyFlag(record []byte) {
	if !isCopy(record) {
		return
	}
	flags := binary.LittleEndian.Uint16(record[14:])
	binary.LittleEndian.PutUint16(record[14:], flags&^wire.FlagCopy)
	binary.LittleEndian.PutUint32(record[0:], wire.Checksum(record[4:wire.RecordHeaderBytes]))
}

// isCopy reports whether an encoded entry record is marked as a copy.
func isCopy(record []byte) bool { return binary.LittleEndian.Uint16(record[14:])&wire.FlagCopy != 0 }

// setCopyFlag marks an encoded entry record as a copy.
func setCopyFlag(record []byte) {
	binary.LittleEndian.PutUint16(record[14:], binary.LittleEndian.Uint16(record[14:])|wire.FlagCopy)
	binary.LittleEndian.PutUint32(record[0:], wire.Checksum(record[4:wire.RecordHeaderBytes]))
}
