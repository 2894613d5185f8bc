package sim

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/quorate/quorate/raft"
)

// wedges watches for servers that are busy with nothing: campaigns though a majority is well, and
// messages that only answer messages.
type wedges struct {
	highestTerm raft.Term

	// Of the spell in which the same majority has been well without a fault.
	spell      spell
	spellSince int64
	spellTerm  raft.Term // when it had had time to elect a leader

	// Of the time since anything was asked for, decided or written.
	idleSince    int64
	idleMessages int64
	idleFirst    int64 // those of its first moment
	// onTheWay are messages that have not arrived yet, and idleBacklog those of them when the time began:
	// a link or a server that was held up for long lets go of thousands at once, and each may be answered.
	onTheWay, idleBacklog int64
}

// spell names a majority of servers, and the faults that they have had.
type spell struct {
	members uint32 // a bit each; 0: no majority is well
	strikes int
}

// progress notes what a turn has brought.
func (g *wedges) progress(now int64, term raft.Term, interesting bool) {
	g.highestTerm = max(g.highestTerm, term)
	if interesting {
		g.busy(now)
	}
}

// busy notes that there is a reason for messages.
func (g *wedges) busy(now int64) {
	g.idleSince, g.idleMessages, g.idleFirst, g.idleBacklog = now, 0, 0, g.onTheWay
}

const (
	// idleRate bounds the messages per peer and tick of servers with nothing to do: a heartbeat and a
	// question, an answer to each, and what is sent again or was on its way twice.
	idleRate = 8
	// idleBurst bounds what may come at once: whole windows of appends to peers that lag, and the answers.
	idleBurst = 2000
	// idleFlood bounds those of the first moment, one election timeout: a storm that doubles and doubles
	// would not let it pass.
	idleFlood = 50_000
)

// countIdle counts a message, and sees whether there are too many for nothing. Those of the first moment
// hardly count: a server may owe thousands of answers that have waited for its disk.
func (w *world) countIdle() {
	g := &w.wedges
	g.idleMessages++
	if w.now < g.idleSince+w.plan.electionTimeout() && g.idleMessages <= idleFlood {
		g.idleFirst = g.idleMessages
		return
	}
	if g.idleMessages-g.idleFirst > idleBurst+g.idleBacklog+idleRate*w.peerTicks(w.now-g.idleSince) {
		w.check.Fail("W2", "%d messages in %v, in which nothing was asked for, decided or written: %s", g.idleMessages,
			time.Duration(w.now-g.idleSince), w.describeServers())
	}
}

// peerTicks returns how often the peers of a server have ticked in that time.
func (w *world) peerTicks(time int64) int64 { return int64(len(w.servers)-1) * (time / w.plan.tick) }

const (
	// spellSettles is after how many of the longest election timeouts a well majority must have a leader.
	spellSettles = 5
	// spellTerms is by how much terms may grow after that, and one more for every spellTermEvery timeouts:
	// the leader may be one of the others, and fail, and then votes be lost or split. Of 36,000 worlds, one
	// with four servers took four terms to elect the next (seed 25744).
	spellTerms     = 7
	spellTermEvery = 5
	// spellLoss is the highest rate of loss, per million, at which terms are watched: with more of it
	// leaders are missed now and then.
	spellLoss = 20_000
)

func (w *world) termsLater() {
	w.queue.add(event{at: w.now + w.plan.electionTimeout()/2, kind: evTerms, server: none, life: anyLife})
}

// lookAtTerms sees whether terms grow though a majority is well, no matter what the others suffer.
func (w *world) lookAtTerms() {
	if w.ending {
		return
	}
	w.termsLater()
	if w.plan.churn.spares > 0 {
		return // which servers are a majority changes all the time
	}
	g := &w.wedges
	settles := spellSettles * w.plan.electionTimeout()
	switch spell := w.wellMajority(g.spell.members); {
	case spell.members == 0 || spell != g.spell || w.plan.drop > spellLoss:
		g.spell, g.spellSince, g.spellTerm = spell, w.now, 0
	case w.now < g.spellSince+settles:
	case g.spellTerm == 0:
		w.counts.QuietSpells++
		g.spellTerm = g.highestTerm
	default:
		length := w.now - g.spellSince - settles
		limit := spellTerms + raft.Term(length/(spellTermEvery*w.plan.electionTimeout()))
		if g.highestTerm > g.spellTerm+limit {
			w.check.Fail("W1", "terms went from %d to %d in %v, though a majority (%s) was well: %s", g.spellTerm, g.highestTerm,
				time.Duration(length), w.names(spell.members), w.describeServers())
		}
	}
}

// wellMajority returns a majority whose servers run and are linked well with each other; the one that it
// was before, if that is still so.
func (w *world) wellMajority(before uint32) spell {
	if before != 0 {
		if strikes, well := w.isWell(before); well {
			return spell{before, strikes}
		}
	}
	for members := uint32(1); members < 1<<len(w.servers); members++ {
		if count := bits.OnesCount32(members); count != len(w.servers)/2+1 {
			continue
		}
		if strikes, well := w.isWell(members); well {
			return spell{members, strikes}
		}
	}
	return spell{}
}

// isWell reports whether nothing is wrong with these servers and the links between them, and how many
// faults they have had.
func (w *world) isWell(members uint32) (strikes int, well bool) {
	for _, s := range w.servers {
		if members>>s.index&1 == 0 {
			continue
		}
		if !s.up || s.paused || s.failing || s.slow > 0 || s.still || s.stalled {
			return 0, false
		}
		strikes += s.strikes
	}
	for _, l := range w.links {
		if members>>l.from&1 == 0 || members>>l.to&1 == 0 {
			continue
		}
		if l.cuts > 0 || l.clogged > w.now {
			return 0, false
		}
		strikes += l.strikes
	}
	return strikes, true
}

// names lists the servers of a set.
func (w *world) names(members uint32) string {
	text := "servers"
	for _, s := range w.servers {
		if members>>s.index&1 == 1 {
			text += fmt.Sprintf(" %d", s.id)
		}
	}
	return text
}
