package raft

import (
	"fmt"
	"testing"
)

// The answer to a probe with entries waits for the peer's disk, those to heartbeats do not. When they
// overtake it, that does not mean that the probe got lost: entries that are on their way are not sent
// once more with every read.
func TestProbeOfAPeerWithASlowDiskIsNotRepeatedWithEveryRead(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
	for _, s := range c.servers {
		c.install(s, 0, 1)
	}
	leader, slow := c.server(1), c.server(2)
	c.only(1, 3)
	c.elect(t, 1)
	c.step(leader, Propose{ID: 1, Entries: []Entry{command("x"), command("y")}})
	c.settle()
	c.connected = nil
	requests := 0
	settleBut := func() {
		for c.broken == "" && len(c.network)+len(c.server(3).writes)+len(leader.writes) > 0 {
			c.persistAll(leader)
			c.persistAll(c.server(3))
			if len(c.network) > 0 {
				e := c.take(0)
				if m, is := e.Message.(*AppendEntries); is && e.To == 2 && len(m.Entries) > 0 {
					requests++
				}
				c.deliver(e)
			}
		}
	}
	c.step(leader, Tick{})
	settleBut()
	c.persistAll(slow) // its term; from now on the disk of server 2 is slow
	for requests == 0 && c.broken == "" {
		c.step(leader, Tick{})
		settleBut()
	}
	for read := range uint64(20) {
		c.step(leader, ReadIndex{ID: 10 + read})
		settleBut()
	}
	c.mustBeWhole(t)
	if len(slow.writes) == 0 || requests == 0 {
		t.Fatalf("%d requests, %d writes under way: the test is about a probe that waits for the disk", requests, len(slow.writes))
	}
	if requests > 2 {
		t.Errorf("%d requests with entries went to server 2 during 20 reads, want one and perhaps a second", requests)
	}
	c.settle()
	for range 3 {
		c.step(leader, Tick{})
		c.settle()
	}
	c.mustBeWhole(t)
	if p := leader.core.leadState.peer(2); p.probing || p.matchIndex != leader.core.LastIndex() {
		t.Errorf("peer 2 matches up to %d of %d, probing %t", p.matchIndex, leader.core.LastIndex(), p.probing)
	}
}

// countSent counts how often each entry was sent to a server.
func countSent(counts map[Index]int, e Envelope, to ServerID) {
	if m, is := e.Message.(*AppendEntries); is && e.To == to {
		for i := range m.Entries {
			counts[m.PrevLogIndex+Index(i)+1]++
		}
	}
}

// Appends that arrive in any other order than they were sent in cost each entry one more journey, at
// most: later refusals say nothing that the first has not said.
func TestReorderedAppendsAreSentAgainAtMostOnce(t *testing.T) {
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, order := range orders {
		c := newCluster(Options{ElectionTicks: 10}, votersOf(2))
		leader := c.elect(t, 1)
		for i := range uint64(3) {
			c.step(leader, Propose{ID: i + 1, Entries: []Entry{command("x")}})
		}
		var appends []Envelope
		sent := map[Index]int{}
		for len(c.network) > 0 {
			appends = append(appends, c.take(0))
		}
		if len(appends) != 3 {
			t.Fatalf("%d appends are on their way, want a window of 3", len(appends))
		}
		for _, e := range appends {
			countSent(sent, e, 2)
		}
		for _, i := range order {
			c.deliver(appends[i])
		}
		c.persistAll(leader)
		c.persistAll(c.server(2))
		for len(c.network) > 0 {
			e := c.take(0)
			countSent(sent, e, 2)
			c.deliver(e)
			c.persistAll(c.server(2))
		}
		c.mustBeWhole(t)
		for i := Index(2); i <= 4; i++ {
			if sent[i] > 2 || (order[0] == 0 && order[1] == 1 && sent[i] > 1) {
				t.Errorf("order %v: entry %d was sent %d times", order, i, sent[i])
			}
		}
		if got := c.server(2).applied; got != 4 {
			t.Errorf("order %v: server 2 has applied %d of 4 entries, without a single tick", order, got)
		}
	}
}

// The window is bounded in messages and in bytes, and opens again with the answers.
func TestWindowHasBounds(t *testing.T) {
	for _, test := range []struct {
		options Options
		want    string // the requests on their way, each by its entries
	}{
		{Options{MaxAppendBytes: 4, MaxInflightMessages: 2}, "2-3 4-5"},
		{Options{MaxAppendBytes: 4, MaxInflightBytes: 5}, "2-3 4-5"},    // at the bound, not before it
		{Options{MaxAppendBytes: 1}, "2-2 3-3 4-4 5-5 6-6 7-7 8-8 9-9"}, // one entry always fits
		{Options{}, "2-9"},
	} {
		c := newCluster(test.options, votersOf(2))
		leader := c.elect(t, 1)
		var entries []Entry
		for range 8 {
			entries = append(entries, command("xy"))
		}
		out := c.step(leader, Propose{ID: 1, Entries: entries})
		got := ""
		for _, m := range sentTo(out, 2) {
			m := m.(*AppendEntries)
			got += fmt.Sprintf(" %d-%d", m.PrevLogIndex+1, m.Last)
		}
		if got != " "+test.want {
			t.Errorf("%+v: sends%s, want %s", test.options, got, test.want)
		}
		c.settle()
		c.mustBeWhole(t)
		if got := c.server(2).applied; got != 9 {
			t.Errorf("%+v: server 2 has applied %d of 9 entries", test.options, got)
		}
	}
}

// Entries whose sizes were forgotten go out one request at a time, and whoever fills them in may cut
// them short.
func TestPeerFarBehindIsBroughtUpOneRequestAtATime(t *testing.T) {
	terms := make([]Term, 3*maxProbeEntries)
	for i := range terms {
		terms[i] = 1
	}
	c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
	c.install(c.server(1), 0, terms...) // after a restart it knows no sizes at all
	c.fewer = func(n int) int { return n/2 + 1 }
	c.campaign(c.server(1), false)
	most := 0
	for len(c.network) > 0 || len(c.server(1).writes) > 0 {
		for _, s := range c.servers {
			c.persistAll(s)
		}
		underWay := 0
		for _, e := range c.network {
			if m, is := e.Message.(*AppendEntries); is && e.To == 2 && len(m.Entries) > 0 {
				underWay++
			}
		}
		most = max(most, underWay)
		if len(c.network) > 0 {
			c.deliver(c.take(0))
		}
		if c.broken != "" {
			break
		}
	}
	c.mustBeWhole(t)
	if got := len(c.server(2).disk.log); got != len(terms)+1 || most != 1 {
		t.Errorf("server 2 has %d of %d entries, with up to %d requests on their way", got, len(terms)+1, most)
	}
}

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
	core.becomeCandidate()
	core.Step(nil)
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
			if got := sayContent(m); m.(*AppendEntries).PrevLogIndex != 0 || m.(*AppendEntries).Last != 0 {
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
		{commitAll, votersOf(4), ChangeUnsupported},
		{func() {}, nil, ChangeUnsupported},
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
