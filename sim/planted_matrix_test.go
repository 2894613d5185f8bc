package sim_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// matrix shows which net and which check caught which bug, after how many seeds and seconds of CPU,
// by class; then what each check caught; then the sums.
func matrix(outcomes []outcome) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "bug\tclass\tcaught\tnet\tby\tseeds\tCPU-s\twords")
	byBug := map[string][]*outcome{}
	for i := range outcomes {
		byBug[outcomes[i].Bug] = append(byBug[outcomes[i].Bug], &outcomes[i])
	}
	rows := slices.SortedFunc(maps.Values(byBug), func(a, b []*outcome) int {
		return cmp.Or(cmp.Compare(a[0].Class, b[0].Class), cmp.Compare(a[0].Bug, b[0].Bug))
	})
	for _, row := range rows {
		fmt.Fprintln(w, rowOf(row))
	}
	w.Flush()
	text.WriteString("\n" + byCheck(outcomes) + "\n" + sums(outcomes) + "\n" + usage)
	return text.String()
}

// rowOf is about one bug, however often it was planted.
func rowOf(row []*outcome) string {
	var checks, seeds, seconds []string
	caught := 0
	for _, o := range row {
		if o.Caught {
			caught++
		}
		check := cmp.Or(o.Check, "-")
		if !slices.Contains(checks, check) {
			checks = append(checks, check)
		}
		seeds = append(seeds, fmt.Sprint(o.Seeds))
		seconds = append(seconds, fmt.Sprintf("%.2f", o.CPUSeconds))
	}
	o := row[0]
	words := []rune(firstLine(o.Text))
	if !o.Caught {
		words = nil
	}
	net, _, _ := strings.Cut(strings.TrimPrefix(o.Net, "./"), " ")
	return strings.Join([]string{
		o.Bug, o.Class, fmt.Sprintf("%d/%d", caught, len(row)), net, strings.Join(checks, " "),
		strings.Join(seeds, " "), strings.Join(seconds, " "), string(words[:min(len(words), 60)]),
	}, "\t")
}

// byCheck lists the bugs that each check caught first.
func byCheck(outcomes []outcome) string {
	caught := map[string][]string{}
	for i := range outcomes {
		if o := &outcomes[i]; o.Caught && !slices.Contains(caught[o.Check], o.Bug) {
			caught[o.Check] = append(caught[o.Check], o.Bug)
		}
	}
	var text strings.Builder
	for _, check := range slices.SortedFunc(maps.Keys(caught), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}) {
		slices.Sort(caught[check])
		fmt.Fprintf(&text, "%-4s caught first: %s\n", check, strings.Join(caught[check], ", "))
	}
	return text.String()
}

// sums says how many were caught, and how fast.
func sums(outcomes []outcome) string {
	var bugs, caught, legal, silent int
	var seconds []float64
	var build float64
	var worst *outcome
	for i := range outcomes {
		o := &outcomes[i]
		build += o.BuildSeconds / float64(*times)
		if o.Legal {
			legal++
			if !o.Caught {
				silent++
			}
			continue
		}
		bugs++
		if o.Caught {
			caught++
			seconds = append(seconds, o.CPUSeconds)
			if worst == nil || o.CPUSeconds > worst.CPUSeconds {
				worst = o
			}
		}
	}
	text := ""
	if bugs > 0 {
		text = fmt.Sprintf("%d of %d planted bugs caught", caught, bugs)
	}
	if worst != nil {
		slices.Sort(seconds)
		text += fmt.Sprintf("; seconds of CPU until then: median %.2f, worst %.2f (%s), at most %d allowed",
			seconds[len(seconds)/2], worst.CPUSeconds, worst.Bug, maxKillSeconds)
	}
	if legal > 0 {
		text += fmt.Sprintf("\n%d of %d legal behaviours raised nothing", silent, legal)
	}
	return strings.TrimSpace(text) + fmt.Sprintf("\nbuilding took %.0f s of CPU besides\n", build)
}

// usage says what else can be asked for.
const usage = `make planted N=5           five bugs, drawn at random
make planted N=all         all bugs, and the legal behaviours that must raise nothing
make planted N=bugs        all bugs; N=legal: those behaviours
make planted N=election    one class; N=vote-twice: one bug
make planted TIMES=3       each three times, with fresh seeds
make planted LEDGER=FILE   adds a line of JSON to FILE for each outcome
`

func TestMatrixTellsWhatSurvived(t *testing.T) {
	got := matrix([]outcome{
		{Bug: "b", Class: "log", Net: simulator, Caught: true, Check: "C2", Text: "gone", Seeds: 3, CPUSeconds: 4},
		{Bug: "a", Class: "log", Net: "./wal TestX", Caught: true, Check: "TestX", Text: "lost", CPUSeconds: 1},
		{Bug: "c", Class: "election", Net: simulator, Text: "ok"},
		{Bug: "d", Class: "legal", Legal: true, Net: simulator},
	})
	for _, want := range []string{
		"b    log       1/1     sim  C2", "a    log       1/1     wal  TestX", "c    election  0/1", "C2   caught first: b",
		"2 of 3 planted bugs caught", "median 4.00, worst 4.00 (b)", "1 of 1 legal behaviours",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Index(got, "c    election") > strings.Index(got, "a    log") || strings.Index(got, "a    log") > strings.Index(got, "b    log") {
		t.Errorf("rows are not sorted:\n%s", got)
	}
}
