package wal

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// maxRefillBytes bounds the entries that are written anew because their headers were mended. What is
// beyond it stays a hole.
const maxRefillBytes = 16 << 20

// mendFrame makes the header of the next frame good if one byte of it is damaged. That it was the right
// one is proved by the chain, of which 128 bits must fit what was before. It works on the copy in memory.
func (r *recovery) mendFrame() bool {
	if r.offset >= r.current.bytes {
		return false
	}
	b := r.content[r.offset : r.offset+frameHeaderBytes]
	checksum := func(b []byte) uint32 { return headerChecksum(r.current.seed, b) }
	candidates := oneByteOff(b, checksum)
	again := slices.Clone(b) // the chain follows from the rest
	chain := nextChain(r.end.chain, again)
	copy(again[56:], chain[:])
	for _, candidate := range append(candidates, again) {
		if r.isNextFrame(candidate) {
			copy(b, candidate)
			r.healed = append(r.healed, Healed{File: r.current.name, Offset: r.offset})
			return true
		}
	}
	return false
}

// isNextFrame reports whether b is the header of the frame that comes next.
func (r *recovery) isNextFrame(b []byte) bool {
	h, ok := decodeFrameHeader(b, r.current.seed, uint64(r.current.number), uint32(r.offset/blockBytes))
	return ok && h.sequence == r.end.sequence+1 && h.chain == nextChain(r.end.chain, b)
}

// oneByteOff returns all headers that have a right checksum, and differ from b in one byte. The checksum is
// the first four bytes.
func oneByteOff(b []byte, checksum func([]byte) uint32) (found [][]byte) {
	again := slices.Clone(b)
	want := binary.LittleEndian.Uint32(b)
	binary.LittleEndian.PutUint32(again, checksum(b))
	if differentBytes(again[:4], b[:4]) == 1 {
		found = append(found, slices.Clone(again))
	}
	copy(again, b)
	for i := 4; i < len(b); i++ {
		for mask := 1; mask < 256; mask++ {
			again[i] = b[i] ^ byte(mask)
			if checksum(again) == want {
				found = append(found, slices.Clone(again))
			}
		}
		again[i] = b[i]
	}
	return found
}

func differentBytes(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// mendSegmentHeader makes the header of a segment good if one byte of it is damaged, or what should be zeros. That
// it is the right one is known because it fits the file, and its frames follow from it. It must have been durable, for a
// crash leaves such headers, too: another segment wants it, or a frame behind it says so.
func (r *recovery) mendSegmentHeader(s *segment, wanted bool) (segmentHeader, error) {
	if s.bytes < blockBytes || s.bytes%blockBytes != 0 {
		return segmentHeader{}, errNoHeader
	}
	content := make([]byte, s.bytes)
	if err := s.readAt(content, 0); err != nil {
		return segmentHeader{}, err
	}
	b := content[:blockBytes]
	if differentBytes(b[:8], []byte(segmentMagic)) > 1 {
		return segmentHeader{}, errNoHeader
	}
	copy(b, segmentMagic)
	clear(b[segmentHeaderBytes:])
	place := slices.Clone(b[8:segmentHeaderBytes])
	for _, candidate := range append(oneByteOff(place, func(h []byte) uint32 {
		copy(b[8:], h)
		return wire.Checksum(b[12:])
	}), place) {
		copy(b[8:], candidate)
		h, err := decodeSegmentHeader(b)
		if err == nil && h.number == uint64(s.number) && r.checkHeader(s, &h) == nil && (wanted || h.isDurable(content)) {
			r.healed = append(r.healed, Healed{File: s.name})
			return h, nil
		}
	}
	return segmentHeader{}, errNoHeader
}

// isDurable reports whether a frame in the content of a segment calls its first one durable.
func (h *segmentHeader) isDurable(content []byte) bool {
	var found traces
	found.look(content[blockBytes:], blockBytes, &segment{number: uint32(h.number), seed: seedOf(h.chain)})
	return found.synced >= h.firstFrame
}

// damaged are the records of one frame that cannot be read as they are on the disk, by their place in the body.
type damaged map[int]string

// mendBody finds out what a damaged body held. It returns the body with the headers of all records as they
// were, and notes which records are damaged; nil if that cannot be known.
//
// Lost are only entries of which the payload is damaged. A header of which one byte is damaged is found by
// its checksum; that it is the right one is known because the record makes sense in its place, and of an
// entry because the next one's hash follows from it.
func (r *recovery) mendBody(body []byte) []byte {
	mended := slices.Clone(body)
	found := damaged{}
	last := map[wire.GroupID]raft.Index{}
	for at := 0; at < len(mended); {
		record, size, err := wire.DecodeRecord(mended[at:])
		if errors.Is(err, wire.ErrHeader) && len(mended)-at >= wire.RecordHeaderBytes {
			found[at] = err.Error()
			if len(found) > maxSlots || !r.mendRecord(mended[at:], last) {
				return nil
			}
			record, size, err = wire.DecodeRecord(mended[at:])
		}
		switch {
		case errors.Is(err, wire.ErrPayload) && record.IsEntry():
			found[at] = err.Error()
		case errors.Is(err, wire.ErrPayload) && mendPayload(mended[at:at+size]):
			found[at] = err.Error()
			record, _, err = wire.DecodeRecord(mended[at:])
			if err != nil {
				return nil
			}
		case err != nil:
			return nil
		}
		if record.IsEntry() && record.Flags&wire.FlagCopy == 0 {
			last[record.Group] = record.Index
		}
		if record.Kind == wire.RecordTruncate {
			last[record.Group] = record.Index - 1
		}
		at += size
	}
	r.damaged = found
	return mended
}

// lose takes note of a damaged record that is about to be replayed, and returns what is wrong with it still.
func (r *recovery) lose(b []byte, at int, record *wire.Record, err error) error {
	reason, ok := r.damaged[at]
	r.lost = ""
	if ok {
		place := Healed{File: r.current.name, Offset: r.offset + frameHeaderBytes + int64(at), Group: record.Group}
		r.healed = append(r.healed, place)
	}
	switch {
	case !ok, !record.IsEntry():
		return err
	case err == nil:
		r.mended = append(r.mended, slices.Clone(b[:wire.Size(len(record.Payload))]))
	case !errors.Is(err, wire.ErrPayload):
		return err
	default:
		r.mendEntry(b, record)
	}
	r.lost = reason
	return nil
}

// mendRecord makes the header of a record good, if one byte of it is damaged. If there are several ways to do
// so that make sense, none is taken.
func (r *recovery) mendRecord(b []byte, last map[wire.GroupID]raft.Index) bool {
	var found []byte
	for _, candidate := range oneByteOff(b[:wire.RecordHeaderBytes], func(h []byte) uint32 { return wire.Checksum(h[4:]) }) {
		record, size, err := wire.DecodeRecord(candidate)
		if err != nil && !errors.Is(err, wire.ErrShort) && !errors.Is(err, wire.ErrPayload) {
			continue
		}
		if size > len(b) || !r.makesSense(&record, size, last) {
			continue
		}
		if found != nil {
			return false
		}
		found = candidate
	}
	copy(b, found)
	return found != nil
}

// mendEntry makes the payload of an entry good, if one bit of it is damaged, and the hash proves it.
func (r *recovery) mendEntry(b []byte, record *wire.Record) {
	g := r.log.groups[record.Group]
	if g == nil || record.Flags != 0 || g.lastHash == (wire.Hash{}) || record.Index != g.last()+1 {
		return
	}
	mended := slices.Clone(b[:wire.Size(int(binary.LittleEndian.Uint32(b[8:])))])
	if mendPayload(mended) && wire.Raw(mended).Follows(g.lastHash, g.id) {
		r.mended = append(r.mended, mended)
		record.Payload = wire.Raw(mended).Payload()
	}
}

// makesSense reports whether a record may be what was at the current place. What it does is checked again
// when it is replayed.
func (r *recovery) makesSense(record *wire.Record, size int, last map[wire.GroupID]raft.Index) bool {
	g := r.log.groups[record.Group]
	if record.Kind == wire.RecordBase {
		return record.Group != 0
	}
	if g == nil && last[record.Group] == 0 {
		return record.Kind == wire.RecordHardState && size == hardStateRecordBytes // of a group that this frame begins
	}
	end := last[record.Group]
	if g != nil && end == 0 {
		end = g.last()
	}
	switch {
	case record.Kind == wire.RecordHardState:
		return size == hardStateRecordBytes && (g == nil || record.Term >= g.hardState.CurrentTerm)
	case record.Kind == wire.RecordTruncate:
		return record.Index > 0 && record.Index <= end
	case record.Kind == wire.RecordDrop:
		return size == wire.RecordHeaderBytes
	case record.IsEntry() && record.Flags == wire.FlagCopy:
		return record.Index <= end
	case record.IsEntry() && record.Flags == 0:
		return record.Index == end+1
	}
	return false
}

// maxMendedBits bounds the payload of which a bit is looked for.
const maxMendedBits = 8 * 4096

// mendPayload makes the payload of a record good, if one bit of it is damaged: no two such payloads have
// the same checksum. It is for what no peer could send again.
func mendPayload(record []byte) bool {
	n := int(binary.LittleEndian.Uint32(record[8:]))
	payload := record[wire.RecordHeaderBytes : wire.RecordHeaderBytes+n]
	clear(record[wire.RecordHeaderBytes+n:]) // padding
	want := binary.LittleEndian.Uint32(record[4:])
	if wire.Checksum(payload) == want {
		return true
	}
	if 8*n > maxMendedBits {
		return false
	}
	for bit := range 8 * n {
		payload[bit/8] ^= 1 << (bit % 8)
		if wire.Checksum(payload) == want {
			return true
		}
		payload[bit/8] ^= 1 << (bit % 8)
	}
	return false
}

// refill returns the entries of which only the headers were damaged, to be written anew.
func (r *recovery) refill() []Write {
	var writes []Write
	bytes := 0
	for _, b := range r.mended {
		record, _, err := wire.DecodeRecord(b)
		g := r.log.groups[record.Group]
		if err != nil || g == nil {
			continue
		}
		h := g.holeAt(record.Index)
		if h == nil || h.Hash != record.Hash || g.gapAt(record.Index) != nil || bytes+len(b) > maxRefillBytes {
			continue
		}
		bytes += len(b)
		setCopyFlag(b)
		writes = append(writes, Write{Group: record.Group, First: record.Index, Records: [][]byte{b}})
	}
	return writes
}
