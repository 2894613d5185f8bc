package wal

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// readTail reads the last segment in use, which has the mark and what is behind it, and looks for more
// in segments that were being begun.
func (r *recovery) readTail() error {
	l := r.log
	var found traces
	if r.current != nil {
		found.look(r.content[blockBytes:], blockBytes, r.current)
		found.synced = max(found.synced, r.end.sequence)
		if err := r.readUpTo(found.synced); err != nil {
			return err
		}
	}
	if err := r.notKnown(); err != nil {
		return err
	}
	mark := r.end
	if first := r.current; first != nil && first == r.inUse[0] && first.header.previous != 0 && mark.sequence < first.header.firstFrame {
		return &DamageError{ // what is before a segment is given back only when its own frames are durable
			File: first.name, Offset: blockBytes, Frame: first.header.firstFrame,
			Reason: "no frame of the segment is known to be durable, and there is no segment before it",
		}
	}
	l.segments = r.inUse
	if err := r.completeGroups(); err != nil {
		return err
	}
	groups := r.saveGroups()
	if err := r.readUnsure(); err != nil {
		return err
	}
	if err := r.tailIsUnread(); err != nil {
		return err
	}
	if err := r.findTornTail(&found, mark); err != nil {
		return err
	}
	if !r.inspecting {
		l.useGroups(groups)
	}
	l.sequence, l.synced, l.chain = mark.sequence, mark.sequence, mark.chain
	l.suspect = r.suspect || r.torn != nil
	return nil
}

// readUnsure reads the sound frames behind the mark. They are replayed, so that it is certain that
// they make sense, and kept as writes.
func (r *recovery) readUnsure() error {
	r.stopped = nil
	for r.current != nil && r.offset < r.current.bytes {
		h, body, wrong := r.nextFrame()
		if wrong != nil {
			r.stopped = wrong
			return nil
		}
		if err := r.replayFrame(&h, body, r.replayUnsure); err != nil {
			return err
		}
	}
	return nil
}

// replayUnsure is replay, and keeps the record as a write. Repetitions are left out.
func (r *recovery) replayUnsure(record *wire.Record, encoded []byte, at position) error {
	w := Write{Group: record.Group}
	g := r.log.groups[record.Group]
	switch record.Kind {
	case wire.RecordBase:
		if g == nil || record.Index != g.base.Index {
			w.Base = &Base{
				EntryID: raft.EntryID{Index: record.Index, Term: record.Term}, Hash: record.Hash,
				Configuration: slices.Clone(record.Payload),
			}
		}
	case wire.RecordHardState:
		if h, ok := hardStateOf(record); ok {
			w.HardState = &h
		}
	case wire.RecordTruncate:
		w.TruncateFrom = record.Index
	case wire.RecordDrop:
		w.Drop = true
	default:
		w.First, w.Records = record.Index, [][]byte{slices.Clone(encoded)}
	}
	if err := r.replay(record, encoded, at); err != nil {
		return err
	}
	if record.Kind != wire.RecordBase || w.Base != nil {
		r.unsure = append(r.unsure, w)
	}
	return nil
}

// traces are what can be found of frames without reading the log in order.
type traces struct {
	// blank says that there are only zeros.
	blank bool
	// last is the block of the last frame of this very segment, by its header alone.
	last int64
	// synced is the highest mark in those headers.
	synced uint64
}

// look looks for frames in some blocks of a segment, which start at the offset at.
func (f *traces) look(b []byte, at int64, s *segment) {
	for ; len(b) >= blockBytes; b, at = b[blockBytes:], at+blockBytes {
		if isZero(b[:blockBytes]) {
			continue
		}
		f.blank = false
		if h, ok := decodeFrameHeader(b, s.seed, uint64(s.number), uint32(at/blockBytes)); ok {
			f.last, f.synced = at, max(f.synced, h.synced)
		}
	}
}

// findTornTail looks at what is behind the last sound frame.
//
// A crash may have lost anything that was written since the last sync, in any order, and nothing
// else. A segment is begun only after a sync of everything before. So if there is a trace of a segment
// that was begun, or a later frame that calls the missing one durable, this is damage. Otherwise it is
// a torn tail. It may include frames that are whole, behind one that is not: they were written before
// the missing one was durable, so nobody relies on them.
func (r *recovery) findTornTail(found *traces, mark end) error {
	torn := int64(-1) // where, in the last segment in use
	if r.current != nil {
		behind := r.content[r.offset:]
		if len(behind) > 0 && !isZero(behind[:blockBytes]) || found.last >= r.offset || r.offset == blockBytes {
			torn = r.offset
			r.torn = &TornTail{File: r.current.name, Offset: torn, Bytes: nonBlank(behind)}
		}
	}
	for _, s := range r.files {
		if r.current != nil && s.number < r.current.number || s.begun() {
			continue
		}
		trace, err := r.survey(s, mark)
		if err != nil {
			return err
		}
		switch {
		case trace.synced:
			return &DamageError{File: s.name, Frame: r.end.sequence + 1, Reason: "the header of the segment is damaged"}
		case !trace.begun:
		case torn >= 0:
			return r.stopped
		default:
			r.torn = &TornTail{File: s.name, Bytes: trace.bytes}
		}
	}
	return nil
}

// trace is what is found in a segment without a sound header.
type trace struct {
	begun  bool  // something of its first write is there
	bytes  int64 // how much about
	synced bool  // a later frame calls it durable
}

// survey looks at a segment without a sound header. Its first frame may have followed the last one
// that is sound, or taken up the log at the mark.
func (r *recovery) survey(s *segment, mark end) (trace, error) {
	var t trace
	whole := s.bytes &^ (blockBytes - 1) // a crash while it was made longer may have left any length
	b := make([]byte, min(whole, int64(len(zeros))))
	guess := *s
	for at := int64(0); at < whole; at += int64(len(b)) {
		b = b[:min(int64(len(b)), whole-at)]
		if err := s.readAt(b, at); err != nil {
			return t, err
		}
		if at == 0 && !isZero(b[:blockBytes]) {
			t.begun, t.bytes = true, nonBlank(b)
		}
		for _, before := range []end{r.end, mark} {
			guess.seed = seedOf(before.chain)
			var found traces
			found.look(b, at, &guess)
			t.synced = t.synced || found.synced > before.sequence
			t.begun = t.begun || found.last > 0
		}
	}
	return t, nil
}

// nonBlank returns how many bytes there are up to the first block of zeros.
func nonBlank(b []byte) (bytes int64) {
	for len(b) >= blockBytes && !isZero(b[:blockBytes]) {
		b, bytes = b[blockBytes:], bytes+blockBytes
	}
	return bytes
}

func isZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// saveGroups returns a copy of the groups, to go back to.
func (r *recovery) saveGroups() []*group {
	saved := make([]*group, len(r.log.sorted))
	for i, g := range r.log.sorted {
		c := *g
		c.positions = slices.Clip(g.positions)
		c.runs = slices.Clone(g.runs)
		c.configurations = slices.Clone(g.configurations)
		c.holes = slices.Clone(g.holes)
		saved[i] = &c
	}
	return saved
}

// useGroups replaces all groups.
func (l *Log) useGroups(groups []*group) {
	l.groups, l.sorted = make(map[wire.GroupID]*group), groups
	for _, g := range groups {
		l.groups[g.id] = g
	}
}

// writeUnsure writes what was behind the mark into a segment of its own. The segment gets its name
// when it is whole: until then the old copy counts. A torn tail alone is reason enough: what follows
// it must be known to follow something that ends. So is damage: what calls the damaged frame durable, and mends it, may be a mark that is
// not durable itself. If the next crash took it, the damage would be taken for a torn tail.
func (r *recovery) writeUnsure() error {
	l := r.log
	l.anew = true
	err := l.stage(append(r.refill(), l.joinGaps(r.unsure)...))
	l.anew = false
	if err != nil {
		return fmt.Errorf("write the end of the log anew: %w", err)
	}
	l.sealed = true
	if n := len(l.segments); n > 0 && l.segments[n-1].header.firstFrame > l.sequence {
		// Nothing in it is known to be durable, its header included: nothing may build on it.
		// But it says that what is before it is durable, and segments may be gone because of that: it is replaced.
		l.segments, l.sealed = l.segments[:n-1:n-1], false
	} else if len(l.ops) == 0 && r.torn == nil && len(r.healed) == 0 && !l.hasHoles() { // what proves a gap must stay known to be durable
		return nil
	}
	s, err := l.make(l.lastNumber + 1)
	if err != nil {
		return err
	}
	if err := l.begin(s, l.bytesForAll(l.ops)); err != nil {
		return err
	}
	n, err := l.writeFrame(l.ops)
	if err == nil && n != len(l.ops) {
		err = fmt.Errorf("%d of %d records fit into %s", n, len(l.ops), s.name)
	}
	if err != nil {
		return err
	}
	clear(l.ops)
	if err := l.sync(); err != nil {
		return err
	}
	if err := l.giveName(s); err != nil {
		return err
	}
	return l.Seal()
}
