package raft

import (
	"fmt"
	"slices"
	"testing"
)

// The tests of this file have the names of the rules of Figure 2, in its order, and each fails if the
// rule is broken where the code carries its tag.

// If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied].
func TestFigure2_AllServers1(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 1})
	out := step(core, from(2, 1, &AppendEntries{Entries: entriesOf(1, 1, 1), LeaderCommit: 2, Round: 1}))
	if out.Apply != (Apply{}) {
		t.Errorf("applies %v before its own disk has it", out.Apply)
	}
	for _, at := range []struct {
		input Input
		want  Apply
	}{
		{Persisted{out.Persist.Ticket}, Apply{1, 2}},
		{from(2, 1, &AppendEntries{PrevLogIndex: 3, PrevLogTerm: 1, LeaderCommit: 2, Round: 2}), Apply{}}, // once only
		{from(2, 1, &AppendEntries{PrevLogIndex: 3, PrevLogTerm: 1, LeaderCommit: 3, Round: 3}), Apply{3, 3}},
	} {
		if got := step(core, at.input).Apply; got != at.want {
			t.Errorf("after %v: applies %v, want %v", at.input, got, at.want)
		}
	}
}

// If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower.
func TestFigure2_AllServers2(t *testing.T) {
	roles := map[Role]func() *Core{
		Follower:     func() *Core { return newCore(t, 1, votersOf(3), HardState{CurrentTerm: 3, VotedFor: 2}, 1, 2) },
		PreCandidate: func() *Core { c := newCore(t, 1, votersOf(3), HardState{}, 1, 3); step(c, Campaign{}); return c },
		Candidate: func() *Core {
			c := newCore(t, 1, votersOf(3), HardState{}, 1, 2)
			step(c, Campaign{}, from(2, 2, &RequestPreVoteReply{Granted: true}))
			return c
		},
		Leader: func() *Core { return leaderOf(t, 3, 1, 2) },
	}
	messages := []Message{
		&RequestVote{LastLogIndex: 9, LastLogTerm: 3}, &RequestVoteReply{}, &RequestPreVote{LastLogIndex: 9, LastLogTerm: 3},
		&RequestPreVoteReply{}, &AppendEntries{Round: 1}, &AppendEntriesReply{Round: 1}, &AppendEntriesRefusal{Round: 1},
		&TimeoutNow{},
	}
	for role := Follower; role <= Leader; role++ {
		for _, m := range messages {
			core := roles[role]()
			if core.Role() != role || core.CurrentTerm() != 3 {
				t.Fatalf("%s of term %d, want %s of term 3", core.Role(), core.CurrentTerm(), role)
			}
			out := step(core, from(3, 7, m))
			_, vote := m.(*RequestVote)
			_, preVote := m.(*RequestPreVote)
			if role == Leader && (vote || preVote) { // Differs: it holds on until it has lost its majority
				if core.Role() != Leader || core.CurrentTerm() != 3 || len(out.Send) > 0 {
					t.Errorf("leader that receives %s of term 7 is %s of term %d", m, core.Role(), core.CurrentTerm())
				}
				continue
			}
			if core.Role() != Follower || core.CurrentTerm() != 7 {
				t.Errorf("%s that receives %s of term 7 is %s of term %d", role, m, core.Role(), core.CurrentTerm())
			}
			if h := out.Persist.HardState; h == nil || h.CurrentTerm != 7 || (h.VotedFor != 0) != vote {
				t.Errorf("%s that receives %s of term 7 writes %+v", role, m, h)
			}
		}
	}
}

// Respond to RPCs from candidates and leaders.
func TestFigure2_Followers1(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 1}, 1)
	for _, test := range []struct {
		request Message
		want    string
	}{
		{&RequestPreVote{LastLogIndex: 1, LastLogTerm: 1}, "RequestPreVoteReply granted"},
		{&RequestVote{LastLogIndex: 1, LastLogTerm: 1}, "RequestVoteReply granted"},
		{&AppendEntries{PrevLogIndex: 1, PrevLogTerm: 1, Round: 7}, "AppendEntriesReply #7: verified up to 1"},
		{&AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Round: 8}, "AppendEntriesRefusal #8: log ends at 1, terms 1@1, commit 0"},
	} {
		out := step(core, from(2, 1, test.request))
		if sent := sentTo(out, 2); len(out.Send) != 1 || len(sent) != 1 || sent[0].String() != test.want {
			t.Errorf("%s: answered %v, want %s", test.request, out.Send, test.want)
		}
	}
	// And nothing else: it asks nobody for anything.
	for _, input := range []Input{Tick{}, Propose{ID: 1, Entries: entriesOf(1)}, from(3, 1, &RequestVoteReply{Granted: true}),
		from(3, 1, &RequestPreVoteReply{Granted: true}), from(3, 1, &AppendEntriesReply{Round: 1, Verified: 1})} {
		if out := step(core, input); len(out.Send) > 0 || core.Role() != Follower || core.LastIndex() != 1 {
			t.Errorf("after %#v: sends %v, is %s, log ends at %d", input, out.Send, core.Role(), core.LastIndex())
		}
	}
	// A leader that sees a higher term becomes a follower like any other: it takes from the new leader.
	leader := leaderOf(t, 3, 1)
	step(leader, ReadIndex{ID: 5})
	if out := step(leader, from(2, 9, &AppendEntries{Round: 1})); leader.leadState != nil || len(out.Refused) != 1 || leader.Leader() != 2 {
		t.Errorf("a leader that steps down keeps its state, or its reads: %+v", out)
	}
}

// If election timeout elapses without receiving AppendEntries from current leader or granting vote to
// candidate: convert to candidate.
func TestFigure2_Followers2(t *testing.T) {
	const timeout = 10 + 3
	quiet := from(2, 1, &AppendEntries{Round: 1})
	for _, test := range []struct {
		name    string
		halfway Input
		again   bool // the wait starts again
	}{
		{"nothing", Tick{Random: 3}, false},
		{"AppendEntries of the leader", quiet, true},
		{"a vote granted", from(3, 1, &RequestVote{LastLogIndex: 1, LastLogTerm: 1}), true},
		{"a vote refused", from(3, 1, &RequestVote{}), false},
		{"a pre-vote granted", from(3, 1, &RequestPreVote{LastLogIndex: 1, LastLogTerm: 1}), false},
		{"AppendEntries of an old leader", from(2, 0, &AppendEntries{Round: 1}), false},
	} {
		core := newCore(t, 1, votersOf(3), HardState{}, 1)
		step(core, quiet) // the leader is known
		ticks := 0
		for core.Role() == Follower && ticks < 100 {
			if ticks == timeout/2 {
				step(core, test.halfway)
				if _, tick := test.halfway.(Tick); tick {
					ticks++
				}
			}
			step(core, Tick{Random: 3})
			ticks++
		}
		want := timeout
		if test.again {
			want += timeout / 2
		}
		if ticks != want || core.Role() != PreCandidate {
			t.Errorf("%s: %s after %d ticks, want pre-candidate after %d", test.name, core.Role(), ticks, want)
		}
	}
}

// On conversion to candidate, start election: increment currentTerm, vote for self, reset election
// timer, send RequestVote RPCs to all other servers.
func TestFigure2_Candidates1(t *testing.T) {
	core := newCore(t, 2, &Configuration{Voters: []ServerID{1, 2, 3}, Learners: []ServerID{4}}, HardState{CurrentTerm: 4, VotedFor: 1}, 1, 4)
	step(core, Tick{Random: 9}, Tick{}, Tick{}, Campaign{}, Tick{Random: 9}, Tick{}, Tick{})
	out := step(core, from(1, 4, &RequestPreVoteReply{Granted: true}))
	if core.Role() != Candidate || core.CurrentTerm() != 5 || core.electionElapsed != 0 {
		t.Errorf("%s of term %d, %d ticks into its election", core.Role(), core.CurrentTerm(), core.electionElapsed)
	}
	if h := out.Persist.HardState; h == nil || h.CurrentTerm != 5 || h.VotedFor != 2 {
		t.Fatalf("writes %+v, want term 5 and a vote for itself", h)
	}
	var asked []ServerID
	for _, e := range out.Send {
		if m := e.Message.(*RequestVote); e.Term != 5 || e.After != out.Persist.Ticket || *m != (RequestVote{LastLogIndex: 2, LastLogTerm: 4}) {
			t.Errorf("sends %+v, want it to wait for write %d", e, out.Persist.Ticket)
		}
		asked = append(asked, e.To)
	}
	if !slices.Equal(asked, []ServerID{1, 3}) {
		t.Errorf("asks %v, want all other voters", asked)
	}
}

// If votes received from majority of servers: become leader.
func TestFigure2_Candidates2(t *testing.T) {
	type answer struct {
		from    ServerID
		granted bool
	}
	for _, test := range []struct {
		voters  int
		answers []answer
		leads   bool
	}{
		{1, nil, true},
		{2, nil, false},
		{2, []answer{{2, true}}, true},
		{3, []answer{{2, true}}, true}, // the missing answer does not matter
		{3, []answer{{2, false}}, false},
		{3, []answer{{2, false}, {3, true}}, true},
		{4, []answer{{2, true}}, false},
		{4, []answer{{2, true}, {3, true}}, true},
		{5, []answer{{2, true}, {2, true}, {2, true}}, false}, // one vote each
		{5, []answer{{2, true}, {3, false}, {4, false}}, false},
		{5, []answer{{2, true}, {3, true}}, true},
		{5, []answer{{8, true}, {9, true}}, false}, // a learner's and a stranger's do not count
		{8, []answer{{2, true}, {3, true}, {4, true}}, false},
		{8, []answer{{2, true}, {3, true}, {4, true}, {5, true}}, true},
	} {
		configuration := votersOf(test.voters)
		configuration.Learners = []ServerID{9}
		core := newCore(t, 1, configuration, HardState{CurrentTerm: 1})
		core.becomeCandidate(false)
		own := core.Step(nil).Persist.Ticket
		if core.Role() == Leader {
			t.Errorf("%d voters: leads by its own vote before that is durable", test.voters)
		}
		step(core, Persisted{own})
		for _, a := range test.answers {
			if core.Role() == Leader {
				t.Errorf("%d voters, %v: leads too early", test.voters, test.answers)
			}
			step(core, from(a.from, 2, &RequestVoteReply{Granted: a.granted}))
		}
		if leads := core.Role() == Leader; leads != test.leads {
			t.Errorf("%d voters, %v: leads %t, want %t", test.voters, test.answers, leads, test.leads)
		}
	}
}

// If AppendEntries RPC received from new leader: convert to follower.
func TestFigure2_Candidates3(t *testing.T) {
	for _, role := range []Role{PreCandidate, Candidate} {
		core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 1})
		if role == Candidate {
			core.becomeCandidate(false)
		} else {
			core.becomePreCandidate()
		}
		term := core.CurrentTerm()
		step(core, from(3, term, &AppendEntries{Round: 1}))
		if core.Role() != Follower || core.Leader() != 3 || core.CurrentTerm() != term {
			t.Errorf("%s that hears from a leader: %s of term %d, leader %d", role, core.Role(), core.CurrentTerm(), core.Leader())
		}
		if step(core, from(2, term, &RequestVoteReply{Granted: true}), from(2, term, &RequestPreVoteReply{Granted: true})); core.Role() != Follower {
			t.Errorf("a late vote makes a %s of it", core.Role())
		}
	}
}

// If election timeout elapses: start new election.
func TestFigure2_Candidates4(t *testing.T) {
	core := newCore(t, 1, votersOf(5), HardState{})
	var waits []int
	for range 3 {
		core.becomeCandidate(false)
		term, wait := core.CurrentTerm(), 0
		for core.Role() == Candidate && wait < 100 {
			step(core, Tick{Random: uint64(5 + 3*len(waits))})
			wait++
		}
		waits = append(waits, wait)
		step(core, from(2, term, &RequestPreVoteReply{Granted: true}))
		out := step(core, from(3, term, &RequestPreVoteReply{Granted: true}))
		if core.Role() != Candidate || core.CurrentTerm() != term+1 || len(out.Send) != 4 {
			t.Errorf("after an election that nobody won: %s of term %d, want candidate of term %d", core.Role(), core.CurrentTerm(), term+1)
		}
	}
	if !slices.Equal(waits, []int{15, 18, 11}) { // 10 and the random number, modulo 10
		t.Errorf("waited %v ticks: the timeouts are not drawn anew for each attempt", waits)
	}
}

// Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server; repeat during idle
// periods to prevent election timeouts.
func TestFigure2_Leaders1(t *testing.T) {
	core := newCore(t, 1, &Configuration{Voters: []ServerID{1, 2, 3}, Learners: []ServerID{4}}, HardState{}, 1, 1)
	core.options.HeartbeatTicks = 3
	core.becomeCandidate(false)
	step(core, Persisted{core.Step(nil).Persist.Ticket})
	out := step(core, from(2, 2, &RequestVoteReply{Granted: true}))
	if len(out.Persist.Entries) != 1 || out.Persist.Entries[0].Kind != KindNoOp || out.Persist.Entries[0].Term != 2 {
		t.Errorf("begins with %+v, want a no-op of its term", out.Persist.Entries)
	}
	for id := ServerID(2); id <= 4; id++ {
		if sent := sentTo(out, id); len(sent) != 1 || sent[0].String() != fmt.Sprintf("AppendEntries #%d after 2/1: entry 3; commit 0", id-1) {
			t.Errorf("upon election sends %v to %d", sent, id)
		}
	}
	for id := ServerID(2); id <= 4; id++ {
		step(core, from(id, 2, &AppendEntriesReply{Round: Round(id - 1), Verified: 3}))
	}
	for tick := 1; tick <= 9; tick++ {
		out := step(core, Tick{})
		for id := ServerID(2); id <= 4; id++ {
			if sent := sentTo(out, id); (len(sent) == 1) != (tick%3 == 0) || len(sent) > 1 {
				t.Errorf("tick %d: %d messages to %d", tick, len(sent), id)
			}
		}
		step(core, from(2, 2, &AppendEntriesReply{Round: core.leadState.round, Verified: 3}))
	}
}

// If command received from client: append entry to local log, respond after entry applied to state
// machine.
func TestFigure2_Leaders2(t *testing.T) {
	core := leaderOf(t, 3, 1)
	out := step(core, Propose{ID: 7, Entries: []Entry{command("x"), command("y")}})
	if want := (Accepted{ID: 7, First: 3, Term: 2}); len(out.Accepted) != 1 || out.Accepted[0] != want || core.LastIndex() != 4 {
		t.Errorf("accepted %v, log ends at %d, want %v", out.Accepted, core.LastIndex(), want)
	}
	p := out.Persist
	if p.First != 3 || len(p.Entries) != 2 || string(p.Entries[0].Data) != "x" || string(p.Entries[1].Data) != "y" ||
		p.Entries[0].Term != 2 || p.Entries[1].Term != 2 {
		t.Errorf("writes %v from %d on", p.Entries, p.First)
	}
	if out.Apply.Last != 0 || core.CommitIndex() != 0 {
		t.Errorf("applies %v before anything is committed", out.Apply)
	}
	step(core, Persisted{out.Persist.Ticket})
	if out = step(core, from(2, 2, &AppendEntriesReply{Round: 1, Verified: 3})); out.Apply != (Apply{1, 3}) {
		t.Errorf("applies %v, want 1 to 3", out.Apply)
	}
	if out = step(core, from(2, 2, &AppendEntriesReply{Round: 2, Verified: 4})); out.Apply != (Apply{4, 4}) {
		t.Errorf("applies %v, want 4", out.Apply)
	}
}

// If last log index >= nextIndex for a follower: send AppendEntries RPC with log entries starting at
// nextIndex. If successful: update nextIndex and matchIndex for follower. If AppendEntries fails because
// of log inconsistency: decrement nextIndex and retry.
func TestFigure2_Leaders3(t *testing.T) {
	core := leaderOf(t, 3, 1, 1, 1, 2)
	p := core.leadState.peer(2)
	check := func(what string, out Output, next, match Index, sent string) {
		t.Helper()
		if p.nextIndex != next || p.matchIndex != match {
			t.Errorf("%s: next %d, match %d, want %d and %d", what, p.nextIndex, p.matchIndex, next, match)
		}
		got := ""
		if messages := sentTo(out, 2); len(messages) > 0 {
			got = messages[0].String()
		}
		if got != sent || len(sentTo(out, 2)) > 1 {
			t.Errorf("%s: sends %q, want %q", what, got, sent)
		}
	}
	check("upon election", Output{}, 5, 0, "")
	out := step(core, from(2, 3, &AppendEntriesRefusal{Round: 1, LastLogIndex: 2, Runs: []TermRun{{1, 1}}}))
	check("after a refusal", out, 3, 0, "AppendEntries #3 after 2/1: entries 3 to 5; commit 0")
	out = step(core, from(2, 3, &AppendEntriesReply{Round: 3, Verified: 5}))
	check("after a success", out, 6, 5, "AppendEntries #4 after 5/3: heartbeat; commit 5")
	out = step(core, Propose{ID: 1, Entries: []Entry{command("x"), command("y")}})
	check("with something to send", out, 8, 5, "AppendEntries #5 after 5/3: entries 6 to 7; commit 5")
	out = step(core, Propose{ID: 2, Entries: []Entry{command("z")}})
	check("without waiting for the answer", out, 9, 5, "AppendEntries #6 after 7/3: entry 8; commit 5")
	out = step(core, from(2, 3, &AppendEntriesReply{Round: 3, Verified: 5}))
	check("after the first answer once more", out, 9, 5, "")
	out = step(core, from(2, 3, &AppendEntriesReply{Round: 6, Verified: 8}), from(2, 3, &AppendEntriesReply{Round: 5, Verified: 7}))
	check("after answers out of order", out, 9, 8, "")
}

// If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term ==
// currentTerm: set commitIndex = N.
func TestFigure2_Leaders4(t *testing.T) {
	core := leaderOf(t, 5, 1, 2, 2) // leads in term 3, its no-op is at 4
	commit := func(input Input) Index {
		step(core, input)
		return core.CommitIndex()
	}
	reply := func(id ServerID, verified Index) Receive {
		return from(id, 3, &AppendEntriesReply{Round: 1, Verified: verified})
	}
	for i, test := range []struct {
		input Input
		want  Index
	}{
		{reply(2, 3), 0}, // two of five
		{reply(3, 3), 0}, // a majority has 3, which is of term 2: Figure 8
		{reply(4, 3), 0},
		{reply(2, 4), 0},
		{reply(2, 4), 0},
		{reply(3, 4), 4}, // a majority has 4, of this term, and all before it
		{Propose{ID: 1, Entries: entriesOf(0, 0)}, 4},
		{reply(4, 6), 4},
		{reply(5, 6), 4}, // with the leader that would be three, but its own disk has not written yet
		{Persisted{core.nextTicket}, 6},
	} {
		if got := commit(test.input); got != test.want {
			t.Errorf("step %d (%+v): commit index %d, want %d", i, test.input, got, test.want)
		}
	}
}

// Reply false if term < currentTerm.
func TestFigure2_AppendEntries1(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 5}, 1, 1)
	step(core, Tick{Random: 4}, Tick{})
	out := step(core, from(2, 4, &AppendEntries{PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesOf(4), LeaderCommit: 2, Round: 9}))
	if sent := sentTo(out, 2); len(sent) != 1 || sent[0].String() != "AppendEntriesRefusal: your term is over" || out.Send[0].Term != 5 {
		t.Errorf("answered %v, want a refusal of term 5", out.Send)
	}
	if core.LastIndex() != 2 || core.CommitIndex() != 0 || core.Leader() != 0 || core.electionElapsed != 2 || out.Persist.Ticket != 0 {
		t.Errorf("a leader of a term that is over changes something here: %+v", core.Status())
	}
}

// Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm.
func TestFigure2_AppendEntries2(t *testing.T) {
	for _, test := range []struct {
		prev    EntryID
		entries []Entry
		refused bool
	}{
		{EntryID{4, 3}, entriesOf(3), true},  // no such entry
		{EntryID{3, 3}, entriesOf(3), true},  // of another term
		{EntryID{3, 3}, nil, true},           // a heartbeat is no exception
		{EntryID{3, 2}, entriesOf(3), false}, // matches
		{EntryID{0, 0}, entriesOf(1), false}, // nothing is before the first
	} {
		core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 3}, 1, 2, 2)
		out := step(core, from(2, 3, &AppendEntries{PrevLogIndex: test.prev.Index, PrevLogTerm: test.prev.Term, Entries: test.entries, Round: 1}))
		_, refused := out.Send[0].Message.(*AppendEntriesRefusal)
		if refused != test.refused || (refused && !slices.Equal(termsOf(core), []Term{1, 2, 2})) {
			t.Errorf("entries after %v: refused %t, want %t; log is %v", test.prev, refused, test.refused, termsOf(core))
		}
	}
}

// If an existing entry conflicts with a new one (same index but different terms), delete the existing
// entry and all that follow it.
func TestFigure2_AppendEntries3(t *testing.T) {
	for _, test := range []struct {
		prev     Index
		entries  []Entry
		truncate Index // 0: nothing
		want     []Term
	}{
		{1, entriesOf(4), 2, []Term{1, 4}},
		{1, entriesOf(2, 4), 3, []Term{1, 2, 4}},
		{1, entriesOf(2, 2, 4), 4, []Term{1, 2, 2, 4}},
		{1, entriesOf(2), 0, []Term{1, 2, 2, 3}},          // late, and a prefix of what is here
		{1, nil, 0, []Term{1, 2, 2, 3}},                   // so is a heartbeat
		{0, entriesOf(1, 2, 2, 3), 0, []Term{1, 2, 2, 3}}, // all of it, once more
	} {
		core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 4}, 1, 2, 2, 3)
		prev, _ := core.TermAt(test.prev)
		out := step(core, from(2, 4, &AppendEntries{PrevLogIndex: test.prev, PrevLogTerm: prev, Entries: test.entries, Round: 1}))
		if got := termsOf(core); !slices.Equal(got, test.want) || out.Persist.TruncateFrom != test.truncate {
			t.Errorf("%d entries after %d: log %v, truncated from %d; want %v, from %d",
				len(test.entries), test.prev, got, out.Persist.TruncateFrom, test.want, test.truncate)
		}
	}
}

// Append any new entries not already in the log.
func TestFigure2_AppendEntries4(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 3}, 1, 2)
	out := step(core, from(2, 3, &AppendEntries{PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesOf(2, 3, 3), Round: 1}))
	if got := termsOf(core); !slices.Equal(got, []Term{1, 2, 3, 3}) {
		t.Errorf("log %v", got)
	}
	if p := out.Persist; p.First != 3 || len(p.Entries) != 2 || p.TruncateFrom != 0 {
		t.Errorf("writes %d entries from %d, want the two that are new", len(p.Entries), p.First)
	}
	if e := out.Send[0]; e.After != out.Persist.Ticket || e.Message.(*AppendEntriesReply).Verified != 4 {
		t.Errorf("answers %+v, want it to wait for write %d", e, out.Persist.Ticket)
	}
}

// If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry).
func TestFigure2_AppendEntries5(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 3}, 1, 2, 2, 2)
	for _, test := range []struct {
		prev         EntryID
		entries      []Entry
		leaderCommit Index
		want         Index
	}{
		{EntryID{1, 1}, nil, 4, 1},          // 2 to 4 are of an older term, and perhaps not the leader's
		{EntryID{1, 1}, entriesOf(2), 4, 2}, // what this very request has verified
		{EntryID{2, 2}, entriesOf(3), 2, 2}, // no further than the leader
		{EntryID{3, 3}, nil, 1, 2},          // never back
		{EntryID{3, 3}, nil, 9, 3},
	} {
		step(core, from(2, 3, &AppendEntries{PrevLogIndex: test.prev.Index, PrevLogTerm: test.prev.Term, Entries: test.entries, LeaderCommit: test.leaderCommit, Round: 1}))
		if core.CommitIndex() != test.want {
			t.Errorf("%d entries after %v, leader's commit index %d: commit index %d, want %d",
				len(test.entries), test.prev, test.leaderCommit, core.CommitIndex(), test.want)
		}
	}
}

// Reply false if term < currentTerm.
func TestFigure2_RequestVote1(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 5}, 1)
	out := step(core, from(2, 4, &RequestVote{LastLogIndex: 9, LastLogTerm: 4}))
	if sent := sentTo(out, 2); len(sent) != 1 || sent[0].String() != "RequestVoteReply refused" || out.Send[0].Term != 5 {
		t.Errorf("answered %v, want a refusal of term 5", out.Send)
	}
	if core.CurrentTerm() != 5 || core.votedFor != 0 || out.Persist.Ticket != 0 {
		t.Errorf("a candidate of a term that is over gets a vote: %+v", core.Status())
	}
}

// If votedFor is null or candidateId, and candidate's log is at least as up-to-date as receiver's log,
// grant vote.
func TestFigure2_RequestVote2(t *testing.T) {
	for _, test := range []struct {
		votedFor  ServerID
		last      EntryID // of the candidate; the receiver's is {3, 2}
		granted   bool
		otherwise string
	}{
		{0, EntryID{3, 2}, true, "as up-to-date"},
		{0, EntryID{4, 2}, true, "longer"},
		{0, EntryID{2, 2}, false, "shorter"},
		{0, EntryID{1, 3}, true, "shorter, but of a later term"},
		{0, EntryID{9, 1}, false, "longer, but of an earlier term"},
		{0, EntryID{0, 0}, false, "empty"},
		{2, EntryID{3, 2}, true, "the vote is its already"},
		{3, EntryID{9, 3}, false, "the vote is another's"},
	} {
		core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 4, VotedFor: test.votedFor}, 1, 2, 2)
		out := step(core, from(2, 4, &RequestVote{LastLogIndex: test.last.Index, LastLogTerm: test.last.Term}))
		if granted := out.Send[0].Message.(*RequestVoteReply).Granted; granted != test.granted || len(out.Send) != 1 {
			t.Errorf("%s: granted %t, want %t", test.otherwise, granted, test.granted)
		}
		want := test.votedFor
		if test.granted {
			want = 2
		}
		if core.votedFor != want {
			t.Errorf("%s: vote for %d, want %d", test.otherwise, core.votedFor, want)
		}
		if test.granted && test.votedFor == 0 && (out.Persist.HardState == nil || out.Persist.HardState.VotedFor != 2 || out.Send[0].After != out.Persist.Ticket) {
			t.Errorf("%s: the grant leaves before the vote is written: %+v", test.otherwise, out)
		}
	}
}
