package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
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

// TestLogsThatRotHealInWorlds flips bytes of logs whose servers are down, again and again. Every server heals, nothing that
// was acknowledged is lost, and nobody takes part while it heals.
func TestLogsThatRotHealInWorlds(t *testing.T) {
	var counts Counts
	began := time.Now().UTC().Truncate(time.Second)
	findings, compact := []string{}, 0
	seed := *rotFrom - 1
	for range *rotWorlds {
		d, p := rottingPlan(&seed)
		w := newPlannedWorld(Options{Seed: seed, Simulated: 20 * time.Second}, d, p)
		if *rotStory > 0 && uint64(*rotStory) == seed {
			w.story = os.Stdout
		}
		if stack := w.run(); w.check.Violation() != nil {
			t.Errorf("seed %d: at %v: %v\n%s", seed, time.Duration(w.now), w.check.Violation(), stack)
			findings = append(findings, fmt.Sprintf("seed %d: %v", seed, w.check.Violation()))
		}
		if p.snapshot.compacts {
			compact++
		}
		counts.Add(&w.counts)
	}
	t.Logf("%d logs rotted, %d bytes, %d whole frames; %d places mended; %d servers healed of %d, %d entries filled of %d, %d cuts, %d drops, %d states taken over",
		counts.Rots, counts.RottenBytes, counts.RottenFrames, counts.Mended, counts.Healed, counts.Healings, counts.HolesFilled, counts.Holes, counts.HolesCut, counts.HolesDropped, counts.HolesPassed)
	appendLine(t, *rotLedger, &rotLine{
		Commit: presentCommit(t), Began: began.Format(time.RFC3339), From: *rotFrom, To: seed, Worlds: *rotWorlds, Compact: compact,
		Rots: counts.Rots, Flips: counts.RottenBytes, Frames: counts.RottenFrames, Mended: counts.Mended, Lost: counts.Holes, Filled: counts.HolesFilled,
		Begun: counts.Healings, Healed: counts.Healed, Cut: counts.HolesCut, Dropped: counts.HolesDropped, States: counts.HolesPassed,
		EndsLost: counts.EndsLost, CPU: cpuOfProcess(t), Findings: findings,
	})
	if counts.RottenBytes < 100**rotWorlds || counts.Mended == 0 || counts.RottenFrames == 0 || counts.Healed == 0 || counts.HolesFilled == 0 {
		t.Error("not everything has happened")
	}
	if counts.EndsLost > 1+*rotWorlds/100 {
		t.Errorf("in %d of %d endings servers that heal wait for each other, which is to be rare", counts.EndsLost, *rotWorlds)
	}
}

func presentCommit(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
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

// appendLine adds a line to a ledger, if there is one.
func appendLine(t *testing.T, ledger string, line any) {
	t.Helper()
	if ledger == "" {
		return
	}
	b, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
