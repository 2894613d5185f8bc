package replica

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// fed is a server that was away while the others have written. The test plays everybody else, and its state machine.
type fed struct {
	*cluster
	leader, other *server // live on; nothing that they send arrives
	s             *server
	sent          []letter // by the server, and not looked at yet
	step1         *SnapshotWork
	given         []*Apply
	fetches       []Fetch // that wait, if holdFetches
	holdFetches   bool
	wrote         []Write
	events        []string
}

// newFed returns one that lacks some commands of a group of three, and takes no entry in.
func newFed(t *testing.T, lacks int) *fed {
	t.Helper()
	c := newCluster(t, 3, 3)
	c.settle(anyElection)
	f := &fed{cluster: c, leader: c.leader(), s: c.follower()}
	f.other = c.servers[6-int(f.leader.id)-int(f.s.id)-1]
	c.wantDoneSoon(f.leader, c.propose(f.leader, "before"))
	c.wantApplied(f.s, "before")
	c.drop = func(from, to raft.ServerID) bool { return from == f.s.id || to == f.s.id }
	for range lacks {
		c.propose(f.leader, "x")
		c.drain()
	}
	return f
}

// step hands the server something, and keeps what it wants done. Its disk is never late.
func (f *fed) step(inputs ...Input) {
	f.t.Helper()
	for len(inputs) > 0 {
		work := f.s.replica.Step(0, inputs)
		inputs = nil
		if work.Fatal != nil {
			f.s.fatal = work.Fatal
		}
		for _, o := range work.Send {
			f.sent = append(f.sent, letter{f.s.id, o.To, o.Message})
		}
		if work.Snapshot != nil {
			if f.step1 != nil {
				f.t.Fatalf("a second step of the state machine, %+v, while %+v is under way", work.Snapshot, f.step1)
			}
			f.step1 = work.Snapshot
		}
		if work.Apply != nil {
			f.given = append(f.given, work.Apply)
		}
		for _, a := range work.Answers {
			f.s.answers[a.Handle] = a
		}
		for _, e := range work.Events {
			f.events = append(f.events, e.String())
		}
		if f.holdFetches {
			f.fetches = append(f.fetches, work.Fetch...)
			work.Fetch = nil
		}
		for _, fetch := range work.Fetch {
			inputs = append(inputs, Fetched{ID: fetch.ID, Records: f.leader.records[fetch.First-1 : fetch.Last]})
		}
		f.wrote = append(f.wrote, work.Writes...)
		if n := len(work.Writes); n > 0 {
			inputs = append(inputs, Persisted{work.Writes[n-1].Ticket})
		}
	}
}

func (f *fed) ticks(n int) {
	for range n {
		f.step(Tick{Delay: 1 << 20})
	}
}

// receive hands the server a message.
func (f *fed) receive(from raft.ServerID, term raft.Term, body any) {
	f.t.Helper()
	f.step(Receive{From: from, Message: wire.Message{Group: testGroup, Term: term, Body: body}})
}

func (f *fed) term() raft.Term { return f.leader.replica.term }

func (f *fed) offer(base raft.Index) {
	f.t.Helper()
	f.receive(f.leader.id, f.term(), &wire.SnapshotOffer{Base: base})
}

// append lets the leader's entries after one arrive, up to another one, all of them committed.
func (f *fed) append(prev, last raft.Index) {
	f.t.Helper()
	f.step(f.entries(prev, last))
}

// entries is the receipt of those.
func (f *fed) entries(prev, last raft.Index) Receive {
	m := &raft.AppendEntries{PrevLogIndex: prev, PrevLogTerm: wire.Raw(f.leader.records[prev-1]).Term(), LeaderCommit: last, Round: 1000}
	for _, b := range f.leader.records[prev:last] {
		m.Entries = append(m.Entries, raft.Entry{Term: wire.Raw(b).Term(), Kind: raft.EntryKind(wire.Raw(b).Kind()), Data: slices.Clone(b)})
	}
	return Receive{From: f.leader.id, Message: wire.Message{Group: testGroup, Term: f.term(), Body: m}}
}

// applied lets the state machine be done with what it was given first.
func (f *fed) applied() {
	f.t.Helper()
	if len(f.given) == 0 {
		f.t.Fatal("nothing is being applied")
	}
	done := Applied{Answers: make([]Answered, len(f.given[0].Entries))}
	f.given = f.given[1:]
	f.step(done)
}

// asked returns who was asked for a piece, and for what, since it was looked last; 0 if nobody was.
func (f *fed) asked() (of raft.ServerID, m *wire.SnapshotRequest) {
	f.t.Helper()
	for _, l := range f.sent {
		message, err := wire.DecodeMessage(l.bytes)
		if err != nil {
			f.t.Fatal(err)
		}
		if body, is := message.Body.(*wire.SnapshotRequest); is {
			if m != nil {
				f.t.Fatalf("asks %d and %d at once", of, l.to)
			}
			of, m = l.to, body
		}
	}
	f.sent = nil
	return of, m
}

// wantAsked returns the question that was asked, which must be this one.
func (f *fed) wantAsked(of raft.ServerID, request string) *wire.SnapshotRequest {
	f.t.Helper()
	to, m := f.asked()
	if m == nil || to != of || string(m.Request) != request || m.Boot != f.s.boot {
		f.t.Fatalf("asks %d: %+v; want server %d asked for %q", to, m, of, request)
	}
	return m
}

func (f *fed) wantNobodyAsked() {
	f.t.Helper()
	if of, m := f.asked(); m != nil {
		f.t.Fatalf("asks %d for %q", of, m.Request)
	}
}

// wantStep takes the step that the state machine was given, which must be this one.
func (f *fed) wantStep(want string) {
	f.t.Helper()
	got := "none"
	switch w := f.step1; {
	case w == nil:
	case w.Begin:
		got = "begin"
	case w.Install != nil:
		got = "install"
	default:
		got = "stage " + string(w.Chunk)
	}
	if got != want {
		f.t.Fatalf("the state machine is to %s, want %s", got, want)
	}
	if f.step1 != nil && f.step1.Install == nil {
		f.step1 = nil
	}
}

// worked lets the state machine be done with its step.
func (f *fed) worked(done SnapshotWorked) {
	f.t.Helper()
	f.step1 = nil
	f.step(done)
}

// positionAt returns where an entry of the leader's log is.
func (f *fed) positionAt(index raft.Index) *wire.Position {
	record := wire.Raw(f.leader.records[index-1])
	configuration := wire.AppendConfiguration(nil, f.leader.replica.configuration)
	return &wire.Position{EntryID: raft.EntryID{Index: index, Term: record.Term()}, Hash: record.Hash(), Configuration: configuration}
}

// piece lets the answer to a question arrive.
func (f *fed) piece(from raft.ServerID, m *wire.SnapshotRequest, at *wire.Position, chunk string) {
	f.t.Helper()
	f.receive(from, f.term(), &wire.SnapshotChunk{Boot: m.Boot, Number: m.Number, Outcome: wire.SnapshotServed, Position: at, Chunk: []byte(chunk)})
}

// begin has the server offered a state, and ask the leader for the first piece of it.
func (f *fed) begin(base raft.Index) *wire.SnapshotRequest {
	f.t.Helper()
	f.offer(base)
	f.wantStep("begin")
	f.worked(SnapshotWorked{Request: []byte("all")})
	return f.wantAsked(f.leader.id, "all")
}

// complete has it get all of a state at an index.
func (f *fed) complete(at *wire.Position) {
	f.t.Helper()
	m := f.begin(f.last())
	f.piece(f.leader.id, m, at, "everything")
	f.wantStep("stage everything")
	f.worked(SnapshotWorked{Complete: true})
}

// last is the last index of the leader's log; reached, that of the server's.
func (f *fed) last() raft.Index    { return raft.Index(len(f.leader.records)) }
func (f *fed) reached() raft.Index { return f.s.replica.core.LastIndex() }

// Pieces are asked for one after the other, each with what the state machine says, and when it has all of them, they
// become the state; then the log begins there, and goes on.
func TestStateComesPieceByPiece(t *testing.T) {
	f := newFed(t, 10)
	last, before := f.last(), f.reached()
	m := f.begin(last)
	for i, piece := range []string{"one", "two", "three"} {
		f.piece(f.leader.id, m, f.positionAt(last), piece)
		f.wantStep("stage " + piece)
		f.worked(SnapshotWorked{Request: []byte("after " + piece)})
		next := f.wantAsked(f.leader.id, "after "+piece)
		if next.Number <= m.Number {
			t.Errorf("question %d has number %d, after %d", i+2, next.Number, m.Number)
		}
		m = next
	}
	if f.reached() != before || f.s.replica.core.CommitIndex() != before || f.s.replica.apply.applied != before {
		t.Error("a state that is not complete counts already")
	}
	f.piece(f.leader.id, m, f.positionAt(last), "four")
	f.wantStep("stage four")
	f.worked(SnapshotWorked{Complete: true})
	f.wantStep("install")
	if at := f.step1.Install; at.EntryID != f.positionAt(last).EntryID || at.Hash != f.positionAt(last).Hash {
		t.Errorf("is to install at %v, want %v", at.EntryID, f.positionAt(last).EntryID)
	}
	f.wrote = nil
	f.worked(SnapshotWorked{})
	core := f.s.replica.core
	if core.Base() != f.positionAt(last).EntryID || core.LastIndex() != last || core.CommitIndex() != last || f.s.replica.apply.applied != last {
		t.Errorf("the log begins after %v and ends at %d, commit %d, applied %d; want %d", core.Base(), core.LastIndex(), core.CommitIndex(), f.s.replica.apply.applied, last)
	}
	if len(f.wrote) != 1 || f.wrote[0].Base == nil || f.wrote[0].Base.Hash != f.positionAt(last).Hash {
		t.Errorf("writes %+v, want the log's new beginning", f.wrote)
	}
	if c := f.s.replica.snapshot.counts; c.installed != 1 || c.received != uint64(len("onetwothreefour")) {
		t.Errorf("counts %+v", c)
	}
	f.ticks(2 * snapshotPatience)
	f.wantNobodyAsked()
	f.wantStep("none")
	// The log goes on from there, by hash.
	f.propose(f.leader, "behind it")
	f.drain()
	f.append(last, last+1)
	if f.reached() != last+1 || len(f.given) != 1 || string(f.given[0].Entries[0].Command.Request) != "behind it" || f.s.fatal != nil {
		t.Errorf("the log ends at %d, is given %v, %v", f.reached(), f.given, f.s.fatal)
	}
}

// Who leads says what is gone from its log. Nobody else does, and what is committed here is not lacking.
func TestOfferCountsIfTheLeaderMakesItAndItIsNews(t *testing.T) {
	f := newFed(t, 10)
	f.receive(f.other.id, f.term(), &wire.SnapshotOffer{Base: f.last()})
	f.receive(f.leader.id, f.term()-1, &wire.SnapshotOffer{Base: f.last()})
	f.receive(f.leader.id, f.term()+1, &wire.SnapshotOffer{Base: f.last()})
	f.offer(f.s.replica.core.CommitIndex())
	f.wantStep("none")
	f.offer(f.s.replica.core.CommitIndex() + 1)
	f.wantStep("begin")
}

// A second offer changes nothing about the dialogue that has begun.
func TestSecondOfferBeginsNothingAnew(t *testing.T) {
	f := newFed(t, 10)
	f.begin(f.last() - 3)
	f.offer(f.last() - 2)
	f.offer(f.last() - 4)
	f.wantNobodyAsked()
	f.wantStep("none")
	f.ticks(snapshotPatience + snapshotPause)
	m := f.wantAsked(f.other.id, "all")
	f.offer(f.last() - 3) // nor is the leader asked again because of it
	f.piece(f.other.id, m, f.positionAt(f.last()), "one")
	f.wantStep("stage one")
	if f.s.replica.snapshot.needed != f.last()-2 {
		t.Errorf("needs a state of %d, want %d", f.s.replica.snapshot.needed, f.last()-2)
	}
}

// A source that says nothing is left for the next one, and that for the first again. What is staged stays.
func TestSilentSourceIsLeftForTheNext(t *testing.T) {
	f := newFed(t, 10)
	f.piece(f.leader.id, f.begin(f.last()), f.positionAt(f.last()), "one")
	f.wantStep("stage one")
	f.worked(SnapshotWorked{Request: []byte("the rest")})
	f.wantAsked(f.leader.id, "the rest")
	for _, next := range []raft.ServerID{f.other.id, f.leader.id, f.other.id} {
		f.ticks(snapshotPatience - 1)
		f.wantNobodyAsked()
		f.ticks(1 + snapshotPause)
		f.wantAsked(next, "the rest")
	}
	f.wantStep("none")
}

// The same if it has nothing to give, at once; but not more often than every now and then.
func TestWhoHasNothingToGiveIsLeftForTheNext(t *testing.T) {
	f := newFed(t, 10)
	m := f.begin(f.last())
	for _, now := range []raft.ServerID{f.leader.id, f.other.id, f.leader.id} {
		f.receive(now, f.term(), &wire.SnapshotChunk{Boot: m.Boot, Number: m.Number, Outcome: wire.SnapshotUnavailable})
		f.wantNobodyAsked()
		f.ticks(snapshotPause - 1)
		f.wantNobodyAsked()
		f.ticks(1)
		m = f.wantAsked(f.leader.id+f.other.id-now, "all")
	}
	// What a later version says counts as that, too.
	f.receive(f.other.id, f.term(), &wire.SnapshotChunk{Boot: m.Boot, Number: m.Number, Outcome: 77})
	f.wantStep("none")
	f.ticks(snapshotPause)
	f.wantAsked(f.leader.id, "all")
}

// Only the answer to the question that waits is taken, from whom it was asked, and once.
func TestOnlyTheAnswerThatIsWaitedForIsTaken(t *testing.T) {
	f := newFed(t, 10)
	first := f.begin(f.last())
	at := f.positionAt(f.last())
	f.ticks(snapshotPatience)
	f.piece(f.other.id, first, at, "not asked yet")
	f.wantStep("none")
	f.ticks(snapshotPause)
	m := f.wantAsked(f.other.id, "all")
	f.piece(f.leader.id, first, at, "late")
	f.piece(f.other.id, first, at, "an old number")
	f.piece(f.leader.id, m, at, "of somebody else")
	f.piece(f.other.id, &wire.SnapshotRequest{Boot: m.Boot - 1, Number: m.Number}, at, "for an earlier life")
	f.wantStep("none")
	f.piece(f.other.id, m, at, "one")
	f.piece(f.other.id, m, at, "twice") // while the state machine is at it
	f.wantStep("stage one")
	f.worked(SnapshotWorked{Request: []byte("the rest")})
	f.piece(f.other.id, m, at, "and again")
	f.wantStep("none")
	f.wantAsked(f.other.id, "the rest")
}

// If the pieces do not fit together, the state machine is asked anew what it lacks, and somebody else for it.
func TestPieceThatIsOfNoUseBeginsTheDialogueAnew(t *testing.T) {
	f := newFed(t, 10)
	f.piece(f.leader.id, f.begin(f.last()), f.positionAt(f.last()), "rubbish")
	f.wantStep("stage rubbish")
	f.worked(SnapshotWorked{Err: errors.New("does not fit")})
	if f.s.fatal != nil || !slices.ContainsFunc(f.events, func(e string) bool { return strings.Contains(e, "does not fit") }) {
		t.Errorf("fatal %v, told %v", f.s.fatal, f.events)
	}
	f.wantStep("begin")
	f.worked(SnapshotWorked{Request: []byte("what there is")})
	f.wantNobodyAsked()
	f.ticks(snapshotPause)
	f.wantAsked(f.other.id, "what there is")
}

// If entries come after all, that is better. What is asked for is not asked again, and an answer is not taken.
func TestLogThatCatchesUpEndsTheDialogue(t *testing.T) {
	f := newFed(t, 10)
	f.begin(f.last() - 2)
	f.append(f.reached(), f.last()-3)
	f.ticks(snapshotPatience + snapshotPause)
	m := f.wantAsked(f.other.id, "all") // it still lacks one
	f.append(f.reached(), f.last()-2)
	f.piece(f.other.id, m, f.positionAt(f.last()), "late")
	f.ticks(2 * snapshotPatience)
	f.wantStep("none")
	f.wantNobodyAsked()
	if f.s.replica.snapshot.wanted {
		t.Error("still wants a state")
	}
}

// It does not end while the state machine is at it: the step comes to its end first.
func TestLogThatCatchesUpDuringAStepWaitsForIt(t *testing.T) {
	f := newFed(t, 10)
	f.piece(f.leader.id, f.begin(f.last()-2), f.positionAt(f.last()), "one")
	f.append(f.reached(), f.last())
	if !f.s.replica.snapshot.wanted {
		t.Fatal("forgets what the state machine is at")
	}
	f.wantStep("stage one")
	f.worked(SnapshotWorked{Complete: true})
	f.wantStep("none")
	if f.s.replica.snapshot.wanted {
		t.Error("still wants a state")
	}
}

// Two writers would be one too many.
func TestNothingIsAppliedWhileAStateIsInstalled(t *testing.T) {
	f := newFed(t, 10)
	first := f.reached() + 1
	f.append(first-1, first) // is given to the state machine, and it takes its time
	if len(f.given) != 1 {
		t.Fatalf("is given %v", f.given)
	}
	at := f.positionAt(f.last() - 1)
	f.complete(at)
	f.ticks(3)
	f.wantStep("none") // not before that is applied
	f.append(first, first+1)
	f.applied()
	f.wantStep("install")
	f.append(first+1, first+2)
	f.ticks(3)
	if len(f.given) != 0 {
		t.Fatalf("is given %v while a state is installed", f.given)
	}
	f.worked(SnapshotWorked{})
	if f.s.replica.apply.applied != at.Index || len(f.given) != 0 {
		t.Errorf("applied %d, is given %v; want a state at %d", f.s.replica.apply.applied, f.given, at.Index)
	}
	f.append(at.Index, f.last())
	if len(f.given) != 1 || f.given[0].Entries[0].Index != at.Index+1 {
		t.Errorf("is given %v, want entry %d", f.given, at.Index+1)
	}
}

// What has come in before is written first, and what comes after, behind it: a state is installed between two writes.
func TestStateIsInstalledBetweenTwoWrites(t *testing.T) {
	f := newFed(t, 10)
	at := f.positionAt(f.last() - 1)
	f.complete(at)
	f.wrote = nil
	f.step(f.entries(f.reached(), f.reached()+1), SnapshotWorked{}, f.entries(at.Index, f.last()))
	if len(f.wrote) != 3 || len(f.wrote[0].Records) != 1 || f.wrote[1].Base == nil || len(f.wrote[1].Records) != 0 || len(f.wrote[2].Records) != 1 {
		t.Fatalf("writes %+v", f.wrote)
	}
	if f.reached() != f.last() || f.s.replica.core.Base() != at.EntryID {
		t.Errorf("the log begins after %v and ends at %d", f.s.replica.core.Base(), f.reached())
	}
}

// Nor while entries are being read that are to be applied.
func TestStateIsNotInstalledWhileEntriesAreFetched(t *testing.T) {
	f := newFed(t, 10)
	f.s.replica.tail.limit = 0 // memory keeps nothing
	f.append(f.reached(), f.reached()+1)
	f.append(f.reached(), f.reached()+1)
	f.holdFetches = true
	f.applied()
	if len(f.fetches) != 1 {
		t.Fatalf("asks the log for %v", f.fetches)
	}
	f.complete(f.positionAt(f.last()))
	f.wantStep("none")
	f.step(Fetched{ID: f.fetches[0].ID, Records: f.leader.records[f.fetches[0].First-1 : f.fetches[0].Last]})
	f.wantStep("install")
	if len(f.given) != 0 {
		t.Errorf("is given %v besides", f.given)
	}
}

// If the log has the entry at which a state is, it keeps what follows, and only that is applied.
func TestInstalledStateWithinTheLogSkipsWhatItHas(t *testing.T) {
	f := newFed(t, 10)
	first := f.reached() + 1
	f.append(first-1, first)
	at := f.positionAt(f.last() - 3)
	f.complete(at)
	f.append(first, f.last()-1) // commits less than the offer spoke of, and more than the state has
	f.applied()
	f.wantStep("install")
	f.worked(SnapshotWorked{})
	if f.reached() != f.last()-1 || f.s.replica.core.Base() != at.EntryID {
		t.Errorf("the log begins after %v and ends at %d", f.s.replica.core.Base(), f.reached())
	}
	if len(f.given) != 1 || f.given[0].Entries[0].Index != at.Index+1 || len(f.given[0].Entries) != 2 {
		t.Errorf("is given %+v, want the two entries behind %d", f.given, at.Index)
	}
}

// A state that is of no use is dropped, and another one asked for.
func TestStateThatIsUnfitIsNotInstalled(t *testing.T) {
	for _, test := range []struct {
		why  string
		make func(f *fed, at *wire.Position)
	}{
		{"the state here is as far", func(f *fed, at *wire.Position) { at.Index = f.s.replica.core.CommitIndex() - 2 }},
		{"another entry", func(f *fed, at *wire.Position) { at.Index, at.Term = f.s.replica.core.CommitIndex(), at.Term+7 }},
		{"cannot be", func(f *fed, at *wire.Position) { at.Term = f.term() + maxTermAhead + 1 }},
	} {
		f := newFed(t, 10)
		f.append(f.reached(), f.reached()+2) // is being applied
		f.append(f.reached(), f.reached()+2) // committed, and waits for that
		at := f.positionAt(f.last())
		test.make(f, at)
		f.complete(at)
		f.events = nil
		f.applied()
		if len(f.events) != 1 || !strings.Contains(f.events[0], test.why) {
			t.Errorf("told %q, want %q", f.events, test.why)
		}
		f.step(Tick{Delay: 1 << 20})
		f.wantStep("begin")
		f.worked(SnapshotWorked{Request: []byte("again")})
		f.ticks(snapshotPause - 2)
		f.wantNobodyAsked()
		f.ticks(1)
		f.wantAsked(f.leader.id, "again")
		if f.s.fatal != nil {
			t.Errorf("%s: %v", test.why, f.s.fatal)
		}
	}
}

// A state that cannot be installed may be half there: this server must not go on.
func TestInstallThatFailsIsFatal(t *testing.T) {
	f := newFed(t, 10)
	f.complete(f.positionAt(f.last()))
	f.wantStep("install")
	f.worked(SnapshotWorked{Err: errors.New("disk on fire")})
	if f.s.fatal == nil || !strings.Contains(f.s.fatal.Error(), "disk on fire") {
		t.Errorf("fatal is %v", f.s.fatal)
	}
}

// The state may bring another configuration, and another term.
func TestConfigurationAndTermOfAStateCount(t *testing.T) {
	f := newFed(t, 10)
	at := f.positionAt(f.last())
	with := *f.s.replica.configuration
	with.Members = append(slices.Clone(with.Members), wire.Member{ID: 9, Roles: wire.RoleLearner})
	at.Configuration = wire.AppendConfiguration(nil, &with)
	at.Term = f.term() + 3
	f.complete(at)
	f.worked(SnapshotWorked{})
	if f.s.replica.configuration.Member(9) == nil || f.s.replica.configurationIndex != at.Index {
		t.Errorf("configuration of %d: %v", f.s.replica.configurationIndex, f.s.replica.configuration.Members)
	}
	if h := f.wrote[len(f.wrote)-1].HardState; h == nil || h.CurrentTerm != at.Term || f.s.replica.core.CurrentTerm() != at.Term {
		t.Errorf("writes %+v, is in term %d; want %d", h, f.s.replica.core.CurrentTerm(), at.Term)
	}
}

// restarted returns the server as it starts with a log that begins after its state.
func (f *fed) restarted(base raft.Index) {
	f.t.Helper()
	at := f.positionAt(base)
	r, err := New(Options{Group: testGroup, Boot: f.s.boot + 1, Member: wire.Member{ID: f.s.id}}, State{
		Raft: raft.State{
			HardState: raft.HardState{CurrentTerm: f.term(), Commit: base}, Base: at.EntryID, Last: base, Applied: base,
			Configurations: []raft.ConfigurationAt{{Index: base, Configuration: f.initial.Raft()}},
		},
		Before: at.Hash, NeedsState: true, Reached: 2,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.s.boot++
	f.s.replica = r
}

// A server whose state machine has less than its log begins after asks for a state by itself, gives nothing away, and
// applies nothing before it has one that is far enough.
func TestServerWithoutItsStateAsksForOne(t *testing.T) {
	f := newFed(t, 10)
	base := f.last() - 4
	f.restarted(base)
	f.ticks(1)
	f.wantStep("begin")
	f.worked(SnapshotWorked{Request: []byte("all")})
	f.ticks(snapshotPause)
	of, m := f.asked()
	if m == nil {
		t.Fatal("asks nobody")
	}
	f.append(base, f.last())
	f.ticks(3)
	if len(f.given) != 0 || !f.s.replica.snapshot.wanted {
		t.Fatalf("is given %v, on top of a state that is older than the log", f.given)
	}
	f.receive(f.other.id, f.term(), &wire.SnapshotRequest{Boot: 5, Number: 6, Request: []byte("give")})
	if f.outcomes() != fmt.Sprintf("5/6 to %d: 2 ", f.other.id) {
		t.Errorf("answers a request for a state that it has not: %s", f.outcomes())
	}
	f.sent = nil

	f.piece(of, m, f.positionAt(base-1), "too little")
	f.wantStep("stage too little")
	f.worked(SnapshotWorked{Complete: true})
	f.ticks(1)
	f.wantStep("begin") // the log begins later
	f.worked(SnapshotWorked{Request: []byte("more")})
	f.ticks(snapshotPause)
	of, m = f.asked()
	f.piece(of, m, f.positionAt(base), "enough")
	f.wantStep("stage enough")
	f.worked(SnapshotWorked{Complete: true})
	f.wantStep("install")
	f.wrote = nil
	f.worked(SnapshotWorked{})
	if len(f.wrote) != 0 && f.wrote[0].Base != nil {
		t.Errorf("writes %+v, and the log begins there already", f.wrote)
	}
	if len(f.given) != 1 || f.given[0].Entries[0].Index != base+1 || f.s.replica.snapshot.mustHave {
		t.Errorf("is given %v, want entry %d", f.given, base+1)
	}
}

// A command that a leader may have is perhaps in the state, and perhaps not: nobody here can know any more. One that was
// not handed over yet goes its way.
func TestCommandsThatMayBeInAStateAreUnknown(t *testing.T) {
	f := newFed(t, 10)
	propose := func(command string) uint64 {
		f.handle++
		f.step(Propose{Handle: f.handle, Command: wire.Command{Kind: 1, Request: []byte(command)}})
		return f.handle
	}
	sent, abandoned := propose("sent"), propose("sent, and nobody waits") // more are not on their way at once
	f.step(Cancel{Handle: abandoned})
	waits := propose("waits")
	f.complete(f.positionAt(f.last()))
	if a := f.s.answers[sent]; a.Outcome != 0 {
		t.Fatalf("answered before: %v", a.Outcome)
	}
	delete(f.s.answers, abandoned)
	f.worked(SnapshotWorked{})
	if a := f.s.answers[sent]; a.Outcome != Unknown {
		t.Errorf("what was sent is %q, want unknown", a.Outcome)
	}
	if a, answered := f.s.answers[waits]; answered {
		t.Errorf("what waits is %q", a.Outcome)
	}
	if a, answered := f.s.answers[abandoned]; answered {
		t.Errorf("what nobody waits for is answered once more: %q", a.Outcome)
	}
	if n := f.s.replica.commands.count; n != 1 || len(f.s.replica.commands.list) != 1 {
		t.Errorf("%d commands are not answered, %d kept; want that which waits", n, len(f.s.replica.commands.list))
	}
}

// A read that waits for what the state has is served by it.
func TestReadIsServedFromAStateThatWasTakenOver(t *testing.T) {
	f := newFed(t, 10)
	h := f.handle + 1
	f.sent = nil
	f.step(Read{Handle: h})
	var number uint64
	for _, l := range f.sent {
		if m, err := wire.DecodeMessage(l.bytes); err == nil {
			if body, is := m.Body.(*wire.ReadRequest); is {
				number = body.Number
			}
		}
	}
	if number == 0 {
		t.Fatal("asks nobody for an index")
	}
	f.receive(f.leader.id, f.term(), &wire.ReadReply{Boot: f.s.boot, Number: number, Index: f.last()})
	if a, answered := f.s.answers[h]; answered {
		t.Fatalf("answered before the state is there: %+v", a)
	}
	f.complete(f.positionAt(f.last()))
	f.worked(SnapshotWorked{})
	if a := f.s.answers[h]; a.Outcome != Done {
		t.Errorf("read is %q, want done", a.Outcome)
	}
}

// Log time is that of the state, as if its last entry had come. It used to stay where this server's clock was, if that was
// ahead: should it lead then, leases would end early.
func TestLogTimeIsThatOfTheState(t *testing.T) {
	for _, time := range []uint64{1, 1 << 62} {
		f := newFed(t, 10)
		f.complete(f.positionAt(f.last()))
		f.worked(SnapshotWorked{Time: time})
		if got := f.s.replica.logTime; got != time {
			t.Errorf("log time is %d, that of the state is %d", got, time)
		}
	}
}

// If the log keeps entries behind the state, it is that of the last of them, and has gone on since.
func TestLogTimeIsThatOfWhatTheLogKeeps(t *testing.T) {
	f := newFed(t, 10)
	f.append(f.reached(), f.reached()+1)
	f.complete(f.positionAt(f.last() - 3))
	f.append(f.reached(), f.last()-1)
	f.applied()
	before := f.s.replica.logTime
	f.wantStep("install")
	f.worked(SnapshotWorked{Time: 1})
	if got := f.s.replica.logTime; got != before || f.reached() != f.last()-1 {
		t.Errorf("log time is %d after %d, the log ends at %d", got, before, f.reached())
	}
}

// If the configuration leaves nobody else, nobody is asked but a leader, while there is one, and nothing panics.
func TestWhoIsAloneAsksNobody(t *testing.T) {
	f := newFed(t, 10)
	f.begin(f.last())
	f.s.replica.configuration = &wire.Configuration{Members: []wire.Member{{ID: f.s.id, Roles: wire.RoleVoter}}}
	f.s.replica.snapshot.source = 0
	for range 3 * snapshotPatience {
		f.ticks(1)
		if of, m := f.asked(); m != nil && of != f.leader.id {
			t.Errorf("server %d is asked", of)
		}
		f.sent = nil
	}
	r := f.s.replica
	r.leader, r.snapshot.source = 0, 0
	if r.snapshot.elsewhere(r.others()); r.snapshot.source != 0 {
		t.Errorf("server %d is asked", r.snapshot.source)
	}
}

// All whom a server knew may have been replaced while it was away. It knows the leader by what that says, and must not forget it when a piece is
// lost.
func TestTheLeaderIsAskedAgainThoughItIsNotKnownAsAMember(t *testing.T) {
	f := newFed(t, 5)
	r := f.s.replica
	without := *r.configuration
	without.Members = slices.DeleteFunc(slices.Clone(without.Members), func(m wire.Member) bool { return m.ID == f.leader.id })
	r.configuration = &without
	asked := map[raft.ServerID]int{}
	f.offer(f.leader.replica.core.LastIndex())
	if f.step1 == nil || !f.step1.Begin {
		t.Fatalf("the state machine is to do %+v", f.step1)
	}
	f.step1 = nil
	f.step(SnapshotWorked{Request: []byte("all")})
	for range 4 * (snapshotPatience + snapshotPause) { // nobody answers
		f.append(f.leader.replica.core.LastIndex(), f.leader.replica.core.LastIndex()) // a heartbeat, more or less
		f.ticks(1)
		if of, m := f.asked(); m != nil {
			asked[of]++
		}
		f.sent = nil
	}
	if asked[f.leader.id] < 2 || asked[f.other.id] == 0 || len(asked) != 2 {
		t.Errorf("it has asked %v; the leader is %d", asked, f.leader.id)
	}
}
