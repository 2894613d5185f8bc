package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// The properties of Figure 3 hold after every step of the walk and of the exploration. The tests of
// this file lead the group to where each is in danger; that the checks would see it broken is shown in
// rafttest.

// Election Safety: at most one leader can be elected in a given term.
func TestFigure3_ElectionSafety(t *testing.T) {
	c := newGroup(raft.Options{}, rafttest.Voters(3))
	for _, id := range []raft.ServerID{1, 2} { // both campaign in term 1, and neither hears of the other
		c.campaign(c.Server(id), false)
		c.PersistAll(c.Server(id))
	}
	first, second := c.takeLast(t, 1, 3), c.takeLast(t, 2, 3)
	c.Network = nil
	voter := c.Server(3)
	c.Deliver(first)
	c.PersistAll(voter)
	c.Crash(voter, 0)
	c.Restart(voter) // and does not forget its vote
	for range 3 {
		c.Deliver(second)
		c.Deliver(first)
		c.PersistAll(voter)
	}
	c.Settle()
	c.mustBeWhole(t)
	if c.Server(1).Core.Role() != raft.Leader || c.Server(2).Core.Role() == raft.Leader {
		t.Errorf("server 1 is %s, server 2 is %s; want server 1 to lead", c.Server(1).Core.Role(), c.Server(2).Core.Role())
	}
}

// Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends.
func TestFigure3_LeaderAppendOnly(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	for i, terms := range [][]raft.Term{{1, 1, 1}, {1, 2}, {1, 3, 3}} {
		c.Install(c.Servers[i], 3, terms...)
	}
	leader := c.Server(3)
	c.campaign(leader, false)
	c.Settle()
	// Everything that could talk it into another log: other logs, late requests, refusals.
	for _, m := range []raft.Message{
		&raft.AppendEntries{Entries: raft.EntriesOf(1, 1, 1), Round: 9},
		&raft.AppendEntries{PrevLogIndex: 3, PrevLogTerm: 3, Round: 9},
	} {
		c.Deliver(raft.Envelope{From: 1, To: 3, Term: 1, Message: m})
	}
	for _, runs := range [][]raft.TermRun{nil, {{1, 1}}, {{1, 1}, {2, 2}}} {
		c.Deliver(raft.Envelope{From: 1, To: 3, Term: 4, Message: &raft.AppendEntriesRefusal{Round: leader.Core.Round(), LastLogIndex: 2, Runs: runs}})
		c.Settle()
	}
	c.mustBeWhole(t)
	if got := rafttest.SayEntries(1, leader.View); got != "1:a/1 2:b/3 3:c/3 4:no-op/4" || leader.Core.Role() != raft.Leader {
		t.Errorf("%s has %s", leader.Core.Role(), got)
	}
}

// Log Matching: if two logs contain an entry with the same index and term, then the logs are identical
// in all entries up through the given index. For every pair of small logs, reconciled both ways.
func TestFigure3_LogMatching(t *testing.T) {
	elections := 0
	raft.EachLog(3, func(x []raft.Term) {
		raft.EachLog(3, func(y []raft.Term) {
			if !raft.CanCoexist(x, y) || (raft.RaceEnabled && elections > 100) {
				return
			}
			for _, candidate := range []raft.ServerID{1, 2} {
				c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
				c.Install(c.Server(1), 3, x...)
				c.Install(c.Server(2), 3, y...)
				c.campaign(c.Server(candidate), false)
				c.Settle()
				c.mustBeWhole(t)
				leader := c.Server(candidate)
				if leader.Core.Role() != raft.Leader {
					t.Fatalf("logs %v and %v, an empty one: server %d is %s", x, y, candidate, leader.Core.Role())
				}
				elections++
				for _, s := range c.Servers {
					if !rafttest.SamePrefix(s.Disk.Log, leader.View, leader.Core.LastIndex()) || len(s.Disk.Log) != len(leader.View) {
						t.Fatalf("logs %v and %v, leader %d: server %d has %s", x, y, candidate, s.ID, rafttest.SayEntries(1, s.Disk.Log))
					}
				}
			}
		})
	})
}

// Leader Completeness: if a log entry is committed in a given term, then that entry will be present in
// the logs of the leaders for all higher-numbered terms.
func TestFigure3_LeaderCompleteness(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(5))
	for _, s := range c.Servers {
		c.Install(s, 1)
	}
	c.Install(c.Server(4), 1, 1, 1, 1) // more entries than anybody will have, and older ones
	c.only(1, 2, 3)
	leader := c.elect(t, 1)
	c.Step(leader, raft.Propose{ID: 1, Entries: []raft.Entry{rafttest.Command("x")}})
	c.Settle()
	if len(c.History.Committed) != 2 {
		t.Fatalf("%d entries are committed, want the no-op and x", len(c.History.Committed))
	}
	c.Crash(leader, 0)
	c.Connected = nil
	for _, test := range []struct {
		candidate raft.ServerID
		leads     bool
	}{{4, false}, {5, false}, {2, true}, {4, true}} { // at last, 4 has it from 2
		for range 2 { // the first time, it may be that the term is over
			c.campaign(c.Server(test.candidate), false)
			c.Settle()
		}
		c.mustBeWhole(t)
		if leads := c.Server(test.candidate).Core.Role() == raft.Leader; leads != test.leads {
			t.Errorf("server %d leads: %t, want %t", test.candidate, leads, test.leads)
		}
	}
}

// State Machine Safety: if a server has applied a log entry at a given index to its state machine, no
// other server will ever apply a different log entry for the same index. This is Figure 8, where
// counting copies of an older term's entry would do just that.
func TestFigure3_StateMachineSafety(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(5))
	c.Fewer = func(int) int { return 1 }
	for i, terms := range [][]raft.Term{{1, 2}, {1, 2}, {1}, {1}, {1, 3}} { // (b) of Figure 8
		c.Install(c.Servers[i], 3, terms...)
	}
	s1, s5 := c.Server(1), c.Server(5)
	c.only(1, 2, 3)
	c.campaign(s1, false)
	c.PersistAll(s1)
	for range 30 { // (c): the entry of term 2 gets to a majority, that of term 4 does not
		if s1.Core.Role() == raft.Leader && len(c.Server(3).Disk.Log) == 2 {
			break
		}
		c.Deliver(c.Take(0))
		for _, s := range c.Servers {
			c.PersistAll(s)
		}
	}
	if got := rafttest.SayEntries(1, c.Server(3).Disk.Log); got != "1:a/1 2:b/2" {
		t.Fatalf("server 3 has %s", got)
	}
	for i := 0; i < len(c.Network); i++ { // its answer arrives, the rest is lost
		if e := c.Network[i]; e.From == 3 {
			c.Deliver(e.Envelope)
		}
	}
	c.Network = nil
	c.mustBeWhole(t)
	if got := s1.Core.CommitIndex(); got != 0 {
		t.Errorf("leader of term 4 commits %d, of an older term", got)
	}
	c.Crash(s1, 0)
	c.only(2, 3, 4, 5)
	for range 2 { // (d): server 5 may still win, if not in term 4, and replaces the entry of term 2
		c.campaign(s5, false)
		c.Settle()
	}
	c.Restart(s1)
	c.Connected = nil
	for range 3 {
		c.Step(s5, raft.Tick{})
		c.Settle()
	}
	c.mustBeWhole(t)
	for _, s := range c.Servers {
		if got := rafttest.SayEntries(1, s.View[:s.Applied]); got != "1:a/1 2:b/3 3:no-op/5" {
			t.Errorf("server %d has applied %s", s.ID, got)
		}
	}
}
