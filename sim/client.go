package sim

import (
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// client makes one request after the other, at any server.
type client struct {
	index    int
	server   int // where it goes if it is sticky
	serial   int // of its latest value
	revision int64
	labels   clientLabels
}

type clientLabels struct {
	think, asks, server, read, stale, past, kind, key, end, prev, limit, target, relation, patience, compact, large, lease string
}

func newClient(index int) *client { return newDrawer("client", index) }

// newDrawer returns a client with choices of its own, or what makes up requests for another kind of client.
func newDrawer(kind string, index int) *client {
	label := func(what string) string { return fmt.Sprintf("%s.%s %d", kind, what, index+1) }
	return &client{index: index, labels: clientLabels{
		think: label("think"), asks: label("asks"), server: label("server"), read: label("read"), stale: label("stale"), past: label("past"),
		kind: label("kind"), key: label("key"), end: label("end"), prev: label("prev"), limit: label("limit"),
		target: label("target"), relation: label("relation"), patience: label("patience"), compact: label("compact"),
		large: label("large"), lease: label("lease"),
	}}
}

// request is one request that is under way.
type request struct {
	check.Op
	client *client       // nil: the world's own
	holder *holder       // whose it is, if it is about a lease
	caller *caller       // whose it is, if it is of a client with a session
	call   *numberedCall // of which it is a copy, if it is of one
	ender  *ender        // it is the server's own, to end what is due
	server int
	bytes  []byte
	read   bool
	// large: it does not fit into an entry.
	large bool
	loop  int  // of the ending, from 1; 0: none
	storm bool // it is of a storm of reads
	// handedIn is the term in which it was forwarded last.
	handedIn raft.Term
	handedOn bool // and was forwarded in an earlier one before
	// leaderTerm is that of the latest leader when the request was made, and called when that was.
	leaderTerm raft.Term
	called     int64
}

// askShare is how many of a million requests are made. Nearly all: it is asked so that whoever shrinks a
// world can leave one out.
const askShare = 990_000

// act lets a client make its next request.
func (w *world) act(c *client) {
	if w.ending {
		return
	}
	s := w.servers[w.chooseServer(c)]
	if !s.up {
		w.clientLater(c) // the connection is refused: nothing has happened
		return
	}
	r, patience := w.draw(c), w.dice.spread(c.labels.patience, w.plan.patience)
	if !w.dice.chance(c.labels.asks, askShare) {
		w.clientLater(c)
		return
	}
	w.ask(s, r)
	if patience > 0 {
		w.queue.add(event{at: w.now + patience, kind: evDeadline, server: s.index, life: s.life, number: r.ID})
	}
	s.mayTurn()
}

func (w *world) chooseServer(c *client) int {
	if !w.plan.sticky || c.serial == 0 || !w.servers[c.server].up {
		c.server = w.dice.below(c.labels.server, len(w.servers))
	}
	return c.server
}

// ask brings a request to a server.
func (w *world) ask(s *server, r *request) {
	w.lastID++
	r.ID, r.Server, r.server, r.leaderTerm, r.called = w.lastID, s.id, s.index, w.leaderTerm, w.now
	w.counts.Requests++
	w.wedges.busy(w.now)
	w.check.Called(&r.Op)
	if w.options.Detailed {
		w.tell(s, "is asked: request %d, %s", r.ID, describe(r))
	}
	kind, bytes := encode(r.Request)
	r.bytes = bytes
	switch {
	case r.read && r.Serializable:
		w.counts.StaleReads++
		w.serve(s, r, 0)
	case r.read:
		w.requests[r.ID] = r
		s.put(replica.Read{Handle: r.ID})
	default:
		w.requests[r.ID] = r
		user := check.UserOf(r.ID)
		if r.large {
			w.counts.TooLarge++
			user = append(user, make([]byte, wire.MaxUserBytes)...)
		}
		s.put(replica.Propose{Handle: r.ID, Command: wire.Command{Kind: uint8(kind), User: user, Request: bytes, Session: numberOf(r.Request)}})
	}
}

// serve answers a read from the state machine.
func (w *world) serve(s *server, r *request, index raft.Index) {
	answer, err := s.machine.read(r.bytes)
	if err != nil {
		s.stateFails("K1", err, "it cannot read")
		w.ended(r, check.Unknown)
		return
	}
	w.trace.addBytes(answer)
	w.check.Read(&r.Op, index, s.lastApplied(), answer)
	w.counts.Done++
	w.done(r, answer)
}

// answer takes a replica's answer to a request.
func (w *world) answer(s *server, a *replica.Answer) {
	if a.Handle > changeHandles {
		w.changed(s, a)
		return
	}
	r := w.requests[a.Handle]
	if r == nil || r.server != s.index {
		w.check.Fail("S2", "server %d answers request %d, which does not wait there", s.id, a.Handle)
		return
	}
	delete(w.requests, a.Handle)
	s.witnessAnswer(r, a)
	w.trace.add(a.Handle<<8 | uint64(a.Outcome))
	switch a.Outcome {
	case replica.Done:
		if r.read {
			w.counts.Reads++
			if s.seen.role != raft.Leader {
				w.counts.FollowerReads++
			}
			w.serve(s, r, a.Index)
			return
		}
		w.counts.Done++
		w.check.Wrote(&r.Op, a.Index, a.Value)
		w.done(r, a.Value)
	case replica.Unknown:
		w.counts.Unknown++
		w.ended(r, check.Unknown)
	default:
		w.counts.Never++
		w.ended(r, check.Never)
	}
}

// done lets the client go on with its answer.
func (w *world) done(r *request, answer []byte) {
	if w.options.Detailed {
		w.tell(w.servers[r.server], "answers request %d", r.ID)
	}
	switch {
	case r.holder != nil:
		r.holder.done(r, answer)
		return
	case r.caller != nil:
		r.caller.done(r, answer)
		return
	case r.ender != nil:
		r.ender.waits = false
		return
	case r.client == nil:
		w.loadDone(r)
		w.stormEnded(r)
		return
	}
	if response, err := decode(r.Request, answer); err == nil {
		r.client.revision = max(r.client.revision, response.Revision)
		if _, ok := r.Request.(check.Compact); ok && response.Code == 0 {
			w.counts.Compactions++
		}
		if r.read && response.Code == kv.CodeCompacted {
			w.mark(readOfCompacted)
		}
	}
	w.clientLater(r.client)
}

// ended lets the client go on without one.
func (w *world) ended(r *request, outcome check.Outcome) {
	w.check.Ended(&r.Op, outcome)
	if w.options.Detailed {
		w.tell(w.servers[r.server], "the outcome of request %d is %v", r.ID, outcome)
	}
	if w.plan.calm && outcome == check.Unknown {
		w.check.Fail("B1", "the outcome of request %d is unknown, though nothing had happened", r.ID)
	}
	switch {
	case r.holder != nil:
		r.holder.ended(r, outcome)
		return
	case r.caller != nil:
		r.caller.ended(r, outcome)
		return
	case r.ender != nil:
		r.ender.waits = false
		return
	case r.client == nil:
		w.loadEnded(r)
		w.stormEnded(r)
		return
	}
	w.clientLater(r.client)
}

// endRequests ends what waits at a server that has crashed.
func (w *world) endRequests(s *server) {
	w.operatorLoses(s)
	var lost []*request
	for id := w.oldestID; id <= w.lastID; id++ {
		if r := w.requests[id]; r != nil && r.server == s.index {
			lost = append(lost, r)
			delete(w.requests, id)
		}
	}
	for _, r := range lost {
		w.counts.Unknown++
		if !r.read {
			w.abandoned[r.ID] = struct{}{}
		}
		w.ended(r, check.Unknown)
	}
	for w.oldestID <= w.lastID && w.requests[w.oldestID] == nil {
		w.oldestID++
	}
}

// clientLater plans a client's next request.
func (w *world) clientLater(c *client) {
	w.queue.add(event{at: w.now + w.dice.spread(c.labels.think, w.plan.think), kind: evClient, server: none, life: anyLife, number: uint64(c.index)})
}

// draw makes up a request. Every value is written once, so that a read tells who wrote it.
func (w *world) draw(c *client) *request {
	d, l := w.dice, &c.labels
	r := &request{client: c}
	if d.chance(l.read, w.plan.readShare) {
		r.read = true
		r.Request = w.drawRange(c)
		r.Serializable = d.chance(l.stale, w.plan.staleShare)
		return r
	}
	r.large = d.chance(l.large, 2_000)
	switch k := d.below(l.kind, 20); {
	case k < 10:
		r.Request = w.drawPut(c)
	case k < 13:
		r.Request = w.drawDelete(c)
	case k < 19:
		r.Request = w.drawTxn(c)
	default:
		r.Request = check.Compact{Revision: max(1, c.revision-int64(d.below(l.compact, 20)))}
	}
	return r
}

func (w *world) drawKey(c *client) string {
	return fmt.Sprintf("k%02d", w.dice.below(c.labels.key, w.plan.keys))
}

// drawEnd returns the end of a range that begins at key: none, some keys on, or everything.
func (w *world) drawEnd(c *client) string {
	switch w.dice.below(c.labels.end, 4) {
	case 0:
		return fmt.Sprintf("k%02d", w.dice.below(c.labels.key, w.plan.keys))
	case 1:
		return "\x00"
	}
	return ""
}

func (w *world) drawRange(c *client) check.Range {
	q := check.Range{Key: w.drawKey(c), End: w.drawEnd(c)}
	if w.dice.below(c.labels.limit, 4) == 0 {
		q.Limit = 1 + int64(w.dice.below(c.labels.limit, 3))
	}
	if w.dice.below(c.labels.past, 5) == 0 {
		q.Revision = max(0, c.revision-int64(w.dice.below(c.labels.past, 30)))
	}
	return q
}

func (w *world) drawPut(c *client) check.Put {
	c.serial++
	put := check.Put{Key: w.drawKey(c), Value: fmt.Sprintf("%d.%d", c.index+1, c.serial), PrevKV: w.dice.either(c.labels.prev)}
	put.Lease = w.drawLease(c.labels.lease)
	return put
}

func (w *world) drawDelete(c *client) check.Delete {
	return check.Delete{Key: w.drawKey(c), End: w.drawEnd(c), PrevKV: w.dice.either(c.labels.prev)}
}

// drawTxn makes up a transaction that compares and sets one key, and reads around it.
func (w *world) drawTxn(c *client) check.Txn {
	d, l := w.dice, &c.labels
	key := w.drawKey(c)
	targets := 4
	if w.plan.lease.holders > 0 {
		targets++
	}
	compare := check.Compare{
		Key: key, Target: check.Target(d.below(l.target, targets)), Result: check.Relation(d.below(l.relation, 4)),
		Number: int64(d.below(l.past, 4)), Value: fmt.Sprintf("%d", 1+d.below(l.past, 9)),
	}
	if compare.Target == check.TargetMod || compare.Target == check.TargetCreate {
		compare.Number = max(0, c.revision-int64(d.below(l.past, 10)))
	}
	if compare.Target == check.TargetLease {
		compare.Number = w.drawLease(l.lease)
	}
	put := w.drawPut(c)
	put.Key = key
	return check.Txn{
		Compares: []check.Compare{compare},
		Success:  []check.Request{w.drawRange(c), put, check.Range{Key: key}},
		Failure:  []check.Request{check.Delete{Key: key, PrevKV: d.either(l.prev)}, w.drawRange(c)},
	}
}
