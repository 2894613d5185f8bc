package sim

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/ledger"
)

var (
	rotWorlds = flag.Int("rot.worlds", 24, "how many worlds with rot to run")
	rotFrom   = flag.Uint64("rot.from", 1, "the first seed that is looked at")
	rotStory  = flag.Int("rot.story", 0, "tell the story of this seed")
	rotLedger = flag.String("rot.ledger", "", "append a line of JSON about the run to this file")
)

// rotLine is a line of the ledger.
type rotLine struct {
	Commit   string   `json:"commit"`
	Began    string   `json:"began"`
	From     uint64   `json:"from"`
	To       uint64   `json:"to"`
	Worlds   int      `json:"worlds"`
	Compact  int      `json:"worldsThatCompact"`
	Rots     int      `json:"logsThatRotted"`
	Flips    int      `json:"flips"`
	Frames   int      `json:"framesLost"`
	Mended   int      `json:"placesMended"`
	Lost     int      `json:"entriesLost"`
	Filled   int      `json:"entriesFilled"`
	Begun    int      `json:"serversThatHeal"`
	Healed   int      `json:"serversHealed"`
	Cut      int      `json:"logsCut"`
	Dropped  int      `json:"logsDroppedBehindTheirState"`
	States   int      `json:"logsBegunAfterAState"`
	CPU      float64  `json:"cpuSeconds"`
	EndsLost int      `json:"endingsInWhichAllWait"`
	Findings []string `json:"findings"`
}

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

// planned is what came of worlds that have plans of their own.
type planned struct {
	counts   Counts
	findings []string
	last     uint64 // seed
}

// runPlans runs so many worlds, of the first seeds of which draw makes plans: it is given a seed, and moves it on to the one it has taken.
func runPlans(t *testing.T, worlds int, from, story uint64, simulated time.Duration, draw func(seed *uint64) (dice, plan)) *planned {
	t.Helper()
	r := &planned{findings: []string{}, last: from - 1}
	for range worlds {
		d, p := draw(&r.last)
		w := newPlannedWorld(Options{Seed: r.last, Simulated: simulated}, d, p)
		if story == r.last {
			w.story = os.Stdout
		}
		if stack := w.run(); w.check.Violation() != nil {
			t.Errorf("seed %d: at %v: %v\n%s", r.last, time.Duration(w.now), w.check.Violation(), stack)
			r.findings = append(r.findings, fmt.Sprintf("seed %d: %v", r.last, w.check.Violation()))
		}
		r.counts.Add(&w.counts)
	}
	return r
}

// keepLine adds a line to a ledger, if there is one.
func keepLine(t *testing.T, file string, line any) {
	t.Helper()
	if err := ledger.Append(file, line); err != nil {
		t.Error(err)
	}
}

// TestLogsThatRotHealInWorlds flips bytes of logs whose servers are down, again and again. Every server heals, nothing that
// was acknowledged is lost, and nobody takes part while it heals.
func TestLogsThatRotHealInWorlds(t *testing.T) {
	began := time.Now().UTC().Truncate(time.Second)
	compact := 0
	run := runPlans(t, *rotWorlds, *rotFrom, uint64(*rotStory), 20*time.Second, func(seed *uint64) (dice, plan) {
		d, p := rottingPlan(seed)
		if p.snapshot.compacts {
			compact++
		}
		return d, p
	})
	counts := &run.counts
	t.Logf("%d logs rotted, %d bytes, %d whole frames; %d places mended; %d servers healed of %d, %d entries filled of %d, %d cuts, %d drops, %d states taken over",
		counts.Rots, counts.RottenBytes, counts.RottenFrames, counts.Mended, counts.Healed, counts.Healings, counts.HolesFilled, counts.Holes, counts.HolesCut, counts.HolesDropped, counts.HolesPassed)
	keepLine(t, *rotLedger, &rotLine{
		Commit: ledger.Commit(), Began: began.Format(time.RFC3339), From: *rotFrom, To: run.last, Worlds: *rotWorlds, Compact: compact,
		Rots: counts.Rots, Flips: counts.RottenBytes, Frames: counts.RottenFrames, Mended: counts.Mended, Lost: counts.Holes, Filled: counts.HolesFilled,
		Begun: counts.Healings, Healed: counts.Healed, Cut: counts.HolesCut, Dropped: counts.HolesDropped, States: counts.HolesPassed,
		EndsLost: counts.EndsLost, CPU: cpuOfProcess(t), Findings: run.findings,
	})
	if counts.RottenBytes < 100**rotWorlds || counts.Mended == 0 || counts.RottenFrames == 0 || counts.Healed == 0 || counts.HolesFilled == 0 {
		t.Error("not everything has happened")
	}
	if counts.EndsLost > 1+*rotWorlds/100 {
		t.Errorf("in %d of %d endings servers that heal wait for each other, which is to be rare", counts.EndsLost, *rotWorlds)
	}
}

// cpuOfProcess returns what this process has cost so far.
func cpuOfProcess(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
