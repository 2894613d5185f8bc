package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// carries reports whether a letter is of a kind.
func (l *letter) carries(kind wire.MessageKind) bool { return wire.MessageKind(l.bytes[0]) == kind }

// lose takes the letters of a kind off the network, and returns them.
func (c *cluster) lose(kind wire.MessageKind) (lost []letter) {
	c.network = slices.DeleteFunc(c.network, func(l letter) bool {
		if l.carries(kind) {
			lost = append(lost, l)
			return true
		}
		return false
	})
	return lost
}

func TestAnyServerIsAskedForOtherMembers(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	for len(other.answers) == 0 && c.within() {
		for len(c.network) > 0 && len(other.answers) == 0 {
			c.network = append(c.lose(wire.KindChangeReply), c.network...) // the answer comes before the commit index
			c.deliver(0)
		}
		for _, s := range c.servers {
			c.sync(s)
			c.step(s)
		}
		if len(c.network) == 0 {
			c.settle(1)
		}
	}
	c.wantMembers(other, "1v 2v 3v 4l") // as soon as it says so
	if at := other.replica.core.Configuration().Index; at > other.replica.core.CommitIndex() || other.answers[h].Index != at {
		t.Errorf("configuration of %d, answer of %d, committed up to %d", at, other.answers[h].Index, other.replica.core.CommitIndex())
	}
	c.wantOutcome(other, h, Done)
	c.settle(anyElection)
	c.wantOutcome(other, c.reconfigure(other), NotAllowed)
	for _, w := range []struct {
		edits []Edit
		want  Outcome
	}{
		{[]Edit{remove(1), remove(2), remove(3)}, NotAllowed},
		{[]Edit{add(4, wire.RoleVoter)}, Done},
		{[]Edit{remove(leader.id)}, Done},
	} {
		h := c.reconfigure(other, w.edits...)
		c.settle(anyElection)
		c.wantOutcome(other, h, w.want)
	}
}

func TestAServerThatHasLeftIsToldThoughItNeverHearsThatItIsCommitted(t *testing.T) {
	c := newClusterWith(t, 1, 3, 0)
	c.settle(anyElection)
	other := c.follower()
	h := c.reconfigure(other, remove(other.id))
	for c.within() && len(other.answers) == 0 {
		c.network = slices.DeleteFunc(c.network, func(l letter) bool { return l.to == other.id && l.carries(wire.KindAppendEntries) })
		if len(c.network) > 0 {
			c.deliver(0)
			continue
		}
		for _, s := range c.servers {
			c.sync(s)
			c.tick(s)
		}
	}
	c.wantDone(other, h)
}

func TestAServerWithoutALeaderAsksTheNext(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	asking := c.server(1)
	gone := c.reconfigure(asking, add(4, wire.RoleVoter))
	c.wantOutcome(asking, c.reconfigure(asking, add(4, wire.RoleLearner)), Busy)
	asking.inputs = append(asking.inputs, Cancel{Handle: gone})
	c.step(asking)
	c.wantOutcome(asking, gone, Canceled)
	h := c.reconfigure(asking, add(4, wire.RoleLearner))
	c.settle(anyElection)
	c.wantDone(asking, h)
	c.wantMembers(c.leader(), "1v 2v 3v 4l")
}

func TestAChangeIsAskedForUntilItIsAnsweredAndTakenOnce(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	first := c.lose(wire.KindChange)
	c.settle(anyElection)
	c.wantDone(other, h)
	h = c.reconfigure(other, remove(4))
	c.drain()
	c.wantDone(other, h)
	c.network = append(c.network, first...) // long after
	c.drain()
	c.wantMembers(leader, "1v 2v 3v")

	h = c.reconfigure(other, add(4, wire.RoleLearner))
	c.drop = func(from, to raft.ServerID) bool { return from == leader.id && to == other.id }
	c.drain()
	c.wantOutcome(other, h, 0) // nothing comes back
	c.drop = nil
	c.wantMembers(leader, "1v 2v 3v 4l")
	undone := c.reconfigure(leader, remove(4))
	c.settle(anyElection)
	c.wantDone(leader, undone)
	c.wantDone(other, h)
	c.wantMembers(leader, "1v 2v 3v") // it was asked again, and not done again
}

func TestWhatBecameOfAChangeUnderALeaderThatIsGoneIsUnknown(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	asked := c.lose(wire.KindChange)
	c.crash(leader)
	c.settle(2 * anyElection)
	c.wantOutcome(other, h, Unknown)
	next := c.leader()
	if next == nil || next == leader {
		t.Fatal("nobody else leads")
	}
	asked[0].to = next.id // that was asked of another
	c.network = append(c.network, asked...)
	c.settle(anyElection)
	c.wantMembers(next, "1v 2v 3v")
}

func TestACanceledChangeThatWasAskedForIsUnknown(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	c.drop = func(_, to raft.ServerID) bool { return to != leader.id && to != other.id }
	leader.slow = true // nothing is committed
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	c.drain()
	other.inputs = append(other.inputs, Cancel{Handle: h})
	c.step(other)
	c.wantOutcome(other, h, Unknown)
	second := c.reconfigure(other, remove(4))
	for len(c.network) > 0 {
		c.lose(wire.KindChangeReply) // that it is busy
		if len(c.network) > 0 {
			c.deliver(0)
		}
	}
	leader.slow, c.drop = false, nil
	c.settle(anyElection) // the first is done, for which nobody waits
	c.wantMembers(leader, "1v 2v 3v 4l")
	c.wantOutcome(other, second, Busy)
}

func TestALateAnswerIsOfTheChangeThatItAnswers(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	first := c.reconfigure(other, add(4, wire.RoleLearner))
	var late []letter
	for c.within() && len(late) == 0 {
		late = c.lose(wire.KindChangeReply)
		for len(c.network) > 0 && len(late) == 0 {
			c.deliver(0)
			late = c.lose(wire.KindChangeReply)
		}
		for _, s := range c.servers {
			c.sync(s)
			c.step(s)
		}
	}
	other.inputs = append(other.inputs, Cancel{Handle: first})
	c.step(other)
	second := c.reconfigure(other, remove(4))
	c.lose(wire.KindChange)
	c.network = append(c.network, late...)
	c.drain()
	c.wantOutcome(other, second, 0)
	c.wantMembers(leader, "1v 2v 3v 4l")
}

func TestAServerThatLosesTouchWithItsLeaderGoesOnAsking(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	h := c.reconfigure(other, add(4, wire.RoleLearner))
	c.lose(wire.KindChange)
	c.drop = func(from, to raft.ServerID) bool { return from == leader.id && to == other.id }
	for c.within() && other.replica.leader != 0 {
		c.settle(1)
	}
	c.drop = nil
	c.settle(anyElection)
	if c.leader() != leader {
		t.Fatal("another leads")
	}
	c.wantDone(other, h)
}

func TestTwoServersHaveNoKeyAndNoAddressInCommon(t *testing.T) {
	c := newClusterWith(t, 1, 3, 2)
	c.settle(anyElection)
	leader := c.leader()
	key := make([]byte, 32)
	key[0] = 99
	h := c.reconfigure(leader, Edit{Member: wire.Member{ID: 4, Roles: wire.RoleLearner, Key: key, PeerURLs: []string{"http://four:1"}}})
	c.drain()
	c.wantDone(leader, h)
	for _, m := range []wire.Member{
		{ID: 5, Roles: wire.RoleLearner, Key: key},
		{ID: 5, Roles: wire.RoleLearner, PeerURLs: []string{"http://five:1", "http://four:1"}},
		{ID: 1, PeerURLs: []string{"http://four:1"}},
		{ID: 5, Roles: wire.RoleLearner, PeerURLs: []string{"https://FOUR:1/"}}, // links are the same whatever the scheme says
		{ID: 5, Roles: wire.RoleLearner, PeerURLs: []string{"four:1"}},
	} {
		h := c.reconfigure(leader, Edit{Member: m})
		c.drain()
		c.wantOutcome(leader, h, NotAllowed)
	}
}

func TestNothingHappensToAServerThatHasGone(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader, other := c.leader(), c.follower()
	for _, e := range []Edit{
		{Member: wire.Member{ID: 4, Roles: wire.RoleVoter}, Existing: true},
		{Member: wire.Member{ID: 4, PeerURLs: []string{"http://four:1"}}, Existing: true},
		{Member: wire.Member{ID: 4}, Remove: true, Existing: true},
	} {
		h := c.reconfigure(other, e, add(other.id, wire.RoleLearner))
		c.settle(anyElection)
		c.wantOutcome(other, h, NotAllowed)
	}
	h := c.reconfigure(other, Edit{Member: wire.Member{ID: other.id, Roles: wire.RoleLearner}, Existing: true})
	c.settle(anyElection)
	c.wantDone(other, h)
	c.wantMembers(leader, strings.Replace("1v 2v 3v", fmt.Sprint(other.id, "v"), fmt.Sprint(other.id, "l"), 1))
}
