package replica

import (
	"cmp"
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Options tune a replica. The zero value of a field means its default.
type Options struct {
	Group wire.GroupID
	// Boot is this server's boot counter: higher than at any earlier start of it.
	Boot uint64
	// Member is what this server's entry in the configuration should say.
	Member wire.Member
	// Raft tunes the core; its ID is Member.ID.
	Raft raft.Options
	// Pace lets the campaign delay follow what is measured.
	Pace PaceOptions
	// CatchUp bounds what those are sent who lag.
	CatchUp CatchUpOptions
	// TickNanoseconds is the length of a tick. Default 10 ms.
	TickNanoseconds uint64
	// MaxPending bounds the requests of this server's own clients that wait. At the bound they are
	// answered Busy. Default 65536.
	MaxPending int
	// MaxIntakeBytes bounds the forwarded commands that wait at a leader. At the bound batches are not
	// taken, and come again. Default 16 MiB.
	MaxIntakeBytes int
	// MaxBatchBytes and MaxBatchCommands bound what is proposed or forwarded at a time. Defaults 1 MiB
	// and 4096.
	MaxBatchBytes, MaxBatchCommands int
	// MaxWritesInFlight is how many writes may be under way before commands wait for the next batch:
	// while the disk is busy, the next batch gathers. Default 2.
	MaxWritesInFlight int
	// MaxApplyBytes and MaxApplyEntries bound one Apply. Defaults 4 MiB and 4096.
	MaxApplyBytes, MaxApplyEntries int
	// TailBytes is how much of the log's end is kept in memory. Default 16 MiB. What may still be
	// truncated is kept besides.
	TailBytes int
	// ResendTicks is how long a forwarded batch or read goes unanswered before it is sent again, in
	// the same term and under the same number. Default twice Raft.ElectionTicks.
	ResendTicks int
	// StuckTicks is after how long a write that is not done ends the server: its disk hangs. Default 30 s.
	StuckTicks int
	// PreferTicks is for how long a server that is preferred must have been well before a leader that is not hands over to
	// it. Default 20 times the shortest that a server waits for its leader: Pace.MinTicks, or Raft.ElectionTicks.
	PreferTicks int
	// SumTicks is how often the others are told what the state machine's sums are. Default 3 s.
	SumTicks int
}

// stuckNanoseconds is the default of Options.StuckTicks.
const stuckNanoseconds = 30_000_000_000

func (o *Options) setDefaults() {
	if o.TickNanoseconds == 0 {
		o.TickNanoseconds = 10_000_000
	}
	o.Raft.ID = o.Member.ID
	o.CatchUp.setDefaults(max(1, int(1_000_000_000/o.TickNanoseconds)))
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.MaxPending, 1 << 16},
		{&o.MaxIntakeBytes, 16 << 20},
		{&o.MaxBatchBytes, 1 << 20},
		{&o.MaxBatchCommands, 4096},
		{&o.MaxWritesInFlight, 2},
		{&o.MaxApplyBytes, 4 << 20},
		{&o.MaxApplyEntries, 4096},
		{&o.TailBytes, 16 << 20},
		{&o.ResendTicks, 2 * max(o.Raft.ElectionTicks, 10)},
		{&o.SumTicks, max(1, int(3_000_000_000/o.TickNanoseconds))},
		{&o.StuckTicks, int(stuckNanoseconds / o.TickNanoseconds)},
		{&o.PreferTicks, 20 * max(o.shortestTicks(), 10)},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// State is what a server finds on its disk when it starts.
type State struct {
	Raft raft.State
	// Records are the last entries of the log, from some index at or below the commit index in
	// Raft.HardState, plus one, to the end: all that may still be truncated.
	Records [][]byte
	// Before is the hash of the entry before the first of Records.
	Before wire.Hash
	// LogTime is the time of the last entry that has one.
	LogTime uint64
	// NeedsState: the state machine has less than what the log begins after, so another server's state is needed.
	// Raft.Applied is Raft.Base.Index then, and Reached is what the state machine has.
	NeedsState bool
	Reached    raft.Index
}

// Replica is one server's copy of one group. It belongs to one goroutine.
type Replica struct {
	options Options
	core    *raft.Core
	tail    tail
	work    Work
	batch   []raft.Input // for the next step of the core

	configuration      *wire.Configuration // in force
	configurationIndex raft.Index
	leaving            []wire.Member // who belonged to the one before, and not to this; until a while after it is committed
	leavingTicks       int           // since it is known to be committed
	logTime            uint64

	// What the core was when it was last looked at: a change of these is a change of leadership.
	role   raft.Role
	term   raft.Term
	leader raft.ServerID

	persisted      raft.Ticket
	writesInFlight int
	installing     *wire.Position // where the state is that the core is told of in this very step

	outbox     outbox
	catchUp    catchUp
	commands   commands
	intake     intake
	reads      reads
	apply      applying
	claims     claims
	membership membership
	asking     asking
	snapshot   snapshot
	serving    serving
	handover   handover
	preference preference
	promptness promptness
	sums       sums
	pace       pace
	library    library
	termTicket raft.Ticket // of the write of the latest term: with it the current term is durable
	termAsked  raft.Term   // of that write, or as it was found
	slowDisk   slowDisk
}

// New returns a replica in the state that the server found on its disk.
func New(options Options, state State) (*Replica, error) {
	options.setDefaults()
	core, err := raft.New(options.Raft, state.Raft)
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", options.Group, err)
	}
	options.Raft = core.Options()
	r := &Replica{
		options: options,
		core:    core,
		logTime: state.LogTime,
		tail: tail{
			first:  state.Raft.Last - raft.Index(len(state.Records)) + 1,
			before: state.Before,
			limit:  options.TailBytes,
		},
		apply:  applying{next: state.Raft.Applied + 1, end: state.Raft.Applied, applied: state.Raft.Applied},
		claims: claims{dirty: true},

		library:   library{mark: libraryFetch | healthyFetch},
		termAsked: state.Raft.HardState.CurrentTerm,
	}
	for _, record := range state.Records {
		r.tail.append(record)
	}
	if err := r.adoptConfiguration(); err != nil {
		return nil, fmt.Errorf("group %d: %w", options.Group, err)
	}
	if state.NeedsState {
		r.apply.applied = state.Reached
		r.snapshot.wanted, r.snapshot.mustHave, r.snapshot.needed = true, true, state.Raft.Base.Index
	}
	r.work = Work{Configuration: r.configuration}
	r.pace.found = r.pace.find(&r.options) // what is in force before the first tick
	return r, nil
}

// Step takes in what happened and returns what must now be done. now is what the driver's clock shows, in
// nanoseconds, read after the inputs were collected, so that all of them came in before; 0: it has none. The
// clock only goes forward, and goes on whatever happens to the process or the machine. Promises to a leader and
// its lease are reckoned by it, and nothing else: see raft.Clock.
func (r *Replica) Step(now uint64, inputs []Input) Work {
	if now > 0 {
		r.batch = append(r.batch, raft.Clock{Now: now / r.options.TickNanoseconds})
	}
	r.intake.refused, r.reads.busy, r.membership.asked = false, false, false
	for _, in := range inputs {
		r.take(in)
	}
	r.offer()
	r.stepCore()
	for r.offer() {
		r.stepCore()
	}
	r.snapshot.advance(r)
	r.startApply()
	r.tail.forget(min(r.core.Durable(), r.core.CommitIndex()))
	work := r.work
	r.work = Work{}
	return work
}

func (r *Replica) take(input Input) {
	switch in := input.(type) {
	case Tick:
		r.tick(in)
	case Receive:
		r.receive(in.From, &in.Message)
	case Persisted:
		r.persistedUpTo(in.Ticket)
	case Applied:
		r.appliedBatch(in.Answers)
	case Propose:
		r.commands.propose(r, &in)
	case Read:
		r.reads.read(r, in.Handle)
	case Cancel:
		r.cancel(in.Handle)
	case Fetched:
		r.fetched(&in)
	case Flushed:
		r.flushed(&in)
	case SnapshotWorked:
		r.snapshot.worked(r, &in)
	case Sums:
		r.sums.known(r, in.Sums)
	case Served:
		r.serving.served(r, &in)
	case KeyKnown:
		r.claims.keyKnown(in.ID, in.Key)
	case Reconfigure:
		r.reconfigure(&in)
	case Transfer:
		r.handover.transfer(r, &in)
	case Unlinked:
		r.batch = append(r.batch, raft.Unlinked{Peer: in.Peer})
	case Campaign:
		r.batch = append(r.batch, raft.Campaign{})
	}
}

func (r *Replica) tick(in Tick) {
	elapsed := cmp.Or(in.Elapsed, r.options.TickNanoseconds)
	r.logTime += elapsed
	delay := r.slowDisk.delay(r, r.pace.tick(r, &in, cmp.Or(in.Passed, elapsed)))
	r.batch = append(r.batch, raft.Tick{Random: in.Random, Delay: delay})
	r.catchUp.tick(&r.options)
	r.outbox.flush(r)
	r.serving.tick(r)
	r.snapshot.tick(r)
	r.sums.tick(r)
	r.commands.tick(r)
	r.reads.tick(r)
	r.claims.tick(r)
	r.membership.tick(r)
	r.asking.tick(r)
	r.handover.tick()
	r.promptness.tick(r)
	r.slowDisk.tick(r)
	r.preference.tick(r)
	if len(r.leaving) > 0 && r.core.CommitIndex() >= r.configurationIndex {
		r.leavingTicks++
	}
}

// receive sorts a message: the core's to the core, requests of other servers to where they wait.
func (r *Replica) receive(from raft.ServerID, m *wire.Message) {
	switch body := m.Body.(type) {
	case *wire.Forward:
		r.intake.forwarded(r, from, m.Term, body)
	case *wire.ForwardReply:
		r.commands.forwardTaken(r, from, m.Term, body)
	case *wire.ReadRequest:
		r.reads.requested(r, from, body)
	case *wire.ReadReply:
		r.reads.replied(r, body)
	case *wire.SnapshotOffer:
		r.snapshot.offered(r, from, m.Term, body)
	case *wire.SnapshotRequest:
		r.serving.requested(r, from, body)
	case *wire.SnapshotChunk:
		r.snapshot.answered(r, from, body)
	case *wire.Sums:
		r.sums.heard(r, from, body)
	case *wire.Claim:
		r.claims.claimed(from, &body.Member)
	case *wire.Change:
		r.membership.requested(r, from, m.Term, body)
	case *wire.ChangeReply:
		r.asking.replied(r, body)
	case *wire.EntryRequest:
		r.entriesRequested(from, body)
	case *raft.AppendEntries:
		if from == r.leader && m.Term == r.term {
			r.pace.heard(r)
		}
		if r.followsFromLog(from, body) {
			r.toCore(from, m.Term, body)
		}
	case *raft.AppendEntriesReply:
		if m.Term == r.term {
			r.promptness.answered(from, body.Verified)
		}
		r.toCore(from, m.Term, body)
	case raft.Message:
		r.toCore(from, m.Term, body)
	}
}

// farewellTicks is how long those who have left are still heard: whoever has asked for it is told that it is done.
const farewellTicks = 20

func (r *Replica) toCore(from raft.ServerID, term raft.Term, m raft.Message) {
	r.batch = append(r.batch, raft.Receive{Envelope: raft.Envelope{From: from, To: r.options.Member.ID, Term: term, Message: m}})
}

// followsFromLog checks the hashes of entries that are new here against the log before them. The core
// compares terms and indexes, as the paper does; hashes also show damage and divergence.
func (r *Replica) followsFromLog(from raft.ServerID, m *raft.AppendEntries) bool {
	index := m.PrevLogIndex
	entries := m.Entries
	for len(entries) > 0 {
		if term, ok := r.core.TermAt(index + 1); !ok || term != entries[0].Term {
			break
		}
		index, entries = index+1, entries[1:]
	}
	previous, known := r.tail.hashAt(index)
	if term, ok := r.core.TermAt(index); !ok || (index == m.PrevLogIndex && term != m.PrevLogTerm) {
		known = false // the core will refuse it, and nothing is appended
	}
	for i := range entries {
		record := wire.Raw(entries[i].Data)
		if (known || i > 0) && !record.Follows(previous, r.options.Group) {
			r.work.Events = append(r.work.Events, Diverged{From: from, Index: record.Index()})
			return false
		}
		previous = record.Hash()
	}
	return true
}

// stepCore steps the core with what has gathered, and carries its output over into the work.
func (r *Replica) stepCore() {
	out := r.core.Step(r.batch)
	r.batch = r.batch[:0]
	r.acceptedOrRefused(&out)
	r.write(&out.Persist)
	for _, e := range out.Events {
		r.work.Events = append(r.work.Events, e)
	}
	r.noteLeadership()
	if at := r.core.Configuration(); at.Index != r.configurationIndex {
		if err := r.adoptConfiguration(); err != nil {
			r.work.Fatal = err
		}
		r.work.Configuration, r.work.Leaving = r.configuration, r.leaving
	}
	if len(r.leaving) > 0 && r.leavingTicks >= farewellTicks {
		r.leaving = nil
		r.work.Configuration, r.work.Leaving = r.configuration, nil
	}
	r.outbox.put(r, out.Send)
	for _, ready := range out.Reads {
		r.reads.confirmed(r, ready)
	}
	if out.Apply.Last != 0 {
		r.apply.end = out.Apply.Last
	}
}

// write turns what the core wants to persist into records. Entries that this server proposed get
// their place and their hash here: from now on their bytes are the same everywhere.
func (r *Replica) write(p *raft.Persist) {
	if p.Ticket == 0 {
		return
	}
	if p.TruncateFrom != 0 {
		r.tail.truncate(p.TruncateFrom)
	}
	w := Write{Ticket: p.Ticket, CompactTo: p.CompactTo, HardState: p.HardState, TruncateFrom: p.TruncateFrom, First: p.First}
	if p.Install != nil {
		w.Base = r.installing
		r.tail.install(r.installing, r.core.LastIndex())
	}
	previous, _ := r.tail.hashAt(r.tail.last())
	for i := range p.Entries {
		record := r.seal(&p.Entries[i], p.First+raft.Index(i), previous)
		previous = record.Hash()
		r.tail.append(record)
		r.catchUp.appended += len(record)
		w.Records = append(w.Records, record)
	}
	if w.HardState != nil && w.HardState.CurrentTerm != r.termAsked {
		r.termTicket, r.termAsked = w.Ticket, w.HardState.CurrentTerm
	}
	r.work.Writes = append(r.work.Writes, w)
	r.writesInFlight++
	r.pace.wrote()
	r.slowDisk.wrote(p.Ticket)
}

// seal completes the record of an entry that was made here; others are complete.
func (r *Replica) seal(e *raft.Entry, index raft.Index, previous wire.Hash) wire.Raw {
	if e.Kind == raft.KindNoOp && e.Data == nil {
		e.Data = layOut(8, func(b []byte) []byte { return append(b, make([]byte, 8)...) })
	}
	record := wire.Raw(e.Data)
	if record.Sealed() {
		r.noteTime(record)
		return record
	}
	payload := record[wire.RecordHeaderBytes:]
	payloadBytes := int(payloadBytesOf(record))
	if e.Kind != raft.KindConfiguration {
		wire.SetCommandTime(payload, r.logTime)
	}
	wire.SealRecord(record, payloadBytes, wire.Record{
		Kind: uint8(e.Kind), Group: r.options.Group, Index: index, Term: e.Term,
	}, previous)
	return record
}

// noteTime sets the log time to that of a leader's entry. Since the entry before, it has gone on here by
// this server's own clock; if that was kept when it is ahead, time would jump by the drift of all the
// days since this server started when it comes to lead, and leases would end early.
func (r *Replica) noteTime(record wire.Raw) {
	if time, ok := EntryTime(record); ok {
		r.logTime = time
	}
}

func (r *Replica) persistedUpTo(ticket raft.Ticket) {
	r.writesInFlight -= int(ticket - r.persisted)
	r.persisted = ticket
	r.pace.persisted(r, r.writesInFlight > 0)
	r.slowDisk.persisted(r, ticket)
	r.batch = append(r.batch, raft.Persisted{Ticket: ticket})
	r.outbox.release(r)
}

// noteLeadership looks at who leads, and lets everything that depends on it start over.
func (r *Replica) noteLeadership() {
	role, term, leader := r.core.Role(), r.core.CurrentTerm(), r.core.Leader()
	if role == r.role && term == r.term && leader == r.leader {
		return
	}
	r.role, r.term, r.leader = role, term, leader
	r.outbox.dropOld(term)
	r.commands.leadershipChanged(term)
	r.intake.leadershipChanged()
	r.reads.leadershipChanged()
	r.membership.leadershipChanged(r)
	r.asking.leadershipChanged(r)
	r.handover.leadershipChanged(r)
	r.preference.leadershipChanged(r)
	r.promptness.leadershipChanged()
	r.pace.leadershipChanged(r)
	r.claims.dirty = true
}

func (r *Replica) leads() bool { return r.role == raft.Leader }

// offer hands waiting requests to the core, or sends them to the leader. It reports whether the core
// has something to do.
func (r *Replica) offer() bool {
	switch {
	case r.leads():
		r.reads.offerToCore(r)
		if r.handover.underWay { // the core would refuse whatever is proposed
			r.membership.handBack(r)
			break
		}
		r.proposeWaiting()
		if !r.membership.propose(r) {
			r.claims.propose(r)
		}
	case r.leader != 0:
		r.commands.forward(r)
		r.reads.request(r)
		r.asking.send(r)
	}
	return len(r.batch) > 0
}

func (r *Replica) answer(a Answer) { r.work.Answers = append(r.work.Answers, a) }

func (r *Replica) cancel(handle uint64) {
	if !r.commands.cancel(r, handle) {
		r.reads.cancel(r, handle)
		r.membership.cancel(r, handle)
		r.asking.cancel(r, handle)
		r.handover.cancel(r, handle)
	}
}

// send encodes a message that promises nothing, so that it may leave at once.
func (r *Replica) send(to raft.ServerID, term raft.Term, body any, records ...[]byte) {
	m := wire.Message{Group: r.options.Group, Term: term, Body: body}
	r.work.Send = append(r.work.Send, Outgoing{To: to, Message: wire.AppendMessage(nil, &m, records...)})
}
