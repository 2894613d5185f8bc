package replica

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

func (c *cluster) transfer(s *server, to raft.ServerID) (handle uint64) {
	c.handle++
	s.inputs = append(s.inputs, Transfer{Handle: c.handle, To: to})
	c.step(s)
	return c.handle
}

func TestLeadershipIsHandedOverAndNoCommandIsLost(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	others := []*server{c.server(leader.id%3 + 1), c.server((leader.id+1)%3 + 1)}
	before := c.propose(leader, "a")
	h := c.transfer(leader, others[1].id)
	meanwhile, elsewhere := c.propose(leader, "b"), c.propose(others[0], "c")
	read := c.read(leader)
	c.drain() // no time passes
	c.wantDone(leader, h)
	if next := c.leader(); next != others[1] {
		t.Fatalf("%v leads, not server %d", next, others[1].id)
	}
	c.wantDone(leader, before)
	c.wantDone(leader, meanwhile)
	c.wantDone(others[0], elsewhere)
	c.wantDone(leader, read)
}

func TestWhoeverCanTakeOverSoonestDoes(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	behind, best := c.server(leader.id%3+1), c.server((leader.id+1)%3+1)
	c.reconfigure(leader, add(4, wire.RoleLearner))
	c.settle(20)
	behind.slow = true
	c.propose(leader, "a")
	c.settle(3)
	h := c.transfer(leader, 0)
	c.drain()
	c.wantDone(leader, h)
	if next := c.leader(); next != best {
		t.Errorf("server %d does not lead", best.id)
	}
}

func TestAHandoverThatComesToNothing(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	other := c.server(leader.id%3 + 1)
	c.wantOutcome(other, c.transfer(other, leader.id), NotLeader)
	c.wantOutcome(leader, c.transfer(leader, 4), NotAllowed)
	c.wantOutcome(leader, c.transfer(leader, leader.id), NotAllowed)
	c.crash(other)
	h := c.transfer(leader, other.id)
	c.wantOutcome(leader, c.transfer(leader, 0), Busy)
	write := c.propose(leader, "x")
	c.settle(5)
	c.wantOutcome(leader, write, 0)
	c.settle(10)
	c.wantOutcome(leader, h, Unknown)
	c.wantDone(leader, write)
}

func TestWhoIsAloneHandsOverToNobody(t *testing.T) {
	c := newClusterWith(t, 1, 1, 1)
	c.settle(anyElection)
	leader := c.leader()
	c.reconfigure(leader, add(2, wire.RoleLearner))
	c.settle(anyElection)
	c.wantMembers(leader, "1v 2l")
	c.wantOutcome(leader, c.transfer(leader, 0), NotReady)
}

func TestACanceledHandoverGoesOn(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	h := c.transfer(leader, 0)
	leader.inputs = append(leader.inputs, Cancel{Handle: h})
	c.step(leader)
	c.wantOutcome(leader, h, Unknown)
	c.drain()
	if c.leader() == leader {
		t.Error("it leads still")
	}
}

func TestNobodyHandsOverToWhoDoesNotAnswer(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	dead := c.server(leader.id%3 + 1)
	other := c.server(6 - leader.id - dead.id)
	if dead.id > other.id { // of two that are equal the first would be taken
		dead, other = other, dead
	}
	c.crash(dead)
	c.settle(15)
	h := c.transfer(leader, 0)
	c.drain()
	c.wantDone(leader, h)
	if c.leader() != other {
		t.Errorf("server %d does not lead", other.id)
	}
}
