package raft

import (
	"fmt"
	"testing"
)

// A peer that needs what the log no longer has is told apart, and does not keep the leader busy.
func TestPeerThatNeedsWhatIsGoneIsStranded(t *testing.T) {
	core, err := New(Options{ID: 1}, State{
		HardState:      HardState{CurrentTerm: 2, Commit: 10},
		Base:           EntryID{10, 1},
		Last:           12,
		Runs:           []TermRun{{2, 11}},
		Configurations: []ConfigurationAt{{0, votersOf(3)}},
		Applied:        10,
	})
	if err != nil {
		t.Fatal(err)
	}
	core.becomeCandidate(false)
	step(core, Persisted{core.Step(nil).Persist.Ticket})
	step(core, from(3, 3, &RequestVoteReply{Granted: true}))
	stranded := 0
	for round := Round(1); round <= 3; round++ {
		refusal := from(2, 3, &AppendEntriesRefusal{Round: round, LastLogIndex: 4, Runs: []TermRun{{1, 1}}})
		out := core.Step([]Input{refusal, Tick{}})
		for _, e := range out.Events {
			if _, is := e.(Stranded); is {
				stranded++
			}
		}
		for _, m := range sentTo(out, 2) {
			if got := m.String(); m.(*AppendEntries).PrevLogIndex != 0 || m.(*AppendEntries).Last != 0 {
				t.Errorf("sends %s to a peer that cannot use it", got)
			}
		}
	}
	if p := core.Status().Peers[0]; !p.Stranded || p.NextIndex > 10 || stranded != 1 {
		t.Errorf("peer 2 is %+v, told %d times; want it stranded, told once", p, stranded)
	}
}

// What is appended and not committed is bounded; at the bound proposals are refused, and only then.
func TestProposalsAreRefusedWhenTooMuchIsUncommitted(t *testing.T) {
	core := leaderOf(t, 3)
	core.options.MaxUncommittedBytes = 10
	var got []Reason
	propose := func(bytes int) {
		out := stepDurably(core, Propose{ID: 1, Entries: []Entry{command(fmt.Sprintf("%*s", bytes, ""))}})
		got = append(got, 0)
		if len(out.Refused) > 0 {
			got[len(got)-1] = out.Refused[0].Reason
		}
	}
	propose(10)
	propose(1)
	propose(1)
	step(core, from(2, 1, &AppendEntriesReply{Round: 1, Verified: core.LastIndex()}))
	propose(1)
	if fmt.Sprint(got) != fmt.Sprint([]Reason{0, 0, Busy, 0}) {
		t.Errorf("proposals were answered %v", got)
	}
}

// One change at a time, and none before an entry of this term is committed (the bug of 2015).
func TestConfigurationChangesOneAtATime(t *testing.T) {
	core := leaderOf(t, 3, 1)
	propose := func(configuration *Configuration) Reason {
		out := step(core, ProposeConfiguration{ID: 1, Entry: Entry{Kind: KindConfiguration, Configuration: configuration}})
		if len(out.Refused) > 0 {
			return out.Refused[0].Reason
		}
		return 0
	}
	same := votersOf(3)
	same.Data = []byte("new addresses")
	commitAll := func() { stepDurably(core, from(2, 2, &AppendEntriesReply{Round: 1, Verified: core.LastIndex()})) }
	for i, test := range []struct {
		before        func()
		configuration *Configuration
		want          Reason
	}{
		{func() {}, same, ChangeInProgress}, // the no-op is not committed
		{commitAll, votersOf(4), ChangeNotAllowed},
		{func() {}, nil, ChangeNotAllowed},
		{func() {}, same, 0},
		{func() {}, same, ChangeInProgress},
		{func() { step(core, Persisted{core.nextTicket - 1}); commitAll() }, same, 0},
		{func() { core.becomeFollower(9, 0, "test") }, same, NotLeader},
	} {
		test.before()
		if got := propose(test.configuration); got != test.want {
			t.Errorf("change %d: %q, want %q", i, got, test.want)
		}
	}
}
