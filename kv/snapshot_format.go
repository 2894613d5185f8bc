package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Requests, chunks and the plan of a stage all begin with a layout number, and have a checksum behind it.
// doc.go draws them.
const (
	snapshotLayout = 1
	checkedBytes   = 1 + 4 // layout, checksum of what is behind it
	positionBytes  = 1 + 12
)

// phase is what is being sent.
type phase byte

const (
	// phaseKeys: all versions of all keys, in the order of the engine's keys. A delta begins behind it.
	phaseKeys phase = 1
	// phaseChanges: the versions that were written since, in the order in which they were.
	phaseChanges phase = 2
	// phaseSpaces: all other replicated records.
	phaseSpaces phase = 3
	// phaseEnd: nothing is left.
	phaseEnd phase = 4
)

// position is how far a dialogue has come.
type position struct {
	phase phase
	// next: all changes before it are there, of all keys that are there at all.
	next revision
	// key is the last key of the engine that is there, in phaseKeys and in phaseSpaces; empty: none yet.
	key []byte
}

// through returns up to which revision everything is there, of the keys that are there at all.
func (p *position) through() int64 { return p.next.main - 1 }

// goesOn tells whether the dialogue may go on out of another, later view: as long as what has changed since
// is still there. Below the compaction revision it may not be.
func (p *position) goesOn(view *state) bool {
	return p.through() >= view.compact && p.through() <= view.revision
}

// inAnotherView returns where a dialogue goes on when its view is another, later one. What has changed since
// is sent when all keys are there. Of the other records nothing is kept.
func (p *position) inAnotherView() position {
	if p.phase == phaseKeys {
		return *p
	}
	return position{phase: phaseChanges, next: p.next}
}

// phaseDone returns where a dialogue goes on behind a phase.
func (p *position) phaseDone(view *state) position {
	switch p.phase {
	case phaseKeys:
		return position{phase: phaseChanges, next: p.next}
	case phaseChanges:
		return position{phase: phaseSpaces, next: revision{main: view.revision + 1}}
	}
	return position{phase: phaseEnd, next: p.next}
}

func (p *position) equal(o *position) bool {
	return p.phase == o.phase && p.next == o.next && bytes.Equal(p.key, o.key)
}

func (p *position) append(b []byte) []byte {
	b = append(b, byte(p.phase))
	b = binary.BigEndian.AppendUint64(b, uint64(p.next.main))
	b = binary.BigEndian.AppendUint32(b, p.next.sub)
	return appendSized(b, p.key)
}

func (p *position) parse(b []byte) (rest []byte, ok bool) {
	if len(b) < positionBytes || b[0] < byte(phaseKeys) || b[0] > byte(phaseEnd) {
		return nil, false
	}
	p.phase = phase(b[0])
	p.next = revision{int64(binary.BigEndian.Uint64(b[1:])), binary.BigEndian.Uint32(b[9:])}
	p.key, rest, ok = cutSized(b[positionBytes:])
	return rest, ok && p.next.main > 0
}

// viewID names a state by what was done to come to it. Whoever has another under the same name has the same.
type viewID struct {
	applied uint64
	digest  Digest
}

func (s *state) id() viewID { return viewID{s.applied, s.digest} }

// snapshotRequest asks for the next chunk.
type snapshotRequest struct {
	cluster uint64
	have    state    // what the requester has, of which only the numbers count
	keys    keyRange // which keys are wanted; an empty key and an empty end: all
	staged  bool     // it has begun
	view    viewID   // what it was last given a chunk of
	at      position // and how far it has come
}

const requestStaged = 1 // the flag

func (r *snapshotRequest) append(b []byte) []byte {
	start := len(b)
	b = append(b, snapshotLayout, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, r.cluster)
	b = appendState(b, &r.have)
	b = appendSized(appendSized(b, r.keys.key), r.keys.end)
	if !r.staged {
		return checked(append(b, 0), start)
	}
	b = append(b, requestStaged)
	b = binary.BigEndian.AppendUint64(b, r.view.applied)
	b = append(b, r.view.digest[:]...)
	return checked(r.at.append(b), start)
}

func (r *snapshotRequest) parse(b []byte) error {
	b, err := uncheck(b)
	if err != nil {
		return err
	}
	if len(b) < 8+appliedBytes {
		return errShort
	}
	r.cluster = binary.BigEndian.Uint64(b)
	if r.have, err = parseState(b[8 : 8+appliedBytes]); err != nil {
		return err
	}
	b = b[8+appliedBytes:]
	var ok, ok2 bool
	r.keys.key, b, ok = cutSized(b)
	r.keys.end, b, ok2 = cutSized(b)
	if !ok || !ok2 || len(b) == 0 || b[0] > requestStaged {
		return errShort
	}
	if r.staged = b[0] == requestStaged; !r.staged {
		return behind(b[1:])
	}
	if b = b[1:]; len(b) < 8+len(Digest{}) {
		return errShort
	}
	r.view = viewID{binary.BigEndian.Uint64(b), Digest(b[8:])}
	if b, ok = r.at.parse(b[8+len(Digest{}):]); !ok {
		return errShort
	}
	return behind(b)
}

// snapshotChunk is a piece of a view: records of one phase.
type snapshotChunk struct {
	cluster uint64
	begin   bool     // what was staged before is to be forgotten
	full    bool     // what begins is a copy of everything, not a delta
	done    bool     // of the phase nothing is left behind this chunk
	view    state    // of which it is a piece
	keys    keyRange // as in the request
	from    position // where it begins
	rows    rows
}

const (
	chunkBegin = 1 << iota
	chunkFull
	chunkDone

	chunkFlags = chunkBegin | chunkFull | chunkDone
)

// appendHead appends everything but the rows.
func (c *snapshotChunk) appendHead(b []byte) []byte {
	flags := byte(0)
	if c.begin {
		flags |= chunkBegin
	}
	if c.full {
		flags |= chunkFull
	}
	if c.done {
		flags |= chunkDone
	}
	b = append(b, snapshotLayout, 0, 0, 0, 0, flags)
	b = binary.BigEndian.AppendUint32(b, FormatNumber)
	b = binary.BigEndian.AppendUint64(b, c.cluster)
	b = appendState(b, &c.view)
	b = appendSized(appendSized(b, c.keys.key), c.keys.end)
	return c.from.append(b)
}

func (c *snapshotChunk) parse(b []byte) error {
	b, err := uncheck(b)
	if err != nil {
		return err
	}
	if len(b) < 1+4+8+appliedBytes || b[0]&^chunkFlags != 0 {
		return errShort
	}
	c.begin, c.full, c.done = b[0]&chunkBegin != 0, b[0]&chunkFull != 0, b[0]&chunkDone != 0
	if n := binary.BigEndian.Uint32(b[1:]); n > FormatNumber {
		return fmt.Errorf("format %d, this version knows up to %d: %w", n, FormatNumber, ErrNewerFormat)
	}
	c.cluster = binary.BigEndian.Uint64(b[5:])
	if c.view, err = parseState(b[13 : 13+appliedBytes]); err != nil {
		return err
	}
	b = b[13+appliedBytes:]
	var ok, ok2, ok3 bool
	c.keys.key, b, ok = cutSized(b)
	c.keys.end, b, ok2 = cutSized(b)
	if b, ok3 = c.from.parse(b); !ok || !ok2 || !ok3 {
		return errShort
	}
	c.rows = b
	return nil
}

// rows are pairs, each with how many bytes of its key are those of the key before.
type rows []byte

// append appends a pair. previous is the key of the pair before, empty at first.
func (r rows) append(key, value, previous []byte) rows {
	shared := 0
	for shared < len(key) && shared < len(previous) && key[shared] == previous[shared] {
		shared++
	}
	r = binary.AppendUvarint(r, uint64(shared))
	r = binary.AppendUvarint(r, uint64(len(key)-shared))
	r = binary.AppendUvarint(r, uint64(len(value)))
	return append(append(r, key[shared:]...), value...)
}

// maxKeyBytes bounds the bytes of all keys of a chunk, which the bytes that they share may make many more than
// the chunk has. One key may go beyond it.
const maxKeyBytes = 64 << 20

// each visits the pairs. What visit is given is valid until it returns.
func (r rows) each(visit func(key, value []byte) error) error {
	var key []byte
	total := 0
	for len(r) > 0 {
		shared, n := binary.Uvarint(r)
		rest, m := binary.Uvarint(r[max(n, 0):])
		size, o := binary.Uvarint(r[max(n, 0)+max(m, 0):])
		if n <= 0 || m <= 0 || o <= 0 || shared > uint64(len(key)) || total > maxKeyBytes {
			return errShort
		}
		r = r[n+m+o:]
		if rest > uint64(len(r)) || size > uint64(len(r))-rest {
			return errShort
		}
		key = append(key[:shared], r[:rest]...)
		total += len(key)
		if err := visit(key, r[rest:rest+size:rest+size]); err != nil {
			return err
		}
		r = r[rest+size:]
	}
	return nil
}

var (
	errShort  = errors.New("bytes are missing, or too many")
	errLayout = errors.New("unknown layout")
	errSum    = errors.New("checksum does not match")
	errOrder  = errors.New("a record is not where it belongs")
)

// checked fills in the checksum of what begins at start.
func checked(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start+1:], crc32.Checksum(b[start+checkedBytes:], castagnoli))
	return b
}

// uncheck returns what is behind a layout number and a checksum that matches.
func uncheck(b []byte) ([]byte, error) {
	switch {
	case len(b) < checkedBytes:
		return nil, errShort
	case b[0] != snapshotLayout:
		return nil, errLayout
	case binary.BigEndian.Uint32(b[1:]) != crc32.Checksum(b[checkedBytes:], castagnoli):
		return nil, errSum
	}
	return b[checkedBytes:], nil
}

// behind is the error of what is behind the end.
func behind(b []byte) error {
	if len(b) > 0 {
		return errShort
	}
	return nil
}

func appendSized(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutSized is its reverse. What it returns aliases b.
func cutSized(b []byte) (s, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size) : n+int(size)], b[n+int(size):], true
}
