package raft

// Reads by a lease: a leader that knows for how long nobody else can be elected answers reads from memory.
// (Thesis §6.4.1.) It is the one part of the core that rests on clocks, and off unless the options say
// otherwise; what it needs of the others, the promise, is always kept.
//
//	leader     makes a round at s ────────────── lease: s + LeaseTicks of its own clock
//	voter         └──▶ answers it at h ≥ s ────────── promise: h + PromiseTicks of its own clock
//
// A majority promises, and nobody is elected without a vote from it. As long as no clock is so much faster
// than another that PromiseTicks there pass sooner than LeaseTicks here, the lease is over first.
//
// Differs: the thesis lets a lease last an election timeout less a bound, and rests on voters that refuse
// while they hear their leader. Here time counts that clocks show, and not ticks, which stand still while
// a process does; and a voter that has restarted still keeps what it cannot remember.

// noteClock takes in what the driver's clock shows. The core counts from the first time on, from 1, so that 0
// is never.
func (c *Core) noteClock(now uint64) {
	if c.clock == 0 {
		c.clockBegan, c.clock = now, 1
	}
	c.clock = max(c.clock, c.coreClock(now))
}

// coreClock returns what the core counts when the driver's clock shows now.
func (c *Core) coreClock(now uint64) uint64 { return max(now, c.clockBegan) - c.clockBegan + 1 }

// promises reports whether this server's answers to its leader are promises. One that has no clock, or whose
// operator wants elections sooner than that, gives none.
func (c *Core) promises() bool {
	return c.options.PromiseTicks > 0 && c.options.PromiseTicks <= c.options.WindowTicks && c.clock > 0
}

// isBound reports whether this server may have promised its vote, to nobody. What it promised before it
// started is forgotten, so that from then on it keeps to the longest that it can have promised; also if it
// would not promise as much today.
//
// Not more than, instead of less than: both times are rounded down.
func (c *Core) isBound() bool {
	promise := uint64(c.options.PromiseTicks)
	switch {
	case promise == 0 || c.hasAlwaysBeenAlone():
		return false
	case c.clock == 0 || c.clock-1 <= promise:
		return true
	}
	return c.heardAt > 0 && c.clock-c.heardAt <= promise
}

// hasAlwaysBeenAlone reports whether this server never had anybody to promise anything to: then it need not
// wait when it starts. A leader that holds a lease has an entry of its term on the disks of a majority, and
// with that the configuration by which it leads.
func (c *Core) hasAlwaysBeenAlone() bool {
	for i := range c.log.configurations {
		at := &c.log.configurations[i]
		if len(at.Configuration.Voters) != 1 || at.Configuration.Voters[0] != c.id || at.Configuration.Joint() {
			return false
		}
	}
	return c.log.configurations[0].Index == 0
}

// leaseTicks is how long a lease lasts: shorter than the promise by a tenth, which is by how much clocks may
// differ in rate, and by a tick at least.
func (o *Options) leaseTicks() uint64 {
	return uint64(max(0, o.PromiseTicks-(o.PromiseTicks+9)/10))
}

// roundsMade is when a leader made its latest rounds: the first of each tick of its clock, ascending. Those
// that are too old for a lease are forgotten.
type roundsMade []roundMade

type roundMade struct {
	first Round
	at    uint64
}

// note notes that a round is made now.
func (r *roundsMade) note(round Round, now, lease uint64) {
	old := 0
	for old < len(*r) && now-(*r)[old].at >= lease {
		old++
	}
	*r = append((*r)[:0], (*r)[old:]...)
	if n := len(*r); n == 0 || (*r)[n-1].at != now {
		*r = append(*r, roundMade{round, now})
	}
}

// of returns when a round was made; 0 if that is too long ago.
func (r roundsMade) of(round Round) uint64 {
	at := uint64(0)
	for _, made := range r {
		if made.first <= round {
			at = made.at
		}
	}
	return at
}

// LeaseHeld reports whether this server would answer a read by its lease, if its driver's clock showed now.
func (c *Core) LeaseHeld(now uint64) bool { return c.clock > 0 && c.holdsLease(c.coreClock(now)) }

// holdsLease reports whether nobody else can have been elected by now.
//
// The lease begins when the latest round was made that a majority has answered with a promise: it is not known
// when they took it in, but not before. This server counts for now, as it votes for nobody while it leads; if
// it is a voter.
//
// There is none before an entry of this term is committed, like for any read, nor after this leader has asked
// another to take over, for which nobody waits until promises end: whoever was asked may act on it late.
func (c *Core) holdsLease(now uint64) bool {
	l := c.leadState
	if l == nil || !c.options.LeaseReads || c.clock == 0 || l.handedOver || c.commitIndex < l.firstOfTerm {
		return false
	}
	since := c.configuration().QuorumValue(func(id ServerID) uint64 {
		if id == c.id {
			return now
		}
		if p := l.peer(id); p != nil {
			return p.promisedAt
		}
		return 0
	})
	// One more than the difference, for both are rounded down.
	return since > 0 && now-since+1 <= c.options.leaseTicks()
}
