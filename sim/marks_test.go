package sim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestMarksThatAreMissedAreNamed(t *testing.T) {
	var none Marks
	missed := none.Missed(1000)
	if len(missed) != int(marks) {
		t.Errorf("%d marks are missed by a thousand worlds that set none, want all %d", len(missed), marks)
	}
	for i, text := range missed {
		if a := markTable[i]; a.name == "" || a.least < 1 || !strings.Contains(text, a.name) || !strings.Contains(text, a.where) {
			t.Errorf("mark %d, %+v: %q", i, a, text)
		}
	}
	all := none
	for i := range all {
		all[i] = markTable[i].least
	}
	if missed := all.Missed(1000); len(missed) > 0 {
		t.Errorf("enough is not enough: %q", missed)
	}
	if missed := all.Missed(2000); len(missed) == 0 {
		t.Error("half of what it takes is enough")
	}
}

func TestMarksHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]mark{}
	for m, a := range markTable {
		if other, ok := seen[a.name]; ok {
			t.Errorf("marks %d and %d are both called %q", other, m, a.name)
		}
		seen[a.name] = mark(m)
	}
	var some Marks
	some[twoLeaders] = 7
	text, err := json.Marshal(some)
	var back map[string]int
	if err != nil || json.Unmarshal(text, &back) != nil || len(back) != int(marks) || back[markTable[twoLeaders].name] != 7 {
		t.Errorf("%v: %s", err, text)
	}
}

// TestCalmWorldsSetNoMarksOfCrashes holds marks against worlds in which they cannot be set.
func TestCalmWorldsSetNoMarksOfCrashes(t *testing.T) {
	calm := 0
	for seed := uint64(1); seed <= 240; seed++ {
		w := newWorld(Options{Seed: seed, Simulated: 3 * time.Second}.withDefaults())
		if !w.plan.calm {
			continue
		}
		calm++
		if _ = w.run(); w.check.Violation() != nil {
			t.Fatalf("seed %d: %v", seed, w.check.Violation())
		}
		for m := tornTailFetchedAgain; m <= diskEndsServer; m++ {
			if n := w.counts.Marks[m]; n > 0 {
				t.Errorf("seed %d is calm, and yet %d times: %s", seed, n, markTable[m].name)
			}
		}
	}
	if calm == 0 {
		t.Error("none of the seeds is calm")
	}
}
