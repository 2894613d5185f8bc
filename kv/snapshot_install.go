package kv

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// loaded is what a store has in memory of a state.
type loaded struct {
	state    state
	leases   leases
	sessions sessions
}

// InstallSnapshot makes the complete stage the state, in one step, which is atomic and durable. What was
// applied before and is not in it never was: the caller's log has to begin behind it. The position is the
// caller's, and is kept with the state. The writer calls it, and nobody stages meanwhile. Readers that have
// begun go on with what they read.
//
// Errors: ErrSnapshotIncomplete; ErrSnapshotOld, when nothing has changed; any other is the engine's, after
// which the store applies nothing more.
func (s *Store) InstallSnapshot(position []byte) error {
	next := s.staging.sealed
	switch {
	case s.failed != nil:
		return s.failed
	case next == nil:
		return ErrSnapshotIncomplete
	case next.state.applied <= s.current.Load().applied:
		return ErrSnapshotOld
	}
	next.state.position = append([]byte{}, position...)
	if err := s.install(next); err != nil {
		s.failed = fmt.Errorf("install the state at %d: %w", next.state.applied, err)
		return s.failed
	}
	return nil
}

func (s *Store) install(next *loaded) error {
	if err := s.engine.Flush(); err != nil { // or readers would wait for that as well
		return err
	}
	pairs := []Pair{{positionKey(), next.state.position}}
	// Readers open views and look at the revisions that go with them: they must not come in between. They
	// wait for the disk here, which is rare.
	s.swap.Lock()
	err := s.staging.stage.Install(pairs)
	if err == nil {
		s.leases.replace(&next.leases)
		s.sessions.replace(&next.sessions)
		s.current.Store(&next.state)
	}
	s.swap.Unlock()
	if err != nil {
		return err
	}
	s.cache = newMetaCache(s.options.CacheBytes)
	s.progress = progress{target: -1}
	s.fresh = false
	return s.DropStaged()
}

// InstalledPosition returns the position that was stored with the state; nil if none was ever installed.
func (s *Store) InstalledPosition() []byte { return s.current.Load().position }

// seal makes a complete stage ready to be installed, and loads what the store will have of it in memory. A stage
// that is damaged is dropped: all begins anew.
func (s *Store) seal(p *plan) error {
	sealer := &sealer{staging: &s.staging, plan: p, cluster: s.options.Cluster, state: p.view}
	if !p.full {
		sealer.own = s.engine
	}
	l, err := sealer.seal()
	if errors.Is(err, ErrCorrupt) && sealer.ownErr == nil {
		return joinClose(fmt.Errorf("%w: %w", ErrSnapshotChunk, err), s.DropStaged)
	}
	if err == nil {
		s.staging.sealed = l
	}
	return err
}

// sealer seals a stage.
type sealer struct {
	staging *staging
	plan    *plan
	cluster uint64
	state   state  // the applied record that is written
	own     Engine // the state that a delta goes on top of; nil: none
	ownErr  error  // of reading it
	// leavesOut tells which of the spaces that are sent whole are left out; nil: none.
	leavesOut func(space byte) bool
}

func (s *sealer) seal() (*loaded, error) {
	l, err := s.load()
	if err != nil {
		return nil, err
	}
	if err := s.leaseKeys(); err != nil {
		return nil, err
	}
	clear := sentSpans()
	if s.plan.full {
		clear = append(clear, madeSpans()...)
		slices.SortFunc(clear, func(a, b Span) int { return slices.Compare(a.Lo, b.Lo) })
	}
	return l, s.staging.stage.Seal(Replacement{Clear: clear, Apart: apartSpan(), Fill: s.fill})
}

func (s *sealer) wants(space byte) bool { return s.leavesOut == nil || !s.leavesOut(space) }

// load loads what a store has in memory.
func (s *sealer) load() (l *loaded, err error) {
	it, err := s.staging.openStaged(s.plan.generation)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, it.Close) }()
	l = &loaded{state: s.state}
	if s.wants(spaceAlarms) {
		if l.state.alarms, err = loadAlarms(it); err != nil {
			return nil, err
		}
	}
	if s.wants(spaceTokens) {
		if l.state.tokens, err = loadTokens(it); err != nil {
			return nil, err
		}
	}
	if s.wants(spaceSessions) {
		if err = l.sessions.load(it); err != nil {
			return nil, err
		}
	}
	return l, l.leases.load(it)
}

// leaseKeys works out from the versions which keys leases have got, and which they have lost. What the state
// has of a key is at the newest version that it has of it. Of the keys that have changed, all versions since
// are in the stage, and if the state meanwhile goes on, it goes through these.
func (s *sealer) leaseKeys() (err error) {
	it, err := s.staging.stage.NewIterator([]byte{spaceVersions}, []byte{spaceVersions + 1})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, it.Close) }()
	k := leaseKeyMaker{stage: s.staging.stage}
	defer func() { err = cmp.Or(err, k.commit()) }()
	if s.own != nil {
		own, opening := s.own.NewIterator([]byte{spaceVersions}, []byte{spaceVersions + 1})
		if s.ownErr = opening; opening != nil {
			return opening
		}
		defer func() {
			s.ownErr = joinClose(s.ownErr, own.Close)
			err = cmp.Or(err, s.ownErr)
		}()
		k.own = &reader{cursor: own}
	}
	var v version
	var prefix, scratch []byte
	for ok := it.First(); ok; ok = it.Next() {
		if v.key, v.at, scratch, err = splitVersionKey(it.Key(), scratch); err != nil {
			return orError(it, err)
		}
		if err = v.parse(it.Value()); err != nil {
			return orError(it, err)
		}
		first := string(it.Key()[:len(it.Key())-suffixBytes]) != string(prefix)
		if first {
			prefix = append(prefix[:0], it.Key()[:len(it.Key())-suffixBytes]...)
		}
		if s.ownErr = k.version(&v, first); s.ownErr != nil {
			return s.ownErr
		}
		if k.writes >= leaseKeyBatch {
			if err = k.commit(); err != nil {
				return err
			}
		}
	}
	return it.Error()
}

// leaseKeyMaker writes into the stage what becomes of the keys of leases.
type leaseKeyMaker struct {
	stage Stage
	own   *reader // nil: there is no state below

	batch   Batch
	writes  int
	lease   int64 // which lease has the key in the end
	keyCopy []byte
}

// version takes in a version, of which the first of each key is the newest.
func (k *leaseKeyMaker) version(v *version, first bool) error {
	if !first {
		k.lost(v.key, v.lease)
		return nil
	}
	if k.lease = v.lease; k.lease != 0 {
		k.write(v.key, k.lease, 1)
	}
	if k.own == nil {
		return nil
	}
	var had version
	lives, err := k.own.latest(v.key, newest, &had)
	if lives {
		k.lost(v.key, had.lease)
	}
	return err
}

// lost notes that a lease had the key.
func (k *leaseKeyMaker) lost(key []byte, lease int64) {
	if lease != 0 && lease != k.lease {
		k.write(key, lease, 0)
	}
}

const leaseKeyBatch = 1000

func (k *leaseKeyMaker) write(key []byte, lease int64, has byte) {
	if k.batch == nil {
		k.batch = k.stage.NewBatch()
	}
	k.keyCopy = appendLeasedKey(k.keyCopy[:0], lease, key)
	k.batch.Set(k.keyCopy, []byte{has})
	k.writes++
}

func (k *leaseKeyMaker) commit() error {
	if k.batch == nil {
		return nil
	}
	batch := k.batch
	k.batch, k.writes = nil, 0
	return batch.Commit()
}

// fill hands over what is installed.
func (s *sealer) fill(into Sink) error {
	if err := into.Set(appliedKey(), appendState(nil, &s.state)); err != nil {
		return err
	}
	if err := into.Set(formatKey(), appendFormat(nil, s.cluster)); err != nil {
		return err
	}
	if err := into.Delete(progressKey()); err != nil { // the removal of what is compacted starts over
		return err
	}
	made, err := s.staging.stage.NewIterator([]byte{spaceVersions}, []byte{spaceStaged})
	if err != nil {
		return err
	}
	other, err := s.staging.openStaged(s.plan.generation)
	if err != nil {
		return joinClose(err, made.Close)
	}
	err = s.merge(into, made, other)
	return joinClose(joinClose(err, other.Close), made.Close)
}

// merge hands over the leases between the revisions and the keys of leases, and all others behind these.
func (s *sealer) merge(into Sink, made Iterator, other *prefixed) error {
	ok, otherOK := made.First(), other.SeekGE(nil)
	for ok || otherOK {
		var err error
		if ok && (!otherOK || string(made.Key()) < string(other.Key())) {
			err = s.setMade(into, made.Key(), made.Value())
			err = orError(made, err)
			ok = err == nil && made.Next()
		} else {
			if s.wants(other.Key()[0]) {
				err = into.Set(other.Key(), other.Value())
			}
			err = orError(other, err)
			otherOK = err == nil && other.Next()
		}
		if err != nil {
			return err
		}
	}
	return cmp.Or(made.Error(), other.Error())
}

func (s *sealer) setMade(into Sink, key, value []byte) error {
	switch {
	case key[0] != spaceLeaseKeys:
		return into.Set(key, value)
	case len(value) == 1 && value[0] == 1:
		return into.Set(key, nil)
	case s.plan.full:
		return nil // there is nothing below
	}
	return into.Delete(key)
}
