package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// transfer asks a server to hand over.
func transfer(c *group, leader *rafttest.Server, id uint64, to raft.ServerID) {
	c.Step(leader, raft.TransferLeadership{ID: id, To: to})
}

// listener keeps what is told.
func (g *group) listen() *[]string {
	var lines []string
	g.Tell = func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	return &lines
}

// One round trip to the target, and one of the election: the others need not miss the leader, and nobody is
// asked before the term is opened.
func TestLeadershipIsHandedOver(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(5))
	leader := c.elect(t, 1)
	c.Settle()
	term := leader.Core.CurrentTerm()
	transfer(c, leader, 7, 4)
	c.Settle()
	c.mustBeWhole(t)
	if next := c.Server(4).Core; next.Role() != raft.Leader || next.CurrentTerm() != term+1 {
		t.Errorf("server 4 is %v of term %d, want the leader of %d", next.Role(), next.CurrentTerm(), term+1)
	}
	if leader.Core.Role() != raft.Follower || leader.Core.Leader() != 4 {
		t.Errorf("server 1 is %v, and follows %d", leader.Core.Role(), leader.Core.Leader())
	}
}

// The target gets the whole log first, and nothing is added to it meanwhile.
func TestTheNextLeaderHasAllThatTheLastOneTookIn(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	leader := c.elect(t, 1)
	c.Settle()
	c.Step(leader, raft.Propose{ID: 1, Entries: []raft.Entry{rafttest.Command("x")}})
	transfer(c, leader, 2, 3)
	for i := range c.Network {
		if _, is := c.Network[i].Message.(*raft.TimeoutNow); is {
			t.Error("it is told to campaign before it has everything")
		}
	}
	last := leader.Core.LastIndex()
	lines := c.listen()
	c.Step(leader, raft.Propose{ID: 3, Entries: []raft.Entry{rafttest.Command("y")}})
	same := *leader.Core.Configuration().Configuration
	c.Step(leader, raft.ProposeConfiguration{ID: 4, Entry: rafttest.ConfigurationEntry(&same)})
	transfer(c, leader, 5, 2)
	want := []string{"1: refuses 3: busy", "1: refuses 4: a configuration change is in progress", "1: refuses 5: busy"}
	if leader.Core.LastIndex() != last || !slices.Equal(*lines, want) {
		t.Errorf("log ends at %d, before at %d; %q", leader.Core.LastIndex(), last, *lines)
	}
	c.Settle()
	c.mustBeWhole(t)
	if next := c.Server(3).Core; next.Role() != raft.Leader {
		t.Errorf("server 3 is %v", next.Role())
	}
}

func TestTransferToNobodyElseIsRefused(t *testing.T) {
	first := rafttest.Voters(3)
	first.Learners = []raft.ServerID{4}
	c := newGroup(raft.Options{ElectionTicks: 10}, first)
	leader := c.elect(t, 1)
	c.Settle()
	lines := c.listen()
	transfer(c, leader, 1, 1)
	transfer(c, leader, 2, 4)
	transfer(c, leader, 3, 9)
	transfer(c, c.Server(2), 4, 3)
	want := []string{"1: refuses 1: not another voter", "1: refuses 2: not another voter", "1: refuses 3: not another voter", "2: refuses 4: not leader"}
	if !slices.Equal(*lines, want) {
		t.Errorf("%q", *lines)
	}
}

// If the target does not take over, the leader goes on, and has not lost anything.
func TestTransferThatComesToNothingIsGivenUp(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 6, HeartbeatTicks: 2}, rafttest.Voters(3))
	leader := c.elect(t, 1)
	c.Settle()
	cut := true
	c.Connected = func(from, to raft.ServerID) bool { return !cut || from != 3 && to != 3 }
	transfer(c, leader, 7, 3)
	lines := c.listen()
	for range 6 {
		c.Step(leader, raft.Tick{})
		c.Settle()
	}
	if !slices.Contains(*lines, "1: refuses 7: it did not take over in time") {
		t.Errorf("%q", *lines)
	}
	last := leader.Core.LastIndex()
	c.Step(leader, raft.Propose{ID: 8, Entries: []raft.Entry{rafttest.Command("x")}})
	c.Settle()
	if at := leader.Core.CommitIndex(); at != last+1 || leader.Core.Role() != raft.Leader {
		t.Errorf("%v, committed up to %d of %d", leader.Core.Role(), at, leader.Core.LastIndex())
	}
}

// What tells the target to campaign may be lost. It is told again.
func TestTimeoutNowIsSentAgain(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10, HeartbeatTicks: 2}, rafttest.Voters(3))
	leader := c.elect(t, 1)
	c.Settle()
	transfer(c, leader, 7, 3)
	c.Step(leader, raft.ReadIndex{ID: 8})
	told := 0
	for i := range c.Network {
		if _, is := c.Network[i].Message.(*raft.TimeoutNow); is {
			told++
		}
	}
	if told != 1 {
		t.Errorf("it is told %d times at once", told)
	}
	c.Network = nil
	for range 3 {
		c.Step(leader, raft.Tick{})
		c.Settle()
	}
	if next := c.Server(3).Core; next.Role() != raft.Leader {
		t.Errorf("server 3 is %v", next.Role())
	}
}

// Only its own leader can tell a server to campaign.
func TestTimeoutNowOfSomebodyElseIsIgnored(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	leader := c.elect(t, 1)
	c.Settle()
	term := leader.Core.CurrentTerm()
	for _, e := range []raft.Envelope{
		{From: 2, To: 3, Term: term, Message: &raft.TimeoutNow{}},
		{From: 1, To: 3, Term: term - 1, Message: &raft.TimeoutNow{}},
		{From: 2, To: 1, Term: term, Message: &raft.TimeoutNow{}},
	} {
		c.Deliver(e)
		c.Settle()
	}
	if leader.Core.Role() != raft.Leader || leader.Core.CurrentTerm() != term {
		t.Errorf("server 1 is %v of term %d", leader.Core.Role(), leader.Core.CurrentTerm())
	}
}
