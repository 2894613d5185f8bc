package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// Promises of 10 ticks, so that leases last 9, and begin when the rounds were made.
var leases = raft.Options{ElectionTicks: 20, WindowTicks: 10, PromiseTicks: 10, LeaseReads: true}

// leased returns a group with a leader, server 1, whose lease began just now. Whatever the servers promised before
// they started is over.
func leased(t *testing.T, voters int) *group {
	t.Helper()
	c := newGroup(leases, rafttest.Voters(voters))
	c.Pass(11)
	c.elect(t, 1)
	return c
}

// reads asks a server for a read, and says how it is answered at once.
func (g *group) reads(t *testing.T, s *rafttest.Server, id uint64) string {
	t.Helper()
	out := g.Step(s, raft.ReadIndex{ID: id})
	g.mustBeWhole(t)
	switch {
	case len(out.Reads) == 0:
		return "it waits"
	case out.Reads[0].ByLease:
		return fmt.Sprintf("by lease at %d", out.Reads[0].Index)
	}
	return fmt.Sprintf("by round at %d", out.Reads[0].Index)
}

func TestReadIsAnsweredAtOnceWhileALeaseLasts(t *testing.T) {
	c := leased(t, 3)
	leader := c.Server(1)
	for tick, want := range []string{8: "by lease at 1", 9: "it waits"} {
		if want == "" {
			want = "by lease at 1"
		}
		if got := c.reads(t, leader, uint64(tick+1)); got != want {
			t.Errorf("%d ticks after the round that was answered: %s, want: %s", tick, got, want)
		}
		c.Pass(1)
	}
	c.Settle() // the round that the last read has asked for
	c.mustBeWhole(t)
	if got := c.reads(t, leader, 100); got != "by lease at 1" {
		t.Errorf("after another round: %s", got)
	}
}

func TestNobodyHasALeaseUnlessTheOptionsSaySo(t *testing.T) {
	for _, o := range []raft.Options{
		{ElectionTicks: 20, PromiseTicks: 10},
		{ElectionTicks: 20, LeaseReads: true},                                   // nobody promises anything
		{ElectionTicks: 20, WindowTicks: 9, PromiseTicks: 10, LeaseReads: true}, // the windows are too short
		{ElectionTicks: 20, WindowTicks: 20, PromiseTicks: 1, LeaseReads: true}, // too short for any lease
	} {
		c := newGroup(o, rafttest.Voters(3))
		c.Pass(11)
		leader := c.elect(t, 1)
		if got := c.reads(t, leader, 1); got != "it waits" {
			t.Errorf("%+v: %s", o, got)
		}
	}
	// Whoever is alone needs nobody's promise, and still does what the options say.
	alone := newGroup(raft.Options{ElectionTicks: 20, PromiseTicks: 10}, rafttest.Voters(1))
	alone.Pass(11)
	if got := alone.reads(t, alone.elect(t, 1), 1); got != "by round at 1" {
		t.Errorf("alone: %s", got)
	}
}

// Answers come late; what they promise began when they were given at the latest, and the round before that.
func TestLeaseBeginsWhenTheRoundWasMade(t *testing.T) {
	c := leased(t, 3)
	leader := c.Server(1)
	c.Pass(5)
	c.Step(leader, raft.Tick{}) // a heartbeat
	for range 2 {               // it reaches both
		c.Deliver(c.Take(0))
	}
	c.Pass(5) // the lease before has ended
	c.Step(leader, raft.Tick{})
	heartbeats := len(c.Network)
	for i := range c.Network {
		if _, is := c.Network[i].Message.(*raft.AppendEntriesReply); is && c.Network[i].To == 1 {
			c.Deliver(c.Take(i))
			break
		}
	}
	if len(c.Network) != heartbeats-1 {
		t.Fatal("no answer was on its way")
	}
	c.Pass(3) // 8 since the round
	if got := c.reads(t, leader, 1); got != "by lease at 1" {
		t.Errorf("8 ticks after the round, 3 after its answer: %s", got)
	}
	c.Pass(1)
	if got := c.reads(t, leader, 2); got != "it waits" {
		t.Errorf("9 ticks after the round, 4 after its answer: %s", got)
	}
}

// afterARound sends a round to whom it reaches, and says what becomes of a read then.
func (g *group) afterARound(t *testing.T, leader *rafttest.Server, id uint64, want, when string) {
	t.Helper()
	g.Step(leader, raft.Tick{})
	g.Settle()
	if got := g.reads(t, leader, id); got != want {
		t.Errorf("%s: %s", when, got)
	}
}

// One of four promises is none of a majority.
func TestLeaseNeedsAMajority(t *testing.T) {
	c := leased(t, 4)
	leader := c.Server(1)
	c.Pass(9)
	c.only(1, 2)
	c.afterARound(t, leader, 1, "it waits", "with the promise of one of three others")
	c.only(1, 2, 3)
	c.afterARound(t, leader, 2, "by lease at 1", "with the promises of two")
}

// While the configuration is joint, both majorities count, and a learner never does.
func TestLeaseIsOfTheConfigurationInForce(t *testing.T) {
	first := rafttest.Voters(3)
	first.Learners = []raft.ServerID{4}
	c := newGroup(leases, first)
	c.Pass(11)
	leader := c.elect(t, 1)
	c.Pass(9)
	c.only(1, 4)
	c.afterARound(t, leader, 1, "it waits", "with the promise of a learner")
	c.only(1, 2, 3)
	c.afterARound(t, leader, 2, "by lease at 1", "with the promises of all other voters")
	c.Pass(9)
	joint := &raft.Configuration{Voters: []raft.ServerID{1, 4}, OldVoters: []raft.ServerID{1, 2, 3}}
	c.Step(leader, raft.ProposeConfiguration{ID: 3, Entry: rafttest.ConfigurationEntry(joint)})
	c.Settle()
	if got := c.reads(t, leader, 4); got != "it waits" {
		t.Errorf("with those of the old majority alone: %s", got)
	}
	c.Pass(9)
	c.only(1, 4)
	c.afterARound(t, leader, 6, "it waits", "with those of the new majority alone")
	c.only(1, 2, 3, 4)
	c.Step(leader, raft.Tick{})
	c.Settle()
	if got, want := c.reads(t, leader, 5), fmt.Sprintf("by lease at %d", leader.Core.CommitIndex()); got != want {
		t.Errorf("with both: %s", got)
	}
}

func TestNoLeaseBeforeAnEntryOfTheTermIsCommitted(t *testing.T) {
	c := newGroup(leases, rafttest.Voters(3))
	c.Pass(11)
	c.campaign(c.Server(1), false)
	c.PersistAll(c.Server(1))
	for _, to := range []raft.ServerID{2, 1} { // the request to server 2, and its vote
		i := slices.IndexFunc(c.Network, func(l rafttest.Letter) bool { return l.To == to })
		c.Deliver(c.Take(i))
		c.PersistAll(c.Server(to))
	}
	leader := c.Server(1)
	if leader.Core.Role() != raft.Leader {
		t.Fatalf("server 1 is %v", leader.Core.Role())
	}
	for _, id := range []raft.ServerID{2, 3} { // they promise, and their disks are slow
		c.Deliver(raft.Envelope{From: id, To: 1, Term: 1, Message: &raft.AppendEntriesReply{Round: leader.Core.Round(), Promise: true}})
	}
	if got := c.reads(t, leader, 1); got != "it waits" {
		t.Errorf("%s", got)
	}
	c.Settle()
	c.mustBeWhole(t)
	if got := c.reads(t, leader, 2); got != "by lease at 1" {
		t.Errorf("once it is committed: %s", got)
	}
}

// Who was asked to take over may do so much later, and nobody's promise keeps him from it.
func TestNoLeaseAfterATransferHasBegun(t *testing.T) {
	c := leased(t, 3)
	leader := c.Server(1)
	c.only(1, 2)
	transfer(c, leader, 1, 3)
	if got := c.reads(t, leader, 2); got != "it waits" {
		t.Errorf("while it hands over: %s", got)
	}
	lines := c.listen()
	for range 25 {
		c.Pass(1)
		c.Step(leader, raft.Tick{})
		c.Settle()
	}
	if len(*lines) == 0 || leader.Core.Role() != raft.Leader {
		t.Fatalf("server 1 is %v", leader.Core.Role())
	}
	if got := c.reads(t, leader, 3); got != "it waits" {
		t.Errorf("after it has given that up: %s", got)
	}
}

// votes lets a server be asked for its vote and its pre-vote in a term, and says which it grants.
func (g *group) votes(t *testing.T, of raft.ServerID, term raft.Term, transfer bool) string {
	t.Helper()
	voter := g.Fork(of)
	voter.Network = nil
	last := voter.Server(of).Core.LastIndex()
	lastTerm, _ := voter.Server(of).Core.TermAt(last)
	voter.Deliver(raft.Envelope{From: 3, To: of, Term: term, Message: &raft.RequestPreVote{LastLogIndex: last, LastLogTerm: lastTerm}})
	voter.Deliver(raft.Envelope{From: 3, To: of, Term: term, Message: &raft.RequestVote{LastLogIndex: last, LastLogTerm: lastTerm, Transfer: transfer}})
	voter.PersistAll(voter.Server(of))
	granted := ""
	for i := range voter.Network {
		switch m := voter.Network[i].Message.(type) {
		case *raft.RequestPreVoteReply:
			granted += map[bool]string{true: "pre-vote ", false: ""}[m.Granted]
		case *raft.RequestVoteReply:
			granted += map[bool]string{true: "vote", false: ""}[m.Granted]
		}
	}
	if voter.Broken != "" {
		t.Fatal(voter.Broken)
	}
	return granted
}

func TestVoterKeepsItsPromiseWhateverBecomesOfTheLeader(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *group)
		term   raft.Term
	}{
		{"it hears the leader no more", func(c *group) { c.Server(2).Core.LoseTheLeader() }, 2},
		{"there is a later term", func(c *group) {
			c.Deliver(raft.Envelope{From: 1, To: 2, Term: 5, Message: &raft.AppendEntriesRefusal{}})
		}, 6},
		{"it is asked in the very term that it has come to", func(c *group) {
			c.Deliver(raft.Envelope{From: 1, To: 2, Term: 5, Message: &raft.AppendEntriesRefusal{}})
		}, 5},
	} {
		c := leased(t, 3)
		test.change(c)
		c.PersistAll(c.Server(2))
		c.Pass(10)
		if got := c.votes(t, 2, test.term, false); got != "" {
			t.Errorf("%s: after 10 ticks it grants its %s", test.name, got)
		}
		if got := c.votes(t, 2, test.term, true); got != "vote" {
			t.Errorf("%s: to whom the leader hands over, it grants its %q", test.name, got)
		}
		c.Step(c.Server(2), raft.Campaign{})
		if role := c.Server(2).Core.Role(); role != raft.Follower {
			t.Errorf("%s: after 10 ticks it is a %v itself", test.name, role)
		}
		c.Server(2).Core.LoseTheLeader()
		c.Pass(1)
		if got := c.votes(t, 2, test.term, false); got != "pre-vote vote" {
			t.Errorf("%s: after 11 ticks it grants its %q", test.name, got)
		}
		c.Step(c.Server(2), raft.Campaign{})
		if role := c.Server(2).Core.Role(); role != raft.PreCandidate {
			t.Errorf("%s: after 11 ticks it is a %v", test.name, role)
		}
		c.mustBeWhole(t)
	}
}

// What it promised before it started is forgotten, and is kept.
func TestVoterThatHasJustStartedIsBoundByWhatItHasForgotten(t *testing.T) {
	for _, window := range []int{10, 5} { // with the shorter it would promise nothing today, and may have before
		c := leased(t, 3)
		c.Crash(c.Server(2), 0)
		c.Server(2).Options.WindowTicks = window
		c.Restart(c.Server(2))
		c.Pass(10)
		if got := c.votes(t, 2, 2, false); got != "" {
			t.Errorf("after 10 ticks it grants its %s", got)
		}
		c.Step(c.Server(2), raft.Campaign{})
		if role := c.Server(2).Core.Role(); role != raft.Follower {
			t.Errorf("after 10 ticks it is a %v itself", role)
		}
		c.Pass(1)
		if got := c.votes(t, 2, 2, false); got != "pre-vote vote" {
			t.Errorf("after 11 ticks it grants its %q", got)
		}
	}
}

// A server that does not know what time it is cannot tell when a promise ends.
func TestVoterWithoutAClockIsBound(t *testing.T) {
	core, err := raft.New(raft.Options{ID: 2, ElectionTicks: 10, PromiseTicks: 10},
		raft.State{Configurations: []raft.ConfigurationAt{{Configuration: rafttest.Voters(3)}}})
	if err != nil {
		t.Fatal(err)
	}
	ask := raft.Receive{Envelope: raft.Envelope{From: 3, To: 2, Term: 1, Message: &raft.RequestVote{}}}
	if out := core.Step([]raft.Input{ask}); core.VotedFor() != 0 {
		t.Errorf("it votes: %v", out.Send)
	}
	core.Step([]raft.Input{raft.Clock{Now: 70}, raft.Clock{Now: 81}})
	if out := core.Step([]raft.Input{ask}); core.VotedFor() != 3 {
		t.Errorf("it votes for %d once it may: %v", core.VotedFor(), out.Send)
	}
}

// Whoever never had anybody to promise anything to leads at once, as before there were promises.
func TestWhoHasAlwaysBeenAloneNeedNotWait(t *testing.T) {
	c := newGroup(leases, rafttest.Voters(1))
	c.Step(c.Server(1), raft.Campaign{})
	c.Settle()
	if role := c.Server(1).Core.Role(); role != raft.Leader {
		t.Fatalf("it is a %v", role)
	}
	if got := c.reads(t, c.Server(1), 1); got != "by lease at 1" {
		t.Errorf("%s", got)
	}

	two := rafttest.New(leases, rafttest.Voters(1), 2)
	two.Step(two.Server(1), raft.Campaign{})
	two.Settle()
	joint := &raft.Configuration{Voters: []raft.ServerID{1, 2}, OldVoters: []raft.ServerID{1}}
	two.Step(two.Server(1), raft.ProposeConfiguration{ID: 1, Entry: rafttest.ConfigurationEntry(joint)})
	two.PersistAll(two.Server(1))
	two.Crash(two.Server(1), 0)
	two.Restart(two.Server(1))
	two.Step(two.Server(1), raft.Campaign{})
	if role := two.Server(1).Core.Role(); role != raft.Follower {
		t.Errorf("with another in its log it is a %v at once", role)
	}
}

// A clock that goes back, or is told late, lengthens promises and never leases.
func TestClockNeverGoesBack(t *testing.T) {
	c := leased(t, 3)
	c.Pass(9)
	leader := c.Server(1)
	leader.Core.Step([]raft.Input{raft.Clock{Now: c.Now - 5}})
	c.Now -= 5
	if got := c.reads(t, leader, 1); got != "it waits" {
		t.Errorf("%s", got)
	}
}
