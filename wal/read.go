package wal

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// ErrNoEntry: the log does not reach that far.
var ErrNoEntry = errors.New("entries are beyond the end of the log")

// piece is a part of a segment that holds wanted records, and maybe others between them.
type piece struct {
	segment *segment
	from    int64
	bytes   int
	records int // how many of the wanted ones
}

// maxGapBytes is how far apart two records may be for one call of ReadAt to fetch both.
const maxGapBytes = blockBytes

// maxPieceBytes bounds what is read at once, unless one record is larger.
const maxPieceBytes = 1 << 20

// reading is one call of Read, as planned while the lock was held.
type reading struct {
	group     wire.GroupID
	first     raft.Index
	positions []position
	pieces    []piece
	runs      []raft.TermRun
	bytes     int
	// before is the hash of the entry before first, if beforeAt is not known; all zeros if it is.
	before wire.Hash
	// unknownBefore: nobody knows what the first follows.
	unknownBefore bool
	beforeAt      position
	beforeIn      *segment
	// lastHash is the hash of the last of the entries, if it is not all zeros.
	lastHash wire.Hash
}

// Read returns the records of the entries from first to last, as many as have limitBytes together,
// but at least one, and none behind a hole; if the first is a hole, the error is a *HoleError. They are checked: checksums, place, term, and the chain of hashes from the entry
// before. A *DamageError says what is wrong. The memory is the caller's.
func (l *Log) Read(id wire.GroupID, first, last raft.Index, limitBytes int) ([][]byte, error) {
	r, err := l.plan(id, first, last, limitBytes)
	if err != nil {
		return nil, err
	}
	defer l.done(r)
	records, err := r.fetch()
	if err != nil {
		return nil, err
	}
	if err := r.verify(records); err != nil {
		return nil, err
	}
	for _, record := range records {
		clearCopyFlag(record) // that it is a copy is this log's own affair
	}
	return records, nil
}

// plan decides what to read, and keeps the segments from being given back meanwhile.
func (l *Log) plan(id wire.GroupID, first, last raft.Index, limitBytes int) (*reading, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usableLocked(); err != nil {
		return nil, err
	}
	g := l.groups[id]
	switch {
	case g == nil:
		return nil, fmt.Errorf("read group %d: %w", id, ErrNoGroup)
	case first < g.first:
		return nil, fmt.Errorf("read group %d from entry %d: %w: the log begins at %d", id, first, ErrCompacted, g.first)
	case last < first || last > g.last():
		return nil, fmt.Errorf("read group %d from entry %d to %d: %w: the log ends at %d", id, first, last, ErrNoEntry, g.last())
	}
	if k := g.holesBefore(first); k < len(g.holes) && g.holes[k].Index == first {
		return nil, &HoleError{Hole: g.holes[k]}
	} else if k < len(g.holes) {
		last = min(last, g.holes[k].Index-1)
	}
	r := &reading{group: id, first: first}
	for i := first; i <= last; i++ {
		at := g.position(i)
		if r.bytes += at.size(); r.bytes > limitBytes && i > first {
			r.bytes -= at.size()
			break
		}
		r.positions = append(r.positions, at)
		r.add(l, at)
	}
	end := first + raft.Index(len(r.positions)) - 1
	r.runs = runsBetween(g.runs, first, end)
	if first == g.base.Index+1 {
		r.before = g.baseHash
	} else if h := g.holeAt(first - 1); h != nil {
		r.before, r.unknownBefore = h.Hash, !h.Known()
	} else {
		r.beforeAt = g.position(first - 1)
		r.beforeIn = l.segment(r.beforeAt.segment)
		r.beforeIn.readers++
	}
	if end == g.last() {
		r.lastHash = g.lastHash
	}
	return r, nil
}

// add plans the reading of one more record. The caller has the lock.
func (r *reading) add(l *Log, at position) {
	if n := len(r.pieces); n > 0 {
		p := &r.pieces[n-1]
		gap := at.offset() - p.from - int64(p.bytes)
		grown := p.bytes + int(gap) + at.size()
		if p.segment.number == at.segment && gap >= 0 && gap <= maxGapBytes && grown <= maxPieceBytes {
			p.bytes = grown
			p.records++
			return
		}
	}
	s := l.segment(at.segment)
	s.readers++
	r.pieces = append(r.pieces, piece{segment: s, from: at.offset(), bytes: at.size(), records: 1})
}

// segment returns the segment with that number, which is in use. The caller has the lock.
func (l *Log) segment(number uint32) *segment { return segmentOf(l.segments, number) }

// segmentOf returns the segment with that number, which is one of segments.
func segmentOf(segments []*segment, number uint32) *segment {
	i, _ := slices.BinarySearchFunc(segments, number, func(s *segment, n uint32) int { return int(s.number) - int(n) })
	return segments[i]
}

// runsBetween returns a copy of the runs that the entries from first to last belong to.
func runsBetween(runs []raft.TermRun, first, last raft.Index) []raft.TermRun {
	var between []raft.TermRun
	for i := range runs {
		if runs[i].First > last {
			break
		}
		if i+1 == len(runs) || runs[i+1].First > first {
			between = append(between, runs[i])
		}
	}
	return between
}

// done lets go of the segments.
func (l *Log) done(r *reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range r.pieces {
		r.pieces[i].segment.readers--
	}
	if r.beforeIn != nil {
		r.beforeIn.readers--
	}
}

// fetch reads the records, without looking into them.
func (r *reading) fetch() ([][]byte, error) {
	records := make([][]byte, 0, len(r.positions))
	all := make([]byte, 0, r.bytes)
	var buffer []byte
	next := r.positions
	for _, p := range r.pieces {
		if cap(buffer) < p.bytes {
			buffer = make([]byte, p.bytes)
		}
		buffer = buffer[:p.bytes]
		if err := p.read(buffer, next[:p.records]); err != nil {
			return nil, err
		}
		for _, at := range next[:p.records] {
			start := len(all)
			from := int(at.offset() - p.from)
			all = append(all, buffer[from:from+at.size()]...)
			records = append(records, all[start:len(all):len(all)])
		}
		next = next[p.records:]
	}
	return records, nil
}

// read fills b, at least where the records are: what is between two of them may be what the disk does not read.
func (p *piece) read(b []byte, records []position) error {
	err := p.segment.readAt(b, p.from)
	if p.records == 1 || !errors.Is(err, syscall.EIO) {
		return err
	}
	for _, at := range records {
		from := int(at.offset() - p.from)
		if err := p.segment.readAt(b[from:from+at.size()], at.offset()); err != nil {
			return err
		}
	}
	return nil
}

// readAt fills b from the segment's file.
func (s *segment) readAt(b []byte, from int64) error {
	if n, err := s.file.ReadAt(b, from); n < len(b) {
		return &readError{s.name, from, err}
	}
	return nil
}

// readError says that the file system could not read: nothing is known about what is there.
type readError struct {
	name string
	at   int64
	err  error
}

func (e *readError) Error() string {
	return fmt.Sprintf("read segment %s at byte %d: %v", e.name, e.at, e.err)
}

func (e *readError) Unwrap() error { return e.err }

// verify checks that the records are the entries that they should be.
func (r *reading) verify(records [][]byte) error {
	previous := r.before
	if r.beforeAt.known() {
		hash, err := r.beforeIn.entryHash(r.group, r.first-1, r.beforeAt)
		if err != nil {
			return err
		}
		previous = hash
	}
	run := 0
	for i, b := range records {
		index := r.first + raft.Index(i)
		for run+1 < len(r.runs) && r.runs[run+1].First <= index {
			run++
		}
		at := r.positions[i]
		record, _, err := wire.DecodeRecord(b)
		if err == nil && i == 0 && r.unknownBefore {
			previous = record.Hash
			continue
		}
		if err == nil {
			err = r.fits(&record, index, r.runs[run].Term, previous)
		}
		if err != nil {
			return &DamageError{
				File: r.nameOf(at), Offset: at.offset(), Group: r.group, Index: index, Term: r.runs[run].Term, Reason: err.Error(),
			}
		}
		previous = record.Hash
	}
	if r.lastHash != (wire.Hash{}) && previous != r.lastHash {
		at := r.positions[len(records)-1]
		return &DamageError{
			File: r.nameOf(at), Offset: at.offset(), Group: r.group, Index: r.first + raft.Index(len(records)) - 1,
			Term: r.runs[run].Term, Reason: "another entry than the one that was written",
		}
	}
	return nil
}

// fits says what is wrong with a sound record at that place.
func (r *reading) fits(record *wire.Record, index raft.Index, term raft.Term, previous wire.Hash) error {
	switch {
	case !record.IsEntry() || record.Group != r.group || record.Index != index || record.Term != term:
		return fmt.Errorf("holds record %d of term %d of group %d, kind %d", record.Index, record.Term, record.Group, record.Kind)
	case wire.EntryHash(previous, record) != record.Hash:
		return errors.New("the entry does not follow from the one before it")
	}
	return nil
}

func (r *reading) nameOf(at position) string {
	for i := range r.pieces {
		if r.pieces[i].segment.number == at.segment {
			return r.pieces[i].segment.name
		}
	}
	return ""
}

// entryHash reads the hash of an entry from its header.
func (s *segment) entryHash(id wire.GroupID, index raft.Index, at position) (wire.Hash, error) {
	var header [wire.RecordHeaderBytes]byte
	if err := s.readAt(header[:], at.offset()); err != nil {
		return wire.Hash{}, err
	}
	r, _, err := wire.DecodeRecord(header[:])
	if errors.Is(err, wire.ErrShort) || errors.Is(err, wire.ErrPayload) { // the payload was not read
		err = nil
	}
	if err == nil && (!r.IsEntry() || r.Group != id || r.Index != index) {
		err = fmt.Errorf("holds record %d of group %d, kind %d", r.Index, r.Group, r.Kind)
	}
	if err != nil {
		return wire.Hash{}, &DamageError{File: s.name, Offset: at.offset(), Group: id, Index: index, Reason: err.Error()}
	}
	return r.Hash, nil
}

// hashAt returns the hash of an entry, or of the base. Only the writer calls it.
func (l *Log) hashAt(g *group, i raft.Index) (wire.Hash, error) {
	switch {
	case i == g.base.Index:
		return g.baseHash, nil
	case i == g.last() && g.lastHash != (wire.Hash{}):
		return g.lastHash, nil
	}
	if h := g.holeAt(i); h != nil {
		return h.Hash, nil
	}
	at := g.position(i)
	l.mu.Lock()
	s := l.segment(at.segment) // which stays: the group needs it
	l.mu.Unlock()
	return s.entryHash(g.id, i, at)
}

// BaseAt returns what Compact needs to let a group's log begin after the entry at index.
func (l *Log) BaseAt(id wire.GroupID, index raft.Index) (Base, error) {
	l.mu.Lock()
	g := l.groups[id]
	if g == nil {
		l.mu.Unlock()
		return Base{}, fmt.Errorf("base of group %d: %w", id, ErrNoGroup)
	}
	term, ok := g.term(index)
	base := Base{EntryID: raft.EntryID{Index: index, Term: term}, Hash: g.baseHash}
	for _, c := range g.configurations {
		if c.Index <= index {
			base.Configuration = c.Bytes
		}
	}
	atBase := index == g.base.Index
	l.mu.Unlock()
	if !ok {
		return Base{}, fmt.Errorf("base of group %d at entry %d: %w", id, index, ErrNoEntry)
	}
	if atBase {
		return base, nil
	}
	records, err := l.Read(id, index, index, 0)
	if err != nil {
		return Base{}, err
	}
	base.Hash = wire.Raw(records[0]).Hash()
	return base, nil
}
