package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
)

// recovery reads a log from its first byte on. It plays the part of the writer: after each frame the
// groups are what they were when that frame had been written.
//
// It never changes a segment that has been written to. Each frame says up to which one everything was
// durable when it was written; the highest such mark divides the log in two:
//
//   - Up to the mark, whatever is not sound is damage, and Open refuses.
//   - Behind it are the last few frames, of which nobody can say whether they are durable: it may even
//     be that they are in the kernel's memory only, that the sync of them failed, and that no further
//     sync will ever tell. What is sound of these is written anew, into a segment of its own that
//     takes up the log at the mark, and the old copy is void. What is not sound is a torn tail, and is
//     void with it.
//
// So every start of a server that writes begins a segment of its own, which costs the rest of the one
// before, and nothing is ever repaired in place.
type recovery struct {
	log        *Log
	files      []*segment // all of them, ascending
	unfinished []string   // other files, that may go
	inUse      []*segment // those that make up the log, ascending
	content    []byte     // of the segment that is being read
	unread     []int64    // the blocks of it that the disk did not read
	notRead    *readError // the first of all segments; nil if everything was read
	current    *segment   // the segment that is being read
	offset     int64      // where the next frame begins in it
	end        end        // of what has been read so far
	frames     int        // how many have been read
	boot       uint64     // the highest that has written
	suspect    bool       // the last frame says so
	healed     []Healed
	torn       *TornTail
	partial    map[*group]*partial
	unsure     []Write // what the frames behind the mark want to be written
	inspecting bool    // nothing is going to be written anew: the groups are to be as after the last sound frame
	// stopped says what is wrong with the bytes at end, if that should turn out to be damage.
	stopped *DamageError
	// damaged are the records of the current frame that are damaged, by their place in the body; lost says what is
	// wrong with the one that is being replayed, if it is one of them. mended are entries that were made good in memory.
	damaged damaged
	lost    string
	mended  [][]byte
	// skipped: the frame before the next one is lost. blind: hard states may be, until a segment begins and repeats them.
	skipped, blind bool
}

// end is a place in the log, after a sound frame.
type end struct {
	sequence uint64
	chain    chain
}

// run reads all segments that are in use, and decides what to make of the end.
func (r *recovery) run() error {
	err := r.readInUse()
	var damage *DamageError
	if r.notRead != nil && errors.As(err, &damage) { // what is there may be read another time
		return fmt.Errorf("%w; and without that: %v", r.notRead, err)
	}
	return err
}

func (r *recovery) readInUse() error {
	r.partial = make(map[*group]*partial)
	r.end.chain = firstChain(r.log.options.Cluster, r.log.options.Server)
	if err := r.readHeaders(); err != nil {
		return err
	}
	for i, s := range r.inUse {
		if err := r.startSegment(s); err != nil {
			return err
		}
		if i+1 == len(r.inUse) {
			break
		}
		if err := r.readUpTo(r.inUse[i+1].header.firstFrame - 1); err != nil {
			return err
		}
	}
	if err := r.readTail(); err != nil {
		return err
	}
	if r.boot > r.log.options.Boot {
		return fmt.Errorf("%w: %d has written here, and this is boot %d", ErrOldBoot, r.boot, r.log.options.Boot)
	}
	return nil
}

// readHeaders finds out which segments make up the log: the last one that was begun, the one before it
// as its header says, and so on. Others are blank, or were begun and replaced.
func (r *recovery) readHeaders() error {
	block := make([]byte, blockBytes)
	for _, s := range r.files {
		header, err := s.readHeader(block)
		if errors.Is(err, errNoHeader) && s.bytes >= blockBytes && !isZero(block) {
			header, err = r.mendSegmentHeader(s, false)
		}
		if err != nil && !errors.Is(err, errNoHeader) {
			return err
		}
		// The header of another segment is none. Where this one's was being written in a crash, what a
		// removed file had there may show; and if it is damage, then what is around it tells.
		if err == nil && header.number == uint64(s.number) {
			if err := r.checkHeader(s, &header); err != nil {
				return err
			}
			s.header, s.seed = header, seedOf(header.chain)
		}
	}
	wanted := uint64(0) // the last one
	for i := len(r.files) - 1; i >= 0; i-- {
		s := r.files[i]
		if uint64(s.number) == wanted && !s.begun() {
			header, err := r.mendSegmentHeader(s, true)
			if err == nil {
				s.header, s.seed = header, seedOf(header.chain)
			} else if !errors.Is(err, errNoHeader) {
				return err
			}
		}
		switch {
		case uint64(s.number) == wanted && !s.begun():
			return &DamageError{File: s.name, Reason: "the header of the segment is damaged"}
		case uint64(s.number) == wanted || wanted == 0 && len(r.inUse) == 0 && s.begun():
			r.inUse = append(r.inUse, s) // the last one first, up to here
			wanted = s.header.previous
		case uint64(s.number) < wanted && s.begun():
			return &DamageError{File: segmentName(r.log.options.Dir, uint32(wanted)), Reason: "the file is missing, with others before and after it"}
		}
	}
	slices.Reverse(r.inUse)
	if len(r.inUse) == 0 && len(r.files) > 0 && r.files[0].number != 1 {
		return &DamageError{File: r.files[0].name, Reason: "the header of the segment is damaged, or segments are missing"}
	}
	return nil
}

// begun reports whether the segment has a header.
func (s *segment) begun() bool { return s.header.number != 0 }

// readHeader reads the header, by way of a block that is overwritten.
func (s *segment) readHeader(block []byte) (segmentHeader, error) {
	if s.bytes < blockBytes {
		return segmentHeader{}, errNoHeader
	}
	if err := s.readAt(block, 0); err != nil {
		return segmentHeader{}, err
	}
	h, err := decodeSegmentHeader(block)
	if err != nil && !errors.Is(err, errNoHeader) {
		return h, fmt.Errorf("segment %s: %w", s.name, err)
	}
	return h, err
}

// checkHeader checks that a segment belongs to this log.
func (r *recovery) checkHeader(s *segment, h *segmentHeader) error {
	options := &r.log.options
	switch {
	case h.cluster != options.Cluster:
		return fmt.Errorf("segment %s: %w: of cluster %x, not %x", s.name, ErrOtherCluster, h.cluster, options.Cluster)
	case h.server != options.Server:
		return fmt.Errorf("segment %s: %w: of server %x, not %x", s.name, ErrOtherServer, h.server, options.Server)
	case h.bytes != uint64(s.bytes):
		return &DamageError{File: s.name, Offset: s.bytes, Reason: fmt.Sprintf("the file has %d bytes, and had %d", s.bytes, h.bytes)}
	case h.previous >= h.number || h.firstFrame == 0:
		return &DamageError{File: s.name, Reason: "the header of the segment contradicts itself"}
	}
	return nil
}

// startSegment reads a segment, and checks that it takes up the log where what was read ends.
func (r *recovery) startSegment(s *segment) error {
	if s == r.inUse[0] && s.header.previous != 0 { // what was before is not needed any more
		r.end = end{s.header.firstFrame - 1, s.header.chain}
	}
	if s.header.firstFrame != r.end.sequence+1 || s.header.chain != r.end.chain {
		return &DamageError{File: s.name, Reason: "the segment does not follow from the one before it"}
	}
	if int64(cap(r.content)) < s.bytes {
		r.content = make([]byte, s.bytes)
	}
	r.content = r.content[:s.bytes]
	r.current, r.offset = s, blockBytes
	return r.readCurrent()
}

// readUpTo reads frames up to one that is known to have been durable.
func (r *recovery) readUpTo(sequence uint64) error {
	for r.end.sequence < sequence {
		h, body, wrong := r.nextFrame()
		if wrong != nil && body == nil && r.mendFrame() {
			h, body, wrong = r.nextFrame()
		}
		if healed := r.heal(&h, body, wrong); healed != nil {
			body, wrong = healed, nil
		}
		if wrong != nil && r.log.options.KeepHoles && body != nil {
			body = r.mendBody(&h, body)
			if body != nil {
				wrong = nil
			}
		}
		if wrong != nil && r.log.options.KeepHoles && r.skip(wrong, sequence) {
			continue
		}
		if wrong != nil {
			return wrong
		}
		if err := r.replayFrame(&h, body, r.replay); err != nil {
			return err
		}
		r.damaged = nil
	}
	return nil
}

// nextFrame returns the next frame, and what is wrong with it if it is not sound. If then there is a
// body, only that is damaged.
func (r *recovery) nextFrame() (h frameHeader, body []byte, wrong *DamageError) {
	s, at := r.current, r.offset
	wrong = &DamageError{File: s.name, Offset: at, Frame: r.end.sequence + 1}
	if at >= s.bytes {
		wrong.Reason = "the segment is full, and frames are missing"
		return h, nil, wrong
	}
	h, ok := decodeFrameHeader(r.content[at:], s.seed, uint64(s.number), uint32(at/blockBytes))
	switch {
	case !ok:
		wrong.Reason = "the header of a frame is damaged"
		return h, nil, wrong
	case h.sequence != r.end.sequence+1:
		wrong.Reason = fmt.Sprintf("frame %d is in the place of another", h.sequence)
		return h, nil, wrong
	case int64(h.bodyBytes) > s.bytes-at-frameHeaderBytes:
		wrong.Reason = "a frame is longer than its segment"
		return h, nil, wrong
	case h.chain != nextChain(r.end.chain, r.content[at:]) && !r.skipped:
		wrong.Reason = "the frame does not follow from the one before it"
		return h, nil, wrong
	}
	start := at + frameHeaderBytes
	body = r.content[start : start+int64(h.bodyBytes)]
	if wire.Checksum(body) == h.bodyChecksum {
		return h, body, nil
	}
	wrong.locate(body, start)
	return h, body, wrong
}

// locate finds out which record of a damaged body is damaged.
func (e *DamageError) locate(body []byte, start int64) {
	e.Reason = "the body of a frame is damaged"
	for at := 0; at < len(body); {
		record, size, err := wire.DecodeRecord(body[at:])
		if err != nil {
			e.Offset, e.Reason = start+int64(at), err.Error()
			if errors.Is(err, wire.ErrPayload) && record.IsEntry() {
				e.Group, e.Index, e.Term = record.Group, record.Index, record.Term
			}
			return
		}
		at += size
	}
}

// replayFrame hands the records of a sound frame to replay, and moves on to the next frame. A sound
// frame that makes no sense is no crash and no rot, so it is never cut away.
func (r *recovery) replayFrame(h *frameHeader, body []byte, replay func(*wire.Record, []byte, position) error) error {
	records := uint32(0)
	for from := 0; from < len(body); records++ {
		at := r.offset + frameHeaderBytes + int64(from)
		record, size, err := wire.DecodeRecord(body[from:])
		if err = r.lose(body[from:], from, &record, err); err == nil {
			err = replay(&record, body[from:from+size], positionOf(r.current.number, at, size))
		}
		if err != nil {
			return r.contradiction(at, h, &record, err)
		}
		from += size
	}
	if h.flags&^flagSuspect != 0 {
		return r.contradiction(r.offset, h, &wire.Record{}, fmt.Errorf("frame with flags %#x: %w", h.flags, wire.ErrTooNew))
	}
	if records != h.records {
		return r.contradiction(r.offset, h, &wire.Record{}, fmt.Errorf("%d records, where %d were written", records, h.records))
	}
	r.boot = max(r.boot, h.boot)
	r.suspect = h.flags&flagSuspect != 0
	r.end, r.skipped = end{h.sequence, h.chain}, false
	r.dropUnnamed()
	r.offset += int64(frameBytes(len(body)))
	r.frames++
	return nil
}

func (r *recovery) contradiction(at int64, h *frameHeader, record *wire.Record, err error) error {
	var damage *DamageError
	var unread *readError
	switch {
	case errors.As(err, &damage), errors.As(err, &unread):
		return err
	case errors.Is(err, wire.ErrTooNew):
		return fmt.Errorf("segment %s at byte %d: %w: %w", r.current.name, at, ErrNewerFormat, err)
	}
	e := &DamageError{File: r.current.name, Offset: at, Frame: h.sequence, Reason: err.Error()}
	if record.IsEntry() {
		e.Group, e.Index, e.Term = record.Group, record.Index, record.Term
	}
	return e
}
