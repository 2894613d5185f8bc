package raft

// transfer is how a leader hands over to another server: it takes in nothing new, brings the other up to
// date, and tells it to campaign at once. If that comes to nothing within an election timeout, or a longer
// campaign delay, it goes on leading. (Thesis §3.10.)
type transfer struct {
	id uint64   // the caller's
	to ServerID // 0: none is under way
	// since is when it began, in ticks of leadState.now.
	since int
	// told: TimeoutNow is on its way. It is sent again with every heartbeat.
	told bool
}

// transferLeadership begins to hand over.
func (c *Core) transferLeadership(in *TransferLeadership) {
	switch {
	case c.role != Leader:
		c.refuse(in.ID, NotLeader)
	case c.leadState.transferring():
		c.refuse(in.ID, Busy)
	case in.To == c.id || !c.configuration().IsVoter(in.To):
		c.refuse(in.ID, TargetNotAllowed)
	default:
		c.leadState.handedOver = true
		c.leadState.transfer = transfer{id: in.ID, to: in.To, since: c.leadState.now}
		c.tell(Transferring{To: in.To})
	}
}

// transferring reports whether a leader takes in nothing new, because it is handing over.
func (l *leadState) transferring() bool { return l.transfer.to != 0 }

// handOver tells the next leader to campaign, once it has the whole log.
func (c *Core) handOver() {
	t := &c.leadState.transfer
	if p := c.leadState.peer(t.to); p != nil && !t.told && p.matchIndex == c.log.last {
		t.told = true
		c.send(t.to, &TimeoutNow{}, 0)
	}
}

// transferTick gives up a transfer that takes too long.
func (c *Core) transferTick(delay int) {
	l := c.leadState
	if l.transferring() && l.now-l.transfer.since >= max(delay, c.options.ElectionTicks) {
		c.refuse(l.transfer.id, TransferTimedOut)
		l.transfer = transfer{}
	}
}

// handleTimeoutNow campaigns as if the election timeout had passed. The leader itself asks for it, so nobody
// is asked before the term is opened, and voters do not hold on to their leader.
func (c *Core) handleTimeoutNow(from ServerID) {
	if c.leader == from && c.mayLead() {
		c.becomeCandidate(true)
	}
}
