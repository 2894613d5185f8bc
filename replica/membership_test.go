package replica

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// members says who belongs to the group in the configuration that a server has in force: 3v votes, 3o in C_old, 3l
// learns, 3j is to vote.
func (s *server) members() string {
	var words []string
	for _, m := range s.replica.configuration.Members {
		word := fmt.Sprint(uint64(m.ID))
		for i, letter := range "volj" {
			if m.Roles>>i&1 == 1 {
				word += string(letter)
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (c *cluster) wantMembers(s *server, want string) {
	c.t.Helper()
	if got := s.members(); got != want {
		c.t.Errorf("server %d has members %s, want %s", s.id, got, want)
	}
}

func add(id raft.ServerID, roles wire.Roles) Edit {
	return Edit{Member: wire.Member{ID: id, Roles: roles}}
}

func remove(id raft.ServerID) Edit { return Edit{Member: wire.Member{ID: id}, Remove: true} }

// reconfigure asks a server for other members.
func (c *cluster) reconfigure(s *server, edits ...Edit) (handle uint64) {
	c.handle++
	s.inputs = append(s.inputs, Reconfigure{Handle: c.handle, Edits: edits})
	c.step(s)
	return c.handle
}

func (c *cluster) wantOutcome(s *server, handle uint64, want Outcome) {
	c.t.Helper()
	if got := s.answers[handle].Outcome; got != want {
		c.t.Errorf("request %d at server %d is %q, want %q", handle, s.id, got, want)
	}
}

// anyElection lets time pass in which somebody is elected, and samples of the commit index are taken.
const anyElection = 100

func TestServerThatIsAddedGetsAVoteOnceItHasCaughtUp(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, joining := c.leader(), c.server(4)
	for i := range 20 {
		c.propose(leader, fmt.Sprint(i))
	}
	joining.alive = false
	h := c.reconfigure(leader, add(4, wire.RoleVoter))
	c.wantDoneSoon(leader, h)
	c.settle(anyElection)
	c.wantMembers(leader, "1v 2v 3v 4lj") // down, and so it gets no vote
	joining.alive = true
	c.settle(anyElection)
	c.wantMembers(leader, "1v 2v 3v 4v")
	c.wantMembers(joining, "1v 2v 3v 4v")
	if len(joining.state) != 20 {
		t.Errorf("it has applied %d commands", len(joining.state))
	}
	if at := leader.replica.core.Configuration(); at.Index > leader.replica.core.CommitIndex() {
		t.Errorf("configuration of %d is not committed", at.Index)
	}
}

func TestLearnerStaysOne(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	h := c.reconfigure(leader, add(4, wire.RoleLearner))
	c.settle(anyElection)
	c.wantDone(leader, h)
	c.wantMembers(leader, "1v 2v 3v 4l")
	c.server(4).slow = true
	c.wantDoneSoon(leader, c.propose(leader, "x"))
	c.settle(anyElection)
	c.wantOutcome(leader, c.reconfigure(leader, add(4, wire.RoleVoter)), NotReady) // it answers, and lags
	c.server(4).slow = false
	c.settle(anyElection)
	h = c.reconfigure(leader, add(4, wire.RoleVoter))
	c.wantDoneSoon(leader, h)
	c.wantMembers(leader, "1v 2v 3v 4v")
}

func TestSeveralServersAreReplacedAtOnceTheLeaderAmongThem(t *testing.T) {
	c := newClusterWith(t, 1, 3, 3)
	c.settle(anyElection)
	leader := c.leader()
	c.reconfigure(leader, add(4, wire.RoleLearner), add(5, wire.RoleLearner), add(6, wire.RoleLearner))
	c.settle(anyElection)
	h := c.reconfigure(leader, add(4, wire.RoleVoter), add(5, wire.RoleVoter), add(6, wire.RoleVoter), remove(1), remove(2), remove(3))
	c.drain()
	c.wantDone(leader, h)
	c.settle(anyElection)
	next := c.leader()
	if next == nil || next.id < 4 {
		t.Fatalf("nobody of the new servers leads")
	}
	c.wantMembers(next, "4v 5v 6v")
	h = c.propose(next, "x")
	c.wantDoneSoon(next, h)
}

func TestAChangeThatWouldStopTheGroupIsRefused(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	c.wantOutcome(leader, c.reconfigure(leader, remove(1), remove(2), remove(3)), NotAllowed)
	for _, roles := range []wire.Roles{wire.RoleOldVoter, wire.RoleVoter | wire.RoleLearner, wire.RoleJoining, 1 << 7} {
		c.wantOutcome(leader, c.reconfigure(leader, add(4, wire.RoleLearner), add(other.id, roles)), NotAllowed)
	}
	c.crash(other)
	c.settle(15)
	third := c.server(6 - leader.id - other.id)
	c.wantOutcome(leader, c.reconfigure(leader, remove(third.id)), NotReady) // of two, one is down
	h := c.reconfigure(leader, remove(other.id))
	c.wantDoneSoon(leader, h)
	h = c.reconfigure(leader, remove(other.id)) // it does not belong to the group any more
	c.wantOutcome(leader, h, Done)
	h = c.reconfigure(leader, add(4, wire.RoleLearner))
	c.wantOutcome(leader, c.reconfigure(leader, remove(4)), Busy)
	c.wantDoneSoon(leader, h)
	c.server(4).alive = false
	c.settle(15)
	c.wantOutcome(leader, c.reconfigure(leader, add(4, wire.RoleVoter)), NotReady)
}

// Who is slow to answer is not taken for gone before the leader itself would step down for it.
func TestWhoAnswersIsReckonedByTheDelayInForce(t *testing.T) {
	for delay, want := range map[int]Outcome{0: NotReady, 50: 0} {
		c := newClusterWith(t, 1, 3, 0)
		c.settle(anyElection)
		leader, silent := c.leader(), c.follower()
		c.delay = delay
		c.crash(silent)
		c.settle(15)
		third := c.server(6 - leader.id - silent.id)
		c.wantOutcome(leader, c.reconfigure(leader, remove(third.id)), want)
	}
}

// A joint configuration says all that is to be done, so whoever leads next does it.
func TestTheNextLeaderCompletesAChange(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	c.reconfigure(leader, add(4, wire.RoleLearner))
	c.settle(anyElection)
	removed := c.follower()
	h := c.reconfigure(leader, add(4, wire.RoleVoter), remove(removed.id))
	for len(c.network) > 0 { // the joint configuration arrives, and no answer
		c.drop = func(_, to raft.ServerID) bool { return to == leader.id }
		c.deliver(0)
	}
	c.drop = func(from, to raft.ServerID) bool { return from == leader.id || to == leader.id }
	c.settle(2 * anyElection)
	c.wantOutcome(leader, h, Unknown)
	next := c.leader()
	if next == nil || next == leader {
		t.Fatalf("nobody else leads")
	}
	want := "1v 2v 3v 4v"
	want = strings.TrimSpace(strings.Replace(want, fmt.Sprintf("%dv", removed.id), "", 1))
	c.wantMembers(next, strings.Join(strings.Fields(want), " "))
}

// A change that cannot be completed stops the group, until it is given another aim.
func TestAChangeThatCannotBeCompletedIsTakenBack(t *testing.T) {
	c := newClusterWith(t, 1, 1, 2)
	c.settle(anyElection)
	leader := c.server(1)
	c.reconfigure(leader, add(2, wire.RoleLearner), add(3, wire.RoleLearner))
	c.settle(anyElection)
	c.drop = func(from, to raft.ServerID) bool { return true } // just now
	stuck := c.reconfigure(leader, add(2, wire.RoleVoter), add(3, wire.RoleVoter))
	write := c.propose(leader, "x")
	c.drain()
	c.wantOutcome(leader, write, 0)
	c.wantOutcome(leader, c.reconfigure(leader, remove(2)), Busy)
	leader.inputs = append(leader.inputs, Cancel{Handle: stuck})
	c.step(leader)
	c.wantOutcome(leader, stuck, Unknown)
	back := c.reconfigure(leader, remove(2), remove(3))
	c.drain()
	c.wantDone(leader, back)
	c.wantDone(leader, write)
	c.wantMembers(leader, "1v")
}

func TestACanceledChangeThatHasNotBegunNeverDoes(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	c.drop = func(from, to raft.ServerID) bool { return true }
	first := c.reconfigure(leader, add(4, wire.RoleLearner)) // is not committed
	leader.inputs = append(leader.inputs, Cancel{Handle: first})
	c.step(leader)
	second := c.reconfigure(leader, remove(4))
	leader.inputs = append(leader.inputs, Cancel{Handle: second})
	c.step(leader)
	c.wantOutcome(leader, second, Canceled)
	third := c.reconfigure(leader, remove(4))
	c.settle(3 * anyElection)       // and it leads no more
	c.wantOutcome(leader, third, 0) // and whoever leads next will be asked
	c.drop = nil
	c.settle(anyElection)
	c.wantDone(leader, third)
}
