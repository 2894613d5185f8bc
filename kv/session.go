package kv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	//tidy:impure whoever ends sessions is another goroutine than the writer
	"sync"

	"github.com/quorate/quorate/session"
)

// A client that is not answered may send its command again, with the number that it has in the client's
// session: it takes effect once, and is answered alike each time. The table of what has taken effect is
// part of the state. Its rows go into the batch of the command itself, so a crash leaves both or neither,
// and a restart that applies the log again decides as before.

// sessions are all that there are: the writer's table. The writer changes it together with its batch.
type sessions struct {
	mu    sync.Mutex // guards table
	table session.Table
}

// answered are the commands of sessions that the batch under way has executed: their answers are not in
// the engine yet.
type answered map[numbered]*Answer

// numbered names a request of a session.
type numbered struct{ session, sequence uint64 }

// inSession executes a command that is of a session, unless it was executed before.
func (w *writer) inSession(c *Command, a *Answer) error {
	if !inSessions(c.Kind) {
		*a = Answer{Err: CodeMalformed, Revision: w.now.revision}
		return nil
	}
	check := checkOf(c.Kind, c.Request)
	s := &w.store.sessions
	s.mu.Lock()
	verdict := s.table.Decide(c.Session, check)
	row, renewed := s.table.Renew(c.Session.ID, w.now.time)
	s.mu.Unlock()
	if renewed {
		w.setSession(&row)
	}
	switch verdict {
	case session.Fresh:
		if err := w.once(c, a); err != nil {
			return err
		}
		w.record(c, check, a)
		return nil
	case session.Repeated:
		return w.recall(c, a)
	}
	*a = Answer{Err: refusedAs(verdict), Revision: w.now.revision}
	return nil
}

// inSessions tells which commands may be of a session: those that clients may want to repeat.
func inSessions(kind Kind) bool {
	switch kind {
	case KindPut, KindDeleteRange, KindTxn, KindCompact, KindLeaseGrant, KindLeaseRevoke:
		return true
	}
	return false
}

func refusedAs(v session.Verdict) Code {
	switch v {
	case session.Unknown:
		return CodeSessionNotFound
	case session.Stale:
		return CodeRequestStale
	case session.Full:
		return CodeSessionFull
	case session.Mismatch:
		return CodeRequestMismatch
	}
	return CodeAnswerDropped
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkOf tells a request from others of the same session: two processes that have one session by mistake,
// a copied machine say, shall not be given each other's answers. Of a lease only the id counts: the time
// may be raised by the server that a request comes to.
func checkOf(kind Kind, request []byte) uint32 {
	if kind == KindLeaseGrant {
		var r leaseGrantRequest
		r.decode(request)
		request = GrantRequest(r.id, 0)
	}
	return crc32.Update(crc32.Update(0, castagnoli, []byte{byte(kind)}), castagnoli, request)
}

// record notes what a command was answered.
func (w *writer) record(c *Command, check uint32, a *Answer) {
	n := c.Session
	w.body = a.Append(w.body[:0])
	s := &w.store.sessions
	s.mu.Lock()
	row, pruned := s.table.Record(n, check, len(w.body))
	s.mu.Unlock()
	w.forget(n.ID, pruned)
	w.key = answerKey(w.key[:0], n.ID, n.Sequence)
	w.value = session.AppendAnswer(w.value[:0], &row, w.body)
	w.batch.Set(w.key, w.value)
	if w.answered == nil {
		w.answered = make(answered)
	}
	w.answered[numbered{n.ID, n.Sequence}] = a
	if cap(w.body) > arenaBytes {
		w.body = nil
	}
	if cap(w.value) > arenaBytes {
		w.value = nil
	}
}

// recall gives the answer that a command was given before.
func (w *writer) recall(c *Command, a *Answer) error {
	if before := w.answered[numbered{c.Session.ID, c.Session.Sequence}]; before != nil {
		*a = *before
		return nil
	}
	var err error
	*a, err = w.store.readAnswer(c.Session.ID, c.Session.Sequence)
	return err
}

func (s *Store) readAnswer(id, sequence uint64) (a Answer, err error) {
	key := answerKey(nil, id, sequence)
	it, err := s.engine.NewIterator(key, nil)
	if err != nil {
		return Answer{}, fmt.Errorf("answer %d of session %d: %w", sequence, id, err)
	}
	defer func() { err = joinClose(err, it.Close) }()
	value, ok := find(it, key)
	if !ok {
		return Answer{}, cmp.Or(it.Error(), fmt.Errorf("answer %d of session %d is missing: %w", sequence, id, ErrCorrupt))
	}
	_, _, _, answer, err := session.ParseAnswer(key[1:], value)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if a, err = ParseAnswer(append([]byte(nil), answer...)); err != nil {
		return Answer{}, fmt.Errorf("answer %d of session %d: %w: %w", sequence, id, ErrCorrupt, err)
	}
	return a, nil
}

// forget deletes the rows of answers.
func (w *writer) forget(id uint64, sequences []uint64) {
	for _, sequence := range sequences {
		w.key = answerKey(w.key[:0], id, sequence)
		w.batch.Delete(w.key)
	}
}

func (w *writer) setSession(row *session.Session) {
	w.key = sessionKey(w.key[:0], row.ID)
	w.value = session.AppendRow(w.value[:0], row)
	w.batch.Set(w.key, w.value)
}

func sessionKey(b []byte, id uint64) []byte { return session.AppendKey(append(b, spaceSessions), id) }

func answerKey(b []byte, id, sequence uint64) []byte {
	return session.AppendAnswerKey(append(b, spaceAnswers), id, sequence)
}

// sessionOpenRequest is package session's OpenRequest.
type sessionOpenRequest struct{ ttl uint64 }

func (r *sessionOpenRequest) decode(b []byte) Code {
	return eachField(b, func(f field) bool {
		r.ttl = f.int
		return f.is(session.FieldRequestTTL, varint)
	})
}

// sessionRequest is its KeepAliveRequest and its CloseRequest.
type sessionRequest struct{ id, acknowledged uint64 }

func (r *sessionRequest) decode(b []byte) Code {
	return eachField(b, func(f field) bool {
		switch {
		case f.is(session.FieldRequestID, varint):
			r.id = f.int
		case f.is(session.FieldRequestAcknowledged, varint):
			r.acknowledged = f.int
		default:
			return false
		}
		return true
	})
}

// executeSessionOpen begins a session, whose id is the index of the command: no other will ever have it.
func (w *writer) executeSessionOpen(b, request []byte) ([]byte, Code) {
	var r sessionOpenRequest
	if code := r.decode(request); code != CodeOK {
		return b, code
	}
	s := &w.store.sessions
	s.mu.Lock()
	row, ok := s.table.Open(w.now.applied, r.ttl, w.now.time)
	s.mu.Unlock()
	if !ok {
		return b, CodeTooManySessions
	}
	w.setSession(&row)
	b = session.AppendField(b, session.FieldID, row.ID)
	b = session.AppendField(b, session.FieldTTL, row.TTL)
	return session.AppendField(b, session.FieldWindow, session.Window), CodeOK
}

// executeSessionKeepAlive lets a session live on, and forgets what its client has the answers of.
func (w *writer) executeSessionKeepAlive(b, request []byte) ([]byte, Code) {
	var r sessionRequest
	if code := r.decode(request); code != CodeOK {
		return b, code
	}
	s := &w.store.sessions
	s.mu.Lock()
	_, renewed := s.table.Renew(r.id, w.now.time)
	_, acknowledged, pruned := s.table.Acknowledge(r.id, r.acknowledged)
	row, found := s.table.Get(r.id)
	s.mu.Unlock()
	if !found {
		return b, CodeSessionNotFound
	}
	w.forget(r.id, pruned)
	if renewed || acknowledged {
		w.setSession(&row)
	}
	return session.AppendField(b, session.FieldKeepAliveTTL, row.TTL), CodeOK
}

// executeSessionClose ends a session, whatever its deadline.
func (w *writer) executeSessionClose(request []byte) Code {
	var r sessionRequest
	if code := r.decode(request); code != CodeOK {
		return code
	}
	if !w.endSession(r.id) {
		return CodeSessionNotFound
	}
	return CodeOK
}

// executeSessionExpire ends those of the sessions whose deadline has passed by the command's own time. The
// others live: there was a command of theirs after somebody found that they were due. The body is a uvarint:
// how many have ended; ParseExpired reads it.
func (w *writer) executeSessionExpire(b []byte, list leaseList) ([]byte, Code) {
	ids, code := list.ids()
	if code != CodeOK {
		return b, code
	}
	ended := uint64(0)
	for _, id := range ids {
		if s, found := w.store.Session(uint64(id)); found && s.Deadline <= w.now.time {
			w.endSession(s.ID)
			ended++
		}
	}
	return binary.AppendUvarint(b, ended), CodeOK
}

func (w *writer) endSession(id uint64) (found bool) {
	s := &w.store.sessions
	s.mu.Lock()
	rows, found := s.table.Remove(id)
	s.mu.Unlock()
	if found {
		w.forget(id, rows)
		w.batch.Delete(sessionKey(w.key[:0], id))
	}
	return found
}

// load reads the spaces of sessions.
func (s *sessions) load(it Iterator) error {
	for ok := it.SeekGE([]byte{spaceSessions}); ok && it.Key()[0] == spaceSessions; ok = it.Next() {
		row, err := session.ParseRow(it.Key()[1:], it.Value())
		if err != nil {
			return cmp.Or(it.Error(), fmt.Errorf("load sessions: %w: %w", ErrCorrupt, err))
		}
		s.table.Load(row)
	}
	if err := it.Error(); err != nil {
		return err
	}
	for ok := it.SeekGE([]byte{spaceAnswers}); ok && it.Key()[0] == spaceAnswers; ok = it.Next() {
		id, sequence, row, answer, err := session.ParseAnswer(it.Key()[1:], it.Value())
		if err != nil {
			return cmp.Or(it.Error(), fmt.Errorf("load sessions: %w: %w", ErrCorrupt, err))
		}
		if !s.table.LoadAnswer(id, sequence, row, len(answer)) {
			return fmt.Errorf("load sessions: answer %d of session %d is not where it belongs: %w", sequence, id, ErrCorrupt)
		}
	}
	return it.Error()
}

// replace puts what is in another table in the place of what is in this one. The other is used no more.
func (s *sessions) replace(o *sessions) {
	s.mu.Lock()
	s.table = o.table
	s.mu.Unlock()
}

// Session returns a session; false if there is none with that id.
func (s *Store) Session(id uint64) (session.Session, bool) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return s.sessions.table.Get(id)
}

// SessionCount returns how many sessions there are.
func (s *Store) SessionCount() int {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return s.sessions.table.Len()
}

// SessionBytes returns how much the answers take up that are kept of sessions, roughly.
func (s *Store) SessionBytes() int {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return s.sessions.table.Bytes()
}

// DueSessions returns up to limit sessions whose deadline is at or before a log time, for whoever proposes
// to end them.
func (s *Store) DueSessions(time uint64, limit int) (ids []int64) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	for _, id := range s.sessions.table.DueBy(time, limit) {
		ids = append(ids, int64(id))
	}
	return ids
}
