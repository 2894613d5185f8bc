package replica

import (
	"testing"

	"github.com/quorate/quorate/raft"
)

// leasedCluster returns three servers whose leader holds a lease, and the letters that each of them sends.
func leasedCluster(t *testing.T) (c *cluster, leader, follower *server) {
	c = newCluster(t, 1, 3)
	c.promiseTicks, c.now = 8, 1e9
	for _, s := range c.servers {
		c.crash(s)
		c.start(s)
	}
	for range 40 {
		c.now += testTick
		c.settle(1)
	}
	if c.leader() == nil {
		t.Fatal("nobody leads")
	}
	return c, c.leader(), c.follower()
}

func TestLeaderWithALeaseAsksNobody(t *testing.T) {
	c, leader, follower := leasedCluster(t)
	before := leader.replica.Status().Reads
	read := c.read(leader)
	c.wantDone(leader, read)
	if len(c.network) > 0 {
		t.Errorf("%d letters are on their way", len(c.network))
	}

	read = c.read(follower)
	if len(c.network) != 1 {
		t.Fatalf("%d letters are on their way", len(c.network))
	}
	c.deliver(0)
	if len(c.network) != 1 {
		t.Fatalf("for a follower the leader sends %d letters", len(c.network))
	}
	c.deliver(0)
	c.wantDone(follower, read)
	if got := leader.replica.Status().Reads; got.ByLease != before.ByLease+2 || got.ByRound != before.ByRound {
		t.Errorf("counted are %+v, before %+v", got, before)
	}
}

// The clock is that of the call. Ticks are not, which stand still while a process does.
func TestLeaseEndsByTheClockAndNotByTicks(t *testing.T) {
	c, leader, _ := leasedCluster(t)
	for range 5 {
		leader.inputs = append(leader.inputs, Tick{Elapsed: testTick})
	}
	c.drop = func(_, _ raft.ServerID) bool { return true }
	read := c.read(leader)
	c.wantDone(leader, read)

	c.now += 8 * testTick // it was stopped
	before := leader.replica.Status().Reads
	read = c.read(leader)
	if a, answered := leader.answers[read]; answered {
		t.Errorf("its read is %v", a.Outcome)
	}
	c.drop = nil
	c.wantDoneSoon(leader, read)
	if got := leader.replica.Status().Reads; got.ByRound != before.ByRound+1 {
		t.Errorf("counted are %+v, before %+v", got, before)
	}
}
