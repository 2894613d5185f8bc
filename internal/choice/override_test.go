package choice_test

import (
	"testing"

	"github.com/quorate/quorate/internal/choice"
)

// answers asks for some choices among ten of each label, by turns.
func answers(s choice.Source, labels ...string) map[string][]int {
	got := map[string][]int{}
	for range 5 {
		for _, l := range labels {
			got[l] = append(got[l], s.Choose(l, 10))
		}
	}
	return got
}

func TestRulesFixWhatTheyNameAndNothingElse(t *testing.T) {
	plain := answers(choice.FromSeed(3), "drop 1", "drop 2", "wait", "draw")
	got := answers(choice.Override(choice.FromSeed(3), []choice.Rule{
		{Label: "drop 1", Number: 4, Result: choice.Yes}, // goes before the next, which is for all
		{Label: "drop *", Result: 5},
		{Label: "drop 1", Number: 2, Result: 1},
		{Label: "drop 1", Number: 2, Result: 3}, // the last counts
		{Label: "wait", Number: 1, Result: 7},
		{Label: "dra", Result: 0}, // nobody
	}), "drop 1", "drop 2", "wait", "draw")
	want := map[string][]int{
		"drop 1": {5, 3, 5, 9, 5},
		"drop 2": {5, 5, 5, 5, 5},
		"wait":   append([]int{7}, plain["wait"][1:]...),
		"draw":   plain["draw"],
	}
	for label, results := range want {
		for i := range results {
			if got[label][i] != results[i] {
				t.Errorf("%s: got %v, want %v", label, got[label], results)
				break
			}
		}
	}
}

func TestRulesAreReadAsTheyAreWritten(t *testing.T) {
	for text, r := range map[string]choice.Rule{
		"net.drop 1>2 #7 = yes": {Label: "net.drop 1>2", Number: 7, Result: choice.Yes},
		"fault.strikes * = no":  {Label: "fault.strikes *"},
		"plan.servers = 2":      {Label: "plan.servers", Result: 2},
	} {
		got, err := choice.ParseRule(text)
		if err != nil || got != r || r.String() != text {
			t.Errorf("%s: got %+v (%v), written %q", text, got, err, r)
		}
	}
	for _, text := range []string{"", "x", " = 1", "x = ", "x = -1", "x = maybe", "x #0 = 1", "x #y = 1"} {
		if r, err := choice.ParseRule(text); err == nil {
			t.Errorf("%q is taken for %+v", text, r)
		}
	}
}
