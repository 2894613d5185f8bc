package kv

import (
	"bytes"
	"cmp"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Change is one change of a key, as watchers are told of it.
type Change struct {
	// Revision is the main revision; changes of one command have the same.
	Revision int64
	Key      []byte
	Deleted  bool
	// Created: the key came into being, so there was nothing before.
	Created bool
	// Event is an mvccpb.Event without its prev_kv. Of a deletion it has the key and the revision.
	Event []byte
	// Previous is the field prev_kv of that event, tag and all: behind Event it makes the whole event.
	// It is what was there at the revision before; empty if there was nothing, if that is compacted
	// by now, or if nobody asked.
	Previous []byte
}

// Fields of mvccpb.Event; a type of 0 is a put.
const (
	eventType    = protowire.Number(1)
	eventKV      = protowire.Number(2)
	eventPrevKV  = protowire.Number(3)
	eventDeleted = 1
)

// Changes is a list of changes in the order in which they happened.
type Changes struct {
	List  []Change
	Bytes int // of all keys and events
	arena []byte
}

// add adds the change that wrote v, and copies what it needs of it.
func (c *Changes) add(v *version) *Change {
	shown := *v
	if v.tombstone {
		shown = version{key: v.key, at: v.at}
	}
	start := c.room(2*len(v.key) + len(v.value) + eventRoomBytes)
	c.arena = append(c.arena, v.key...)
	keyEnd := len(c.arena)
	if v.tombstone {
		c.arena = appendInt(c.arena, eventType, eventDeleted)
	}
	c.arena = appendKeyValue(c.arena, eventKV, &shown)
	c.List = append(c.List, Change{
		Revision: v.at.main, Deleted: v.tombstone, Created: v.create == v.at.main && !v.tombstone,
		Key: c.arena[start:keyEnd:keyEnd], Event: c.arena[keyEnd:len(c.arena):len(c.arena)],
	})
	c.Bytes += len(c.arena) - start
	return &c.List[len(c.List)-1]
}

// previous makes the field that says what was there before.
func (c *Changes) previous(v *version) []byte {
	start := c.room(len(v.key) + len(v.value) + eventRoomBytes)
	c.arena = appendKeyValue(c.arena, eventPrevKV, v)
	c.Bytes += len(c.arena) - start
	return c.arena[start:len(c.arena):len(c.arena)]
}

// eventRoomBytes is the largest an event can be beside its key and value.
const eventRoomBytes = 2 + 11 + 11 + 11 + 4*11

// room makes room for n bytes, which stay where they are, and returns where they begin.
func (c *Changes) room(n int) int {
	if cap(c.arena)-len(c.arena) < n {
		c.arena = make([]byte, 0, max(n, min(2*cap(c.arena), arenaBytes), 512))
	}
	return len(c.arena)
}

// ApplyAndTell is Apply, and adds what the commands have changed to told. If it returns an error,
// what it has added has not happened.
func (s *Store) ApplyAndTell(commands []Command, told *Changes) ([]Answer, error) {
	s.write.told = told
	answers, err := s.Apply(commands)
	s.write.told = nil
	return answers, err
}

// ChangesQuery says which changes are asked for.
type ChangesQuery struct {
	// From and To are main revisions: From is the first, To is behind the last. What has not happened
	// yet is left out.
	From, To int64
	// MaxChanges is after how many changes the answer ends, wanted or not; MaxBytes is after how many
	// bytes of those that are wanted. All changes of a revision are given, so an answer may be larger by
	// one revision. At least one revision is looked at.
	MaxChanges, MaxBytes int
	// Wants tells whether a key's change is wanted, and whether with what was there before.
	Wants func(key []byte) (wanted, previous bool)
}

// Changes looks up what has changed. Through is the last revision of which the list is complete; it is
// below From if nothing was there to be looked at. If From is compacted, the code is CodeCompacted:
// its own revision is not, as with reads. The error is the engine's.
func (s *Store) Changes(q ChangesQuery) (list Changes, through int64, code Code, err error) {
	// The revision is loaded before the views are opened, so they have everything up to it. What is
	// removed goes from both in one batch: in this order, whatever the newer view of the index still
	// names is in the older one of the versions.
	s.swap.RLock()
	now := s.current.Load().revision
	versions, err := s.engine.NewIterator([]byte{spaceVersions}, []byte{spaceVersions + 1})
	if err != nil {
		s.swap.RUnlock()
		return Changes{}, 0, CodeOK, fmt.Errorf("changes: %w", err)
	}
	r := changesReader{query: q, compact: -1}
	r.versions.cursor = versions
	r.through = min(max(q.From, q.To)-1, max(now, q.From-1))
	code, err = r.open(s)
	s.swap.RUnlock()
	if err == nil && code == CodeOK {
		err = r.read()
	}
	if err = joinClose(joinClose(err, r.close), versions.Close); err != nil {
		return Changes{}, 0, CodeOK, fmt.Errorf("changes from revision %d: %w", q.From, err)
	}
	return r.list, r.through, code, nil
}

// changesReader walks the revision index and looks up the versions that it names.
type changesReader struct {
	query    ChangesQuery
	index    Iterator // nil until opened
	versions reader
	compact  int64
	through  int64
	list     Changes
}

// open opens the index, and only then looks at the compaction: whatever the views no longer have was
// removed for one that is not newer.
func (r *changesReader) open(s *Store) (Code, error) {
	var err error
	r.index, err = s.engine.NewIterator(appendRevisionKey(nil, revision{main: r.query.From}),
		appendRevisionKey(nil, revision{main: r.through + 1}))
	if err != nil {
		return CodeOK, err
	}
	if r.compact = s.CompactRevision(); r.query.From < r.compact {
		return CodeCompacted, nil
	}
	return CodeOK, nil
}

func (r *changesReader) close() error {
	if r.index == nil {
		return nil
	}
	return r.index.Close()
}

func (r *changesReader) read() error {
	seen, last := 0, int64(0)
	for ok := r.index.First(); ok; ok = r.index.Next() {
		at, err := splitRevisionKey(r.index.Key())
		if err != nil {
			return cmp.Or(r.index.Error(), err)
		}
		if at.main != last && last != 0 && (seen >= r.query.MaxChanges || r.list.Bytes >= r.query.MaxBytes) {
			r.through = at.main - 1
			return nil
		}
		last = at.main
		seen++
		if err := r.entry(at); err != nil {
			return err
		}
	}
	return r.index.Error()
}

// entry adds the change of one entry of the index, if it is wanted.
func (r *changesReader) entry(at revision) error {
	_, key, err := parseRevisionEntry(r.index.Value())
	if err != nil {
		return cmp.Or(r.index.Error(), err)
	}
	wanted, previous := r.query.Wants(key)
	if !wanted {
		return nil
	}
	var v version
	if err := r.versions.exactly(key, at, &v); err != nil {
		return err
	}
	change := r.list.add(&v)
	if !previous || change.Created || at.main-1 < r.compact {
		return nil
	}
	found, err := r.versions.latest(key, at.main-1, &v)
	if found {
		change.Previous = r.list.previous(&v)
	}
	return err
}

// exactly reads the version that a change has written. v aliases key and the cursor.
func (r *reader) exactly(key []byte, at revision, v *version) error {
	r.seek = appendVersionKey(r.seek[:0], key, at)
	if !r.cursor.SeekPrefix(r.seek) || !bytes.Equal(r.cursor.Key(), r.seek) {
		return cmp.Or(r.cursor.Error(), fmt.Errorf("key %q has no version at %d.%d: %w", key, at.main, at.sub, ErrCorrupt))
	}
	v.key, v.at = key, at
	return r.parse(v, r.cursor.Value())
}

// AddPrevious adds to each change of a list for which wants is true what was there before. The error is
// the engine's.
func (s *Store) AddPrevious(list []Change, wants func(*Change) bool) (err error) {
	var p *pinned // opened for the first that is wanted
	var into Changes
	for i := range list {
		c := &list[i]
		if c.Created || !wants(c) {
			continue
		}
		if p == nil {
			if p, err = s.pin(allKeys()); err != nil {
				return fmt.Errorf("what was before revision %d: %w", c.Revision, err)
			}
			defer func() { err = joinClose(err, p.close) }()
		}
		var v version
		found, err := p.latest(c.Key, c.Revision-1, &v)
		if err != nil {
			return fmt.Errorf("what was before revision %d: %w", c.Revision, err)
		}
		if found && c.Revision-1 >= p.compact {
			c.Previous = into.previous(&v)
		}
	}
	return nil
}
