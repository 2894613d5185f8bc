package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
)

var rotWorlds = flag.Int("rot.worlds", 24, "how many worlds with rot to run")

// rottingPlan draws plans until one is of a world whose logs rot, and lets that happen often.
func rottingPlan(seed *uint64) (dice, plan) {
	for {
		*seed++
		d := dice{source: choice.FromSeed(*seed)}
		p := drawPlan(d)
		if p.calm || p.servers < 3 || p.churn.spares > 0 {
			continue
		}
		p.rot, p.ending, p.links = 900_000, everythingHeals, nil
		if p.crashEvery == 0 || p.crashEvery > 2*second {
			p.crashEvery = 2 * second
		}
		p.down = min(p.down, second)
		return d, p
	}
}

// TestLogsThatRotHealInWorlds flips bytes of logs whose servers are down, again and again. Every server heals, nothing that
// was acknowledged is lost, and nobody takes part while it heals.
func TestLogsThatRotHealInWorlds(t *testing.T) {
	var counts Counts
	seed := uint64(0)
	for range *rotWorlds {
		d, p := rottingPlan(&seed)
		w := newPlannedWorld(Options{Seed: seed, Simulated: 20 * time.Second}, d, p)
		if stack := w.run(); w.check.Violation() != nil {
			t.Errorf("seed %d: at %v: %v\n%s", seed, time.Duration(w.now), w.check.Violation(), stack)
		}
		counts.Add(&w.counts)
	}
	t.Logf("%d logs rotted, %d bytes; %d places mended; %d servers healed of %d, %d entries filled of %d, %d cuts, %d drops, %d states taken over",
		counts.Rots, counts.RottenBytes, counts.Mended, counts.Healed, counts.Healings, counts.HolesFilled, counts.Holes, counts.HolesCut, counts.HolesDropped, counts.HolesPassed)
	if counts.RottenBytes < 100**rotWorlds || counts.Mended == 0 || counts.Healed == 0 || counts.HolesFilled == 0 {
		t.Error("not everything has happened")
	}
}
