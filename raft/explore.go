package raft

import (
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
	d.made = slices.Clone(l.made)
	d.reads.waiting = slices.Clone(l.reads.waiting)
	d.reads.confirming = slices.Clone(l.reads.confirming)
	return &d
}

// Future says what will not come any more, so that a state need not tell what only that would bring
// to light. The zero value rules out nothing.
type Future struct {
	// NoTicks and NoReads: neither will come, and no read waits.
	NoTicks, NoReads bool
}

// AppendState appends a canonical encoding of everything that decides what the core will do, and of
// nothing else: cores with the same options and equal encodings behave alike, as long as no tick brings
// a delay of its own. It is the state apart from names, and then what the core holds about each member;
// votes and rounds come on top of these.
func (c *Core) AppendState(b []byte) []byte {
	e := stateEncoder{bytes: c.AppendNamelessState(b, Future{})}
	e.put(uint64(c.votedFor))
	if l := c.leadState; l != nil {
		e.put(uint64(l.round), uint64(l.reads.since))
	}
	for _, id := range c.everybody() {
		e.put(uint64(id))
		e.bytes = c.AppendStateAbout(e.bytes, id, Future{})
		if l := c.leadState; l != nil {
			if p := l.peer(id); p != nil {
				e.put(uint64(p.probeRound), uint64(p.reconciledAt), uint64(p.answered))
			}
		}
	}
	if l := c.leadState; l != nil {
		for _, made := range l.made {
			e.put(uint64(made.first), c.past(made.at))
		}
	}
	return e.bytes
}

// everybody returns the members of all configurations in the log: any of them may come into force again.
func (c *Core) everybody() []ServerID {
	var all []ServerID
	for _, at := range c.log.configurations {
		all = append(all, at.Configuration.Members()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// AppendNamelessState appends the part of the state that names no server. Tickets count back from the
// next one and times back from now, because only their distances matter; the ids of reads and how far
// the state machine is do not matter at all. Votes and the rounds of messages are not in it: whoever
// sees the whole group can tell whether these can still show.
//
// Who leads is left out, and whether the server still hears its leader is not: a follower compares the
// name with that of whoever sends AppendEntries in the same term, to notice a second leader there.
func (c *Core) AppendNamelessState(b []byte, ahead Future) []byte {
	e := stateEncoder{bytes: b, nextTicket: c.nextTicket, ahead: ahead}
	e.put(uint64(c.currentTerm), uint64(c.role), uint64(c.commitIndex), uint64(c.handedOut))
	silence := c.options.WindowTicks // it has a meaning while another leads, and then begins anew
	if c.role == Follower && c.leader != 0 {
		silence = c.sinceLeader
	}
	e.put(uint64(c.electionElapsed), uint64(c.electionTimeout), uint64(c.electionDelay), uint64(silence))
	e.flag(c.leaderMissed && !ahead.NoTicks)
	e.put(min(c.clock, uint64(c.options.PromiseTicks+2)), c.past(c.heardAt))
	e.ticket(c.termTicket)
	e.log(&c.log)
	if l := c.leadState; l != nil {
		e.put(uint64(l.firstOfTerm))
		if !ahead.NoTicks {
			e.put(uint64(l.sinceHeartbeat))
		}
		e.flag(l.handedOver && c.options.LeaseReads)
		if t := &l.transfer; l.transferring() { // to whom is in the part about that server
			e.flag(t.told)
			e.put(uint64(min(l.now-t.since, c.options.ElectionTicks)))
		}
		r := &l.reads
		e.put(uint64(len(r.waiting)), uint64(len(r.confirming)))
		if len(r.confirming) > 0 {
			e.put(uint64(r.index))
		}
	}
	return e.bytes
}

// AppendStateAbout appends what the core holds about one server, itself included, without its name.
// That a server has refused its vote is left out: it counts like silence.
func (c *Core) AppendStateAbout(b []byte, id ServerID, ahead Future) []byte {
	e := stateEncoder{bytes: b, ahead: ahead}
	e.flag(id == c.id)
	e.flag(slices.Contains(c.votes, vote{id, true}))
	if c.leadState != nil {
		e.flag(c.leadState.transfer.to == id)
	}
	for _, at := range c.log.configurations {
		e.flag(contains(at.Configuration.Voters, id))
		e.flag(contains(at.Configuration.OldVoters, id))
		e.flag(contains(at.Configuration.Learners, id))
	}
	if c.leadState != nil {
		if p := c.leadState.peer(id); p != nil {
			e.peer(p, c.leadState, c.commitIndex, &c.options)
			e.put(c.past(p.promisedAt))
		}
	}
	return e.bytes
}

// past returns how long ago that was by the clock, as far as a promise or a lease can still tell; what never was is
// over.
func (c *Core) past(at uint64) uint64 {
	over := uint64(c.options.PromiseTicks) + 1
	if at == 0 {
		return over
	}
	return min(c.clock-at, over)
}

// stateEncoder appends numbers, one after the other.
type stateEncoder struct {
	bytes      []byte
	nextTicket Ticket
	ahead      Future
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

func (e *stateEncoder) peer(p *peer, l *leadState, commitIndex Index, o *Options) {
	e.put(uint64(p.nextIndex), uint64(p.matchIndex))
	e.flag(p.sentCommit < commitIndex) // then it still must be told, and else it need not
	e.flag(p.probing)
	e.flag(p.waiting)
	e.flag(p.stranded)
	if !e.ahead.NoTicks {
		e.put(uint64(p.stuckSince))
		e.put(uint64(min(l.now-p.contact, o.ElectionTicks+1)))   // beyond, silent is silent
		e.put(uint64(min(l.now-p.probedAt, o.HeartbeatTicks+1))) // and late is late
	}
	e.put(uint64(len(p.inflight)))
	for _, a := range p.inflight {
		e.put(uint64(a.last), uint64(a.bytes))
	}
}
