package sim

import (
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
)

// leasing is what a world remembers of leases.
type leasing struct {
	clients []*holder
	// held are the leases of which a client has been told that it has them; looked up, never walked.
	held map[int64]*heldLease
	// known are the latest ids, for puts of others; some have ended.
	known []int64
}

// maxKnown bounds them.
const maxKnown = 6

// holder is a client that holds a lease: it is granted one, puts keys with it, renews it some times, and
// lets go of it, one way or another.
type holder struct {
	world  *world
	index  int
	serial int64
	labels holderLabels
	server int // where it goes

	lease    int64 // 0: none
	ttl      int64
	puts     int // still to be made
	renewals int
}

type holderLabels struct{ server, asks, ttl, puts, renewals, key, revoke, pace, others, patience string }

// heldLease is a lease as its holder sees it.
type heldLease struct {
	ttl int64
	// sent is when the last request was made that was answered well; changes, how often the leader had
	// changed by then.
	sent    int64
	changes int
	// applied is when the last of them, or somebody else's, took effect.
	applied int64
	// granted and crashes are how often the leader had changed, and servers had crashed, when it was granted:
	// for marks.
	granted, crashes int
}

func newHolder(w *world, index int) *holder {
	label := func(what string) string { return fmt.Sprintf("lease.%s %d", what, index+1) }
	return &holder{world: w, index: index, labels: holderLabels{
		server: label("server"), asks: label("asks"), ttl: label("ttl"), puts: label("puts"), renewals: label("renewals"), key: label("key"),
		revoke: label("revoke"), pace: label("pace"), others: label("others"), patience: label("patience"),
	}}
}

// beginLeasing lets clients hold leases.
func (w *world) beginLeasing() {
	if w.plan.lease.holders == 0 {
		return
	}
	w.counts.Leased = 1
	w.leasing.held = map[int64]*heldLease{}
	for i := range w.plan.lease.holders {
		h := newHolder(w, i)
		w.leasing.clients = append(w.leasing.clients, h)
		h.later(second / 2)
	}
}

// later plans what the holder does next.
func (h *holder) later(mean int64) {
	w := h.world
	w.queue.add(event{at: w.now + w.dice.spread(h.labels.pace, mean), kind: evLease, server: none, life: anyLife, number: uint64(h.index)})
}

// act does the next thing.
func (h *holder) act() {
	w := h.world
	if w.ending {
		return
	}
	if !w.servers[h.server].up || w.dice.below(h.labels.server, 4) == 0 {
		h.server = w.dice.below(h.labels.server, len(w.servers))
	}
	s := w.servers[h.server]
	if !s.up {
		h.later(second / 10)
		return
	}
	asked := h.next()
	if asked == nil || !w.dice.chance(h.labels.asks, askShare) {
		h.later(second / 2)
		return
	}
	r := &request{Op: check.Op{Request: asked}, holder: h}
	w.ask(s, r)
	if w.plan.patience > 0 {
		patience := w.dice.spread(h.labels.patience, w.plan.patience)
		w.queue.add(event{at: w.now + patience, kind: evDeadline, server: s.index, life: s.life, number: r.ID})
	}
	s.mayTurn()
}

// next returns what is to be asked for; nil if the lease is left to itself.
func (h *holder) next() check.Request {
	w := h.world
	d, l := w.dice, &h.labels
	switch {
	case h.lease == 0:
		h.serial++
		h.ttl = int64(d.between(l.ttl, 1, w.plan.lease.ttl))
		return check.Grant{ID: int64(h.index+1)<<32 | h.serial, TTL: h.ttl}
	case h.puts > 0:
		h.puts--
		return check.Put{Key: fmt.Sprintf("k%02d", d.below(l.key, w.plan.keys)), Value: fmt.Sprintf("lease %x", h.lease), Lease: h.lease}
	case h.renewals > 0:
		h.renewals--
		ids := []int64{h.lease}
		if d.below(l.others, 8) == 0 && len(w.leasing.known) > 0 { // somebody else's, too; it may be gone
			ids = append(ids, w.leasing.known[d.below(l.others, len(w.leasing.known))])
		}
		return check.Renew{IDs: ids}
	}
	id := h.lease
	h.lease = 0
	if d.below(l.revoke, 4) == 0 {
		return check.Revoke{ID: id}
	}
	return nil
}

// done takes an answer.
func (h *holder) done(r *request, answer []byte) {
	w := h.world
	response, err := decode(r.Request, answer)
	if err != nil || response.Code != kv.CodeOK {
		if h.lease != 0 && response.Code == kv.CodeLeaseNotFound {
			w.mark(leaseLost)
			h.lease = 0
		}
		h.later(second / 10)
		return
	}
	pace := second / 50
	switch q := r.Request.(type) {
	case check.Grant:
		w.counts.Grants++
		h.lease = q.ID
		h.puts, h.renewals = w.dice.below(h.labels.puts, 3), w.dice.below(h.labels.renewals, 8)
		w.know(q.ID)
		if w.check.Model().HasLease(q.ID) {
			w.leasing.held[q.ID] = &heldLease{
				ttl: q.TTL, sent: r.called, applied: w.now, changes: w.counts.LeaderChanges, granted: w.counts.LeaderChanges, crashes: w.counts.Crashes,
			}
		}
	case check.Renew:
		w.counts.Renewals++
		if held := w.leasing.held[q.IDs[0]]; held != nil && response.TTLs[0] > 0 {
			if w.now > held.sent+held.ttl*second {
				w.mark(leaseRenewedInTime)
			}
			held.sent, held.changes = r.called, w.counts.LeaderChanges
		}
		if response.TTLs[0] == 0 {
			w.mark(leaseLost)
			h.lease = 0
		}
		pace = h.ttl * second / 3
		if w.dice.below(h.labels.pace, 10) == 0 {
			pace *= 6 // it is busy with something else
		}
	}
	h.later(pace)
}

// ended lets the holder go on without an answer. Of a lease that may have been granted it knows nothing.
func (h *holder) ended(*request, check.Outcome) { h.later(second / 10) }

// know remembers an id for others.
func (w *world) know(id int64) {
	if len(w.leasing.known) == maxKnown {
		w.leasing.known = w.leasing.known[1:]
	}
	w.leasing.known = append(w.leasing.known, id)
}

// drawLease returns the lease of an ordinary client's put; 0 for none.
func (w *world) drawLease(label string) int64 {
	if w.plan.lease.holders == 0 || len(w.leasing.known) == 0 || !w.dice.chance(label, w.plan.lease.attach) {
		return 0
	}
	return w.leasing.known[w.dice.below(label, len(w.leasing.known))]
}
