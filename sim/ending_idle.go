package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/raft"
)

// Whoever has nothing to do must come to rest, whatever faults stay: the last phase of an ending.

// idleSpan is what held when it began.
type idleSpan struct {
	until    int64
	messages int
	backlog  int64 // messages that were on their way as it began, each of which may be answered
}

const (
	// idleTimeouts is how long it lasts, in longest election timeouts.
	idleTimeouts = 4
	// lateChanges is how often the leader may change after the first success of an ending, and the term
	// grow: hardly ever, when a candidate's slow disk lets its term come late. (In 627 endings without a gray server it never
	// happened.) grayChanges is that of a leader that loses messages: it is missed sooner or later, and
	// somebody else leads.
	lateChanges, grayChanges = 2, 6
	// restRate and restBurst bound the messages of a group at rest, per peer and tick and beside that: a
	// heartbeat and its answer, and what those ask for who cannot hear the leader.
	restRate, restBurst = 4, 100
)

// settle notes that an ending has had its first success.
func (w *world) settle() {
	e := &w.end
	if e.settled {
		return
	}
	e.settled = true
	e.settledChanges, e.settledTerm = w.counts.LeaderChanges, w.wedges.highestTerm
}

// somebodyIsGray reports whether some server works, but badly.
func (w *world) somebodyIsGray() bool {
	return w.plan.ending == oneStaysGray || slices.ContainsFunc(w.servers, func(s *server) bool { return s.slow > 0 })
}

func (w *world) beginIdle() {
	w.end.idle = idleSpan{until: w.now + idleTimeouts*w.plan.electionTimeout(), messages: w.counts.Messages, backlog: w.wedges.onTheWay}
	w.tell(nil, "the servers agree; nothing more is asked for")
}

// wantingIdle sees that leader and term stay what they are.
func (w *world) wantingIdle() string {
	e := &w.end
	changes, terms := w.counts.LeaderChanges-e.settledChanges, w.wedges.highestTerm-e.settledTerm
	allowed := max(lateChanges, lateChanges*e.rots) // whose state rots may lead
	if g := &e.gray; g.leader != nil && g.leader == g.server {
		allowed = grayChanges
	}
	if changes > allowed || terms > raft.Term(allowed) {
		w.check.Fail(w.plan.ending.check(), "%s, and then the leader changed %d times, in %d terms, for no reason: %s", e.staying,
			changes, terms, w.describeServers())
		return ""
	}
	if w.now < e.idle.until {
		return fmt.Sprintf("%d changes of the leader", changes)
	}
	w.counts.LateLeaders += changes
	if w.somebodyIsGray() {
		return "" // and may have much to catch up with
	}
	length := idleTimeouts * w.plan.electionTimeout()
	if messages := w.counts.Messages - e.idle.messages; int64(messages) > restBurst+e.idle.backlog+restRate*w.peerTicks(length) {
		w.check.Fail("W2", "%d messages in %v, in which nothing was asked for and everybody agrees: %s", messages,
			time.Duration(length), w.describeServers())
	}
	return ""
}
