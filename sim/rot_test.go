package sim

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
)

var rotStory = flag.Int("rot.story", 0, "tell the story of this seed")

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
		p.rot, p.ending, p.links, p.snapshot = 900_000, everythingHeals, nil, snapshotPlan{}
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
		if *rotStory > 0 && uint64(*rotStory) == seed {
			w.story = os.Stdout
		}
		if stack := w.run(); w.check.Violation() != nil {
			t.Errorf("seed %d: at %v: %v\n%s", seed, time.Duration(w.now), w.check.Violation(), stack)
		}
		counts.Add(&w.counts)
	}
	t.Logf("%d logs rotted, %d bytes, %d whole frames; %d places mended; %d servers healed of %d, %d entries filled of %d, %d cuts",
		counts.Rots, counts.RottenBytes, counts.RottenFrames, counts.Mended, counts.Healed, counts.Healings, counts.HolesFilled, counts.Holes, counts.HolesCut)
	if counts.RottenBytes < 100**rotWorlds || counts.Mended == 0 || counts.RottenFrames == 0 || counts.Healed == 0 || counts.HolesFilled == 0 {
		t.Error("not everything has happened")
	}
}
