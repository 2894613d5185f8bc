package sim

import (
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// calmPlan draws plans until one is of a calm world of three servers.
func calmPlan(seed *uint64) (dice, plan) {
	for {
		*seed++
		d := dice{source: choice.FromSeed(*seed)}
		if p := drawPlan(d); p.calm && p.servers == 3 {
			return d, p
		}
	}
}

// A leader that may choose hands over to the server whose disk is not slow, though the other has all entries as well.
func TestOfTwoTheOneWithTheFasterDiskTakesOver(t *testing.T) {
	var seed uint64
	for range 12 {
		d, p := calmPlan(&seed)
		p.calm = false                       // the leader changes, for a reason
		p.churn.every = 1000 * second        // what the operator would do then
		p.prefer.preferred = make([]bool, 3) // nobody; the model knows no handovers, and is left out
		p.think, p.readShare, p.syncTime = int64(30*time.Millisecond), 0, int64(500*time.Microsecond)
		w := newPlannedWorld(Options{Seed: seed, Simulated: 15 * time.Second}, d, p)
		var slow, leader *server
		var to raft.ServerID
		w.options.wrong = func(w *world) string {
			switch {
			case slow == nil && w.now > 2*second && w.leader != none:
				leader = w.servers[w.leader]
				slow = w.servers[(w.leader+1+int(seed%2))%3]
				slow.slow = graySlow
			case w.now > 10*second && w.plan.think < second:
				w.plan.think = 1000 * second // all that was written gets everywhere
			case w.now > 11*second && !w.operator.waits && to == 0:
				w.operator.changes++
				w.operator.server, w.operator.waits = leader, true
				leader.put(replica.Transfer{Handle: changeHandles + w.operator.changes})
				leader.mayTurn()
				to = w.servers[3-leader.index-slow.index].id
			case to != 0 && w.leader != leader.index && w.leader == slow.index:
				return "the server with the slow disk takes over"
			}
			return ""
		}
		w.run()
		if v := w.check.Violation(); v != nil || to == 0 || w.counts.LeaderChanges == 0 {
			t.Errorf("seed %d: %v; to %d, %d changes", seed, v, to, w.counts.LeaderChanges)
		}
	}
}
