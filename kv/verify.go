package kv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/session"
)

// Census counts what a store holds.
type Census struct {
	// Keys are those that exist now. Versions are all that are stored, Tombstones among them, and the
	// superfluous ones that removal has not come to.
	Keys, Versions, Tombstones int64
	// KeyBytes and ValueBytes are what versions have, without what is stored beside that.
	KeyBytes, ValueBytes int64
	// Leases and so on are the rows of the other spaces; LeaseKeys are keys that have a lease.
	Leases, LeaseKeys, Sessions, Answers, Alarms, Tokens int64
	// Rows are all of the engine's.
	Rows int64
}

// Verify reads everything that there is, counts it, and compares what is stored twice: each version has
// its entry in the revision index and the other way round; each key that has a lease is among the keys of
// that lease, which lives, and the other way round; what follows upon what in a key's history; and no
// revision is above the store's own. wrong gets each contradiction. progress, unless it is nil, gets the
// rows read so far, now and then. Nobody may write meanwhile. The error is the engine's, and says that
// not everything was read.
func (s *Store) Verify(progress func(rows int64), wrong func(error)) (census Census, err error) {
	v := verifier{store: s, now: *s.current.Load(), progress: progress, wrong: wrong, sessions: make(map[uint64]bool)}
	rows, err := s.engine.NewIterator(nil, nil)
	if err != nil {
		return Census{}, err
	}
	defer func() { err = joinClose(err, rows.Close) }()
	if v.other, err = s.engine.NewIterator(nil, nil); err != nil {
		return Census{}, err
	}
	defer func() { err = joinClose(err, v.other.Close) }()
	for ok := rows.First(); ok; ok = rows.Next() {
		if err := v.row(rows.Key(), rows.Value()); err != nil {
			return v.census, cmp.Or(rows.Error(), err)
		}
	}
	return v.census, rows.Error()
}

// verifier goes through all rows in order, and looks for the counterpart of each with an iterator of its
// own.
type verifier struct {
	store    *Store
	now      state
	other    Iterator
	progress func(rows int64)
	wrong    func(error)
	census   Census
	sessions map[uint64]bool // that were met

	newer           version // the version before the current one, without its key and value
	newerPrefix     []byte
	scratch, wanted []byte
}

// progressEvery is after how many rows progress is told.
const progressEvery = 1 << 12

// row looks at one row. The error is the engine's.
func (v *verifier) row(k, value []byte) error {
	if v.census.Rows++; v.progress != nil && v.census.Rows%progressEvery == 0 {
		v.progress(v.census.Rows)
	}
	if len(k) == 0 {
		v.note("a row has an empty key")
		return nil
	}
	switch k[0] {
	case spaceMeta, spaceLocal, spaceAuth, spaceConfiguration: // looked at when the store was opened, or not known here
	case spaceVersions:
		return v.version(k, value)
	case spaceRevisions:
		return v.revision(k, value)
	case spaceLeases:
		v.census.Leases++
	case spaceLeaseKeys:
		return v.leaseKey(k)
	case spaceAlarms:
		v.census.Alarms++
	case spaceSessions:
		v.census.Sessions++
		if row, err := session.ParseRow(k[1:], value); err != nil {
			v.note("%w", err)
		} else {
			v.sessions[row.ID] = true
		}
	case spaceAnswers:
		v.census.Answers++
		if id, sequence, _, _, err := session.ParseAnswer(k[1:], value); err != nil {
			v.note("%w", err)
		} else if !v.sessions[id] {
			v.note("answer %d belongs to session %d, which does not exist", sequence, id)
		}
	case spaceTokens:
		v.census.Tokens++
	default:
		v.note("row %x is in a space that this version does not know", k)
	}
	return nil
}

func (v *verifier) note(format string, args ...any) { v.wrong(fmt.Errorf(format, args...)) }

// version looks at a version: by itself, beside the newer one of the same key, and at its counterparts.
func (v *verifier) version(k, value []byte) error {
	v.census.Versions++
	var this version
	var err error
	if this.key, this.at, v.scratch, err = splitVersionKey(k, v.scratch); err == nil {
		err = this.parse(value)
	}
	if err != nil {
		v.note("%w", err)
		return nil
	}
	v.census.KeyBytes += int64(len(this.key))
	v.census.ValueBytes += int64(len(this.value))
	if this.tombstone {
		v.census.Tombstones++
	}
	v.alone(&this)
	prefix := k[:len(k)-suffixBytes]
	if newest := !bytes.Equal(prefix, v.newerPrefix); !newest {
		v.follows(&this)
	} else if !this.tombstone {
		v.census.Keys++
		if err := v.hasLease(&this); err != nil {
			return err
		}
	}
	v.newerPrefix = append(v.newerPrefix[:0], prefix...)
	v.newer = version{at: this.at, tombstone: this.tombstone, create: this.create, version: this.version}
	return v.indexed(&this)
}

// alone looks at a version by itself.
func (v *verifier) alone(this *version) {
	switch {
	case this.at.main < 2 || this.at.main > v.now.revision:
		v.note("key %q has a version at revision %d, and the store is at %d", this.key, this.at.main, v.now.revision)
	case this.tombstone:
	case this.version < 1 || this.create < 2 || this.create > this.at.main || this.version == 1 && this.create != this.at.main:
		v.note("key %q at revision %d is version %d, created at %d", this.key, this.at.main, this.version, this.create)
	}
}

// follows compares a version with the one after it.
func (v *verifier) follows(older *version) {
	newer := &v.newer
	good := newer.version == 1 && newer.create == newer.at.main // after a tombstone
	switch {
	case newer.tombstone:
		good = !older.tombstone
	case !older.tombstone:
		good = newer.version == older.version+1 && newer.create == older.create
	}
	if !good {
		v.note("key %q: the version at revision %d.%d does not follow from the one at %d.%d: one between them is missing, or one is another's",
			older.key, newer.at.main, newer.at.sub, older.at.main, older.at.sub)
	}
}

// indexed looks for a version's entry in the revision index.
func (v *verifier) indexed(this *version) error {
	v.wanted = appendRevisionKey(v.wanted[:0], this.at)
	value, ok := find(v.other, v.wanted)
	if err := v.other.Error(); err != nil {
		return err
	}
	tombstone, key, err := parseRevisionEntry(value)
	if !ok || err != nil || tombstone != this.tombstone || !bytes.Equal(key, this.key) {
		v.note("key %q has a version at revision %d.%d, of which the revision index says %s", this.key, this.at.main, this.at.sub, entryText(ok, value))
	}
	return nil
}

func entryText(ok bool, value []byte) string {
	if !ok {
		return "nothing"
	}
	return fmt.Sprintf("%q", value)
}

// revision looks for the version of an entry of the revision index.
func (v *verifier) revision(k, value []byte) error {
	at, err := splitRevisionKey(k)
	if err != nil {
		v.note("%w", err)
		return nil
	}
	_, key, err := parseRevisionEntry(value)
	if err != nil {
		v.note("%w", err)
		return nil
	}
	v.wanted = appendVersionKey(v.wanted[:0], key, at)
	if _, ok := find(v.other, v.wanted); !ok && v.other.Error() == nil {
		v.note("the revision index has key %q at revision %d.%d, and there is no such version", key, at.main, at.sub)
	}
	return v.other.Error()
}

// hasLease looks for a key among those of its lease.
func (v *verifier) hasLease(newest *version) error {
	if newest.lease == 0 {
		return nil
	}
	v.wanted = appendLeasedKey(v.wanted[:0], newest.lease, newest.key)
	if _, ok := find(v.other, v.wanted); !ok && v.other.Error() == nil {
		v.note("key %q has lease %x, and is not among the keys of that lease", newest.key, uint64(newest.lease))
	}
	return v.other.Error()
}

// leaseKey looks whether a key among those of a lease has it.
func (v *verifier) leaseKey(k []byte) error {
	v.census.LeaseKeys++
	if len(k) <= leasedKeyBytes {
		v.note("key of a lease %x is cut short", k)
		return nil
	}
	id, key := int64(binary.BigEndian.Uint64(k[1:])), k[leasedKeyBytes:]
	if !v.store.leases.has(id) {
		v.note("key %q is among those of lease %x, which does not exist", key, uint64(id))
	}
	v.wanted = appendKeyPrefix(v.wanted[:0], key)
	newest := version{key: key}
	ok := v.other.SeekPrefix(v.wanted) && bytes.HasPrefix(v.other.Key(), v.wanted)
	if err := v.other.Error(); err != nil {
		return err
	}
	if !ok || newest.parse(v.other.Value()) != nil || newest.lease != id {
		v.note("key %q is among those of lease %x, and does not have it", key, uint64(id))
	}
	return v.other.Error()
}
