package sim

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
)

// calling is what a world remembers of clients with sessions.
type calling struct{ clients []*caller }

// caller is a client with a session: it has several requests under way, and sends copies of them to other
// servers while it has no answer, as package client does. Each copy is a request of its own to the rest of
// the world; that it is a copy only the store knows, and the checks.
type caller struct {
	world  *world
	index  int
	drawer *client // makes up requests
	labels callerLabels

	session      uint64 // 0: none
	newest       uint64 // number given out
	acknowledged uint64
	pending      []*numberedCall          // ascending, without those that have ended
	kept         map[uint64]*numberedCall // all that copies are on their way of, or were lately
}

type callerLabels struct{ server, asks, pace, what, which, patience string }

// numberedCall is one request of a session.
type numberedCall struct {
	session, number uint64
	request         check.Request
	copies          int
	outstanding     int // copies on their way
	ended           bool
	answer          []byte // the first; nil: none yet
	since           int    // how often the leader had changed when it was made, for marks
	crashes         int
}

func newCaller(w *world, index int) *caller {
	label := func(what string) string { return fmt.Sprintf("session.%s %d", what, index+1) }
	return &caller{
		world: w, index: index, drawer: newDrawer("session", 100+index), kept: map[uint64]*numberedCall{},
		labels: callerLabels{
			server: label("at"), asks: label("asks"), pace: label("pace"), what: label("what"), which: label("which"), patience: label("waits"),
		},
	}
}

// beginCalling lets clients with sessions begin.
func (w *world) beginCalling() {
	if w.plan.session.clients == 0 {
		return
	}
	w.counts.Sessioned = 1
	for i := range w.plan.session.clients {
		c := newCaller(w, i)
		w.calling.clients = append(w.calling.clients, c)
		c.later()
	}
}

// later plans what the client does next. Now and then it is busy with something else, until its session is
// about to end.
func (c *caller) later() {
	w := c.world
	wait := w.dice.spread(c.labels.pace, w.plan.session.pace)
	if c.session != 0 && w.dice.below(c.labels.pace, 60) == 0 {
		wait += c.untilDue()
	}
	w.queue.add(event{at: w.now + wait, kind: evSession, server: none, life: anyLife, number: uint64(c.index)})
}

// untilDue is how long it takes until somebody will end the client's session: only the world can know.
func (c *caller) untilDue() int64 {
	w := c.world
	for _, s := range w.servers {
		if !s.up {
			continue
		}
		session, _ := s.machine.store.Session(c.session)
		if now := s.replica.Status().LogTime; session.Deadline > now {
			return int64(session.Deadline - now + w.plan.session.lessor.Slack)
		}
	}
	return 0
}

// act does the next thing.
func (c *caller) act() {
	w := c.world
	if w.ending {
		return
	}
	c.later()
	s := w.servers[w.dice.below(c.labels.server, len(w.servers))]
	if !s.up || !w.dice.chance(c.labels.asks, askShare) {
		return
	}
	asked, call := c.next()
	if asked == nil {
		return
	}
	r := &request{Op: check.Op{Request: asked}, caller: c, call: call}
	w.ask(s, r)
	if w.plan.patience > 0 {
		patience := w.dice.spread(c.labels.patience, w.plan.patience)
		w.queue.add(event{at: w.now + patience, kind: evDeadline, server: s.index, life: s.life, number: r.ID})
	}
	s.mayTurn()
}

// next returns what is to be asked for, and of which call it is a copy, if it is of one.
func (c *caller) next() (check.Request, *numberedCall) {
	w := c.world
	d, l, p := w.dice, &c.labels, &w.plan.session
	if c.session == 0 {
		return check.Open{TTL: int64(p.ttl)}, nil
	}
	switch d.below(l.what, 100) {
	case 0:
		if len(c.pending) == 0 {
			id := c.session
			c.lose()
			return check.Close{Session: id}, nil
		}
	case 1:
		return check.KeepAlive{Session: c.session, Acknowledged: c.acknowledged}, nil
	case 2: // one that is over: what comes of it is nobody's any more, but it must not take effect again
		if len(c.kept) > 0 && c.newest > 0 {
			if old := c.kept[1+uint64(d.below(l.which, int(min(c.newest, 1<<30))))]; old != nil {
				return c.copyOf(old), old
			}
		}
	}
	for _, call := range c.pending {
		if call.outstanding > 0 && !d.chance(l.which, p.hasty) {
			continue
		}
		if call.copies < p.copies {
			return c.copyOf(call), call
		}
		if call.outstanding == 0 {
			c.end(call) // it is given up: from now on it may be acknowledged
			break
		}
	}
	if len(c.pending) >= p.inFlight {
		return nil, nil
	}
	c.newest++
	call := &numberedCall{session: c.session, number: c.newest, request: c.draw(), since: w.counts.LeaderChanges, crashes: w.counts.Crashes}
	c.pending = append(c.pending, call)
	c.kept[call.number] = call
	return c.copyOf(call), call
}

// draw makes up a write.
func (c *caller) draw() check.Request {
	w := c.world
	switch k := w.dice.below(c.drawer.labels.kind, 20); {
	case k < 12:
		return w.drawPut(c.drawer)
	case k < 15:
		return w.drawDelete(c.drawer)
	case k < 19:
		return w.drawTxn(c.drawer)
	}
	return check.Compact{Revision: max(1, c.drawer.revision-int64(w.dice.below(c.drawer.labels.compact, 20)))}
}

// copyOf is what is sent now. What it acknowledges is never what is under way, nor itself.
func (c *caller) copyOf(call *numberedCall) check.Request {
	call.copies++
	call.outstanding++
	if call.copies > 1 {
		c.world.counts.Copies++
	}
	return check.Numbered{Session: call.session, Number: call.number, Acknowledged: min(c.acknowledged, call.number-1), Request: call.request}
}

// end notes that the client needs no answer to a call any more.
func (c *caller) end(call *numberedCall) {
	call.ended = true
	for len(c.pending) > 0 && c.pending[0].ended {
		c.pending = c.pending[1:]
	}
	if call.session != c.session {
		return
	}
	c.acknowledged = c.newest
	if len(c.pending) > 0 {
		c.acknowledged = c.pending[0].number - 1
	}
}

// lose forgets the session.
func (c *caller) lose() {
	c.session, c.newest, c.acknowledged, c.pending = 0, 0, 0, nil
	c.kept = map[uint64]*numberedCall{}
}

// done takes the answer to a copy, or to something about the session.
func (c *caller) done(r *request, answer []byte) {
	w := c.world
	response, err := decode(r.Request, answer)
	if err != nil {
		return // K1 has said so
	}
	switch q := r.Request.(type) {
	case check.Open:
		if c.session == 0 {
			w.counts.Sessions++
			c.session = response.Session
		}
	case check.KeepAlive:
		if response.Code == kv.CodeSessionNotFound && q.Session == c.session {
			c.lose()
		}
	case check.Numbered:
		c.copyDone(r.call, &response, answer)
	}
}

// copyDone takes the answer to a copy.
func (c *caller) copyDone(call *numberedCall, response *check.Response, answer []byte) {
	w := c.world
	call.outstanding--
	switch response.Code {
	case kv.CodeSessionNotFound:
		if call.session == c.session {
			w.mark(sessionLost)
			c.lose()
		}
		return
	case kv.CodeRequestStale:
		if !call.ended && call.session == c.session {
			w.check.Fail("S3", "request %d of session %d is refused as acknowledged, though its client waits for the answer", call.number, call.session)
		}
		w.mark(staleCopyRefused)
		return
	case kv.CodeRequestMismatch, kv.CodeSessionFull:
		w.check.Fail("S3", "request %d of session %d: %v", call.number, call.session, response.Code)
		return
	}
	c.drawer.revision = max(c.drawer.revision, response.Revision)
	switch {
	case call.answer == nil:
		call.answer = answer
		w.counts.Called++
	case !bytes.Equal(call.answer, answer):
		w.check.Fail("S3", "request %d of session %d was answered with %x, and is with %x", call.number, call.session, call.answer, answer)
	default:
		w.mark(copyAnsweredAlike)
		if w.counts.LeaderChanges > call.since {
			w.mark(copyAfterLeader)
		}
		if w.counts.Crashes > call.crashes {
			w.mark(copyAfterCrash)
		}
	}
	if !call.ended {
		c.end(call)
	}
}

// ended lets the client go on without an answer to a copy.
func (c *caller) ended(r *request, _ check.Outcome) {
	if r.call != nil {
		r.call.outstanding--
	}
}
