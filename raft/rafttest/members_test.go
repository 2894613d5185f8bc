package rafttest

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

// TestChecksSeeWhatIsBrokenOfMembership forges logs and votes, like TestChecksSeeWhatIsBroken.
func TestChecksSeeWhatIsBrokenOfMembership(t *testing.T) {
	of := func(old, voters []raft.ServerID) raft.Entry {
		return ConfigurationEntry(&raft.Configuration{Voters: voters, OldVoters: old})
	}
	type ids = []raft.ServerID
	three := ids{1, 2, 3}
	has := func(entries ...raft.Entry) func(*Cluster, *Server) {
		return func(c *Cluster, leader *Server) {
			leader.View = append(leader.View, entries...)
			c.checkConfigurations(leader)
		}
	}
	committed := func(n int, breakIt func(*Cluster, *Server)) func(*Cluster, *Server) {
		return func(c *Cluster, leader *Server) {
			c.History.Committed = append(c.History.Committed, make([]raft.Entry, n)...)
			breakIt(c, leader)
		}
	}
	for _, test := range []struct {
		want    string
		breakIt func(c *Cluster, leader *Server)
	}{
		{"", committed(2, has(of(three, ids{1, 2, 4}), of(nil, ids{1, 2, 4}), of(ids{1, 2, 4}, three)))},
		{"", has(of(three, ids{1, 2, 4}), of(three, ids{1, 2}))},
		{"membership: server 1 has a configuration at 2 that does not follow the one at 0", has(of(nil, ids{1, 2}))},
		{"at 2 that does not follow the one at 0", has(of(ids{1, 2}, three))},
		{"at 3 that does not follow the one at 2", committed(2, has(of(three, ids{1, 2, 4}), of(nil, three)))},
		{"at 3 that does not follow the one at 2", committed(2, has(of(three, ids{1, 2, 4}), of(ids{1, 2, 4}, three)))},
		{"at 3, and the one before it, at 2, is not committed", has(of(three, ids{1, 2, 4}), of(nil, ids{1, 2, 4}))},
		{"at 4, and the one before it, at 3, is not committed", committed(1, has(of(three, ids{1, 2, 4}), of(nil, ids{1, 2, 4}), of(ids{1, 2, 4}, three)))},
		{"election: leader 1 of term 1 does not have the votes of a quorum", func(c *Cluster, leader *Server) {
			for _, s := range c.Servers[1:] {
				s.Disk.Hard.VotedFor = 3
			}
			c.checkVotes(leader)
		}},
		{"", func(c *Cluster, leader *Server) {
			c.Server(2).Disk.Hard.VotedFor = 3
			c.Server(3).Disk.Hard = raft.HardState{CurrentTerm: 2, VotedFor: 2}
			c.checkVotes(leader)
		}},
	} {
		c := led(t)
		test.breakIt(c, c.Server(1))
		if !strings.Contains(c.Broken, test.want) || test.want == "" && c.Broken != "" {
			t.Errorf("broken: got %q, want it to contain %q", c.Broken, test.want)
		}
	}
}

// TestQuorumIsSaidTwiceAlike compares what a quorum is to the checks with what it is to the core.
func TestQuorumIsSaidTwiceAlike(t *testing.T) {
	set := func(bits int) (ids []raft.ServerID) {
		for id := range 4 {
			if bits>>id&1 != 0 {
				ids = append(ids, raft.ServerID(id+1))
			}
		}
		return ids
	}
	for old := range 16 {
		for voters := 1; voters < 16; voters++ {
			for have := range 16 {
				c := &raft.Configuration{Voters: set(voters), OldVoters: set(old)}
				yes := func(id raft.ServerID) bool { return have>>(id-1)&1 != 0 }
				if got, want := isQuorum(c, yes), c.HasQuorum(yes); got != want {
					t.Fatalf("%v and %v, %v: got %v, the core says %v", c.OldVoters, c.Voters, set(have), got, want)
				}
			}
		}
	}
}
