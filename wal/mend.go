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
// entry because the next one's hash follows from it. Hard states and bases are guessed besides.
func (r *recovery) mendBody(h *frameHeader, body []byte) []byte {
	mended := slices.Clone(body)
	found := damaged{}
	last := ends{}
	known, copies := r.repetition(), r.copiesFor(h)
	tried := 0
	for at := 0; at < len(mended); {
		rest := mended[at:]
		if len(rest) < wire.RecordHeaderBytes {
			return nil
		}
		record, size, err := wire.DecodeRecord(rest)
		if err != nil {
			found[at] = err.Error()
		}
		if err != nil && !isLost(&record, err) {
			guesses := func() [][]byte { return append(r.guesses(rest, copies), recordAt(known, at)) }
			if tried++; tried > maxSlots || !r.mendOther(rest, last, guesses) {
				return nil
			}
			record, size, _ = wire.DecodeRecord(rest)
		}
		last.note(r.log, &record)
		at += size
	}
	r.damaged = found
	return mended
}

// isLost reports whether what is damaged is the payload of an entry.
func isLost(record *wire.Record, err error) bool {
	return errors.Is(err, wire.ErrPayload) && record.IsEntry()
}

// mendOther makes a record good of which the header is damaged, or which is no entry. Then an entry may still be lost.
func (r *recovery) mendOther(b []byte, last ends, guesses func() [][]byte) bool {
	record, size, err := wire.DecodeRecord(b)
	if errors.Is(err, wire.ErrHeader) && r.mendRecord(b, last) {
		record, size, err = wire.DecodeRecord(b)
	}
	return err == nil || isLost(&record, err) ||
		errors.Is(err, wire.ErrPayload) && mendPayload(b[:size]) ||
		mendByGuess(b, guesses())
}

// ends are where the logs end after the records of a frame so far, of the groups that it has named.
type ends map[wire.GroupID]raft.Index

// note takes in the next record. What a segment repeats at its beginning says where a log ends.
func (e ends) note(l *Log, record *wire.Record) {
	end, known := e.of(l, record.Group)
	switch {
	case record.IsEntry() && record.Flags&wire.FlagCopy == 0:
		e[record.Group] = record.Index
	case record.Kind == wire.RecordTruncate:
		e[record.Group] = record.Index - 1
	case record.Kind == wire.RecordHardState && record.Hash != wire.Hash{}:
		e[record.Group] = record.Index
	case record.Kind == wire.RecordBase && (!known || record.Index > end):
		e[record.Group] = record.Index
	}
}

// of returns where the log of a group ends; false if there is no such group yet.
func (e ends) of(l *Log, id wire.GroupID) (raft.Index, bool) {
	if end, ok := e[id]; ok {
		return end, true
	}
	if g := l.groups[id]; g != nil {
		return g.last(), true
	}
	return 0, false
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
func (r *recovery) mendRecord(b []byte, last ends) bool {
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
func (r *recovery) makesSense(record *wire.Record, size int, last ends) bool {
	g := r.log.groups[record.Group]
	end, known := last.of(r.log, record.Group)
	switch {
	case record.Kind == wire.RecordBase:
		return record.Group != 0 && record.Hash != wire.Hash{} && (g == nil || record.Index >= g.base.Index)
	case !known: // of a group that this frame begins
		return record.Kind == wire.RecordHardState && size == hardStateRecordBytes
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

const (
	// maxMendedBits bounds the payload of which a bit is looked for, maxMendedBytes that of which a byte is.
	maxMendedBits  = 8 * 4096
	maxMendedBytes = 1024
)

// mendPayload makes the payload of a record good, if one bit of it is damaged: no two such payloads have
// the same checksum; or one byte, if only one such payload has it. It is for what no peer could send again.
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
	return n <= maxMendedBytes && mendByte(payload, want)
}

// mendByte makes a payload good of which one byte is damaged.
func mendByte(payload []byte, checksum uint32) bool {
	found, at, mask := 0, 0, byte(0)
	for i := range payload {
		is := payload[i]
		for m := 1; m < 256; m++ {
			payload[i] = is ^ byte(m)
			if wire.Checksum(payload) == checksum {
				found, at, mask = found+1, i, byte(m)
			}
		}
		payload[i] = is
	}
	if found == 1 {
		payload[at] ^= mask
	}
	return found == 1
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
		if h == nil || h.Hash != record.Hash || gapAt(g.gaps, record.Index) != nil || bytes+len(b) > maxRefillBytes {
			continue
		}
		bytes += len(b)
		setCopyFlag(b)
		writes = append(writes, Write{Group: record.Group, First: record.Index, Records: [][]byte{b}})
	}
	return writes
}
