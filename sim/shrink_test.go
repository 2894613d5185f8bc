package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// crashesAfterCut is wrong with a world in which two crashes come after a partition.
func crashesAfterCut(w *world) string {
	if w.counts.Partitions == 0 {
		w.counts.Crashes = 0
	}
	if w.counts.Crashes >= 2 && w.counts.Requests > 0 {
		return "two crashes after a partition"
	}
	return ""
}

// failing returns a world in which that happens, among others.
func failing(t *testing.T) Options {
	t.Helper()
	for seed := uint64(1); seed < 200; seed++ {
		o := Options{Seed: seed, Simulated: 15 * time.Second, wrong: crashesAfterCut}
		w := newWorld(o.withDefaults())
		if w.plan.servers < 5 {
			continue
		}
		if f := w.failure(w.run()); f != nil && w.counts.Faults() > 10 {
			return o
		}
	}
	t.Fatal("no world fails")
	return Options{}
}

func TestShrinkKeepsWhatTheFailureNeedsAndLittleElse(t *testing.T) {
	o := failing(t)
	told := 0
	small, err := Shrink(context.Background(), Shrinking{Options: o, Progress: func(int, string, Size) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	a := small.After
	if a.Faults != 3 || a.Lost != 0 || a.Requests > 5 || a.Servers > 3 || a.Events >= small.Before.Events || told == 0 || small.Runs > defaultRuns {
		t.Errorf("in %d runs, told %d times: from %v to %v\n%v", small.Runs, told, small.Before, a, small.Script)
	}
	back, err := ParseScript(small.Script.String())
	if err != nil {
		t.Fatal(err)
	}
	again := back.Options()
	again.wrong = crashesAfterCut
	var story strings.Builder
	again.Story = &story
	r, err := Run(again)
	var f *Failure
	if !errors.As(err, &f) || f.Violation.Check != "T1" || r.Counts.Events != a.Events || r.Counts.Requests != a.Requests || f.At != small.Failure.At {
		t.Errorf("the script gives %v after %d events, want that of %v after %d", err, r.Counts.Events, small.Failure, a.Events)
	}
	if n := strings.Count(story.String(), "\n"); n > 150 || !strings.Contains(story.String(), "is asked: request 1,") {
		t.Errorf("the story has %d lines:\n%s", n, story.String())
	}
}

func TestShrinkEndsWithItsBudgetAndItsContext(t *testing.T) {
	o := failing(t)
	small, err := Shrink(context.Background(), Shrinking{Options: o, Runs: 7})
	if err != nil || small.Runs > 7 || small.Failure.Violation.Check != "T1" {
		t.Errorf("%v, %+v", err, small)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Shrink(ctx, Shrinking{Options: o}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if _, err := Shrink(context.Background(), Shrinking{Options: Options{Seed: 1, Simulated: time.Second}}); !errors.Is(err, ErrNotFailing) {
		t.Errorf("got %v, want ErrNotFailing", err)
	}
}

func TestScriptsAreReadAsTheyAreWritten(t *testing.T) {
	text := "# A story.\n#\n# More.\nseed 7\nsimulated 4.512s\ncheck C2\nplan.servers = 2\nfault.strikes crash #3 = yes\n"
	s, err := ParseScript(text)
	if err != nil || s.String() != text || s.Seed != 7 || s.Simulated != 4512*time.Millisecond || s.Check != "C2" || len(s.Rules) != 2 {
		t.Errorf("got %+v (%v), written\n%s", s, err, s)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"no seed":        "simulated 1s\n",
		"two seeds":      "seed 1\nseed 2\n",
		"no number":      "seed x\n",
		"no duration":    "seed 1\nsimulated x\n",
		"too long":       "seed 1\nsimulated 999h\n",
		"no such word":   "seed 1\nnonsense\n",
		"no such result": "seed 1\nplan.servers = x\n",
		"no check":       "seed 1\ncheck\n",
	} {
		if s, err := ParseScript(text); err == nil {
			t.Errorf("%s: taken for %+v", name, s)
		}
	}
}
