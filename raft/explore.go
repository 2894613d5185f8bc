package raft

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Clone returns an independent copy, for exploring what else could happen from here.
func (c *Core) Clone() *Core {
	d := *c
	d.log = c.log.clone()
	d.votes = slices.Clone(c.votes)
	d.leadState = c.leadState.clone()
	d.out = Output{}
	return &d
}

func (l *termLog) clone() termLog {
	d := *l
	d.runs = slices.Clone(l.runs)
	d.configurations = slices.Clone(l.configurations)
	d.writes = slices.Clone(l.writes)
	d.sizes = slices.Clone(l.sizes)
	return d
}

func (l *leadState) clone() *leadState {
	if l == nil {
		return nil
	}
	d := *l
	d.peers = make([]*peer, len(l.peers))
	for i, p := range l.peers {
		q := *p
		q.inflight = slices.Clone(p.inflight)
		d.peers[i] = &q
	}
	d.reads.waiting = slices.Clone(l.reads.waiting)
	d.reads.confirming = slices.Clone(l.reads.confirming)
	return &d
}

// AppendState appends a canonical encoding of everything that decides what the core will do, and of
// nothing else: cores with the same options and equal encodings behave alike. Tickets count back
// from the next one and times back from now, because only their distances matter; the ids of reads
// and how far the state machine is do not matter at all. rename maps server ids, so that states
// that differ only in who is who can be made equal; nil leaves them.
func (c *Core) AppendState(b []byte, rename func(ServerID) ServerID) []byte {
	e := stateEncoder{bytes: b, rename: rename, nextTicket: c.nextTicket}
	e.id(c.id)
	e.put(uint64(c.currentTerm))
	e.id(c.votedFor)
	e.put(uint64(c.role))
	e.id(c.leader)
	e.put(uint64(c.commitIndex), uint64(c.handedOut))
	e.put(uint64(c.electionElapsed), uint64(c.electionTimeout), uint64(c.sinceLeader))
	e.ticket(c.termTicket)
	e.log(&c.log)
	e.votes(c.votes)
	e.flag(c.leadState != nil)
	if c.leadState != nil {
		e.leadState(c.leadState, &c.options)
	}
	return e.bytes
}

// stateEncoder appends numbers, one after the other.
type stateEncoder struct {
	bytes      []byte
	rename     func(ServerID) ServerID
	nextTicket Ticket
}

func (e *stateEncoder) put(values ...uint64) {
	for _, v := range values {
		e.bytes = binary.AppendUvarint(e.bytes, v)
	}
}

func (e *stateEncoder) flag(b bool) {
	if b {
		e.put(1)
	} else {
		e.put(0)
	}
}

func (e *stateEncoder) renamed(id ServerID) ServerID {
	if id == 0 || e.rename == nil {
		return id
	}
	return e.rename(id)
}

func (e *stateEncoder) id(id ServerID) { e.put(uint64(e.renamed(id))) }

// ids writes a list in the order of the new names.
func (e *stateEncoder) ids(ids []ServerID) {
	renamed := make([]ServerID, len(ids))
	for i, id := range ids {
		renamed[i] = e.renamed(id)
	}
	slices.Sort(renamed)
	e.put(uint64(len(renamed)))
	for _, id := range renamed {
		e.put(uint64(id))
	}
}

func (e *stateEncoder) ticket(t Ticket) {
	if t == 0 {
		e.put(0)
		return
	}
	e.put(uint64(e.nextTicket-t) + 1)
}

func (e *stateEncoder) log(l *termLog) {
	e.put(uint64(l.base.Index), uint64(l.base.Term), uint64(l.last), uint64(l.durable))
	e.put(uint64(len(l.runs)))
	for _, r := range l.runs {
		e.put(uint64(r.Term), uint64(r.First))
	}
	e.put(uint64(len(l.configurations)))
	for _, at := range l.configurations {
		e.put(uint64(at.Index))
		e.ids(at.Configuration.Voters)
		e.ids(at.Configuration.OldVoters)
		e.ids(at.Configuration.Learners)
	}
	e.put(uint64(len(l.writes)))
	for _, w := range l.writes {
		e.ticket(w.ticket)
		e.put(uint64(w.last))
	}
	e.put(uint64(l.sizesFrom))
	before := l.sizesBase
	for _, through := range l.sizes {
		e.put(through - before)
		before = through
	}
}

func (e *stateEncoder) votes(votes []vote) {
	votes = slices.Clone(votes)
	slices.SortFunc(votes, func(x, y vote) int { return cmp.Compare(e.renamed(x.from), e.renamed(y.from)) })
	e.put(uint64(len(votes)))
	for _, v := range votes {
		e.id(v.from)
		e.flag(v.granted)
	}
}

func (e *stateEncoder) leadState(l *leadState, o *Options) {
	e.put(uint64(l.round), uint64(l.firstOfTerm), uint64(l.sinceHeartbeat))
	peers := slices.Clone(l.peers)
	slices.SortFunc(peers, func(x, y *peer) int { return cmp.Compare(e.renamed(x.id), e.renamed(y.id)) })
	for _, p := range peers {
		e.id(p.id)
		e.put(uint64(p.nextIndex), uint64(p.matchIndex))
		e.flag(p.probing)
		e.flag(p.waiting)
		e.flag(p.stranded)
		e.put(uint64(p.probeRound), uint64(p.reconciledAt), uint64(p.answered))
		e.put(uint64(p.stuckSince), uint64(p.sentCommit))
		e.put(uint64(min(l.now-p.contact, o.ElectionTicks+1)))   // beyond, silent is silent
		e.put(uint64(min(l.now-p.probedAt, o.HeartbeatTicks+1))) // and late is late
		e.put(uint64(len(p.inflight)))
		for _, a := range p.inflight {
			e.put(uint64(a.last), uint64(a.bytes))
		}
	}
	r := &l.reads
	e.put(uint64(len(r.waiting)), uint64(len(r.confirming)), uint64(r.since), uint64(r.index))
}
