package replica

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// Healing is a server's copy of a group of which the log has holes: it has lost entries that it has promised to keep.
// It takes no part in the algorithm, and is to the others like a server that is down, until every hole is filled, with
// the very entry that was there, durably. Then the log is what it was, and a Replica goes on from it. So no rule of
// the algorithm knows of healing.
//
// It asks all others for what it lacks, and they answer, in any role, and while they heal themselves. What they have compacted
// it has again by a state of theirs: see needsState. A hole which nobody can fill is cut only if it is certain that the
// entry was never committed, and never will be: see mayCut.
//
// It belongs to one goroutine, is driven like a Replica, and reads nothing itself.
type Healing struct {
	options        Options
	group          wal.Group
	applied        raft.Index
	configurations []raft.Configuration // by the entries of group.Configurations; without voters if it is a hole
	latest         *wire.Configuration
	peers          []raft.ServerID

	missing   []*missing // ascending; those whose filling is not durable
	gaps      []*gap     // ascending
	highest   raft.Term  // that no entry here has been above
	library   library
	work      Work
	ticket    raft.Ticket // of the last write
	cutting   raft.Ticket // of the write that cuts the log; 0: none
	cutFrom   raft.Index
	state     dialogue
	basing    raft.Ticket // of the write that lets the log begin after base; 0: none
	base      *wire.Position
	guests    []raft.ServerID // to whom the state machine is giving a piece of its state
	allowance allowance
	waiting   []Serve // what others have asked, one for each, as long as the allowance is spent
	whole     bool    // it has been told
	ticks     int
	held      []Input // for the replica
}

// missing is a hole, and what is known of its entry elsewhere.
type missing struct {
	hole    wal.Hole
	ticket  raft.Ticket // of the write that fills it; 0: nobody has sent it yet
	answers []entryAnswer
	// compactedAt is when somebody has said first that it is compacted there, in ticks; 0: nobody has.
	compactedAt int
}

// entryAnswer is the last that a server has said of an entry.
type entryAnswer struct {
	from  raft.ServerID
	term  raft.Term
	state wire.EntryState
}

// Healing and Replica ask again after so many ticks, and say every so many ticks what is missing still.
const (
	healAskTicks  = 10
	healTellTicks = 1000
)

// NewHealing returns how a group heals of which the log has holes. applied is how far the state machine is, durably. It is
// an error if there is nobody who could be asked.
func NewHealing(options Options, g wal.Group, applied raft.Index) (*Healing, error) {
	options.setDefaults()
	h := &Healing{options: options, group: g, applied: applied, library: library{mark: libraryFetch}}
	if err := h.learn(); err != nil {
		return nil, err
	}
	h.highest, _ = termIn(&g, g.Last)
	if n := len(g.Gaps); n > 0 && g.Gaps[n-1].Last == g.Last {
		h.highest = g.HardState.CurrentTerm // it is not known of which terms those are
	}
	for _, hole := range g.Holes {
		h.missing = append(h.missing, &missing{hole: hole})
	}
	for _, p := range g.Gaps {
		own := &gap{Gap: p, candidates: map[raft.Index][]wire.Raw{}}
		for _, record := range p.Doubted {
			own.add(record)
		}
		h.gaps = append(h.gaps, own)
	}
	if len(h.peers) == 0 && !h.Healed() {
		return nil, fmt.Errorf("%v: restore the data directory from a backup, or replace this server: %w", h.stillMissing(), &wal.HoleError{Hole: g.Holes[0]})
	}
	return h, nil
}

// learn takes in the configurations of the log.
func (h *Healing) learn() error {
	h.configurations, h.peers = nil, nil
	for _, at := range h.group.Configurations {
		if at.Bytes == nil {
			h.configurations = append(h.configurations, raft.Configuration{})
			continue
		}
		c, err := wire.DecodeConfiguration(at.Bytes)
		if err != nil {
			return fmt.Errorf("group %d: configuration of entry %d: %w", h.options.Group, at.Index, err)
		}
		h.latest = c
		h.configurations = append(h.configurations, *c.Raft())
		h.peers = append(h.peers, c.Raft().Members()...)
	}
	slices.Sort(h.peers)
	h.peers = slices.DeleteFunc(slices.Compact(h.peers), func(id raft.ServerID) bool { return id == h.options.Member.ID })
	h.work.Configuration = h.latest
	return nil
}

// Healed reports whether every hole is filled, durably, or cut, or before where the log begins. Then the log is whole.
func (h *Healing) Healed() bool {
	return len(h.missing) == 0 && !h.changing() && !h.state.working
}

// changing reports whether the log is being cut, or let begin later.
func (h *Healing) changing() bool { return h.cutting != 0 || h.basing != 0 }

// Held returns what a Replica is to be told first.
func (h *Healing) Held() []Input { return h.held }

// Configuration is the latest that is known, and the index of its entry.
func (h *Healing) Configuration() (*wire.Configuration, raft.Index) {
	for i := len(h.group.Configurations) - 1; i > 0; i-- {
		if at := &h.group.Configurations[i]; at.Bytes != nil {
			return h.latest, at.Index
		}
	}
	return h.latest, h.group.Configurations[0].Index
}

// Step takes in what happened and returns what must now be done.
func (h *Healing) Step(inputs []Input) Work {
	for _, in := range inputs {
		h.take(in)
	}
	h.cut()
	h.fetchState()
	if h.Healed() && !h.whole {
		h.whole = true
		h.tell(Whole{})
	}
	work := h.work
	h.work = Work{}
	return work
}

func (h *Healing) take(input Input) {
	switch in := input.(type) {
	case Tick:
		if h.ticks%healAskTicks == 0 {
			for _, p := range slices.Clone(h.gaps) { // what is doubted may be all that is needed
				h.fillGap(p, h.options.Member.ID)
			}
			h.ask(h.peers)
		}
		h.allowance.tick(&h.options)
		h.serveWaiting()
		if h.ticks++; h.ticks%healTellTicks == 0 {
			h.tell(h.stillMissing())
		}
		h.state.tick(h.others)
	case Receive:
		h.receive(in.From, &in.Message)
	case Persisted:
		h.persisted(in.Ticket)
	case Fetched:
		to, _, reply, err := h.library.fetched(&in)
		if err != nil {
			h.work.Fatal = err
			return
		}
		h.reply(to, reply)
	case SnapshotWorked:
		h.stateWorked(&in)
	case Served:
		h.stateServed(&in)
	case Cancel:
		h.cancel(in.Handle)
	case Transfer:
		h.work.Answers = append(h.work.Answers, Answer{Handle: in.Handle, Outcome: NotLeader})
	case Propose:
		h.hold(in, in.Handle)
	case Read:
		h.hold(in, in.Handle)
	case Reconfigure:
		h.hold(in, in.Handle)
	case KeyKnown, Campaign:
		h.held = append(h.held, in)
	}
}

// receive takes in messages about lost entries. All others are for servers that take part.
func (h *Healing) receive(from raft.ServerID, m *wire.Message) {
	switch body := m.Body.(type) {
	case *wire.EntryRequest:
		reply, fetch := h.library.requested(from, h.group.HardState.CurrentTerm, body, h.look)
		if fetch != nil {
			h.work.Fetch = append(h.work.Fetch, *fetch)
		}
		h.reply(from, reply)
		h.giveDoubted(from, body)
	case *wire.EntryReply:
		h.found(from, m.Term, body)
	case *wire.EntryDoubts:
		h.doubts(from, body)
	case *wire.SnapshotRequest:
		h.stateRequested(from, body)
	case *wire.SnapshotChunk:
		h.stateAnswered(from, body)
	}
}

// look says what is known of an entry.
func (h *Healing) look(w *wire.WantedEntry) (state wire.EntryState, record wire.Raw, read bool) {
	term, ok := termIn(&h.group, w.Index)
	switch {
	case h.base != nil, h.cutting != 0 && w.Index >= h.cutFrom:
		return 0, nil, false
	case w.Index > h.group.Last:
		return wire.EntryLacking, nil, false
	case !ok || w.Index == h.group.Base.Index:
		return wire.EntryCompacted, nil, false
	case h.lost(w.Index) != nil:
		if is := &h.lost(w.Index).hole; is.Known() && w.Term != 0 && is.Term != w.Term {
			return wire.EntryLacking, nil, false // what is lost here is another entry
		}
		if record := h.gapAt(w.Index).candidate(w); record != nil {
			return wire.EntryThere, record, false // whether it was there last or not, it is what is asked for
		}
		return wire.EntryLost, nil, false
	case w.Term != 0 && term != w.Term:
		return wire.EntryLacking, nil, false
	}
	return 0, nil, true
}

// termIn returns the term of an entry of a group's log.
func termIn(g *wal.Group, i raft.Index) (term raft.Term, ok bool) {
	if i == g.Base.Index {
		return g.Base.Term, true
	}
	if i < g.Base.Index || i > g.Last {
		return 0, false
	}
	for _, run := range g.Runs {
		if run.First <= i {
			term = run.Term
		}
	}
	return term, true
}

// reply sends an answer. The term of this server is durable, and changes only when all of its log goes for a state: then it has healed.
func (h *Healing) reply(to raft.ServerID, m *wire.EntryReply) {
	if m != nil && len(m.Found) > 0 {
		h.send(to, m)
	}
}

func (h *Healing) send(to raft.ServerID, body any) {
	m := wire.Message{Group: h.options.Group, Term: h.group.HardState.CurrentTerm, Body: body}
	h.work.Send = append(h.work.Send, Outgoing{To: to, Message: wire.AppendMessage(nil, &m)})
}

// ask asks some servers for what has not been sent yet.
func (h *Healing) ask(peers []raft.ServerID) {
	m := &wire.EntryRequest{}
	for _, x := range h.missing {
		if p := h.gapAt(x.hole.Index); p != nil && len(p.candidates[x.hole.Index]) > 0 && h.ticks%healTellTicks != 0 {
			continue
		}
		if x.ticket == 0 && len(m.Wanted) < wire.MaxWanted {
			m.Wanted = append(m.Wanted, wire.WantedEntry{Index: x.hole.Index, Term: x.hole.Term, Hash: x.hole.Hash})
		}
	}
	if len(m.Wanted) == 0 || h.changing() {
		return
	}
	for _, peer := range peers {
		h.send(peer, m)
	}
}

// found takes in what a server has said about entries.
func (h *Healing) found(from raft.ServerID, term raft.Term, m *wire.EntryReply) {
	if !slices.Contains(h.peers, from) || h.changing() {
		return
	}
	filled := false
	for i := range m.Found {
		f := &m.Found[i]
		x := h.lost(f.Index)
		if x == nil || x.ticket != 0 || x.hole.Known() && x.hole.Term != f.Term || f.State > wire.EntryLost {
			continue
		}
		if p := h.gapAt(f.Index); p != nil && f.State == wire.EntryThere {
			if h.isAnother(p, f) {
				x.answered(entryAnswer{from, term, wire.EntryLacking})
				continue
			}
			filled = p.add(f.Record) || filled
			h.fillGap(p, from)
			continue
		}
		if f.State == wire.EntryThere {
			filled = h.fill(x, from, f.Record) || filled
			continue
		}
		x.answered(entryAnswer{from, term, f.State})
		if f.State == wire.EntryCompacted && x.compactedAt == 0 {
			x.compactedAt = max(1, h.ticks)
		}
	}
	if filled {
		h.ask([]raft.ServerID{from}) // it may have more
	}
}

// answered remembers the last that a server has said.
func (x *missing) answered(a entryAnswer) {
	x.answers = slices.DeleteFunc(x.answers, func(other entryAnswer) bool { return other.from == a.from })
	x.answers = append(x.answers, a)
}

// lost returns the hole at i, or nil.
func (h *Healing) lost(i raft.Index) *missing {
	at, ok := slices.BinarySearchFunc(h.missing, i, func(x *missing, i raft.Index) int {
		switch {
		case x.hole.Index < i:
			return -1
		case x.hole.Index > i:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return h.missing[at]
}

// fill writes an entry into its hole. It must be the very entry that was there.
func (h *Healing) fill(x *missing, from raft.ServerID, b []byte) bool {
	record, _, err := wire.DecodeRecord(b)
	if err == nil {
		err = x.hole.Fits(&record)
	}
	if err != nil {
		h.tell(Misfit{From: from, Index: x.hole.Index, Why: err})
		return false
	}
	h.filled(&record)
	record.Flags = wire.FlagCopy
	x.ticket = h.write(Write{First: record.Index, Records: [][]byte{wire.AppendRecord(nil, &record)}})
	h.tell(Filled{From: from, Index: x.hole.Index, Term: x.hole.Term})
	return true
}

// filled takes in what an entry is that was lost. That it was there is proved, so it counts from now on, durable or not: it may be
// a configuration that no later entry could do without.
func (h *Healing) filled(record *wire.Record) {
	h.group.Filled(record)
	if record.Kind != wire.RecordConfiguration {
		return
	}
	if err := h.learn(); err != nil {
		h.work.Fatal = err
	}
}

func (h *Healing) write(w Write) raft.Ticket {
	h.ticket++
	w.Ticket = h.ticket
	h.work.Writes = append(h.work.Writes, w)
	return h.ticket
}

// persisted counts as filled what is durable.
func (h *Healing) persisted(ticket raft.Ticket) {
	if h.cutting != 0 && h.cutting <= ticket {
		h.missing = slices.DeleteFunc(h.missing, func(x *missing) bool { return x.hole.Index >= h.cutFrom })
		h.cutting = 0
		h.group.Last = h.cutFrom - 1
		h.group.Configurations = slices.DeleteFunc(slices.Clone(h.group.Configurations), func(c wal.Configuration) bool { return c.Index >= h.cutFrom })
		if err := h.learn(); err != nil {
			h.work.Fatal = err
		}
	}
	h.missing = slices.DeleteFunc(h.missing, func(x *missing) bool { return x.ticket != 0 && x.ticket <= ticket })
	if h.basing != 0 && h.basing <= ticket {
		h.begun()
	}
	h.forgetGaps()
}

// cut drops the end of the log from the first hole on that may be cut.
func (h *Healing) cut() {
	if h.changing() {
		return
	}
	for _, x := range h.missing {
		if x.ticket == 0 && h.mayCut(x) {
			h.cutFrom = x.hole.Index
			h.cutting = h.write(Write{TruncateFrom: x.hole.Index})
			h.tell(Cut{From: x.hole.Index, Last: h.group.Last})
			return
		}
	}
}

// mayCut reports whether the entry of a hole, and those after it, were never committed and never will be, by what
// this server has acknowledged: a quorum, without this server, lacks the entry, each of them in a later term than any
// entry here is of. Had the entry been committed, one of that quorum would have acknowledged it, and have it still, for
// what is committed is never replaced; and none of them ever will acknowledge it to a leader of its term, or to one of
// any term that this server has acknowledged anything in. Every configuration from the one in force there on must have
// such a quorum, and both sides of a joint one.
func (h *Healing) mayCut(x *missing) bool {
	if x.hole.Index <= max(h.group.HardState.Commit, h.applied) || len(h.gaps) > 0 && x.hole.Index > h.gaps[0].First {
		return false
	}
	lastTerm := h.lastTerm()
	lacks := func(id raft.ServerID) bool {
		return id != h.options.Member.ID && slices.ContainsFunc(x.answers, func(a entryAnswer) bool {
			return a.from == id && a.state == wire.EntryLacking && a.term > lastTerm
		})
	}
	for i := range h.configurations {
		inForce := i+1 == len(h.configurations) || h.group.Configurations[i+1].Index >= x.hole.Index
		if known := len(h.configurations[i].Voters) > 0; inForce && known && !h.configurations[i].HasQuorum(lacks) {
			return false
		}
	}
	return h.inForceBefore(x.hole.Index)
}

// inForceBefore reports whether the configuration is known that is in force before an entry.
func (h *Healing) inForceBefore(i raft.Index) bool {
	known := false
	for k, at := range h.group.Configurations {
		if at.Index < i {
			known = len(h.configurations[k].Voters) > 0
		}
	}
	return known
}

// lastTerm returns a term that no entry of the log was above when this server began to heal.
func (h *Healing) lastTerm() raft.Term { return h.highest }

// hold keeps a request for the replica.
func (h *Healing) hold(in Input, handle uint64) {
	if len(h.held) >= h.options.MaxPending {
		h.work.Answers = append(h.work.Answers, Answer{Handle: handle, Outcome: Busy})
		return
	}
	h.held = append(h.held, in)
}

// cancel ends a request that is held.
func (h *Healing) cancel(handle uint64) {
	h.held = slices.DeleteFunc(h.held, func(in Input) bool {
		held := uint64(0)
		switch in := in.(type) {
		case Propose:
			held = in.Handle
		case Read:
			held = in.Handle
		case Reconfigure:
			held = in.Handle
		}
		if held != handle || handle == 0 {
			return false
		}
		h.work.Answers = append(h.work.Answers, Answer{Handle: handle, Outcome: Canceled})
		return true
	})
}

func (h *Healing) tell(e fmt.Stringer) { h.work.Events = append(h.work.Events, e) }
