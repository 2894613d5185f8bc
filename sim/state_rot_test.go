package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/ledger"
)

var (
	stateRotWorlds = flag.Int("staterot.worlds", 4, "how many worlds with states that rot to run")
	stateRotTimes  = flag.Int("staterot.times", 25, "how often a state rots in each")
	stateRotFrom   = flag.Uint64("staterot.from", 1, "the first seed that is looked at")
	stateRotStory  = flag.Int("staterot.story", 0, "tell the story of this seed")
	stateRotLedger = flag.String("staterot.ledger", "", "append a line of JSON about the run to this file")
)

// stateRotLine is a line of the ledger.
type stateRotLine struct {
	What     string   `json:"what"`
	Commit   string   `json:"commit"`
	Began    string   `json:"began"`
	From     uint64   `json:"from"`
	To       uint64   `json:"to"`
	Worlds   int      `json:"worlds"`
	Silent   int      `json:"statesThatRottedSilently"`
	Damaged  int      `json:"statesWithDamage"`
	Met      int      `json:"damageThatRequestsMet"`
	GivenUp  int      `json:"statesGivenUp"`
	Compared int      `json:"sumsCompared"`
	CPU      float64  `json:"cpuSeconds"`
	Findings []string `json:"findings"`
}

// stateRottingPlan draws plans until one is of a short world in which a majority can say who is right.
func stateRottingPlan(seed *uint64) (dice, plan) {
	for {
		*seed++
		d := dice{source: choice.FromSeed(*seed)}
		p := drawPlan(d)
		if p.calm || p.servers < 3 || p.churn.spares > 0 || p.rot > 0 {
			continue
		}
		p.ending, p.links, p.stateRots = everythingHeals, nil, *stateRotTimes
		return d, p
	}
}

// TestStatesThatRotAreFedAnewInWorlds lets states rot, one server's after another's: whoever is hit finds out by what it
// reads or by what the others say, gives its state up, and gets theirs; nobody else does, and no answer is wrong.
func TestStatesThatRotAreFedAnewInWorlds(t *testing.T) {
	began := time.Now().UTC().Truncate(time.Second)
	run := runPlans(t, *stateRotWorlds, *stateRotFrom, uint64(*stateRotStory), 5*time.Second, stateRottingPlan)
	counts := &run.counts
	rots := counts.Rotten + counts.Damaged
	t.Logf("%d states rotted, %d of them silently; of the others, requests met %d before they were found otherwise; %d were given up; %d sums compared",
		rots, counts.Rotten, counts.DamageMet, counts.StatesGivenUp, counts.SumsCompared)
	keepLine(t, *stateRotLedger, &stateRotLine{
		What: "states", Commit: ledger.Commit(), Began: began.Format(time.RFC3339), From: *stateRotFrom, To: run.last, Worlds: *stateRotWorlds,
		Silent: counts.Rotten, Damaged: counts.Damaged, Met: counts.DamageMet, GivenUp: counts.StatesGivenUp, Compared: counts.SumsCompared, CPU: cpuOfProcess(t), Findings: run.findings,
	})
	if rots < *stateRotWorlds**stateRotTimes*9/10 || counts.Rotten == 0 || counts.DamageMet == 0 {
		t.Error("too few states have rotted")
	}
	if counts.StatesGivenUp != rots && len(run.findings) == 0 {
		t.Errorf("%d states have rotted, and %d were given up", rots, counts.StatesGivenUp)
	}
}
