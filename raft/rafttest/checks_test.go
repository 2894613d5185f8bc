package rafttest

import (
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

// The checks are worth something only if they see what is broken. The cores are right, so the tests of
// this file forge disks, or the observer's memory, or hand a check what no core would do.

// led returns a group of three whose server 1 leads in term 1, and has committed its no-op.
func led(t *testing.T) *Cluster {
	t.Helper()
	c := New(raft.Options{ElectionTicks: 10}, Voters(3))
	c.Step(c.Server(1), raft.Campaign{})
	c.Settle()
	if c.Broken != "" || c.Server(1).Core.Role() != raft.Leader || len(c.History.Committed) != 1 {
		t.Fatalf("server 1 is %s, %d entries are committed; broken: %q", c.Server(1).Core.Role(), len(c.History.Committed), c.Broken)
	}
	return c
}

// forget puts an older state on the disks of servers 2 and 3, and cuts them off from server 1.
func forget(c *Cluster, hard raft.HardState, log ...raft.Entry) {
	c.Connected = func(from, to raft.ServerID) bool { return from != 1 && to != 1 }
	for _, s := range c.Servers[1:] {
		c.Crash(s, 0)
		s.Disk.Hard, s.Disk.Log = hard, slices.Clone(log)
		c.Restart(s)
	}
}

// elect makes server 2 stand for election.
func elect(c *Cluster) {
	c.Step(c.Server(2), raft.Campaign{})
	c.Settle()
}

func TestChecksSeeWhatIsBroken(t *testing.T) {
	for _, test := range []struct {
		want    string
		breakIt func(c *Cluster, leader *Server)
	}{
		{"election safety: both 1 and 2 lead in term 1", func(c *Cluster, _ *Server) {
			forget(c, raft.HardState{})
			elect(c)
		}},
		{"leader completeness: leader 2 of term 2 lacks some of the 1 entries committed before", func(c *Cluster, _ *Server) {
			forget(c, raft.HardState{CurrentTerm: 1})
			elect(c)
		}},
		{"state machine safety: server 2 commits up to 1 (of term 2)", func(c *Cluster, _ *Server) {
			forget(c, raft.HardState{CurrentTerm: 1})
			c.History.CommittedIn[0] = 9 // or it would be seen at the election
			elect(c)
		}},
		{"one vote per term: server 3 votes for 1 and for 2 in term 1", func(c *Cluster, _ *Server) {
			voter := c.Server(3)
			c.checkWrite(voter, voter.now(), raft.Persist{Ticket: voter.Asked + 1, HardState: &raft.HardState{CurrentTerm: 1, VotedFor: 2}})
		}},
		{"term 0 after term 1", func(c *Cluster, leader *Server) {
			c.checkWrite(leader, leader.now(), raft.Persist{Ticket: leader.Asked + 1, HardState: &raft.HardState{}})
		}},
		{"leader append-only: leader 1 of term 1 truncates from 1", func(c *Cluster, leader *Server) {
			c.checkWrite(leader, leader.now(), raft.Persist{Ticket: leader.Asked + 1, HardState: &raft.HardState{CurrentTerm: 1, VotedFor: 1}, TruncateFrom: 1})
		}},
		{"log matching: servers 2 and 1 agree at 3 (term 3) and differ before it", func(c *Cluster, _ *Server) {
			*c = *New(raft.Options{}, Voters(3))
			c.Install(c.Server(1), 3, 1, 2, 3)
			c.Install(c.Server(2), 3, 1, 1, 3)
		}},
		{"state machine safety: server 2 applies up to 1, which is not committed", func(c *Cluster, _ *Server) {
			c.History.Committed[0].Term = 9
			c.Server(2).Applied = 0
			c.checkApply(c.Server(2), raft.Apply{First: 1, Last: 1})
		}},
		{"server 2: applies 3 to 3 after 1", func(c *Cluster, _ *Server) {
			c.checkApply(c.Server(2), raft.Apply{First: 3, Last: 3})
		}},
		{"commit rule: server 1 (leader of term 1) commits at 1, of term 0", func(c *Cluster, leader *Server) {
			leader.View[0].Term = 0
			c.checkLeaderCommit(leader, leader.now(), 1)
		}},
		{"commit: leader 1 commits 1, which is not on the disks of a quorum", func(c *Cluster, leader *Server) {
			forget(c, raft.HardState{CurrentTerm: 1})
			c.checkLeaderCommit(leader, leader.now(), 1)
		}},
		{"handed out 2, commit 1", func(c *Cluster, leader *Server) {
			c.checkOrder(leader, raft.Apply{First: 2, Last: 2})
		}},
		{"ack honesty: server 2 acknowledges 2, which its disk does not have", func(c *Cluster, _ *Server) {
			c.checkLeaving(c.Server(2), &raft.Envelope{From: 2, To: 1, Term: 1, Message: &raft.AppendEntriesReply{Verified: 2}})
		}},
		{"ack honesty: server 2 grants a vote to 3 in term 1, the disk has one for 1", func(c *Cluster, _ *Server) {
			c.checkLeaving(c.Server(2), &raft.Envelope{From: 2, To: 3, Term: 1, Message: &raft.RequestVoteReply{Granted: true}})
		}},
		{"leaves in term 2, the disk has term 1", func(c *Cluster, _ *Server) {
			c.checkLeaving(c.Server(2), &raft.Envelope{From: 2, To: 3, Term: 2, Message: &raft.RequestVoteReply{}})
		}},
		{"leader 1: peer 2 matches up to 1, its disk does not", func(c *Cluster, leader *Server) {
			forget(c, raft.HardState{CurrentTerm: 1})
			c.Step(leader, raft.Tick{})
		}},
		{"leader 1: counts 3 bytes on their way to 2, it is 0", func(c *Cluster, leader *Server) {
			c.checkInflightBytes(leader, &raft.PeerStatus{ID: 2, MatchIndex: 1, InflightBytes: 3})
		}},
		{"stale read: server 1 serves read 7 at 1, and 5 was committed when it came in", func(c *Cluster, leader *Server) {
			c.History.Questions = []Question{{Server: 1, ID: 7, Read: true, Least: 5}}
			c.checkAnswers(leader, leader.now(), raft.Output{Reads: []raft.ReadReady{{ID: 7, Index: 1}}})
		}},
		{"server 1: accepts proposal 7, which nobody waits for", func(c *Cluster, leader *Server) {
			c.checkAnswers(leader, leader.now(), raft.Output{Accepted: []raft.Accepted{{ID: 7}}})
		}},
	} {
		c := led(t)
		test.breakIt(c, c.Server(1))
		if !strings.Contains(c.Broken, test.want) {
			t.Errorf("broken: got %q, want it to contain %q", c.Broken, test.want)
		}
	}
}

// A fork goes its own way: nothing that happens to it shows in the group that it came from.
func TestAForkChangesNothingInItsOrigin(t *testing.T) {
	c := led(t)
	state := func() []byte {
		var b []byte
		for _, s := range c.Servers {
			b = s.Core.AppendState(b)
		}
		return b
	}
	before, network := state(), len(c.Network)
	d := c.Fork(1, 2, 3)
	d.Step(d.Server(1), raft.Propose{ID: 1, Entries: []raft.Entry{Command("x")}})
	d.Settle()
	if d.Broken != "" || len(d.History.Committed) != 2 {
		t.Fatalf("the fork has committed %d entries; broken: %q", len(d.History.Committed), d.Broken)
	}
	if !slices.Equal(state(), before) || len(c.Network) != network || len(c.History.Committed) != 1 || len(c.Server(2).Disk.Log) != 1 {
		t.Error("the origin has changed")
	}
}
