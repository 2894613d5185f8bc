package kv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/session"
)

// staging is what has been received of another state. The stage has, under the keys of the engine:
//
//	02 'p'                    the plan, in every batch
//	10, 11                    versions, and their entries in the revision index
//	21                        what becomes of the keys of leases: 1, the lease has the key; 0, it has not
//	f0 generation(4) key      the other records
//
// It belongs to whoever stages; its plan, which is never changed but replaced, may be looked at by others.
type staging struct {
	stage     Stage
	bytes     int     // that have come since the stage was opened
	unflushed int     // and of these, those that are not durable yet
	sealed    *loaded // what the stage will be when it is installed; nil: it is not complete
}

// plan is how far a stage has come, and what it is good for.
type plan struct {
	full bool
	// base is the revision of the state that a delta goes on top of. The state may meanwhile be further.
	base       int64
	generation uint32 // of the other records: those of earlier views have a lower one
	view       state  // of which the last chunk was
	at         position
}

const planFull = 1 // the flag

func planKey() []byte { return []byte{spaceLocal, 'p'} }

func (p *plan) append(b []byte) []byte {
	start := len(b)
	flags := byte(0)
	if p.full {
		flags = planFull
	}
	b = append(b, snapshotLayout, 0, 0, 0, 0, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(p.base))
	b = binary.BigEndian.AppendUint32(b, p.generation)
	return checked(p.at.append(appendState(b, &p.view)), start)
}

func (p *plan) parse(b []byte) error {
	b, err := uncheck(b)
	if err != nil {
		return err
	}
	if len(b) < 1+8+4+appliedBytes || b[0] > planFull {
		return errShort
	}
	p.full = b[0] == planFull
	p.base = int64(binary.BigEndian.Uint64(b[1:]))
	p.generation = binary.BigEndian.Uint32(b[9:])
	if p.view, err = parseState(b[13 : 13+appliedBytes]); err != nil {
		return err
	}
	rest, ok := p.at.parse(b[13+appliedBytes:])
	if !ok {
		return errShort
	}
	return behind(rest)
}

// SnapshotRequest returns the first request of a dialogue, and the next one after an error: what this store
// has, and what is staged already. Any goroutine may call it.
func (s *Store) SnapshotRequest() ([]byte, error) { return s.snapshotRequest(), nil }

func (s *Store) snapshotRequest() []byte {
	r := snapshotRequest{cluster: s.options.Cluster, have: *s.current.Load()}
	if p := s.plan.Load(); p != nil {
		r.staged, r.view, r.at = true, p.view.id(), p.at
	}
	return r.append(nil)
}

// StageSnapshot takes a chunk in, beside the state, and returns the next request; or complete, if there is
// none. One goroutine calls it, beside the writer; not while InstallSnapshot, DropStaged or Close runs.
//
// Errors: ErrSnapshotChunk; any other is the engine's, and final.
func (s *Store) StageSnapshot(chunk []byte) (next []byte, complete bool, err error) {
	p, err := s.take(chunk)
	if err != nil {
		return nil, false, fmt.Errorf("stage a chunk: %w", err)
	}
	if p.at.phase != phaseEnd {
		return s.snapshotRequest(), false, nil
	}
	if err = s.seal(p); err != nil {
		return nil, false, fmt.Errorf("seal the stage: %w", err)
	}
	return nil, true, nil
}

// take takes a chunk into the stage, and returns the plan behind it.
func (s *Store) take(chunk []byte) (*plan, error) {
	var c snapshotChunk
	if err := c.parse(chunk); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotChunk, err)
	}
	p, err := s.planned(&c)
	if err != nil {
		return nil, err
	}
	if p.at, err = c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotChunk, err)
	}
	return p, s.stageChunk(p, &c, len(chunk))
}

// planned returns what the plan will be where a chunk begins, if it may begin there.
func (s *Store) planned(c *snapshotChunk) (*plan, error) {
	if c.cluster != s.options.Cluster {
		return nil, fmt.Errorf("of cluster %016x: %w", c.cluster, ErrSnapshotChunk)
	}
	if !c.keys.isUnset() {
		return nil, fmt.Errorf("of some keys only: %w", ErrSnapshotChunk)
	}
	p, now := s.plan.Load(), s.current.Load()
	if c.begin {
		return begun(c, now)
	}
	if p == nil {
		return nil, fmt.Errorf("nothing has begun: %w", ErrSnapshotChunk)
	}
	next := *p
	if c.view.id() != p.view.id() {
		if c.view.applied <= p.view.applied || !p.at.goesOn(&c.view) {
			return nil, fmt.Errorf("of a view from which the stage cannot go on: %w", ErrSnapshotChunk)
		}
		next.at, next.generation = p.at.inAnotherView(), p.generation+1
		next.view = c.view
	}
	if !next.at.equal(&c.from) || c.full {
		return nil, fmt.Errorf("not the next one: %w", ErrSnapshotChunk)
	}
	return &next, nil
}

// begun returns the plan of a dialogue that begins with a chunk.
func begun(c *snapshotChunk, now *state) (*plan, error) {
	p := &plan{full: c.full, view: c.view, at: c.from}
	want := position{phase: phaseKeys, next: revision{main: c.view.revision + 1}}
	if !c.full {
		p.base = c.from.through()
		want = position{phase: phaseChanges, next: revision{main: p.base + 1}}
	}
	if !c.from.equal(&want) || !c.full && (p.base > now.revision || !p.at.goesOn(&c.view)) {
		return nil, fmt.Errorf("begins where nothing can: %w", ErrSnapshotChunk)
	}
	return p, nil
}

// check checks the records, and that they are in order. It returns where the chunk ends.
func (c *snapshotChunk) check() (end position, err error) {
	if len(c.rows) == 0 && !c.done {
		return end, errOrder
	}
	end = c.from
	end.key = slices.Clone(end.key)
	var scratch []byte
	err = c.rows.each(func(key, value []byte) error {
		switch c.from.phase {
		case phaseKeys, phaseChanges:
			var err error
			scratch, err = c.checkVersion(key, value, &end, scratch)
			return err
		case phaseSpaces:
			if bytes.Compare(key, end.key) <= 0 {
				return errOrder
			}
			end.key = append(end.key[:0], key...)
			return checkSent(key, value)
		}
		return errOrder
	})
	if c.done {
		end = end.phaseDone(&c.view)
	}
	return end, err
}

// checkVersion checks a version, which must be behind end, and moves end behind it.
func (c *snapshotChunk) checkVersion(key, value []byte, end *position, scratch []byte) (_ []byte, err error) {
	if len(key) == 0 || key[0] != spaceVersions {
		return scratch, errOrder
	}
	var v version
	if v.key, v.at, scratch, err = splitVersionKey(key, scratch); err != nil {
		return scratch, err
	}
	if err := v.parse(value); err != nil {
		return scratch, err
	}
	if len(v.key) == 0 || v.at.main < 1 || v.at.main > c.view.revision {
		return scratch, errOrder
	}
	if c.from.phase == phaseKeys {
		if bytes.Compare(key, end.key) <= 0 {
			return scratch, errOrder
		}
		end.key = append(end.key[:0], key...)
		return scratch, nil
	}
	if v.at.before(end.next) {
		return scratch, errOrder
	}
	end.next = revision{v.at.main, v.at.sub + 1}
	return scratch, nil
}

// checkSent checks a record of the spaces that are sent whole.
func checkSent(key, value []byte) (err error) {
	switch key[0] {
	case spaceLeases:
		_, err = parseLease(key, value)
	case spaceAlarms:
		_, err = parseAlarm(key, value)
	case spaceSessions:
		_, err = session.ParseRow(key[1:], value)
	case spaceAnswers:
		_, _, _, _, err = session.ParseAnswer(key[1:], value)
	case spaceTokens:
		_, err = parseToken(key, value)
	default:
		err = errOrder
	}
	return err
}

// stageChunk writes the records of a chunk into the stage, and with them how far it has come: the plan p.
func (s *Store) stageChunk(p *plan, c *snapshotChunk, size int) error {
	s.staging.sealed = nil
	if c.begin {
		if err := s.beginStage(p); err != nil {
			return err
		}
	}
	batch := s.staging.stage.NewBatch()
	w := stageWriter{generation: p.generation, phase: c.from.phase, batch: batch}
	if err := c.rows.each(w.write); err != nil {
		batch.Discard()
		return err
	}
	batch.Set(planKey(), p.append(nil))
	if err := batch.Commit(); err != nil {
		return err
	}
	s.plan.Store(p)
	return s.staging.grown(size)
}

// grown makes the stage durable now and then.
func (s *staging) grown(size int) error {
	s.bytes += size
	s.unflushed += size
	if s.unflushed < min(max(s.bytes/stageFlushShare, minStageFlushBytes), maxStageFlushBytes) {
		return nil
	}
	s.unflushed = 0
	return s.stage.Flush()
}

// beginStage begins an empty stage. What a delta goes on top of must not be lost in a crash that the stage
// survives.
func (s *Store) beginStage(p *plan) (err error) {
	if err := s.DropStaged(); err != nil {
		return err
	}
	if !p.full {
		if err := s.engine.Flush(); err != nil {
			return err
		}
	}
	s.staging.stage, err = s.engine.OpenStage(true)
	return err
}

// stageWriter writes records that were checked.
type stageWriter struct {
	phase      phase
	generation uint32
	batch      Batch
	scratch    []byte
	key        []byte
	value      []byte
}

func (w *stageWriter) write(key, value []byte) error {
	if w.phase == phaseSpaces {
		w.key = append(appendGeneration(w.key[:0], w.generation), key...)
		w.batch.Set(w.key, value)
		return nil
	}
	user, r, scratch, err := splitVersionKey(key, w.scratch)
	if err != nil {
		return err
	}
	w.scratch = scratch
	w.batch.Set(key, value)
	w.key = appendRevisionKey(w.key[:0], r)
	w.value = appendRevisionEntry(w.value[:0], isTombstone(value), user)
	w.batch.Set(w.key, w.value)
	return nil
}

// spaceStaged is where the stage has the records that are sent whole.
const spaceStaged = 0xf0

func appendGeneration(b []byte, generation uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, spaceStaged), generation)
}

// DropStaged removes the stage, if there is one.
func (s *Store) DropStaged() error {
	stage := s.staging.stage
	s.staging = staging{}
	s.plan.Store(nil)
	if stage == nil {
		return nil
	}
	if err := stage.Drop(); err != nil {
		return fmt.Errorf("drop the stage: %w", err)
	}
	return nil
}

// loadStage takes up again what is in the engine's stage. One that is of no use any more is removed: it was
// installed, or the state has come as far by itself.
func (s *Store) loadStage() error {
	stage, err := s.engine.OpenStage(false)
	if err != nil || stage == nil {
		return err
	}
	s.staging.stage = stage
	var p plan
	err = s.staging.loadPlan(&p)
	now := s.current.Load()
	switch {
	case err != nil && !errors.Is(err, ErrCorrupt):
		return joinClose(err, stage.Close)
	case err != nil, p.view.applied <= now.applied, !p.full && p.base > now.revision:
		return s.DropStaged()
	}
	s.plan.Store(&p)
	return nil
}

func (s *staging) loadPlan(p *plan) error {
	it, err := s.stage.NewIterator(nil, nil)
	if err != nil {
		return err
	}
	value, found := find(it, planKey())
	if err = it.Error(); err == nil && !found {
		err = fmt.Errorf("no plan: %w", ErrCorrupt)
	} else if err == nil && p.parse(value) != nil {
		err = fmt.Errorf("plan %x: %w", value, ErrCorrupt)
	}
	return joinClose(err, it.Close)
}

// prefixed shows the keys of an iterator that begin with a prefix, without it.
type prefixed struct {
	Iterator
	prefix, key []byte
}

func (p *prefixed) SeekGE(key []byte) bool {
	p.key = append(append(p.key[:0], p.prefix...), key...)
	return p.Iterator.SeekGE(p.key)
}

func (p *prefixed) Key() []byte { return p.Iterator.Key()[len(p.prefix):] }

// openStaged opens an iterator on the records of a generation, under the keys that they will have.
func (s *staging) openStaged(generation uint32) (*prefixed, error) {
	prefix := appendGeneration(nil, generation)
	it, err := s.stage.NewIterator(prefix, append(prefix[:len(prefix):len(prefix)], spaceEnd))
	return &prefixed{Iterator: it, prefix: prefix}, err
}

// orError returns an iterator's error, or else another.
func orError(it Iterator, err error) error { return cmp.Or(it.Error(), err) }
