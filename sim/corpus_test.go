package sim

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The corpus has scripts of worlds that once failed, or that get into a situation which is rare. The
// head of each says what it showed. They all must come right, each time. What a story shows depends on
// the choices that the simulator asks for: one that shows nothing any more may go.

var (
	markStory = flag.String("sim.mark", "", "look for a small world that sets the mark with these words, and write it to the file of -sim.script")
	scriptTo  = flag.String("sim.script", "", "where -sim.mark writes")
)

func TestCorpusStaysRight(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("testdata", "corpus", "*.txt"))
	if err != nil || len(names) < 8 {
		t.Fatalf("%d scripts: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			script, err := ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := script.String(); got != string(text) {
				t.Errorf("it is not written as scripts are:\n%s", got)
			}
			r, err := Run(script.Options())
			if err != nil {
				t.Error(err)
			}
			for key, value := range headOf(t, script) {
				if m, ok := markNamed(value); key == "Mark" && (!ok || r.Counts.Marks[m] == 0) {
					t.Errorf("it does not get there any more: %s", value)
				}
			}
		})
	}
}

// headOf returns what the head of a script says, which must be where it comes from, and what it is.
func headOf(t *testing.T, s *Script) map[string]string {
	t.Helper()
	head := map[string]string{}
	for _, line := range s.Head {
		key, value, _ := strings.Cut(line, ": ")
		head[key] = value
	}
	if head["Planted"]+head["Mark"]+head["Found"] == "" || head["What"] == "" {
		t.Errorf("the head does not say what it is, and whether it was planted, is a mark or was found: %q", s.Head)
	}
	return head
}

func markNamed(words string) (mark, bool) {
	for m, a := range markTable {
		if words != "" && strings.Contains(a.name, words) {
			return mark(m), true
		}
	}
	return 0, false
}

// TestMarksMakeStories shrinks a world that sets a mark: to read what such a situation looks like, and
// to keep it in the corpus.
func TestMarksMakeStories(t *testing.T) {
	m, ok := twoLeaders, true
	if *markStory != "" {
		m, ok = markNamed(*markStory)
	}
	if !ok {
		t.Fatalf("no mark has %q in its name", *markStory)
	}
	script := storyOf(t, m)
	if *scriptTo == "" {
		return
	}
	if err := os.WriteFile(*scriptTo, []byte(script.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// storyOf looks for a world that sets a mark, and shrinks it.
func storyOf(t *testing.T, m mark) *Script {
	t.Helper()
	o := Options{Simulated: 10 * time.Second, wrong: func(w *world) string {
		if w.counts.Marks[m] > 0 && !w.ending && w.plan.servers > 2 {
			return markTable[m].name
		}
		return ""
	}}
	best, found := Result{}, 0
	for o.Seed = 1; o.Seed < 500 && found < 5; o.Seed++ {
		r, err := Run(o)
		var f *Failure
		if errors.As(err, &f) && f.Violation.Check == "T1" {
			if found++; found == 1 || r.Counts.Events < best.Counts.Events {
				best = r
			}
		}
	}
	if found > 0 {
		o.Seed = best.Seed
		small, err := Shrink(t.Context(), Shrinking{Options: o, Runs: 300})
		if err != nil {
			t.Fatal(err)
		}
		s := small.Script
		s.Head, s.Check = []string{"Mark: " + markTable[m].name, "What: a world that gets there and little else"}, ""
		o.Simulated, o.Rules = s.Simulated, s.Rules
		if again, err := Run(o); err == nil || again.Counts.Events != small.After.Events {
			t.Errorf("the script gives %d events and %v, not %v", again.Counts.Events, err, small.After)
		}
		if again, err := Run(s.Options()); err != nil || again.Counts.Marks[m] == 0 {
			t.Errorf("%d times, %v:\n%s", again.Counts.Marks[m], err, s)
		}
		t.Logf("from %v\nto   %v\n%s", small.Before, small.After, s)
		return s
	}
	t.Fatalf("no world gets there: %s", markTable[m].name)
	return nil
}
