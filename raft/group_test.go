package raft_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// group is a cluster with what the tests of this package do to one again and again.
type group struct{ *rafttest.Cluster }

func newGroup(options raft.Options, first *raft.Configuration) *group {
	return &group{rafttest.New(options, first)}
}

// campaign lets so much time pass that nobody believes in a leader any more, and one server stands
// for election. If it led, it has stepped down first.
func campaign(c *rafttest.Cluster, s *rafttest.Server, preVote bool) {
	for _, other := range c.Servers {
		if other.Core != nil {
			other.Core.LoseTheLeader()
		}
	}
	if s.Core.Role() == raft.Leader {
		s.Core.StepDown()
	}
	if preVote {
		c.Step(s, raft.Campaign{})
		return
	}
	s.Core.StandForElection()
	c.Step(s)
}

func (g *group) campaign(s *rafttest.Server, preVote bool) { campaign(g.Cluster, s, preVote) }

// elect makes a server the leader, with all its peers following and nothing on its way.
func (g *group) elect(t *testing.T, id raft.ServerID) *rafttest.Server {
	t.Helper()
	s := g.Server(id)
	g.campaign(s, false)
	g.Settle()
	g.mustBeWhole(t)
	if s.Core.Role() != raft.Leader {
		t.Fatalf("server %d is %s after its election", id, s.Core.Role())
	}
	return s
}

// only lets messages pass between these servers, and loses what is on its way to others.
func (g *group) only(ids ...raft.ServerID) {
	g.Connected = func(from, to raft.ServerID) bool { return slices.Contains(ids, from) && slices.Contains(ids, to) }
}

// takeLast removes the newest message from one server to another from the network.
func (g *group) takeLast(t *testing.T, from, to raft.ServerID) raft.Envelope {
	t.Helper()
	for i := len(g.Network) - 1; i >= 0; i-- {
		if g.Network[i].From == from && g.Network[i].To == to {
			return g.Take(i)
		}
	}
	t.Fatalf("nothing is on its way from %d to %d", from, to)
	return raft.Envelope{}
}

// mustBeWhole ends the test if an invariant is broken.
func (g *group) mustBeWhole(t *testing.T) {
	t.Helper()
	if g.Broken != "" {
		t.Fatal(g.Broken)
	}
}
