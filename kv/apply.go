package kv

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/wire"
)

// Command is one committed command.
type Command struct {
	// Index is its index in the log. Indexes ascend; those of entries that are no commands of ours
	// may be left out.
	Index uint64
	// Time is the log time at which it was proposed, in nanoseconds. Times never go back.
	Time uint64
	Kind Kind
	// Request is the client's request as it came off the wire: etcd's protobuf message for the
	// kind. Empty for KindNone.
	Request []byte
	// Session is which request of a client's session it is; its ID is 0 if it is of none.
	Session wire.Session
}

// Apply executes committed commands in order, in one batch of the engine, and returns an answer for
// each. The same commands give the same answers and the same state on every server, however they
// are cut into batches. A command that is refused changes nothing but the applied index.
//
// An error is never a command's own: the engine has failed. Nothing of the batch has then become
// visible, and the store applies nothing more.
func (s *Store) Apply(commands []Command) ([]Answer, error) {
	if s.failed != nil || len(commands) == 0 {
		return nil, s.failed
	}
	answers, err := s.write.apply(commands)
	if err != nil {
		s.failed = err
		return nil, err
	}
	return answers, nil
}

// writer applies batches. It belongs to the store's writer goroutine, and is used again for every
// batch.
type writer struct {
	store *Store

	// Of the batch under way:
	batch    Batch
	base     Iterator // what the engine held before the batch; nil until something must be read
	over     overlay  // what the batch has written to the space of versions
	attached attached // and to that of leases' keys
	answered answered // commands of sessions
	now      state
	changes  uint32   // of the command under way; its revision is counted when it ends
	told     *Changes // gets what the batch changes; nil: nobody asked

	// Memory that is kept from one batch to the next:
	merged   mergedCursor
	read     reader
	digester digester
	key      []byte
	value    []byte
	body     []byte
	doomed   [][]byte // keys that a delete has found
	doomedBy []int64  // the lease of each
	prevKVs  []byte   // and what they were
}

func (w *writer) apply(commands []Command) (answers []Answer, err error) {
	w.batch, w.now = w.store.newBatch(), *w.store.current.Load()
	defer func() { err = joinClose(err, w.end) }()
	answers = make([]Answer, len(commands))
	for i := range commands {
		if err := w.command(&commands[i], &answers[i]); err != nil {
			return nil, fmt.Errorf("apply command %d: %w", commands[i].Index, err)
		}
	}
	w.batch.Set(appliedKey(), appendState(w.value[:0], &w.now))
	batch := w.batch
	w.batch = nil
	if err := w.store.commit(batch); err != nil {
		return nil, fmt.Errorf("commit up to command %d: %w", w.now.applied, err)
	}
	now := w.now
	w.store.current.Store(&now)
	w.store.sums.publish()
	return answers, nil
}

// end gives back what the batch held.
func (w *writer) end() error {
	if w.batch != nil {
		w.batch.Discard()
		w.batch = nil
	}
	w.over.reset()
	w.attached = nil
	clear(w.answered)
	if cap(w.prevKVs) > arenaBytes {
		w.prevKVs = nil
	}
	if len(w.doomed) > arenaBytes {
		w.doomed, w.doomedBy = nil, nil
	}
	if w.base == nil {
		return nil
	}
	base := w.base
	w.base, w.merged = nil, mergedCursor{}
	return base.Close()
}

func (w *writer) command(c *Command, a *Answer) error {
	if c.Index <= w.now.applied {
		invariant.Check(false, "command %d applied again, after %d", c.Index, w.now.applied)
	}
	w.store.sums.pass(&w.now, c.Time)
	w.now.time = max(w.now.time, c.Time)
	w.now.applied = c.Index
	var err error
	if c.Session.ID == 0 {
		err = w.once(c, a)
	} else {
		err = w.inSession(c, a)
	}
	if err != nil {
		return err
	}
	w.now.digest = w.digester.fold(w.now.digest, c, a)
	w.store.sums.note(&w.now, w.store.options.SumEvery)
	return nil
}

// once executes a command.
func (w *writer) once(c *Command, a *Answer) error {
	body, code, err := w.execute(c.Kind, c.Request)
	if err != nil {
		return err
	}
	w.countRevision()
	*a = Answer{Err: code, Revision: w.now.revision}
	if code == CodeOK && len(body) > 0 {
		a.Body = slices.Clone(body)
	}
	return nil
}

// countRevision ends a revision, if something has changed since the last.
func (w *writer) countRevision() {
	if w.changes > 0 {
		w.now.revision++
		w.changes = 0
	}
}

// execute executes one request. The body it returns is valid until the next one. It must not have
// written anything when it returns another code than CodeOK.
func (w *writer) execute(kind Kind, request []byte) (body []byte, code Code, err error) {
	if len(request) > MaxRequestBytes {
		return nil, CodeRequestTooLarge, nil
	}
	if code := w.now.alarms.refuses(kind, request); code != CodeOK {
		return nil, code, nil
	}
	switch kind {
	case KindNone:
		return nil, CodeOK, nil
	case KindPut:
		body, code, err = w.executePut(w.body[:0], request)
	case KindDeleteRange:
		body, code, err = w.executeDelete(w.body[:0], request)
	case KindTxn:
		body, code, err = w.executeTxn(w.body[:0], request)
	case KindCompact:
		return nil, w.executeCompact(request), nil
	case KindAlarm:
		body, code = w.executeAlarm(w.body[:0], request)
	case KindLeaseGrant:
		body, code = w.executeGrant(w.body[:0], request)
	case KindLeaseRevoke:
		code, err = w.executeRevoke(request)
		return nil, code, err
	case KindLeaseRenew:
		body, code = w.executeRenew(w.body[:0], request)
	case KindLeaseExpire:
		body, code, err = w.executeExpire(w.body[:0], request)
	case KindTokenCreate:
		body, code = w.executeTokenCreate(w.body[:0], request)
	case KindTokenUse:
		body, code = w.executeTokenUse(w.body[:0], request)
	case KindSessionOpen:
		body, code = w.executeSessionOpen(w.body[:0], request)
	case KindSessionKeepAlive:
		body, code = w.executeSessionKeepAlive(w.body[:0], request)
	case KindSessionClose:
		return nil, w.executeSessionClose(request), nil
	case KindSessionExpire:
		body, code = w.executeSessionExpire(w.body[:0], request)
	default:
		// Nobody's: a kind that a later version knows comes with a feature level, and whoever lacks that
		// stops before the command gets here. All who are at this level refuse it alike, and go on: no
		// command may stop the servers one after the other.
		return nil, CodeMalformed, nil
	}
	if cap(body) <= arenaBytes {
		w.body = body
	}
	return body, code, err
}

func (w *writer) executePut(b, request []byte) ([]byte, Code, error) {
	var p putRequest
	code := p.decode(request)
	if code == CodeOK {
		code = p.check()
	}
	if code != CodeOK {
		return b, code, nil
	}
	return w.put(b, &p)
}

func (w *writer) executeDelete(b, request []byte) ([]byte, Code, error) {
	var d deleteRequest
	code := d.decode(request)
	if code == CodeOK {
		code = d.check()
	}
	if code != CodeOK {
		return b, code, nil
	}
	deleted, err := w.delete(&d)
	return w.appendDeleted(b, deleted), CodeOK, err
}

func (w *writer) executeTxn(b, request []byte) ([]byte, Code, error) {
	if code := checkTxn(request, appliedLimits()); code != CodeOK {
		return b, code, nil
	}
	run := txnRun{write: w, revision: w.now.revision, compact: w.now.compact}
	return run.run(b, request)
}

// executeCompact makes everything below a revision unreadable. What that leaves without use is
// removed later, by CompactStep.
func (w *writer) executeCompact(request []byte) Code {
	var c compactRequest
	if code := c.decode(request); code != CodeOK {
		return code
	}
	switch {
	case c.revision <= w.now.compact:
		return CodeCompacted
	case c.revision > w.now.revision:
		return CodeFutureRevision
	}
	w.now.compact = c.revision
	return CodeOK
}

// reader returns the reader of what the batch has come to by now. It must be asked for again after
// a write.
func (w *writer) reader() (*reader, error) {
	if w.base == nil {
		base, err := w.store.engine.NewIterator([]byte{spaceVersions}, []byte{spaceVersions + 1})
		if err != nil {
			return nil, err
		}
		w.base, w.merged.base = base, base
	}
	w.merged.over.Init(w.over.index(), nil, nil)
	w.read.cursor = &w.merged
	return &w.read, nil
}

// readRevision is the revision that a read between the changes of a command is of.
func (w *writer) readRevision() int64 {
	if w.changes > 0 {
		return w.now.revision + 1
	}
	return w.now.revision
}

// meta returns what a put must know of the key's newest version.
func (w *writer) meta(key []byte) (keyMeta, error) {
	if meta, ok := w.store.cache.get(key); ok {
		return meta, nil
	}
	r, err := w.reader()
	if err != nil {
		return keyMeta{}, err
	}
	var v version
	exists, err := r.latest(key, newest, &v)
	return metaOf(&v, exists), err
}

func metaOf(v *version, exists bool) keyMeta {
	if !exists {
		return keyMeta{create: v.create, version: v.version}
	}
	return keyMeta{exists: true, create: v.create, version: v.version, lease: v.lease}
}

// put executes a checked put and appends the response without its header.
func (w *writer) put(b []byte, p *putRequest) ([]byte, Code, error) {
	if p.lease != 0 && !w.store.leases.has(p.lease) {
		return b, CodeLeaseNotFound, nil
	}
	v := version{key: p.key, value: p.value, lease: p.lease}
	var previous keyMeta
	var err error
	if p.prevKV || p.ignoreValue || p.ignoreLease {
		var old version
		if old, previous, err = w.previous(p.key); err != nil {
			return b, CodeOK, err
		}
		if !previous.exists && (p.ignoreValue || p.ignoreLease) {
			return b, CodeKeyNotFound, nil
		}
		if p.ignoreValue {
			v.value = old.value
		}
		if p.ignoreLease {
			v.lease = old.lease
		}
		if p.prevKV && previous.exists {
			b = appendKeyValue(b, putPrevKV, &old)
		}
	} else if previous, err = w.meta(p.key); err != nil {
		return b, CodeOK, err
	}
	v.create, v.version = w.now.revision+1, 1
	if previous.exists {
		v.create, v.version = previous.create, previous.version+1
	}
	w.writeVersion(&v, previous.lease)
	return b, CodeOK, nil
}

// previous returns the newest version of key, valid until the next read.
func (w *writer) previous(key []byte) (version, keyMeta, error) {
	r, err := w.reader()
	if err != nil {
		return version{}, keyMeta{}, err
	}
	var old version
	exists, err := r.latest(key, newest, &old)
	return old, metaOf(&old, exists), err
}

// delete executes a checked delete and returns how many keys it deleted. What they were is in
// prevKVs, if the request asked for it.
func (w *writer) delete(d *deleteRequest) (int64, error) {
	clear(w.doomed)
	w.doomed, w.doomedBy, w.prevKVs = w.doomed[:0], w.doomedBy[:0], w.prevKVs[:0]
	if err := w.findDoomed(d); err != nil {
		return 0, err
	}
	for i, key := range w.doomed {
		w.writeVersion(&version{key: key, tombstone: true}, w.doomedBy[i])
	}
	return int64(len(w.doomed)), nil
}

func (w *writer) findDoomed(d *deleteRequest) error {
	if d.isPoint() && !d.prevKV {
		meta, err := w.meta(d.key)
		if meta.exists {
			w.doomed, w.doomedBy = append(w.doomed, d.key), append(w.doomedBy, meta.lease)
		}
		return err
	}
	r, err := w.reader()
	if err != nil {
		return err
	}
	return r.read(d.keyRange, newest, func(v *version) bool {
		w.doomed = append(w.doomed, w.over.keep(append(w.over.room(len(v.key)), v.key...)))
		w.doomedBy = append(w.doomedBy, v.lease)
		if d.prevKV {
			w.prevKVs = appendKeyValue(w.prevKVs, deletePrevKVs, v)
		}
		return true
	})
}

// appendDeleted appends the response of a delete without its header.
func (w *writer) appendDeleted(b []byte, deleted int64) []byte {
	return append(appendInt(b, deleteDeleted, deleted), w.prevKVs...)
}

// writeVersion writes v as the next change of the command, with its entry in the revision index. from is
// the lease that the key had.
func (w *writer) writeVersion(v *version, from int64) {
	invariant.Check(w.changes < lastSub, "too many changes in one revision")
	v.at = revision{w.now.revision + 1, w.changes}
	w.changes++
	// The key may double by escaping; 31 is the kind and three numbers.
	room := w.over.room(len(v.key) + bytes.Count(v.key, []byte{escapeByte}) + 3 + suffixBytes)
	key := w.over.keep(appendVersionKey(room, v.key, v.at))
	value := w.over.keep(appendVersion(w.over.room(31+len(v.value)), v))
	w.batch.Set(key, value)
	w.over.add(key, value)
	w.key = appendRevisionKey(w.key[:0], v.at)
	w.value = appendRevisionEntry(w.value[:0], v.tombstone, v.key)
	w.batch.Set(w.key, w.value)
	w.attach(v.key, from, v.lease)
	w.store.cache.put(v.key, metaOf(v, !v.tombstone))
	if w.told != nil {
		w.told.add(v)
	}
}
