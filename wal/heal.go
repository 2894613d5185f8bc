package wal

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// maxSlots bounds how many damaged records of one frame are tried to be healed.
const maxSlots = 64

// maxHealBytes bounds the bytes of which checksums are taken while copies are tried.
const maxHealBytes = 256 << 20

// heal makes a damaged body good from the copies of hard states and bases that the frames before and after have:
// a vote must not be lost, and is no entry that a peer could send again. It puts such a copy in the
// place of each damaged record. That it was the right one is proved by the body's checksum, so a wrong
// guess does no harm. It returns nil if there is no such proof, or if it is not just the body.
func (r *recovery) heal(h *frameHeader, body []byte, wrong *DamageError) []byte {
	if wrong == nil || body == nil {
		return nil
	}
	healed := slices.Clone(body)
	if r.restated(healed, h.bodyChecksum) {
		r.healed = append(r.healed, Healed{File: r.current.name, Offset: wrong.Offset})
		return healed
	}
	copies := r.copiesFor(h)
	slots := damagedSlots(body, true)
	if !r.fillSlots(healed, body, slots, copies, h.bodyChecksum) {
		slots = damagedSlots(body, false)
		if !r.fillSlots(healed, body, slots, copies, h.bodyChecksum) {
			return nil
		}
	}
	for _, s := range slots {
		record, _, err := wire.DecodeRecord(healed[s.at:])
		if err != nil {
			return nil
		}
		r.healed = append(r.healed, Healed{
			File: r.current.name, Offset: r.offset + frameHeaderBytes + int64(s.at), Group: record.Group,
		})
	}
	return healed
}

// fillSlots makes healed what the body was, by putting what the damaged records may have been in their places.
func (r *recovery) fillSlots(healed, body []byte, slots []slot, copies [][]byte, checksum uint32) bool {
	if len(slots) == 0 || len(slots) > maxSlots {
		return false
	}
	copy(healed, body)
	var likely [][][]byte // for each slot, the likeliest first
	for _, s := range slots {
		place := body[s.at : s.at+s.size]
		likely = append(likely, likeliest(place, r.guesses(place, copies)))
	}
	return fill(healed, slots, likely, checksum)
}

// restated puts what the first frame of a segment repeats where it belongs, and reports whether the body is right
// then: all of it is known from before, unless this is where the log begins.
func (r *recovery) restated(body []byte, checksum uint32) bool {
	if r.offset != blockBytes || r.frames == 0 {
		return false
	}
	for _, g := range r.log.sorted {
		if g.lastHash == (wire.Hash{}) {
			return false
		}
	}
	known := r.log.appendGroups(nil)
	if len(known) > len(body) {
		return false
	}
	copy(body, known)
	return wire.Checksum(body) == checksum
}

// slot is the place of a damaged record.
type slot struct{ at, size int }

// fill puts copies into the slots, and reports whether they are right. For one slot it tries them all;
// for several, only the likeliest of each.
func fill(body []byte, slots []slot, likely [][][]byte, checksum uint32) bool {
	tries := 1
	if len(slots) == 1 {
		tries = min(len(likely[0]), 1+maxHealBytes/len(body))
	}
	for try := range tries {
		for i, s := range slots {
			if try >= len(likely[i]) {
				return false
			}
			copy(body[s.at:], likely[i][try])
		}
		if wire.Checksum(body) == checksum {
			return true
		}
	}
	return false
}

// placed returns the copies with that end of the log which the damaged record itself names: at the
// beginning of a segment it is there, and the copies do not have it.
func (r *recovery) placed(place []byte, copies [][]byte) [][]byte {
	if r.offset != blockBytes {
		return nil
	}
	var placed [][]byte
	last, hash := wire.Raw(place).Index(), wire.Raw(place).Hash()
	for _, c := range copies {
		record, _, err := wire.DecodeRecord(c)
		if err != nil {
			continue
		}
		if state, ok := hardStateOf(&record); ok {
			placed = append(placed, appendHardState(nil, record.Group, state, last, hash))
		}
	}
	return placed
}

// damagedSlots returns where the damaged records of a body are, if each can have the size of a hard state, or is a base. One of
// which the header is damaged is taken for a hard state, or goes on to the next that is sound.
func damagedSlots(body []byte, hardStates bool) []slot {
	var slots []slot
	for at := 0; at < len(body); {
		record, size, err := wire.DecodeRecord(body[at:])
		switch {
		case err == nil:
			at += size
			continue
		case errors.Is(err, wire.ErrPayload) && record.Kind == wire.RecordBase:
		case !errors.Is(err, wire.ErrHeader) && record.Kind != wire.RecordHardState, len(body)-at < hardStateRecordBytes:
			return nil
		case hardStates || !errors.Is(err, wire.ErrHeader):
			size = hardStateRecordBytes
		default:
			size = soundAfter(body[at:])
		}
		slots = append(slots, slot{at, size})
		at += size
	}
	return slots
}

// likeliest sorts the copies that have the size of what is left of a record by the number of bits in which they differ from it.
func likeliest(left []byte, copies [][]byte) [][]byte {
	copies = slices.DeleteFunc(copies, func(c []byte) bool { return len(c) != len(left) })
	slices.SortStableFunc(copies, func(a, b []byte) int { return differentBits(left, a) - differentBits(left, b) })
	return copies
}

func differentBits(a, b []byte) int {
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

// copiesFor returns the records of hard states and bases that the frame at the current place may have: those of
// before, which it repeats, and those that the frame after it, and the next segment, repeat.
func (r *recovery) copiesFor(h *frameHeader) [][]byte {
	var copies [][]byte
	for _, g := range r.log.sorted {
		copies = append(copies, appendHardState(nil, g.id, g.hardState, 0, wire.Hash{}))
		if r.offset == blockBytes {
			copies = append(copies, appendHardState(nil, g.id, g.hardState, g.last(), g.lastHash))
		}
	}
	for _, after := range r.repeatedAfter(h) {
		if after.Kind == wire.RecordBase {
			copies = append(copies, wire.AppendRecord(nil, &after),
				appendHardState(nil, after.Group, raft.HardState{}, 0, wire.Hash{})) // if the group begins here
		} else if state, ok := hardStateOf(&after); ok {
			copies = append(copies, appendHardState(nil, after.Group, state, 0, wire.Hash{}))
		}
	}
	return copies
}

// repeatedAfter returns the hard states and bases in the frame that follows the current one, in this segment
// and in the next.
func (r *recovery) repeatedAfter(h *frameHeader) []wire.Record {
	at := r.offset + int64(frameBytes(int(h.bodyBytes)))
	found := repeatedAt(r.content, at, r.current)
	next := slices.Index(r.inUse, r.current) + 1
	if next == len(r.inUse) {
		return found
	}
	s := r.inUse[next]
	content := make([]byte, s.bytes)
	if err := s.readAt(content, 0); err != nil {
		return found // it will be met again
	}
	return append(found, repeatedAt(content, blockBytes, s)...)
}

// repeatedAt returns the hard states and bases in the frame at that place, if there is a sound one.
func repeatedAt(content []byte, at int64, s *segment) []wire.Record {
	if at >= int64(len(content)) {
		return nil
	}
	h, ok := decodeFrameHeader(content[at:], s.seed, uint64(s.number), uint32(at/blockBytes))
	start := at + frameHeaderBytes
	if !ok || int64(h.bodyBytes) > int64(len(content))-start {
		return nil
	}
	body := content[start : start+int64(h.bodyBytes)]
	if wire.Checksum(body) != h.bodyChecksum {
		return nil
	}
	var found []wire.Record
	for len(body) > 0 {
		record, size, err := wire.DecodeRecord(body)
		if err != nil {
			break
		}
		if record.Kind == wire.RecordHardState || record.Kind == wire.RecordBase {
			record.Payload = bytes.Clone(record.Payload)
			found = append(found, record)
		}
		body = body[size:]
	}
	return found
}
