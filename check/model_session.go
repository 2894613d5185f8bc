package check

import (
	"reflect"

	"github.com/quorate/quorate/kv"
)

// Open begins a session that lives for TTL seconds. Its id is the index at which it is applied.
type Open struct{ TTL int64 }

// Numbered is one copy of a request of a session.
type Numbered struct {
	Session, Number, Acknowledged uint64
	Request                       Request
}

// Close ends a session.
type Close struct{ Session uint64 }

// KeepAlive lets a session live on.
type KeepAlive struct{ Session, Acknowledged uint64 }

// ExpireSessions ends those of the sessions whose time is over.
type ExpireSessions struct{ IDs []int64 }

func (Open) isRequest()           {}
func (Numbered) isRequest()       {}
func (Close) isRequest()          {}
func (KeepAlive) isRequest()      {}
func (ExpireSessions) isRequest() {}

// Bounds of sessions, as docs/adr/0013 has them.
const (
	sessionWindow = 1024
	minSessionTTL = 5
	maxSessionTTL = 24 * 60 * 60
)

// modelSession is a session that lives, with all that was ever done in it.
type modelSession struct {
	ttl          int64
	deadline     uint64
	acknowledged uint64
	done         map[uint64]modelDone // by number
}

type modelDone struct {
	request  Request
	response Response
}

// Sessions is how many there are.
func (m *Model) Sessions() int { return len(m.sessions) }

func (m *Model) open(q Open) Response {
	if m.sessions == nil {
		m.sessions = map[uint64]*modelSession{}
	}
	s := &modelSession{ttl: min(max(q.TTL, minSessionTTL), maxSessionTTL), done: map[uint64]modelDone{}}
	s.deadline = m.time + uint64(s.ttl)*1.25e9
	m.sessions[m.index] = s
	return Response{Session: m.index, TTLs: []int64{s.ttl}, Count: sessionWindow}
}

// renew makes sure that a session has its whole time. The deadline is a quarter later than it need be.
func (s *modelSession) renew(now uint64) {
	if s.deadline < now+uint64(s.ttl)*1e9 {
		s.deadline = now + uint64(s.ttl)*1.25e9
	}
}

func (m *Model) numbered(q Numbered) Response {
	s := m.sessions[q.Session]
	if s == nil {
		return Response{Code: kv.CodeSessionNotFound}
	}
	s.renew(m.time)
	acknowledged := max(s.acknowledged, q.Acknowledged)
	before, again := s.done[q.Number]
	switch {
	case q.Number <= acknowledged:
		return Response{Code: kv.CodeRequestStale}
	case again && !reflect.DeepEqual(before.request, q.Request):
		return Response{Code: kv.CodeRequestMismatch}
	case again:
		m.repeated = true
		return before.response
	case q.Number-acknowledged > sessionWindow:
		return Response{Code: kv.CodeSessionFull}
	}
	r := m.execute(q.Request)
	m.endRevision()
	r.Revision = m.revision
	s.done[q.Number], s.acknowledged = modelDone{q.Request, r}, acknowledged
	return r
}

func (m *Model) closeSession(q Close) Response {
	if m.sessions[q.Session] == nil {
		return Response{Code: kv.CodeSessionNotFound}
	}
	delete(m.sessions, q.Session)
	return Response{}
}

func (m *Model) keepAlive(q KeepAlive) Response {
	s := m.sessions[q.Session]
	if s == nil {
		return Response{Code: kv.CodeSessionNotFound}
	}
	s.renew(m.time)
	s.acknowledged = max(s.acknowledged, q.Acknowledged)
	return Response{TTLs: []int64{s.ttl}}
}

func (m *Model) expireSessions(q ExpireSessions) (r Response) {
	for _, id := range q.IDs {
		if s := m.sessions[uint64(id)]; s != nil && s.deadline <= m.time {
			delete(m.sessions, uint64(id))
			r.Count++
		}
	}
	return r
}

// request names what was asked for under a number of a session.
type numberedRequest struct{ session, number uint64 }

// answeredOnce checks that a request of a session has one answer, and with it one effect: all its copies
// are answered alike, whatever a sequential store would say. Refusals by the session itself are no answers.
func (h *history) answeredOnce(c *Checker, op *Op, got *Response) {
	q, ok := op.Request.(Numbered)
	if !ok {
		return
	}
	switch got.Code {
	case kv.CodeSessionNotFound, kv.CodeRequestStale, kv.CodeRequestMismatch, kv.CodeSessionFull:
		return
	}
	name := numberedRequest{q.Session, q.Number}
	if before, again := h.answered[name]; !again {
		h.answered[name] = *got
	} else if !before.Equal(got) {
		c.fail("S3", "request %d of session %d was answered with %+v, and is answered at %d with %+v", q.Number, q.Session, before, op.index, *got)
	}
}
