package raft

import (
	"strings"
	"testing"
)

// The properties of Figure 3 hold after every step of the walk and of the exploration. The tests of
// this file lead the group to where each is in danger, and show that the check would see it broken.

// mustReport runs something that breaks an invariant and checks that it is reported.
func mustReport(t *testing.T, c *cluster, want string, breakIt func()) {
	t.Helper()
	c.broken = ""
	breakIt()
	if !strings.Contains(c.broken, want) {
		t.Errorf("broken: got %q, want it to contain %q", c.broken, want)
	}
}

// Election Safety: at most one leader can be elected in a given term.
func TestFigure3_ElectionSafety(t *testing.T) {
	c := newCluster(Options{}, votersOf(3))
	for _, id := range []ServerID{1, 2} { // both campaign in term 1, and neither hears of the other
		c.campaign(c.server(id), false)
		c.persistAll(c.server(id))
	}
	first, second := c.takeLast(t, 1, 3), c.takeLast(t, 2, 3)
	c.network = nil
	voter := c.server(3)
	c.deliver(first)
	c.persistAll(voter)
	c.crash(voter, 0)
	c.restart(voter) // and does not forget its vote
	for range 3 {
		c.deliver(second)
		c.deliver(first)
		c.persistAll(voter)
	}
	c.settle()
	c.mustBeWhole(t)
	if c.server(1).core.Role() != Leader || c.server(2).core.Role() == Leader {
		t.Errorf("server 1 is %s, server 2 is %s; want server 1 to lead", c.server(1).core.Role(), c.server(2).core.Role())
	}

	mustReport(t, c, "election safety: both 1 and 2 lead in term 1", func() {
		other := c.server(2)
		before := other.now()
		other.core.becomeLeader()
		c.checkElection(other, before)
	})
	mustReport(t, c, "one vote per term", func() {
		c.checkWrite(voter, voter.now(), Persist{Ticket: voter.asked + 1, HardState: &HardState{CurrentTerm: 1, VotedFor: 2}})
	})
}

// Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends.
func TestFigure3_LeaderAppendOnly(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
	for i, terms := range [][]Term{{1, 1, 1}, {1, 2}, {1, 3, 3}} {
		c.install(c.servers[i], 3, terms...)
	}
	leader := c.server(3)
	c.campaign(leader, false)
	c.settle()
	// Everything that could talk it into another log: other logs, late requests, refusals.
	for _, m := range []Message{
		&AppendEntries{Entries: entriesOf(1, 1, 1), Round: 9},
		&AppendEntries{PrevLogIndex: 3, PrevLogTerm: 3, Round: 9},
	} {
		c.deliver(Envelope{From: 1, To: 3, Term: 1, Message: m})
	}
	for _, runs := range [][]TermRun{nil, {{1, 1}}, {{1, 1}, {2, 2}}} {
		c.deliver(Envelope{From: 1, To: 3, Term: 4, Message: &AppendEntriesRefusal{Round: leader.core.leadState.round, LastLogIndex: 2, Runs: runs}})
		c.settle()
	}
	c.mustBeWhole(t)
	if got := sayEntries(1, leader.view); got != "1:a/1 2:b/3 3:c/3 4:no-op/4" || leader.core.Role() != Leader {
		t.Errorf("%s has %s", leader.core.Role(), got)
	}

	mustReport(t, c, "leader append-only", func() {
		c.checkWrite(leader, leader.now(), Persist{Ticket: leader.asked + 1, HardState: &HardState{CurrentTerm: 4, VotedFor: 3}, TruncateFrom: 4})
	})
}

// Log Matching: if two logs contain an entry with the same index and term, then the logs are identical
// in all entries up through the given index. For every pair of small logs, reconciled both ways.
func TestFigure3_LogMatching(t *testing.T) {
	elections := 0
	eachLog(3, func(x []Term) {
		eachLog(3, func(y []Term) {
			if !canCoexist(x, y) || (raceEnabled && elections > 100) {
				return
			}
			for _, candidate := range []ServerID{1, 2} {
				c := newCluster(Options{ElectionTicks: 10}, votersOf(3))
				c.install(c.server(1), 3, x...)
				c.install(c.server(2), 3, y...)
				c.campaign(c.server(candidate), false)
				c.settle()
				c.mustBeWhole(t)
				leader := c.server(candidate)
				if leader.core.Role() != Leader {
					t.Fatalf("logs %v and %v, an empty one: server %d is %s", x, y, candidate, leader.core.Role())
				}
				elections++
				for _, s := range c.servers {
					if !samePrefix(s.disk.log, leader.view, leader.core.LastIndex()) || len(s.disk.log) != len(leader.view) {
						t.Fatalf("logs %v and %v, leader %d: server %d has %s", x, y, candidate, s.id, sayEntries(1, s.disk.log))
					}
				}
			}
		})
	})

	c := newCluster(Options{}, votersOf(3))
	c.install(c.server(1), 3, 1, 2, 3)
	mustReport(t, c, "log matching: servers 2 and 1 agree at 3 (term 3) and differ before it", func() {
		c.install(c.server(2), 3, 1, 1, 3)
	})
}

// Leader Completeness: if a log entry is committed in a given term, then that entry will be present in
// the logs of the leaders for all higher-numbered terms.
func TestFigure3_LeaderCompleteness(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(5))
	for _, s := range c.servers {
		c.install(s, 1)
	}
	c.install(c.server(4), 1, 1, 1, 1) // more entries than anybody will have, and older ones
	c.only(1, 2, 3)
	leader := c.elect(t, 1)
	c.step(leader, Propose{ID: 1, Entries: []Entry{command("x")}})
	c.settle()
	if len(c.history.committed) != 2 {
		t.Fatalf("%d entries are committed, want the no-op and x", len(c.history.committed))
	}
	c.crash(leader, 0)
	c.connected = nil
	for _, test := range []struct {
		candidate ServerID
		leads     bool
	}{{4, false}, {5, false}, {2, true}, {4, true}} { // at last, 4 has it from 2
		for range 2 { // the first time, it may be that the term is over
			c.campaign(c.server(test.candidate), false)
			c.settle()
		}
		c.mustBeWhole(t)
		if leads := c.server(test.candidate).core.Role() == Leader; leads != test.leads {
			t.Errorf("server %d leads: %t, want %t", test.candidate, leads, test.leads)
		}
	}

	other := newCluster(Options{}, votersOf(5))
	other.history = c.history.clone()
	mustReport(t, other, "leader completeness", func() {
		s := other.server(5)
		before := s.now()
		s.core.currentTerm = 99
		s.core.becomeLeader()
		other.checkElection(s, before)
	})
}

// State Machine Safety: if a server has applied a log entry at a given index to its state machine, no
// other server will ever apply a different log entry for the same index. This is Figure 8, where
// counting copies of an older term's entry would do just that.
func TestFigure3_StateMachineSafety(t *testing.T) {
	c := newCluster(Options{ElectionTicks: 10}, votersOf(5))
	c.fewer = func(int) int { return 1 }
	for i, terms := range [][]Term{{1, 2}, {1, 2}, {1}, {1}, {1, 3}} { // (b) of Figure 8
		c.install(c.servers[i], 3, terms...)
	}
	s1, s5 := c.server(1), c.server(5)
	c.only(1, 2, 3)
	c.campaign(s1, false)
	c.persistAll(s1)
	for range 30 { // (c): the entry of term 2 gets to a majority, that of term 4 does not
		if s1.core.Role() == Leader && len(c.server(3).disk.log) == 2 {
			break
		}
		c.deliver(c.take(0))
		for _, s := range c.servers {
			c.persistAll(s)
		}
	}
	if got := sayEntries(1, c.server(3).disk.log); got != "1:a/1 2:b/2" {
		t.Fatalf("server 3 has %s", got)
	}
	for i := 0; i < len(c.network); i++ { // its answer arrives, the rest is lost
		if e := c.network[i]; e.From == 3 {
			c.deliver(e.Envelope)
		}
	}
	c.network = nil
	c.mustBeWhole(t)
	if got := s1.core.CommitIndex(); got != 0 {
		t.Errorf("leader of term 4 commits %d, of an older term", got)
	}
	c.crash(s1, 0)
	c.only(2, 3, 4, 5)
	for range 2 { // (d): server 5 may still win, if not in term 4, and replaces the entry of term 2
		c.campaign(s5, false)
		c.settle()
	}
	c.restart(s1)
	c.connected = nil
	for range 3 {
		c.step(s5, Tick{})
		c.settle()
	}
	c.mustBeWhole(t)
	for _, s := range c.servers {
		if got := sayEntries(1, s.view[:s.applied]); got != "1:a/1 2:b/3 3:no-op/5" {
			t.Errorf("server %d has applied %s", s.id, got)
		}
	}

	mustReport(t, c, "state machine safety", func() {
		c.history.committed[1].Term = 2
		s1.applied = 0
		c.checkApply(s1, Apply{1, 3})
	})
	mustReport(t, c, "commit rule", func() { c.checkLeaderCommit(s5, 2) })
}
