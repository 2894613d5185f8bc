package sim

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// link is the way from one server to another.
type link struct {
	from, to int
	cuts     int          // how many partitions cut it
	loss     int          // of a million messages, lost by itself, in an ending
	strikes  int          // how many faults it has had
	clogged  int64        // nothing arrives before
	latest   int64        // when the last message that keeps its place arrives
	verified raft.EntryID // what the latest reply told
	labels   linkLabels
}

// linkLabels are the labels under which a link's choices are made: made once, because messages are many.
type linkLabels struct{ drop, delay, duplicate, again, repeat, later, reorder, late, flip, bit string }

func newLink(from, to int) *link {
	label := func(what string) string { return fmt.Sprintf("net.%s %d>%d", what, from+1, to+1) }
	return &link{from: from, to: to, labels: linkLabels{
		drop: label("drop"), delay: label("delay"), duplicate: label("duplicate"), again: label("again"), repeat: label("repeat"),
		later: label("later"), reorder: label("reorder"), late: label("late"), flip: label("flip"), bit: label("bit"),
	}}
}

func (w *world) link(from, to int) *link { return w.links[from*len(w.servers)+to] }

// send lets a message leave.
func (w *world) send(from int, m replica.Outgoing) {
	to := int(m.To) - 1
	if to < 0 || to >= len(w.servers) || to == from {
		w.check.Fail("N1", "server %d sends to server %d", from+1, m.To)
		return
	}
	l := w.link(from, to)
	w.counts.Messages++
	w.countIdle()
	if w.plan.churn.deaf && !w.ending && wire.MessageKind(m.Message[0]) == wire.KindTimeoutNow {
		w.counts.Lost++
		return
	}
	if l.cuts > 0 || w.dice.chance(l.labels.drop, max(w.plan.drop, l.loss)) {
		w.counts.Lost++
		return
	}
	w.deliverAt(l, w.arrival(l), m.Message)
	if w.dice.chance(l.labels.duplicate, w.plan.duplicate) {
		w.counts.Duplicated++
		w.deliverAt(l, w.now+w.plan.minDelay+w.dice.spread(l.labels.again, 4*w.plan.meanDelay), slices.Clone(m.Message))
	}
	if w.dice.chance(l.labels.repeat, w.plan.repeat) { // long after: of a term that is over, maybe
		w.counts.Duplicated++
		w.deliverAt(l, w.now+w.dice.spread(l.labels.later, w.plan.repeatAfter), slices.Clone(m.Message))
	}
}

// arrival returns when a message that leaves now arrives.
func (w *world) arrival(l *link) int64 {
	p := &w.plan
	at := w.now + p.minDelay + w.dice.spread(l.labels.delay, p.meanDelay)
	if w.dice.chance(l.labels.reorder, p.reorder) {
		return max(at+w.dice.spread(l.labels.late, 16*p.meanDelay), l.clogged)
	}
	at = max(at, l.clogged)
	if p.ordered {
		at = max(at, l.latest)
		l.latest = at
	}
	return at
}

// deliverAt plans an arrival. On its way a bit may flip.
func (w *world) deliverAt(l *link, at int64, message []byte) {
	flipped := any(nil)
	if w.dice.chance(l.labels.flip, w.plan.flip) {
		message = slices.Clone(message)
		bit := w.dice.below(l.labels.bit, 8*len(message))
		message[bit/8] ^= 1 << (bit % 8)
		flipped = true
	}
	w.wedges.onTheWay++
	w.queue.add(event{at: at, kind: evDeliver, server: l.to, life: anyLife, number: uint64(l.from), data: flipped, bytes: message})
}

// deliver hands an arriving message to the server, as a link of the host does.
func (w *world) deliver(s *server, e *event) {
	w.wedges.onTheWay--
	if w.link(int(e.number), s.index).cuts > 0 || !s.up {
		w.counts.Lost++
		return
	}
	m, err := wire.DecodeMessage(e.bytes)
	switch {
	case e.data != nil && err == nil:
		w.check.Fail("N2", "a message to server %d had a bit flipped, and was taken: %x", s.id, e.bytes)
		return
	case e.data != nil:
		w.counts.Flipped++
		return
	case err != nil:
		w.check.Fail("N2", "server %d cannot read a message of server %d: %v", s.id, e.number+1, err)
		return
	case m.Group != group:
		w.check.Fail("N2", "server %d got a message of group %d", s.id, m.Group)
		return
	}
	if w.options.Detailed && s.isNews(w.link(int(e.number), s.index), &m) {
		w.tell(s, "gets from %d in term %d: %s", e.number+1, m.Term, describeMessage(&m))
	}
	switch body := m.Body.(type) {
	case *raft.AppendEntriesReply:
		s.gotReply = true
	case *wire.Forward:
		if core := s.replica.Core(); m.Term != core.CurrentTerm() && len(body.Commands) > 0 {
			w.counts.TermFences++
		}
	}
	s.put(replica.Receive{From: raft.ServerID(e.number + 1), Message: m})
}

// checkSent shows a leaving message to the checker.
func (s *server) checkSent(m *replica.Outgoing) {
	decoded, err := wire.DecodeMessage(m.Message)
	if err != nil {
		s.world.check.Fail("N2", "server %d sends what nobody can read: %v", s.id, err)
		return
	}
	s.checks.Sent(m.To, &decoded)
	switch body := decoded.Body.(type) {
	case *wire.Forward:
		s.noteForward(decoded.Term, body)
	case *raft.RequestVoteReply:
		s.witness.sent = s.witness.sent || body.Granted && decoded.Term == s.witness.voteTerm
	}
}

// noteForward counts batches that are sent again, and commands that are handed to another leader.
func (s *server) noteForward(term raft.Term, f *wire.Forward) {
	w := s.world
	if term == s.seen.forwardTerm && f.Batch <= s.seen.forwarded {
		w.counts.ForwardedAgain++
		return
	}
	s.seen.forwardTerm, s.seen.forwarded = term, f.Batch
	for _, b := range f.Commands {
		command, err := wire.DecodeCommand(b)
		if err != nil {
			continue
		}
		if r := w.requests[check.IDOf(command.User)]; r != nil {
			if r.handedIn != 0 && r.handedIn != term {
				w.counts.HandedOn++
				r.handedOn = true
			}
			r.handedIn = term
		}
	}
}
