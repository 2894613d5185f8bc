package raft

import (
	"slices"

	"github.com/quorate/quorate/internal/invariant"
)

// leadState is what only a leader has. It begins with the election and is gone with leadership, so
// nothing of an earlier term can be mistaken for today's.
type leadState struct {
	// peers are all members but this server, sorted by id.
	peers []*peer
	// round is that of the latest AppendEntries made.
	round Round
	// firstOfTerm is the index of the no-op with which this leader opened its term.
	firstOfTerm Index
	// now counts ticks since the election; sinceHeartbeat those since the last heartbeat.
	now, sinceHeartbeat int
	reads               readQueue
	// made are the latest rounds, and handedOver is set once a transfer has begun: see lease.go.
	made       roundsMade
	handedOver bool
	transfer   transfer
}

// peer is what the leader knows of one other server: nextIndex and matchIndex of Figure 2, and how
// much is on its way.
type peer struct {
	id ServerID
	// nextIndex is the next entry to send; matchIndex the last known to agree and to be durable there.
	nextIndex, matchIndex Index

	// probing: it is not known whether the peer has the entry before nextIndex, or the entries it
	// needs are old. One request at a time, and nextIndex waits for the reply.
	// Otherwise appends are on their way in a window, and nextIndex runs ahead of the replies.
	probing bool
	// waiting: while probing, the request of probeRound, sent at probedAt, is not answered.
	waiting    bool
	probeRound Round
	probedAt   int // in ticks of leadState.now
	// inflight are the appends on their way, ascending; inflightBytes their sum.
	inflight      []inflightAppend
	inflightBytes int
	// stuckSince is matchIndex at the last heartbeat: no progress by the next means loss.
	stuckSince Index
	stranded   bool

	// reconciledAt is the round up to which refusals have been dealt with.
	reconciledAt Round
	// answered is the highest round that the peer has answered, refusals included.
	answered Round
	// promisedAt is when the latest round was made that the peer has answered with a promise, by the clock; 0
	// if there is none.
	promisedAt uint64
	// contact is when the peer last answered, in ticks of leadState.now.
	contact int
	// sentCommit is the highest commit index that the peer was told.
	sentCommit Index
}

type inflightAppend struct {
	last  Index
	bytes int
}

// becomeLeader opens the reign.
//
// Figure 2, Leaders 1. The no-op goes out to all at once. It is a heartbeat, and once it is
// committed, so is everything before it. (§5.4.2, §8.)
func (c *Core) becomeLeader() {
	c.role, c.leader, c.votes = Leader, c.id, nil
	c.leadState = &leadState{firstOfTerm: c.log.last + 1}
	c.leadState.setPeers(c.id, c.configuration(), c.log.last+1)
	c.tell(RoleChanged{Role: Leader, Term: c.currentTerm, Leader: c.id, Why: "won the election"})
	c.appendToLog([]Entry{{Term: c.currentTerm, Kind: KindNoOp}})
}

// setPeers makes the list of peers that of the configuration; those who stay keep their state.
func (l *leadState) setPeers(self ServerID, configuration *Configuration, next Index) {
	var peers []*peer
	for _, id := range configuration.Members() {
		if id == self {
			continue
		}
		p := l.peer(id)
		if p == nil {
			p = &peer{id: id, nextIndex: next, probing: true, contact: l.now}
		}
		peers = append(peers, p)
	}
	l.peers = peers
}

func (l *leadState) peer(id ServerID) *peer {
	for _, p := range l.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// leaderTick sends the heartbeats of idle periods, and steps down if a majority is out of reach.
func (c *Core) leaderTick(delay int) {
	l := c.leadState
	l.now++
	if !c.hearsQuorum(delay) {
		// Check-quorum: a leader that nobody hears would keep its clients waiting for ever, and keep
		// those who still hear it from electing another. (Thesis §6.2.)
		c.becomeFollower(c.currentTerm, 0, "no answer from a majority")
		return
	}
	c.transferTick(delay)
	l.sinceHeartbeat++
	if l.sinceHeartbeat < c.options.HeartbeatTicks {
		return
	}
	// The rounds of reads do not put this off, though they are heartbeats, too: what is lost must be noticed,
	// however many reads there are.
	l.sinceHeartbeat, l.transfer.told = 0, false
	c.broadcastHeartbeat()
	for _, p := range l.peers {
		if p.waiting && l.now-p.probedAt > c.options.HeartbeatTicks && p.answered > p.probeRound {
			// The peer is there, and yet has not answered for a whole interval: ask again. That it has
			// answered later messages proves no loss, for they need not wait for its disk.
			p.waiting = false
		}
		if !p.probing && len(p.inflight) > 0 && p.matchIndex == p.stuckSince {
			// Nothing has been acknowledged for a whole interval. Ask about the last entry sent: if
			// it got lost, the refusal says where to go on.
			c.sendAppend(p, p.nextIndex-1, p.nextIndex-1)
		}
		p.stuckSince = p.matchIndex
	}
}

// hearsQuorum reports whether a majority has answered within the campaign delay of this server: what it
// has measured holds for the answers to it as for the word of another leader.
func (c *Core) hearsQuorum(delay int) bool { return c.QuorumSilence() <= delay }

// QuorumSilence returns for how many ticks this leader has not heard a majority, itself included; 0 if it
// does not lead.
func (c *Core) QuorumSilence() int {
	l := c.leadState
	if l == nil {
		return 0
	}
	heard := c.configuration().QuorumValue(func(id ServerID) uint64 {
		if id == c.id {
			return uint64(l.now)
		}
		if p := l.peer(id); p != nil {
			return uint64(p.contact)
		}
		return 0
	})
	return l.now - int(heard)
}

// broadcastHeartbeat sends every peer an AppendEntries without entries. It names the last entry
// that the peer is known to have, so that the answer need not wait for a write.
func (c *Core) broadcastHeartbeat() {
	for _, p := range c.leadState.peers {
		c.sendHeartbeat(p)
	}
}

func (c *Core) sendHeartbeat(p *peer) {
	at := p.matchIndex
	if at < c.log.base.Index {
		at = 0
	}
	c.sendAppend(p, at, at)
}

// propose appends the client's commands to the log.
//
// Figure 2, Leaders 2. The answer is due when the entries are applied, not before.
func (c *Core) propose(in *Propose) {
	switch {
	case c.role != Leader:
		c.refuse(in.ID, NotLeader)
	case c.uncommittedBytes() > uint64(c.options.MaxUncommittedBytes) || c.leadState.transferring():
		c.refuse(in.ID, Busy)
	default:
		c.accept(in.ID, in.Entries)
	}
}

func (c *Core) accept(id uint64, entries []Entry) {
	c.out.Accepted = append(c.out.Accepted, Accepted{ID: id, First: c.log.last + 1, Term: c.currentTerm})
	for i := range entries {
		entries[i].Term = c.currentTerm
	}
	c.appendToLog(entries)
}

func (c *Core) refuse(id uint64, why Reason) {
	c.out.Refused = append(c.out.Refused, Refusal{ID: id, Reason: why})
}

func (c *Core) uncommittedBytes() uint64 {
	return c.log.sizeThrough(c.log.last) - c.log.sizeThrough(c.commitIndex)
}

// lead does once per step what a leader owes after whatever happened in it: commit, confirm reads,
// and send. Doing it once makes one message of many proposals.
func (c *Core) lead() {
	if c.role != Leader {
		return
	}
	c.advanceLeaderCommit()
	c.confirmReads()
	c.startReads()
	for _, p := range c.leadState.peers {
		c.replicateTo(p)
	}
	c.handOver()
	c.leaveIfRemoved()
}

// advanceLeaderCommit commits what a majority has on disk.
//
// Figure 2, Leaders 4. Entries of older terms commit only along with one of ours: counting copies of
// them alone loses data, for a server without them may still win an election (Figure 8). This
// server counts itself like any other: for what is durable here, if it is a voter.
func (c *Core) advanceLeaderCommit() {
	n := Index(c.configuration().QuorumValue(func(id ServerID) uint64 {
		if id == c.id {
			return uint64(c.log.durable)
		}
		if p := c.leadState.peer(id); p != nil {
			return uint64(p.matchIndex)
		}
		return 0
	}))
	if n <= c.commitIndex {
		return
	}
	if term, _ := c.log.term(n); term != c.currentTerm {
		return
	}
	c.commitIndex = n
	c.tell(Committed{Index: n})
}

// replicateTo sends the peer what it lacks.
//
// Figure 2, Leaders 3. If there are entries from nextIndex on, send them; what the answers change is
// in the two handlers below.
func (c *Core) replicateTo(p *peer) {
	if p.nextIndex <= c.log.base.Index {
		c.strand(p)
		return
	}
	p.stranded = false
	if !p.probing && !c.knowsSizes(p) {
		// So far behind that the sizes of what it needs are forgotten: no window can be kept.
		p.becomeProbing()
	}
	if p.probing {
		if !p.waiting {
			c.probe(p)
		}
		return
	}
	for p.nextIndex <= c.log.last && p.hasRoom(&c.options) {
		last, bytes := c.log.fit(p.nextIndex, c.options.MaxAppendBytes)
		c.sendAppend(p, p.nextIndex-1, last)
		p.nextIndex = last + 1
		p.inflight = append(p.inflight, inflightAppend{last, bytes})
		p.inflightBytes += bytes
	}
	if p.sentCommit < c.commitIndex && len(p.inflight) == 0 {
		// Nothing else is under way that would tell the peer's clients that they may be answered.
		c.sendHeartbeat(p)
	}
}

// probe asks whether the peer has the entry before nextIndex, and sends some entries along.
func (c *Core) probe(p *peer) {
	last := c.log.last
	if c.knowsSizes(p) && p.nextIndex <= last {
		last, _ = c.log.fit(p.nextIndex, c.options.MaxAppendBytes)
	} else {
		last = min(last, p.nextIndex+maxProbeEntries-1)
	}
	c.sendAppend(p, p.nextIndex-1, last)
	p.waiting, p.probeRound, p.probedAt = true, c.leadState.round, c.leadState.now
}

// maxProbeEntries bounds the entries of a request whose sizes the core does not know. Whoever fills
// them in cuts them to size.
const maxProbeEntries = 4096

// knowsSizes reports whether the peer needs only recent entries, so that a window can be kept.
func (c *Core) knowsSizes(p *peer) bool { return p.nextIndex > c.log.sizesFrom }

// hasRoom reports whether another append may go on its way.
func (p *peer) hasRoom(o *Options) bool {
	return len(p.inflight) < o.MaxInflightMessages && p.inflightBytes < o.MaxInflightBytes
}

// becomeProbing goes back to one request at a time.
func (p *peer) becomeProbing() {
	p.probing, p.waiting = true, false
	p.inflight, p.inflightBytes = nil, 0
}

// strand notes that the peer needs entries that the log no longer has. Until it has got a state from somewhere, it is
// sent heartbeats only.
func (c *Core) strand(p *peer) {
	if !p.stranded {
		p.becomeProbing()
		p.stranded = true
		c.tell(Stranded{Peer: p.id, Next: p.nextIndex})
	}
}

// sendAppend sends AppendEntries with the entries after prev up to last.
func (c *Core) sendAppend(p *peer, prev, last Index) {
	term, ok := c.log.term(prev)
	if prev == 0 {
		term, ok = 0, true
	}
	invariant.Check(ok, "append to %d after %d, log is %d to %d", p.id, prev, c.log.base.Index, c.log.last)
	c.leadState.round++
	if c.options.LeaseReads {
		c.leadState.made.note(c.leadState.round, c.clock, c.options.leaseTicks())
	}
	commit := min(c.commitIndex, last)
	p.sentCommit = max(p.sentCommit, commit)
	c.send(p.id, &AppendEntries{
		PrevLogIndex: prev,
		PrevLogTerm:  term,
		Last:         last,
		LeaderCommit: commit,
		Round:        c.leadState.round,
		Probing:      p.probing,
	}, 0)
}

// answeredBy notes any reply of the current term; nil if it can be none to a message of ours.
func (c *Core) answeredBy(from ServerID, round Round) *peer {
	if c.role != Leader || round > c.leadState.round {
		return nil
	}
	p := c.leadState.peer(from)
	if p != nil {
		p.contact = c.leadState.now
		p.answered = max(p.answered, round)
	}
	return p
}

// handleAppendEntriesReply notes how far the peer agrees.
//
// On success nextIndex and matchIndex go up (Leaders 3 in Figure 2). Replies may come late, twice and
// out of order; matchIndex only grows, and only by what the very request has verified.
func (c *Core) handleAppendEntriesReply(from ServerID, m *AppendEntriesReply) {
	p := c.answeredBy(from, m.Round)
	if p == nil || m.Verified > c.log.last {
		return
	}
	if m.Promise {
		p.promisedAt = max(p.promisedAt, c.leadState.made.of(m.Round))
	}
	p.matchIndex = max(p.matchIndex, m.Verified)
	p.nextIndex = max(p.nextIndex, p.matchIndex+1)
	done := 0
	for done < len(p.inflight) && p.inflight[done].last <= p.matchIndex {
		p.inflightBytes -= p.inflight[done].bytes
		done++
	}
	p.inflight = slices.Delete(p.inflight, 0, done)
	if p.waiting && m.Round == p.probeRound {
		p.waiting, p.probing = false, !c.knowsSizes(p)
	}
}

// handleAppendEntriesRefusal finds where the logs agree, in one round trip.
//
// On failure nextIndex goes back (Leaders 3 in Figure 2).
//
// Differs: not by one, but to where the terms of both logs last agree. matchIndex is not touched: only a success proves anything. (§5.3 hints at it.)
func (c *Core) handleAppendEntriesRefusal(from ServerID, m *AppendEntriesRefusal) {
	p := c.answeredBy(from, m.Round)
	if p == nil || m.Round <= p.reconciledAt {
		return
	}
	agreed := c.log.agreesUpTo(m.Runs, m.LastLogIndex, m.Commit)
	p.nextIndex = min(max(agreed, p.matchIndex), c.log.last) + 1
	p.becomeProbing()
	// Refusals of what is on its way now tell nothing new.
	p.reconciledAt = c.leadState.round
	c.tell(Reconciled{Peer: p.id, Next: p.nextIndex})
}
