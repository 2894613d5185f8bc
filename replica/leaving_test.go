package replica

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// without returns the members 1v, 2v and 3v, but for one.
func without(gone raft.ServerID) string {
	return strings.Join(strings.Fields(strings.Replace("1v 2v 3v", fmt.Sprintf("%dv", gone), "", 1)), " ")
}

// A removal of the leader takes no election: somebody who stays leads before it begins.
func TestALeaderHandsOverBeforeItIsRemoved(t *testing.T) {
	for name, asked := range map[string]func(leader, successor, third *server) *server{
		"itself":           func(leader, _, _ *server) *server { return leader },
		"who leads next":   func(_, successor, _ *server) *server { return successor },
		"who follows next": func(_, _, third *server) *server { return third },
	} {
		for _, edit := range []func(raft.ServerID) Edit{remove, func(id raft.ServerID) Edit { return add(id, wire.RoleLearner) }} {
			c := newCluster(t, 1, 3)
			c.settle(anyElection)
			leader := c.leader()
			third, successor := c.server(leader.id%3+1), c.server((leader.id+1)%3+1)
			third.slow = true
			c.propose(leader, "a")
			c.drain() // the one that is not slow has more of the log
			third.slow = false
			h := c.reconfigure(asked(leader, successor, third), edit(leader.id))
			write := c.propose(third, "b")
			c.drain() // no time passes, so nobody misses a leader
			if c.leader() != successor {
				t.Fatalf("asked of %s: server %d does not lead", name, successor.id)
			}
			c.wantDone(third, write)
			c.settle(25) // who has left may not hear that it has
			c.wantDone(asked(leader, successor, third), h)
			want := without(leader.id)
			if e := edit(leader.id); !e.Remove {
				want = strings.Replace("1v 2v 3v", fmt.Sprintf("%dv", leader.id), fmt.Sprintf("%dl", leader.id), 1)
			}
			c.wantMembers(successor, want)
			if c.leader() != successor {
				t.Errorf("asked of %s: leadership has gone on from server %d", name, successor.id)
			}
		}
	}
}

// If the one that is to take over does not, the leader completes its own removal.
func TestALeaderThatCannotHandOverIsRemovedAllTheSame(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		c := newCluster(t, 1, 3)
		c.settle(anyElection)
		leader, asked := c.leader(), c.leader()
		if elsewhere {
			asked = c.follower()
		}
		tries := 0
		h := c.reconfigure(asked, remove(leader.id))
		for c.within() && asked.answers[h].Outcome == 0 {
			tries += len(c.lose(wire.KindTimeoutNow))
			if len(c.network) > 0 {
				c.deliver(0)
				continue
			}
			for _, s := range c.servers {
				c.sync(s)
				c.applyNow(s)
				c.tick(s)
			}
		}
		c.wantDone(asked, h)
		if tries == 0 {
			t.Error("nobody was asked to take over")
		}
		c.settle(anyElection)
		if next := c.leader(); next == nil || next == leader {
			t.Fatal("nobody else leads")
		}
		c.wantMembers(c.leader(), without(leader.id))
	}
}

// A removal that cannot be is refused by the leader, which goes on leading.
func TestALeaderDoesNotHandOverForAChangeThatCannotBe(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	c.crash(c.follower())
	c.settle(15)
	c.wantOutcome(leader, c.reconfigure(leader, remove(leader.id)), NotReady) // one of two would answer
	c.settle(5)
	if c.leader() != leader {
		t.Error("it leads no longer")
	}
}

// A change that comes while a leader hands over is given back, and asked of the next.
func TestAChangeIsAskedOfTheNextLeader(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	next, other := c.server(leader.id%3+1), c.server((leader.id+1)%3+1)
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	asked := c.lose(wire.KindChange)
	c.transfer(leader, next.id)
	timeoutNow := c.lose(wire.KindTimeoutNow)
	c.network = append(c.network, asked...)
	c.drain()
	c.wantOutcome(other, h, 0)
	c.network = append(c.network, timeoutNow...)
	c.wantDoneSoon(other, h)
	c.wantMembers(next, "1v 2v 3v 4l")
	if c.leader() != next {
		t.Error("the other does not lead")
	}
}

// A change that was handed back has not happened, and who waits no longer is told so.
func TestAChangeThatWasHandedBackIsCanceled(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	c.transfer(leader, 6-leader.id-other.id)
	c.lose(wire.KindTimeoutNow)
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	asked := len(c.network)
	c.drain()
	if asked == 0 {
		t.Error("nobody was asked")
	}
	other.inputs = append(other.inputs, Cancel{Handle: h})
	c.step(other)
	c.wantOutcome(other, h, Canceled)
	c.settle(anyElection)
	c.wantMembers(c.leader(), "1v 2v 3v")
}

// A new leader does not know yet who has caught up, and refuses nobody for that.
func TestANewLeaderLooksBeforeItRefuses(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	c.reconfigure(c.leader(), add(4, wire.RoleLearner))
	c.settle(anyElection)
	c.transfer(c.leader(), 0)
	c.drain()
	h := c.reconfigure(c.leader(), add(4, wire.RoleVoter))
	c.leader().inputs = append(c.leader().inputs, KeyKnown{ID: 4, Key: make([]byte, 32)}) // nor is that taken for the change
	c.settle(5)
	c.wantOutcome(c.leader(), h, 0)
	c.settle(20)
	c.wantDone(c.leader(), h)
	c.wantMembers(c.leader(), "1v 2v 3v 4v")
}
