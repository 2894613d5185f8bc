package raft

// readQueue holds the linearizable reads of a leader. (Thesis §6.4.)
//
// A read may be served at the commit index that held when the leader was certainly still the leader,
// after the read came in. A round of AppendEntries shows that: whoever answers a message made after
// the read was in this term then. All reads that come during one round share the next. None of it is needed
// while a lease shows the same: see lease.go.
type readQueue struct {
	// waiting came after the round under way began.
	waiting []uint64
	// confirming are those of the round under way; empty if none is.
	confirming []uint64
	// since is the first round whose answers count for confirming.
	since Round
	// index is the commit index when that round began.
	index Index
}

// readIndex takes a read in.
func (c *Core) readIndex(id uint64) {
	switch {
	case c.role != Leader:
		c.refuse(id, NotLeader)
	case c.holdsLease(c.clock):
		c.out.Reads = append(c.out.Reads, ReadReady{ID: id, Index: c.commitIndex, ByLease: true})
	case len(c.leadState.reads.waiting) >= c.options.MaxWaitingReads:
		c.refuse(id, Busy)
	default:
		c.leadState.reads.waiting = append(c.leadState.reads.waiting, id)
	}
}

// startReads begins a round for the waiting reads. Not before an entry of this term is committed:
// until then a new leader does not know which entries its predecessors have committed.
func (c *Core) startReads() {
	l := c.leadState
	r := &l.reads
	if len(r.waiting) == 0 || len(r.confirming) > 0 || c.commitIndex < l.firstOfTerm {
		return
	}
	r.confirming, r.waiting = r.waiting, nil
	r.since, r.index = l.round+1, c.commitIndex
	c.broadcastHeartbeat()
	c.confirmReads() // alone in the group, there is nobody to ask
}

// confirmReads answers the reads of the round under way once a majority has answered a message
// that was made after they came in. Rounds are never used twice, so no late reply to an older
// message can confirm a younger read.
func (c *Core) confirmReads() {
	l := c.leadState
	r := &l.reads
	if len(r.confirming) == 0 || !c.configuration().HasQuorum(func(id ServerID) bool {
		p := l.peer(id)
		return id == c.id || (p != nil && p.answered >= r.since)
	}) {
		return
	}
	for _, id := range r.confirming {
		c.out.Reads = append(c.out.Reads, ReadReady{ID: id, Index: r.index})
	}
	r.confirming = nil
}

// refuseReads sends all reads back: this server no longer leads.
func (c *Core) refuseReads(why Reason) {
	r := &c.leadState.reads
	for _, id := range r.confirming {
		c.refuse(id, why)
	}
	for _, id := range r.waiting {
		c.refuse(id, why)
	}
	*r = readQueue{}
}
