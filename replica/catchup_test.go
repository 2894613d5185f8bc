package replica

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

// lagging returns a cluster of which one server was away while the others have written so many entries of 4 KiB.
func lagging(t *testing.T, entries int) (c *cluster, leader, behind *server) {
	c = newCluster(t, 1, 3)
	c.settle(anyElection)
	leader, behind = c.leader(), c.follower()
	leader.replica.options.CatchUp = CatchUpOptions{Lag: 10, Free: 100, Least: 100_000}
	c.drop = func(from, to raft.ServerID) bool { return from == behind.id || to == behind.id }
	for range entries {
		c.propose(leader, strings.Repeat("e", 4<<10))
		c.drain()
	}
	return c, leader, behind
}

func TestWhoeverLagsIsHeldBackWhileClientsWrite(t *testing.T) {
	const entries = 1000 // four appends of 1 MiB
	c, leader, behind := lagging(t, entries)
	write := func() {
		for range 4 {
			c.propose(leader, strings.Repeat("w", 100))
		}
		c.settle(1)
	}
	for range 1000 { // until only what is written now counts
		write()
	}
	each := leader.replica.catchUp.each(&leader.replica.options)
	equalInt(t, "bytes for each tick", each, 100_000)
	c.drop = nil
	ticks := 0
	for ; len(behind.state) < len(leader.state); ticks++ {
		if ticks > 1000 {
			t.Fatalf("applied %d of %d", len(behind.state), len(leader.state))
		}
		write()
	}
	// All but the first MiB has to wait for the one before it.
	if least, most := (3<<20)/each, (6<<20)/each; ticks < least || ticks > most {
		t.Errorf("caught up within %d ticks, want %d to %d", ticks, least, most)
	}
}

func TestWhoeverLagsIsSentThreeTimesWhatIsWritten(t *testing.T) {
	o := Options{CatchUp: CatchUpOptions{Lag: 10, Free: 100, Least: 1000}}
	var c catchUp
	for range 1000 {
		c.appended += 5000
		c.tick(&o)
	}
	if c.left < 3*4900 || c.left > 3*5000 || !c.held {
		t.Errorf("%d bytes for each tick, held %v", c.left, c.held)
	}
	c.left = -20_000 // overdrawn
	c.tick(&o)
	if c.left > -4000 {
		t.Errorf("%d bytes are left after an append that was larger than two ticks have", c.left)
	}
}

func TestNobodyIsHeldBackWhileNothingIsWritten(t *testing.T) {
	c, leader, behind := lagging(t, 1000)
	c.settle(catchUpTicks * 12)
	c.drop = nil
	c.settle(10) // more than enough to find out where it is
	equalInt(t, "applied", len(behind.state), len(leader.state))
}

func TestOnlyWhoLagsFarIsHeldBack(t *testing.T) {
	c, leader, behind := lagging(t, 8)
	c.drop = nil
	leader.replica.catchUp = catchUp{sum: 64, held: true}
	leader.replica.options.CatchUp.Lag = 5
	equalInt(t, "limit of an append after an old entry", leader.replica.catchUp.limit(leader.replica, 1), 200_000)
	equalInt(t, "limit of an append at the end", leader.replica.catchUp.limit(leader.replica, leader.replica.core.CommitIndex()), 1<<20)
	leader.replica.options.CatchUp.Lag = 10
	leader.replica.catchUp = catchUp{sum: 1 << 30, held: true, left: -1 << 40}
	h := c.propose(leader, "last")
	c.settle(3)
	c.wantDone(leader, h)
	equalInt(t, "applied", len(behind.state), len(leader.state))
}

func equalInt(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}
