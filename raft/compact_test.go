package raft

import (
	"fmt"
	"slices"
	"testing"
)

// appliedTo returns a core that follows nobody yet, whose log has entries of these terms, all durable, and whose
// state machine has applied those up to index, which are committed.
func appliedTo(t *testing.T, index Index, terms ...Term) *Core {
	t.Helper()
	core := newCore(t, 1, votersOf(3), HardState{Commit: index}, terms...)
	if out := step(core, Tick{}, Applied{index}); core.lastApplied != index {
		t.Fatalf("applied %d, want %d: %+v", core.lastApplied, index, out)
	}
	return core
}

// installed returns the input that says that the state at an entry is there, with a configuration.
func installed(index Index, term Term, configuration *Configuration) Install {
	return Install{Base: EntryID{index, term}, Configuration: configuration}
}

// Whatever it is asked for, the log drops only what is applied, and writes down where it begins.
func TestCompactDropsWhatIsAppliedAndNothingElse(t *testing.T) {
	for _, test := range []struct{ ask, want Index }{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {5, 3}, {9, 3}, {^Index(0), 3}} {
		core := appliedTo(t, 3, 1, 1, 2, 2, 3)
		// Entry 4 is committed and handed out, and is not applied yet; 5 is not committed.
		out := step(core, from(2, 3, &AppendEntries{PrevLogIndex: 4, PrevLogTerm: 2, LeaderCommit: 4, Round: 1}))
		if out.Apply != (Apply{4, 4}) {
			t.Fatalf("applies %v", out.Apply)
		}
		out = step(core, Compact{test.ask})
		if got := out.Persist.CompactTo; got != test.want || core.Base().Index != test.want || (out.Persist.Ticket != 0) != (test.want != 0) {
			t.Errorf("asked to drop up to %d: drops up to %d, base %v, write %d; want %d", test.ask, got, core.Base(), out.Persist.Ticket, test.want)
		}
		if core.LastIndex() != 5 || core.CommitIndex() != 4 || out.Persist.TruncateFrom != 0 || len(out.Persist.Entries) != 0 {
			t.Errorf("asked to drop up to %d: the log ends at %d, commit %d, writes %+v", test.ask, core.LastIndex(), core.CommitIndex(), out.Persist)
		}
	}
}

// What the log has dropped stays dropped, and is dropped once.
func TestCompactNeverGoesBack(t *testing.T) {
	core := appliedTo(t, 4, 1, 1, 2, 2, 3)
	step(core, Compact{3})
	for _, to := range []Index{0, 1, 3} {
		if out := step(core, Compact{to}); out.Persist.Ticket != 0 || core.Base() != (EntryID{3, 2}) {
			t.Errorf("asked for %d after 3: writes %+v, base %v", to, out.Persist, core.Base())
		}
	}
	if out := step(core, Compact{4}); out.Persist.CompactTo != 4 || core.Base() != (EntryID{4, 2}) {
		t.Errorf("asked for 4 after 3: writes %+v, base %v", out.Persist, core.Base())
	}
	if got := core.Status().Base; got != (EntryID{4, 2}) {
		t.Errorf("the status has base %v", got)
	}
}

// An entry that a majority has may be committed here before it is durable here. It is not applied before, and so it is
// not dropped.
func TestCompactKeepsWhatIsNotDurable(t *testing.T) {
	core := leaderOf(t, 3, 1) // its no-op is at 2
	step(core, from(2, 2, &AppendEntriesReply{Round: 1, Verified: 2}), Applied{2})
	written := step(core, Propose{ID: 1, Entries: entriesOf(0, 0)}).Persist.Ticket
	step(core, from(2, 2, &AppendEntriesReply{Round: 3, Verified: 4}), from(3, 2, &AppendEntriesReply{Round: 4, Verified: 4}))
	if core.CommitIndex() != 4 {
		t.Fatalf("commit index %d, want 4", core.CommitIndex())
	}
	if step(core, Compact{4}); core.Base().Index != 2 {
		t.Errorf("the log begins after %d, and is durable up to 2", core.Base().Index)
	}
	step(core, Persisted{written}, Applied{4})
	if step(core, Compact{4}); core.Base().Index != 4 {
		t.Errorf("the log begins after %d, want 4: all of it is durable and applied", core.Base().Index)
	}
}

// All logs of four entries, with a configuration after every entry, compacted everywhere once and twice: what is left
// is as if the log had begun there, and so is what is appended.
func TestCompactedLogIsOneThatBeganThere(t *testing.T) {
	eachLog(4, func(terms []Term) {
		for configurations := range 1 << len(terms) {
			for first := 1; first <= len(terms); first++ {
				for second := first; second <= len(terms); second++ {
					l := configured(logOf(0, terms), configurations, 0)
					l.compact(Index(first))
					if second > first {
						l.compact(Index(second))
					}
					want := configured(logOf(second, terms), configurations, second)
					if got, want := said(l), said(want); got != want {
						t.Fatalf("log %v, configurations %04b, compacted at %d and %d:\n%s, want\n%s", terms, configurations, first, second, got, want)
					}
					for _, l := range []*termLog{l, want} {
						l.append(entriesOf(3, 4))
					}
					if got, want := said(l), said(want); got != want {
						t.Fatalf("log %v compacted at %d and %d, and two more entries:\n%s, want\n%s", terms, first, second, got, want)
					}
				}
			}
		}
	})
}

// configured gives a log a configuration at each entry whose bit is set; of those up to base, the latest only.
func configured(l *termLog, bits, base int) *termLog {
	l.configurations = []ConfigurationAt{{0, votersOf(3)}}
	for i := range 8 {
		if bits&(1<<i) == 0 {
			continue
		}
		at := ConfigurationAt{Index(i + 1), votersOf(i + 1)}
		if i < base {
			l.configurations[0] = at
		} else {
			l.configurations = append(l.configurations, at)
		}
	}
	return l
}

// said says what a log has.
func said(l *termLog) string {
	text := fmt.Sprintf("base %v, last %d of term %d, terms", l.base, l.last, l.lastTerm())
	for i := Index(0); i <= l.last+1; i++ {
		term, ok := l.term(i)
		text += fmt.Sprintf(" %d:%d,%t", i, term, ok)
	}
	for i := l.base.Index; i <= l.last; i++ {
		for term := Term(0); term <= 4; term++ {
			text += fmt.Sprintf(" %d", l.lastOfTerm(term, i))
		}
	}
	for _, at := range l.configurations {
		text += fmt.Sprintf(", configuration of %d: %v", at.Index, at.Configuration.Voters)
	}
	return text + fmt.Sprintf(", runs %v", l.runsUpTo(l.last, 9))
}

// If existing log entry has same index and term as snapshot's last included entry, retain log entries following it and
// reply.
func TestFigure13_InstallSnapshot6(t *testing.T) {
	core := appliedTo(t, 2, 1, 1, 2, 2, 3)
	out := step(core, installed(4, 2, votersOf(3)))
	if got := termsOf(core); !slices.Equal(got, []Term{3}) || core.Base() != (EntryID{4, 2}) {
		t.Errorf("the log has %v after %v, want 3 after 4/2", got, core.Base())
	}
	if in := out.Persist.Install; in == nil || in.Base != (EntryID{4, 2}) || out.Persist.TruncateFrom != 0 || out.Persist.CompactTo != 0 {
		t.Errorf("writes %+v", out.Persist)
	}
	if out.Persist.HardState.Commit != 4 || core.CommitIndex() != 4 || out.Apply != (Apply{}) {
		t.Errorf("commit %d, in the write %d, applies %v: want 4, and nothing", core.CommitIndex(), out.Persist.HardState.Commit, out.Apply)
	}
	tells(t, out, "the log begins after 4/2, where the state is that another server sent; what follows is kept")
	// What follows was durable before, and still is: it is acknowledged at once, and applied when it is committed.
	out = step(core, from(2, 3, &AppendEntries{PrevLogIndex: 5, PrevLogTerm: 3, LeaderCommit: 5, Round: 1}))
	if sent := out.Send[0]; sent.After != 0 || sent.Message.String() != "AppendEntriesReply #1: verified up to 5" || out.Apply != (Apply{5, 5}) {
		t.Errorf("answers %+v, applies %v", sent, out.Apply)
	}
}

// tells checks that an output has one event that says so.
func tells(t *testing.T, out Output, want string) {
	t.Helper()
	n := 0
	for _, e := range out.Events {
		if fmt.Sprint(e) == want {
			n++
		}
	}
	if n != 1 {
		t.Errorf("tells %v, want once %q", out.Events, want)
	}
}

// A state may be behind what is committed here, and behind what was handed out when it came: the entries after it are
// handed out once more, for nothing has been done with them, and stay committed.
func TestWhatIsCommittedAfterAStateIsHandedOutAgain(t *testing.T) {
	core := appliedTo(t, 2, 1, 1, 2, 2, 3)
	out := step(core, from(2, 3, &AppendEntries{PrevLogIndex: 5, PrevLogTerm: 3, LeaderCommit: 5, Round: 1}))
	if out.Apply != (Apply{3, 5}) {
		t.Fatalf("applies %v", out.Apply)
	}
	out = step(core, installed(4, 2, votersOf(3)))
	if core.CommitIndex() != 5 || out.Persist.HardState.Commit != 5 || out.Apply != (Apply{5, 5}) {
		t.Errorf("commit %d, in the write %d, applies %v; want 5 committed, and handed out", core.CommitIndex(), out.Persist.HardState.Commit, out.Apply)
	}
}

// Discard the entire log.
func TestFigure13_InstallSnapshot7(t *testing.T) {
	for _, test := range []struct {
		base EntryID
		why  string
	}{
		{EntryID{4, 3}, "another entry is there"},
		{EntryID{5, 2}, "another entry is there, at the end"},
		{EntryID{6, 3}, "the log ends before"},
		{EntryID{90, 3}, "the log ends long before"},
	} {
		core := appliedTo(t, 2, 1, 1, 2, 2, 3)
		out := step(core, Install{Base: test.base, Configuration: votersOf(3)})
		if got := termsOf(core); len(got) != 0 || core.Base() != test.base || core.LastIndex() != test.base.Index || core.CommitIndex() != test.base.Index {
			t.Errorf("%s: the log has %v after %v, commit %d", test.why, got, core.Base(), core.CommitIndex())
		}
		if core.Durable() > 2 {
			t.Errorf("%s: durable up to %d, and all that was behind 2 is gone", test.why, core.Durable())
		}
		for i := Index(0); i <= test.base.Index+1; i++ {
			if term, ok := core.TermAt(i); ok != (i == test.base.Index) || ok && term != test.base.Term {
				t.Errorf("%s: entry %d of term %d is there: %t", test.why, i, term, ok)
			}
		}
		if in := out.Persist.Install; in == nil || in.Base != test.base {
			t.Errorf("%s: writes %+v", test.why, out.Persist)
		}
		tells(t, out, fmt.Sprintf("the log begins after %d/%d, where the state is that another server sent; nothing of it is kept", test.base.Index, test.base.Term))
		// The next entry goes there, and is handed out next.
		step(core, Persisted{out.Persist.Ticket})
		next := test.base.Index + 1
		out = stepDurably(core, from(2, 3, &AppendEntries{
			PrevLogIndex: test.base.Index, PrevLogTerm: test.base.Term, Entries: entriesOf(3), LeaderCommit: next, Round: 1,
		}))
		if core.LastIndex() != next || out.Apply != (Apply{next, next}) {
			t.Errorf("%s: the log ends at %d, applies %v; want %d", test.why, core.LastIndex(), out.Apply, next)
		}
	}
}

// Reset state machine using snapshot contents (and load snapshot's cluster configuration). The state machine is where
// the base is; the configuration counts at once, unless a later one is in the log and stays.
func TestFigure13_InstallSnapshot8(t *testing.T) {
	for _, test := range []struct {
		base EntryID
		want Index // whose configuration is in force then
		told bool
	}{
		{EntryID{9, 2}, 9, true},  // the log ends before
		{EntryID{4, 2}, 9, true},  // another entry is there: what follows goes, and its configuration with it
		{EntryID{4, 1}, 5, false}, // what follows stays
		{EntryID{5, 1}, 5, false}, // it is the one at the base
	} {
		core, err := New(Options{ID: 1}, State{
			HardState: HardState{CurrentTerm: 2, Commit: 1}, Last: 6, Runs: []TermRun{{1, 1}}, Applied: 1,
			Configurations: []ConfigurationAt{{0, votersOf(3)}, {3, votersOf(4)}, {5, votersOf(5)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		configuration := votersOf(9)
		if test.base.Term == 1 {
			configuration = votersOf(4)
		}
		if test.base.Index == 5 {
			configuration = votersOf(5)
		}
		out := step(core, Install{Base: test.base, Configuration: configuration})
		now := core.Configuration()
		told := slices.ContainsFunc(out.Events, func(e Event) bool { _, is := e.(ConfigurationChanged); return is })
		if len(now.Configuration.Voters) != int(test.want) || told != test.told {
			t.Errorf("state at %v: configuration of %d with %d voters, told %t; want %d voters, %t", test.base, now.Index, len(now.Configuration.Voters), told, test.want, test.told)
		}
		if core.lastApplied != test.base.Index || core.handedOut != test.base.Index {
			t.Errorf("state at %v: applied %d, handed out %d", test.base, core.lastApplied, core.handedOut)
		}
		if len(core.log.configurations) == 0 || core.log.configurations[0].Index > test.base.Index {
			t.Errorf("state at %v: no configuration is known at the base: %v", test.base, core.log.configurations)
		}
	}
}

// After a truncation the configuration of a state is in force again.
func TestConfigurationOfAStateOutlivesTruncation(t *testing.T) {
	core := appliedTo(t, 1, 1, 1)
	stepDurably(core, installed(5, 2, votersOf(4)))
	stepDurably(core, from(2, 3, &AppendEntries{PrevLogIndex: 5, PrevLogTerm: 2, Round: 1,
		Entries: []Entry{{Term: 3, Kind: KindConfiguration, Configuration: votersOf(5)}}}))
	if got := len(core.Configuration().Configuration.Voters); got != 5 {
		t.Fatalf("%d voters, want 5", got)
	}
	stepDurably(core, from(3, 4, &AppendEntries{PrevLogIndex: 5, PrevLogTerm: 2, Entries: entriesOf(4), Round: 1}))
	if at := core.Configuration(); at.Index != 5 || len(at.Configuration.Voters) != 4 {
		t.Errorf("configuration of %d with %d voters, want that of the state", at.Index, len(at.Configuration.Voters))
	}
}

// A state may be of a term that this server has not heard of. It is adopted like that of a message: there may have been
// votes in it. A vote in the same term or a later one is kept.
func TestInstallAdoptsAHigherTermOnly(t *testing.T) {
	for _, test := range []struct {
		term Term // of the state; the server is in 4, and has voted for 3
		want HardState
	}{{2, HardState{4, 3, 9}}, {4, HardState{4, 3, 9}}, {5, HardState{5, 0, 9}}} {
		core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 4, VotedFor: 3}, 1, 1)
		out := step(core, installed(9, test.term, votersOf(3)))
		if h := out.Persist.HardState; h == nil || *h != test.want || core.CurrentTerm() != test.want.CurrentTerm {
			t.Errorf("state of term %d: writes %+v, is in term %d; want %+v", test.term, h, core.CurrentTerm(), test.want)
		}
		// It restarts from what it has written.
		if _, err := New(Options{ID: 1}, State{HardState: *out.Persist.HardState, Base: EntryID{9, test.term}, Last: 9, Applied: 9,
			Configurations: []ConfigurationAt{{9, votersOf(3)}}}); err != nil {
			t.Errorf("state of term %d: %v", test.term, err)
		}
	}
}

// Whoever asks for votes, or leads, does it with its log. If that goes, or there is a higher term, it does not go on.
func TestInstallEndsCandidaciesAndReignsWithoutTheirLog(t *testing.T) {
	candidate := func() *Core { c := appliedTo(t, 1, 1, 1, 2); c.becomeCandidate(false); step(c, Tick{}); return c } // in term 3
	leader := func() *Core { return leaderOf(t, 3, 1, 1, 2) }                                                        // its no-op is at 4
	for _, test := range []struct {
		name string
		core *Core
		base EntryID
		want Role
	}{
		{"candidate, log kept", candidate(), EntryID{3, 2}, Candidate},
		{"candidate, log gone", candidate(), EntryID{5, 3}, Follower},
		{"candidate, higher term", candidate(), EntryID{5, 4}, Follower},
		{"leader, log kept", leader(), EntryID{3, 2}, Leader},
		{"leader, up to its own entry", leader(), EntryID{4, 3}, Leader},
		{"leader, higher term", leader(), EntryID{5, 4}, Follower},
	} {
		step(test.core, Install{Base: test.base, Configuration: votersOf(3)})
		if test.core.Role() != test.want || (test.core.leadState != nil) != (test.want == Leader) {
			t.Errorf("%s: is %s, want %s", test.name, test.core.Role(), test.want)
		}
	}
}

// A write that was under way when the whole log went says nothing about what is in its place: the base is acknowledged
// once it is durable itself.
func TestBaseIsVouchedForByItsOwnWriteOnly(t *testing.T) {
	core := appliedTo(t, 1, 1)
	before := step(core, from(2, 2, &AppendEntries{PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesOf(2, 2, 2, 2, 2), Round: 1})).Persist.Ticket
	install := step(core, installed(5, 3, votersOf(3))).Persist.Ticket
	acknowledged := func(round Round) Ticket {
		out := step(core, from(3, 3, &AppendEntries{PrevLogIndex: 5, PrevLogTerm: 3, LeaderCommit: 5, Round: round}))
		if m := sentTo(out, 3); len(m) != 1 || m[0].(*AppendEntriesReply).Verified != 5 {
			t.Fatalf("answers %v", m)
		}
		return out.Send[0].After
	}
	if after := acknowledged(1); after != install || core.Durable() > 1 {
		t.Errorf("acknowledged after write %d, durable %d; want write %d, in which it is", after, core.Durable(), install)
	}
	step(core, Persisted{before})
	if after := acknowledged(2); after != install || core.Durable() > 1 {
		t.Errorf("after an earlier write: acknowledged after write %d, durable %d; want write %d", after, core.Durable(), install)
	}
	step(core, Persisted{install})
	if after := acknowledged(3); after != 0 || core.Durable() != 5 {
		t.Errorf("after its write: acknowledged after write %d, durable %d; want at once", after, core.Durable())
	}
}

// If the log is kept, so is what its writes under way are going to say.
func TestWritesUnderWayCountIfTheLogIsKept(t *testing.T) {
	core := appliedTo(t, 1, 1)
	before := step(core, from(2, 2, &AppendEntries{PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesOf(2, 2, 2), Round: 1})).Persist.Ticket
	step(core, installed(3, 2, votersOf(3)))
	if core.Durable() != 1 {
		t.Errorf("durable up to %d, want 1", core.Durable())
	}
	if step(core, Persisted{before}); core.Durable() != 4 {
		t.Errorf("durable up to %d, want 4", core.Durable())
	}
}

// A log that begins after a state is as up to date as that.
func TestVoterComparesWithTheEntryOfItsState(t *testing.T) {
	for _, test := range []struct {
		last    EntryID
		granted bool
	}{{EntryID{9, 3}, true}, {EntryID{8, 3}, false}, {EntryID{99, 2}, false}, {EntryID{1, 4}, true}} {
		core := appliedTo(t, 1, 1, 1)
		stepDurably(core, installed(9, 3, votersOf(3)))
		out := step(core, from(2, 5, &RequestVote{LastLogIndex: test.last.Index, LastLogTerm: test.last.Term}))
		if m := sentTo(out, 2); len(m) != 1 || m[0].(*RequestVoteReply).Granted != test.granted {
			t.Errorf("candidate with %v: %v, want granted %t", test.last, m, test.granted)
		}
	}
}

// compactedLeader returns a leader of three in term 3 whose log began with entries 1 to 6; entry 7 is its no-op. Peer 3
// has all of it, so that it is committed and applied, and peer 2 has answered up to match, having probed there.
func compactedLeader(t *testing.T, match Index) *Core {
	t.Helper()
	core := leaderOf(t, 3, 1, 1, 1, 2, 2, 2)
	if match > 0 {
		step(core, from(2, 3, &AppendEntriesRefusal{Round: 1, LastLogIndex: match, Runs: core.log.runsUpTo(match, 9)}))
		step(core, from(2, 3, &AppendEntriesReply{Round: core.leadState.round, Verified: match}))
	}
	step(core, from(3, 3, &AppendEntriesReply{Round: 2, Verified: 7}), Applied{7})
	return core
}

// The log is cut, and whatever else comes in the same batch does not make the leader send what it has not got: no
// append goes to the peer but heartbeats that name no entry.
func TestStrandedPeerIsSentHeartbeatsOnly(t *testing.T) {
	refusal := from(2, 3, &AppendEntriesRefusal{Round: 1, LastLogIndex: 2, Runs: []TermRun{{1, 1}}})
	proposal := Propose{ID: 1, Entries: entriesOf(0)}
	for _, batch := range [][]Input{
		{Compact{7}, Tick{}}, {Tick{}, Compact{7}}, {Compact{7}, proposal}, {proposal, Compact{7}, Tick{}},
		{Compact{7}, refusal, Tick{}}, {refusal, Compact{7}}, {Compact{7}, ReadIndex{ID: 1}}, {ReadIndex{ID: 1}, Compact{7}, Tick{}, Tick{}},
	} {
		core := compactedLeader(t, 2)
		for round := range 4 {
			out := core.Step(batch)
			for _, m := range sentTo(out, 2) {
				// A heartbeat that was made before the cut may name an entry that the log had then.
				if a, is := m.(*AppendEntries); !is || a.Last != a.PrevLogIndex || round > 0 && a.Last != 0 {
					t.Errorf("%v, time %d: sends %v", batch, round, m)
				}
			}
		}
		if p := core.Peer(2); !p.Stranded || core.Base().Index != 7 {
			t.Errorf("%v: peer 2 is %+v, the log begins after %d", batch, p, core.Base().Index)
		}
	}
}

// Entries of the midst of the log are on their way, and are cut: then nothing is asked about them. That holds for the
// last of them as well: the next one is there, and what it follows is not.
func TestWindowBehindWhichTheLogIsCutIsGivenUp(t *testing.T) {
	for _, to := range []Index{4, 5} {
		core := compactedLeader(t, 2)
		core.options.MaxAppendBytes, core.options.MaxInflightMessages = 1, 1
		p := core.leadState.peer(2)
		p.becomeProbing()
		p.nextIndex, p.probing = 3, false
		core.log.sizesFrom, core.log.sizes = 0, make([]uint64, 7)
		for i := range core.log.sizes {
			core.log.sizes[i] = uint64(i + 1)
		}
		if step(core); len(core.Step(nil).Send) != 1 || p.nextIndex != 4 || len(p.inflight) != 1 {
			t.Fatalf("next is %d, %d are on their way", p.nextIndex, len(p.inflight))
		}
		p.stuckSince = p.matchIndex
		for _, m := range sentTo(core.Step([]Input{Compact{to}, Tick{}}), 2) {
			if m.(*AppendEntries).Last != 0 {
				t.Errorf("cut at %d: sends %v", to, m)
			}
		}
		if len(p.inflight) != 0 || !p.stranded {
			t.Errorf("cut at %d: peer 2 is %+v", to, p)
		}
	}
}

// It is told apart once, and again if it is stranded again.
func TestPeerIsStrandedOnceEachTime(t *testing.T) {
	core := compactedLeader(t, 2)
	count := 0
	note := func(out Output) {
		for _, e := range out.Events {
			if _, is := e.(Stranded); is {
				count++
			}
		}
	}
	note(step(core, Compact{5}))
	note(step(core, Tick{}))
	note(step(core, Compact{6}))
	if count != 1 {
		t.Fatalf("told %d times, want once", count)
	}
	step(core, from(2, 3, &AppendEntriesReply{Round: core.Round(), Verified: 6}))
	if p := core.Peer(2); p.Stranded {
		t.Fatalf("peer 2 is %+v, and has what the log begins after", p)
	}
	step(core, Propose{ID: 1, Entries: entriesOf(0, 0)})
	note(step(core, Persisted{core.nextTicket - 1}, from(3, 3, &AppendEntriesReply{Round: core.Round(), Verified: 9}), Applied{9}))
	if note(step(core, Compact{9})); count != 2 || !core.Peer(2).Stranded {
		t.Errorf("told %d times, peer 2 is %+v; want twice", count, core.Peer(2))
	}
}

// A peer whose log begins where the leader's does acknowledges that, whatever it is asked, and goes on from there.
func TestStrandedPeerComesBackByAcknowledgingItsBase(t *testing.T) {
	for _, base := range []Index{6, 7} { // of the peer's; the leader's is 6
		core := compactedLeader(t, 2)
		step(core, Compact{6}, Propose{ID: 1, Entries: entriesOf(0)})
		out := step(core, Tick{})
		heartbeat := sentTo(out, 2)[0].(*AppendEntries)
		term, _ := core.TermAt(base)

		peer := newCore(t, 2, votersOf(3), HardState{CurrentTerm: 3}, 1, 1)
		stepDurably(peer, installed(base, term, votersOf(3)))
		reply := sentTo(step(peer, from(1, 3, heartbeat)), 1)
		if len(reply) != 1 || reply[0].(*AppendEntriesReply).Verified != base {
			t.Fatalf("a peer whose log begins after %d answers %v to %v", base, reply, heartbeat)
		}
		out = step(core, from(2, 3, reply[0]))
		sent := sentTo(out, 2)
		if p := core.Peer(2); p.Stranded || p.MatchIndex != base {
			t.Errorf("peer 2 is %+v", p)
		}
		if len(sent) != 1 || sent[0].(*AppendEntries).PrevLogIndex != base || sent[0].(*AppendEntries).Last != 8 {
			t.Errorf("sends %v, want the entries after %d", sent, base)
		}
	}
}

// A peer that has less than the log begins after stays stranded, also if it answers; and a refusal does not help it.
func TestStrandedPeerStaysSoWithLess(t *testing.T) {
	core := compactedLeader(t, 2)
	step(core, Compact{6})
	for _, m := range []Message{
		&AppendEntriesReply{Round: 1, Verified: 5},
		&AppendEntriesReply{Round: 1},
		&AppendEntriesRefusal{Round: 5, LastLogIndex: 4, Commit: 2, Runs: []TermRun{{1, 1}, {2, 4}}},
		&AppendEntriesRefusal{Round: 6},
	} {
		out := step(core, from(2, 3, m), Tick{})
		for _, m := range sentTo(out, 2) {
			if a, is := m.(*AppendEntries); !is || a.Last != 0 {
				t.Errorf("sends %v", m)
			}
		}
		if !core.Peer(2).Stranded {
			t.Errorf("after %v: peer 2 is %+v", m, core.Peer(2))
		}
	}
}

// The log is kept for nobody in the core; but a peer that is up to date is not stranded by a cut.
func TestPeerThatHasWhatIsCutGoesOn(t *testing.T) {
	core := compactedLeader(t, 6)
	out := core.Step([]Input{Compact{6}, Propose{ID: 1, Entries: entriesOf(0)}})
	p := core.Peer(2)
	if p.Stranded || p.MatchIndex != 6 {
		t.Errorf("peer 2 is %+v", p)
	}
	if sent := sentTo(out, 2); len(sent) != 1 || sent[0].(*AppendEntries).Last != 8 {
		t.Errorf("sends %v, want entry 8", sent)
	}
}

// Nobody hands over to a stranded peer: it does not have the whole log. The transfer ends by its time.
func TestTransferToAStrandedPeerTimesOut(t *testing.T) {
	core := compactedLeader(t, 2)
	step(core, Compact{7}, TransferLeadership{ID: 5, To: 2})
	for tick := 1; tick <= 2*core.options.ElectionTicks; tick++ {
		out := core.Step([]Input{Tick{}, from(3, 3, &AppendEntriesReply{Round: core.Round(), Verified: 7}), from(2, 3, &AppendEntriesReply{Round: core.Round()})})
		if slices.ContainsFunc(sentTo(out, 2), func(m Message) bool { _, is := m.(*TimeoutNow); return is }) {
			t.Fatalf("tick %d: tells a peer to campaign that has nothing", tick)
		}
		if len(out.Refused) > 0 {
			if out.Refused[0] != (Refusal{5, TransferTimedOut}) || core.Role() != Leader {
				t.Errorf("refused %+v, is %s", out.Refused, core.Role())
			}
			return
		}
	}
	t.Error("the transfer never ends")
}

// Once it has come back it may lead.
func TestTransferToAPeerThatCameBack(t *testing.T) {
	core := compactedLeader(t, 2)
	step(core, Compact{7}, TransferLeadership{ID: 5, To: 2})
	out := step(core, from(2, 3, &AppendEntriesReply{Round: core.Round(), Verified: 7}))
	if !slices.ContainsFunc(sentTo(out, 2), func(m Message) bool { _, is := m.(*TimeoutNow); return is }) {
		t.Errorf("sends %v, want TimeoutNow", sentTo(out, 2))
	}
}

// What is compacted is committed: requests that begin before it are compared behind it, and those that deny it are no
// leader's.
func TestRequestsThatBeginBeforeTheBase(t *testing.T) {
	for _, test := range []struct {
		request AppendEntries
		want    string // the answer; empty: none
		last    Index
	}{
		{AppendEntries{Round: 1}, "verified up to 4", 5},
		{AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Round: 1}, "verified up to 4", 5},
		{AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesOf(2), Round: 1}, "verified up to 4", 5},                  // ends before
		{AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesOf(2, 2, 3, 3), Round: 1}, "verified up to 6", 6},         // goes on
		{AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesOf(2, 2, 2), Round: 1}, "verified up to 5", 5},            // another 5
		{AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesOf(2, 3, 3), Round: 1}, "", 5},                            // denies 4
		{AppendEntries{PrevLogIndex: 4, PrevLogTerm: 3, Round: 1}, "", 5},                                                         // the same
		{AppendEntries{PrevLogIndex: 4, PrevLogTerm: 2, LeaderCommit: 9, Round: 1}, "verified up to 4", 5},                        // the base itself
		{AppendEntries{PrevLogIndex: maxIndex, PrevLogTerm: 3, Round: 1}, "log ends at 5, terms 3@5, commit 4", 5},                // far ahead
		{AppendEntries{PrevLogIndex: 1, PrevLogTerm: 1, LeaderCommit: maxIndex, Round: 1}, "verified up to 4", 5},                 // tells nothing
		{AppendEntries{PrevLogIndex: 0, Entries: entriesOf(1, 1, 2, 2, 3), LeaderCommit: 5, Round: 1}, "verified up to 5", 5},     // all of it
		{AppendEntries{PrevLogIndex: 0, Entries: entriesOf(3, 3, 3, 3, 3), LeaderCommit: 5, Round: 1}, "", 5},                     // all other
		{AppendEntries{PrevLogIndex: 3, PrevLogTerm: 2, Entries: entriesOf(2, 3, 3), LeaderCommit: 6, Round: 1}, "up to 6", 6},    // one before
		{AppendEntries{PrevLogIndex: 3, PrevLogTerm: 3, Entries: entriesOf(3, 3, 3), LeaderCommit: 6, Round: 1}, "", 5},           // and denies
		{AppendEntries{PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesOf(1, 2, 2, 3, 3, 3), Round: 1}, "verified up to 7", 7},   // two more
		{AppendEntries{PrevLogIndex: 3, PrevLogTerm: 1, Entries: entriesOf(2), LeaderCommit: 4, Round: 1}, "verified up to 4", 5}, // 3 is not known here
	} {
		core := appliedTo(t, 4, 1, 1, 2, 2, 3)
		stepDurably(core, Compact{4})
		request := test.request
		out := step(core, from(2, 3, &request))
		got := ""
		if sent := sentTo(out, 2); len(sent) > 0 {
			got = sent[0].String()
		}
		if len(got) < len(test.want) || got[len(got)-len(test.want):] != test.want || (got == "") != (test.want == "") {
			t.Errorf("%s: answers %q, want %q", &test.request, got, test.want)
		}
		if core.LastIndex() != test.last || core.Base() != (EntryID{4, 2}) || core.CommitIndex() < 4 {
			t.Errorf("%s: the log is %v to %d, commit %d; want it to end at %d", &test.request, core.Base(), core.LastIndex(), core.CommitIndex(), test.last)
		}
	}
}

// A peer may claim anything about its log, and the leader's log begins somewhere: nothing panics, and nothing is sent
// from before the base.
func TestHostileAnswersToALeaderThatHasCompacted(t *testing.T) {
	numbers := []Index{0, 1, 2, 5, 6, 7, 8, maxIndex, ^Index(0)}
	for _, commit := range numbers {
		for _, last := range numbers {
			for _, runs := range [][]TermRun{nil, {{1, 1}}, {{3, 7}}, {{9, 1}}, {{2, ^Index(0)}}, {{2, 4}, {1, 1}}, {{0, 0}}} {
				core := compactedLeader(t, 2)
				step(core, Compact{6})
				for range 2 {
					out := core.Step([]Input{
						from(2, 3, &AppendEntriesRefusal{Round: core.Round(), Commit: commit, LastLogIndex: last, Runs: runs}), Tick{}, Propose{ID: 1, Entries: entriesOf(0)},
						from(2, 3, &AppendEntriesReply{Round: core.Round(), Verified: last}),
					})
					for _, m := range sentTo(out, 2) {
						if a := m.(*AppendEntries); a.Last != 0 && a.PrevLogIndex < 6 {
							t.Fatalf("commit %d, last %d, runs %v: sends %v", commit, last, runs, m)
						}
					}
				}
			}
		}
	}
}

// A peer that claims to have all, and then denies it, is told what is committed as one of which nothing is known: by a
// heartbeat that names no entry.
func TestPeerThatDeniesWhatItClaimedIsSentNothingFromBeforeTheBase(t *testing.T) {
	core := leaderOf(t, 3, 1, 1, 1, 2, 2, 2) // its no-op is at 7
	step(core, from(2, 3, &AppendEntriesRefusal{Round: 1, LastLogIndex: 2, Runs: core.log.runsUpTo(2, 9)}))
	step(core, from(2, 3, &AppendEntriesReply{Round: core.Round(), Verified: 2}))
	claimed := step(core, from(2, 3, &AppendEntriesRefusal{Round: core.Round(), LastLogIndex: 7, Runs: []TermRun{{3, 7}}}))
	if m := sentTo(claimed, 2); len(m) != 1 || m[0].(*AppendEntries).PrevLogIndex != 7 {
		t.Fatalf("sends %v, want a question about 7", m)
	}
	asked := core.Round()
	step(core, from(3, 3, &AppendEntriesReply{Round: 2, Verified: 7}), Applied{7})
	step(core, Compact{6})
	sent := sentTo(core.Step([]Input{from(2, 3, &AppendEntriesReply{Round: asked, Verified: 2})}), 2)
	if len(sent) != 1 || sent[0].(*AppendEntries).PrevLogIndex != 0 || sent[0].(*AppendEntries).Last != 0 {
		t.Errorf("sends %v, want a heartbeat that names no entry", sent)
	}
}
