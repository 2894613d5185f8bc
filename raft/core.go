package raft

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
)

// Options tune a core. But for LeaseReads, none of them trades safety for speed.
type Options struct {
	// ID is this server.
	ID ServerID
	// ElectionTicks is the shortest time without a leader before a server campaigns, where no tick
	// says otherwise; each attempt waits for a random time between this and twice this. Default 10.
	ElectionTicks int
	// WindowTicks is for how long after a word from its leader a server refuses its vote to others:
	// the same on all servers, and never tuned. No server campaigns sooner. Default, and at most,
	// ElectionTicks.
	WindowTicks int
	// HeartbeatTicks is the time between heartbeats of a leader that has nothing else to send.
	// Default 1; less than WindowTicks.
	HeartbeatTicks int
	// MaxAppendBytes bounds the entries of one AppendEntries, but for a single larger entry.
	// Default 1 MiB.
	MaxAppendBytes int
	// MaxInflightBytes bounds the entries on their way to one peer. At the bound the leader waits
	// for replies. Default 8 MiB.
	MaxInflightBytes int
	// MaxInflightMessages bounds the AppendEntries with entries on their way to one peer. Default 256.
	MaxInflightMessages int
	// MaxUncommittedBytes bounds what a leader appends before it is committed. At the bound
	// proposals are refused as Busy. Default 64 MiB.
	MaxUncommittedBytes int
	// MaxWaitingReads bounds the reads that wait for a round. At the bound they are refused as
	// Busy. Default 65536.
	MaxWaitingReads int
	// PromiseTicks is for how long after an answer to its leader, and after its start, a server votes for nobody,
	// by its clock (Clock). It is a constant of the protocol: the same on all servers of a group, for ever. A
	// server whose window is shorter gives no such promise. Default 0: nobody does.
	PromiseTicks int
	// LeaseReads lets a leader answer reads without a round of messages while a majority has promised not to
	// vote for another. This is safe only if the clocks of any two servers differ in rate by less than a
	// tenth, and go on while a process or its machine stands still. Default off.
	LeaseReads bool
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.ElectionTicks, 10},
		{&o.HeartbeatTicks, 1},
		{&o.MaxAppendBytes, 1 << 20},
		{&o.MaxInflightBytes, 8 << 20},
		{&o.MaxInflightMessages, 256},
		{&o.MaxUncommittedBytes, 64 << 20},
		{&o.MaxWaitingReads, 1 << 16},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.WindowTicks <= 0 || o.WindowTicks > o.ElectionTicks {
		o.WindowTicks = o.ElectionTicks
	}
	o.PromiseTicks = max(o.PromiseTicks, 0)
	o.HeartbeatTicks = min(o.HeartbeatTicks, max(1, o.WindowTicks-1))
}

// State is what a server finds on its disk when it starts.
type State struct {
	HardState HardState
	// Base is the entry before the first that the log has; {0, 0} for a whole log.
	Base EntryID
	// Last is the index of the log's last entry, Base.Index if there is none.
	Last Index
	// Runs are the terms of the entries after Base.
	Runs []TermRun
	// Configurations are those of the log, ascending; the first is the one in force at Base. A new
	// group has just that one, at index 0, the same on all its servers.
	Configurations []ConfigurationAt
	// Applied is what the state machine has durably applied.
	Applied Index
}

// Core is one server's part in one group: Figure 2. It belongs to one goroutine.
type Core struct {
	id      ServerID
	options Options

	// Persistent state on all servers: written to disk before any message leaves that rests on it.
	currentTerm Term
	votedFor    ServerID // 0: none in currentTerm
	log         termLog

	// Volatile state on all servers.
	commitIndex Index
	lastApplied Index
	handedOut   Index // end of the last Apply: lastApplied follows

	// Who this server is in currentTerm.
	role      Role
	leader    ServerID   // of currentTerm; 0: not known
	votes     []vote     // while a candidate or pre-candidate: the answers so far
	leadState *leadState // while a leader

	// Time, in ticks.
	electionElapsed int  // since the last reason not to campaign
	electionTimeout int  // 0: to be drawn at the next tick
	electionDelay   int  // the shortest timeout that could have been drawn; 0 along with electionTimeout
	leaderMissed    bool // there is a sign that the leader is gone, and nothing was heard of it since
	sinceLeader     int  // since the leader of currentTerm was last heard, up to WindowTicks

	// Time, by the driver's clock: see lease.go.
	clock      uint64 // what it shows, counted from the first time, from 1; 0: it was not told yet
	clockBegan uint64 // what it showed then
	heardAt    uint64 // when a promise was given last; 0: never since the start

	// Writes under way.
	nextTicket     Ticket // that of the write which this step puts together
	termTicket     Ticket // that of the write of currentTerm and votedFor
	hardStateDirty bool
	out            Output
}

// New returns a core in the state that the server found on its disk. It returns an error if that
// state contradicts itself.
func New(options Options, state State) (*Core, error) {
	options.setDefaults()
	if err := state.check(); err != nil {
		return nil, err
	}
	c := &Core{
		id:          options.ID,
		options:     options,
		currentTerm: state.HardState.CurrentTerm,
		votedFor:    state.HardState.VotedFor,
		commitIndex: max(state.HardState.Commit, state.Applied, state.Base.Index),
		lastApplied: state.Applied,
		handedOut:   state.Applied,
		sinceLeader: options.WindowTicks,
		nextTicket:  1,
		log: termLog{
			base:           state.Base,
			last:           state.Last,
			durable:        state.Last,
			runs:           slices.Clone(state.Runs),
			configurations: slices.Clone(state.Configurations),
			sizesFrom:      state.Last,
		},
	}
	return c, nil
}

func (s *State) check() error {
	l := termLog{base: s.Base, last: s.Last, runs: s.Runs}
	switch {
	case len(s.Configurations) == 0 || s.Configurations[0].Index > s.Base.Index:
		return fmt.Errorf("no configuration is known at the log's base %d", s.Base.Index)
	case s.Last < s.Base.Index:
		return fmt.Errorf("log ends at %d, before its base %d", s.Last, s.Base.Index)
	case (s.Last > s.Base.Index) != (len(s.Runs) > 0):
		return fmt.Errorf("log from %d to %d has %d runs of terms", s.Base.Index, s.Last, len(s.Runs))
	case len(s.Runs) > 0 && s.Runs[0].First != s.Base.Index+1:
		return fmt.Errorf("log's first run begins at %d, its base is %d", s.Runs[0].First, s.Base.Index)
	case len(s.Runs) > 0 && s.Runs[len(s.Runs)-1].First > s.Last:
		return fmt.Errorf("log's last run begins at %d, the log ends at %d", s.Runs[len(s.Runs)-1].First, s.Last)
	case l.lastTerm() > s.HardState.CurrentTerm:
		return fmt.Errorf("log ends in term %d, after the current term %d", l.lastTerm(), s.HardState.CurrentTerm)
	case s.HardState.Commit > s.Last:
		return fmt.Errorf("commit index %d is beyond the log's end %d", s.HardState.Commit, s.Last)
	case s.Applied > s.Last:
		return fmt.Errorf("state machine has applied up to %d, beyond the log's end %d", s.Applied, s.Last)
	case s.Applied < s.Base.Index:
		return fmt.Errorf("state machine has applied up to %d only, the log begins after %d", s.Applied, s.Base.Index)
	}
	return s.checkOrder()
}

// checkOrder checks that terms and configurations ascend along the log.
func (s *State) checkOrder() error {
	before := TermRun{Term: s.Base.Term, First: s.Base.Index}
	for i, r := range s.Runs {
		// The first run may go on with the term of the base.
		if r.First <= before.First || r.Term < before.Term || (i > 0 && r.Term == before.Term) {
			return fmt.Errorf("run of term %d at %d after term %d at %d", r.Term, r.First, before.Term, before.First)
		}
		before = r
	}
	for i, at := range s.Configurations {
		switch {
		case at.Configuration == nil:
			return fmt.Errorf("configuration at %d is empty", at.Index)
		case i > 0 && at.Index <= s.Configurations[i-1].Index:
			return fmt.Errorf("configuration at %d after one at %d", at.Index, s.Configurations[i-1].Index)
		case at.Index > s.Last:
			return fmt.Errorf("configuration at %d, log ends at %d", at.Index, s.Last)
		}
	}
	return nil
}

// Step hands the core what happened and returns what must now be done: a function of state and
// batch, and of nothing else.
func (c *Core) Step(batch []Input) Output {
	for _, input := range batch {
		switch in := input.(type) {
		case Tick:
			c.tick(&in)
		case Clock:
			c.noteClock(in.Now)
		case Receive:
			c.receive(&in.Envelope)
		case Persisted:
			c.persisted(in.Ticket)
		case Applied:
			c.applied(in.Index)
		case Propose:
			c.propose(&in)
		case ProposeConfiguration:
			c.proposeConfiguration(&in)
		case TransferLeadership:
			c.transferLeadership(&in)
		case ReadIndex:
			c.readIndex(in.ID)
		case Compact:
			c.compact(in.Index)
		case Install:
			c.install(&in)
		case Unlinked:
			c.unlinked(in.Peer)
		case Campaign:
			c.electionTimedOut()
		}
	}
	c.lead()
	c.handOutCommitted()
	return c.takeOutput()
}

// receive applies the term rule and hands the message to its handler.
func (c *Core) receive(e *Envelope) {
	if e.From == c.id || e.From == 0 || e.Term > maxTerm {
		return
	}
	if e.Term > c.currentTerm {
		if c.refusesTerm(e) {
			return
		}
		c.adoptTerm(e)
	}
	if e.Term < c.currentTerm {
		c.refuseOldTerm(e)
		return
	}
	switch m := e.Message.(type) {
	case *RequestVote:
		c.handleRequestVote(e.From, m)
	case *RequestVoteReply:
		c.handleRequestVoteReply(e.From, m)
	case *RequestPreVote:
		c.handleRequestPreVote(e.From, m)
	case *RequestPreVoteReply:
		c.handleRequestPreVoteReply(e.From, m)
	case *AppendEntries:
		c.handleAppendEntries(e.From, m)
	case *AppendEntriesReply:
		c.handleAppendEntriesReply(e.From, m)
	case *AppendEntriesRefusal:
		c.handleAppendEntriesRefusal(e.From, m)
	case *TimeoutNow:
		c.handleTimeoutNow(e.From)
	}
}

// adoptTerm makes this server a follower in the higher term of a message, whatever kind it is of.
//
// Figure 2, All Servers 2. Without it two servers could lead side by side, each in a term of its own.
func (c *Core) adoptTerm(e *Envelope) {
	c.becomeFollower(e.Term, 0, "saw a higher term")
}

// refusesTerm reports whether the message asks for a vote while this server hears its leader, and
// refuses it. The term is not adopted.
//
// Differs: Figure 2 adopts every higher term at once. Then a server that was cut off would depose a
// leader that everybody else is content with. (Thesis §4.2.3.)
func (c *Core) refusesTerm(e *Envelope) bool {
	switch m := e.Message.(type) {
	case *RequestVote:
		why := c.whyWithheld()
		if m.Transfer || why == "" {
			return false
		}
		c.tell(VoteRefused{To: e.From, Term: e.Term, Why: why})
	case *RequestPreVote:
		why := c.whyWithheld()
		if why == "" {
			return false
		}
		c.tell(VoteRefused{To: e.From, Term: e.Term + 1, Pre: true, Why: why})
	default:
		return false
	}
	return true
}

// refuseOldTerm answers a request from an older term, so that its sender learns of the new one.
// Replies of an older term mean nothing any more and get no answer.
//
// The first rules of both RPCs of Figure 2 have this in common.
func (c *Core) refuseOldTerm(e *Envelope) {
	switch e.Message.(type) {
	case *AppendEntries:
		c.refuseOldAppend(e.From)
	case *RequestVote:
		c.refuseOldVote(e.From, e.Term)
	case *RequestPreVote:
		c.tell(VoteRefused{To: e.From, Term: e.Term + 1, Pre: true, Why: "its term is over"})
		c.send(e.From, &RequestPreVoteReply{Granted: false}, 0)
	}
}

// persisted notes what is durable. A leader counts itself only for that.
func (c *Core) persisted(ticket Ticket) {
	invariant.Check(ticket < c.nextTicket, "write %d is durable, next to ask for is %d", ticket, c.nextTicket)
	c.log.persisted(ticket)
	if ticket >= c.termTicket {
		c.termTicket = 0
		c.leadIfElected()
	}
}

// applied notes how far the state machine is.
func (c *Core) applied(index Index) {
	invariant.Check(index <= c.handedOut, "applied %d, handed out up to %d", index, c.handedOut)
	c.lastApplied = max(c.lastApplied, index)
}

// handOutCommitted names the entries to apply next.
//
// Figure 2, All Servers 1. Only entries that are durable here as well: the state must never be
// ahead of this server's own log, or a restart would find a state that its log cannot explain.
func (c *Core) handOutCommitted() {
	end := min(c.commitIndex, c.log.durable)
	if end <= c.handedOut {
		return
	}
	c.out.Apply = Apply{First: c.handedOut + 1, Last: end}
	c.handedOut = end
}

// send puts a message into this step's output. It leaves once its own term, and the write after,
// are durable.
func (c *Core) send(to ServerID, m Message, after Ticket) {
	c.out.Send = append(c.out.Send, Envelope{
		From: c.id, To: to, Term: c.currentTerm, After: max(after, c.termTicket), Message: m,
	})
}

func (c *Core) tell(e Event) { c.out.Events = append(c.out.Events, e) }

// takeOutput closes the step: it numbers the write and drops messages of terms that this very step
// has ended.
func (c *Core) takeOutput() Output {
	p := &c.out.Persist
	if c.hardStateDirty || p.TruncateFrom != 0 || len(p.Entries) > 0 || p.CompactTo != 0 || p.Install != nil {
		p.Ticket = c.nextTicket
		p.HardState = &HardState{CurrentTerm: c.currentTerm, VotedFor: c.votedFor, Commit: min(c.commitIndex, c.log.last)}
		c.log.wrote(p.Ticket)
		c.nextTicket++
	}
	c.hardStateDirty = false
	c.out.Send = slices.DeleteFunc(c.out.Send, func(e Envelope) bool { return e.Term < c.currentTerm })
	out := c.out
	c.out = Output{}
	return out
}

// setTermAndVote changes the persistent state that elections rest on.
func (c *Core) setTermAndVote(term Term, votedFor ServerID) {
	if term == c.currentTerm && votedFor == c.votedFor {
		return
	}
	invariant.Check(term > c.currentTerm || (term == c.currentTerm && c.votedFor == 0),
		"vote for %d in term %d after a vote for %d in term %d", votedFor, term, c.votedFor, c.currentTerm)
	c.currentTerm, c.votedFor = term, votedFor
	c.hardStateDirty = true
	c.termTicket = c.nextTicket
}

// appendToLog appends entries, in memory and in this step's write.
func (c *Core) appendToLog(entries []Entry) {
	p := &c.out.Persist
	if len(p.Entries) == 0 {
		p.First = c.log.last + 1
	}
	p.Entries = append(p.Entries, entries...)
	before := c.log.configuration().Index
	c.log.append(entries)
	if now := c.log.configuration(); now.Index != before {
		c.configurationChanged(now)
	}
}

// truncateLog drops the entries from index from on, in memory and in this step's write.
func (c *Core) truncateLog(from Index) {
	invariant.Check(from > c.commitIndex, "truncate from %d, but %d is committed", from, c.commitIndex)
	c.tell(Truncated{From: from, Last: c.log.last})
	p := &c.out.Persist
	if len(p.Entries) > 0 && from >= p.First {
		p.Entries = p.Entries[:from-p.First]
	} else {
		p.Entries = nil
		if p.TruncateFrom == 0 || from < p.TruncateFrom {
			p.TruncateFrom = from
		}
	}
	before := c.log.configuration().Index
	c.log.truncate(from)
	if now := c.log.configuration(); now.Index != before {
		c.configurationChanged(now)
	}
}

// configurationChanged puts another configuration in force. It counts from the moment it is
// appended, and the one before it again if it is truncated. (Paper §6.)
func (c *Core) configurationChanged(now *ConfigurationAt) {
	c.tell(ConfigurationChanged{
		Index: now.Index, Voters: slices.Clone(now.Configuration.Voters),
		OldVoters: slices.Clone(now.Configuration.OldVoters), Learners: slices.Clone(now.Configuration.Learners),
	})
	if c.role == Leader {
		c.leadState.setPeers(c.id, now.Configuration, c.log.last+1)
	}
}

// configuration returns the configuration in force.
func (c *Core) configuration() *Configuration { return c.log.configuration().Configuration }
