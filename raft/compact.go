package raft

import "github.com/quorate/quorate/internal/invariant"

// A log that keeps everything grows for ever, and so does the time to replay it. Since the state machine keeps
// its state durably, the log may drop what that state has: entries up to a base, of which index, term and
// configuration are kept. (Paper §7.) Taking a snapshot is therefore no work of the core's, and no copy: the
// state on the disk is the snapshot.
//
// A peer that lacks what was dropped is stranded: it gets a state from the state machine of a server that is
// further. The core does not see it come; it is told when it is there.

// compact drops entries from the log's beginning: of those up to index, the ones that are applied and durable.
func (c *Core) compact(index Index) {
	index = min(index, c.lastApplied, c.log.durable)
	if index <= c.log.base.Index {
		return
	}
	c.log.compact(index)
	c.out.Persist.CompactTo = index
	c.strandThoseBehind()
}

// strandThoseBehind notes which peers need what the log has just dropped. Whatever else comes in the same step must not
// send it.
func (c *Core) strandThoseBehind() {
	if c.role != Leader {
		return
	}
	for _, p := range c.leadState.peers {
		if p.nextIndex <= c.log.base.Index {
			c.strand(p)
		}
	}
}

// install lets the log begin after the entry at which the state machine now is.
//
// Figure 13, InstallSnapshot 6 and 7. If the log has that entry, what follows it is kept. Otherwise the whole
// log goes: up to there it is in the state, and behind it nothing can be right.
//
// Differs: Figure 13 takes the state along in the message. Here it comes another way, in parts and from whoever
// has it, and is durable before the core hears of it.
func (c *Core) install(in *Install) {
	p := &c.out.Persist
	invariant.Check(len(p.Entries) == 0 && p.TruncateFrom == 0 && p.CompactTo == 0, "a state is installed in the middle of a write")
	invariant.Check(in.Base.Index > c.lastApplied && in.Configuration != nil, "state of %d installed over that of %d", in.Base.Index, c.lastApplied)
	if in.Base.Term > c.currentTerm {
		// There has been that term, and there may have been votes in it: it is adopted like that of a message.
		c.becomeFollower(in.Base.Term, 0, "got a state of a higher term")
	}
	kept := c.log.has(in.Base)
	if !kept && c.role != Follower {
		c.becomeFollower(c.currentTerm, 0, "got a state that its log does not lead up to")
	}
	before := c.log.configuration().Index
	if kept {
		c.log.compact(in.Base.Index)
	} else {
		c.log.restart(in.Base, in.Configuration, c.commitIndex)
	}
	p.Install = in
	c.strandThoseBehind()
	c.commitIndex = max(c.commitIndex, in.Base.Index)
	c.lastApplied = in.Base.Index
	c.handedOut = in.Base.Index
	c.tell(Installed{Base: in.Base, Kept: kept})
	if now := c.log.configuration(); now.Index != before {
		c.configurationChanged(now)
	}
}

// compact drops the entries up to index, which the log has.
func (l *termLog) compact(index Index) {
	term, ok := l.term(index)
	invariant.Check(ok && index > l.base.Index, "log from %d to %d compacted at %d", l.base.Index+1, l.last, index)
	l.base = EntryID{index, term}
	run := 0
	for run < len(l.runs) && l.lastOfRun(run) <= index {
		run++
	}
	l.runs = append([]TermRun(nil), l.runs[run:]...)
	if len(l.runs) > 0 {
		l.runs[0].First = index + 1 // it goes on behind it
	}
	l.configurations = append([]ConfigurationAt(nil), l.configurations[l.configurationAt(index):]...)
}

// lastOfRun returns the index of the last entry of a run.
func (l *termLog) lastOfRun(run int) Index {
	if run+1 < len(l.runs) {
		return l.runs[run+1].First - 1
	}
	return l.last
}

// configurationAt returns which of the configurations is in force at index.
func (l *termLog) configurationAt(index Index) int {
	k := len(l.configurations) - 1
	for k > 0 && l.configurations[k].Index > index {
		k--
	}
	return k
}

// restart makes the log an empty one that begins after base. Writes under way vouch for nothing of it but for
// what is committed, and so is part of the state at base.
func (l *termLog) restart(base EntryID, configuration *Configuration, committed Index) {
	l.durable = min(l.durable, committed)
	for i := range l.writes {
		l.writes[i].last = min(l.writes[i].last, committed)
	}
	l.sizesFrom, l.sizes = base.Index, nil
	l.base, l.last, l.runs = base, base.Index, nil
	l.configurations = []ConfigurationAt{{Index: base.Index, Configuration: configuration}}
}
