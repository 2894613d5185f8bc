package choice_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/choice"
)

func draw(s choice.Source, label string, n, times int) []int {
	results := make([]int, times)
	for i := range results {
		results[i] = s.Choose(label, n)
	}
	return results
}

// always is a source that gives the same answer each time.
type always int

func (a always) Choose(string, int) int { return int(a) }

func TestSameSeedGivesSameChoices(t *testing.T) {
	a, b := draw(choice.FromSeed(7), "x", 1000, 100), draw(choice.FromSeed(7), "x", 1000, 100)
	if !slices.Equal(a, b) {
		t.Errorf("got %v and %v from one seed", a, b)
	}
}

func TestSeedsGiveTheSameChoicesForEver(t *testing.T) {
	got := append(draw(choice.FromSeed(1), "net.drop", 100, 8), draw(choice.FromSeed(2), "net.drop", 1<<40, 2)...)
	want := []int{65, 5, 75, 21, 90, 87, 89, 68, 1020990408099, 498175331627}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: recorded seeds now mean other worlds", got, want)
	}
}

func TestOtherSeedOrLabelGivesOtherChoices(t *testing.T) {
	base := draw(choice.FromSeed(7), "x", 1<<30, 4)
	for name, other := range map[string][]int{
		"next seed":     draw(choice.FromSeed(8), "x", 1<<30, 4),
		"similar label": draw(choice.FromSeed(7), "y", 1<<30, 4),
		"longer label":  draw(choice.FromSeed(7), "xx", 1<<30, 4),
		"no label":      draw(choice.FromSeed(7), "", 1<<30, 4),
		"seed 0":        draw(choice.FromSeed(0), "x", 1<<30, 4),
	} {
		for i := range base {
			if base[i] == other[i] {
				t.Errorf("%s: choice %d is %d as well", name, i, other[i])
			}
		}
	}
}

func TestLabelsDoNotShiftEachOther(t *testing.T) {
	alone := draw(choice.FromSeed(3), "disk", 1<<20, 50)
	s := choice.FromSeed(3)
	var among []int
	for range 50 {
		s.Choose("net", 17)
		among = append(among, s.Choose("disk", 1<<20))
		s.Choose("clock", 2)
	}
	if !slices.Equal(alone, among) {
		t.Error("the choices for disk depend on whether others are asked for")
	}
}

func TestChoicesAreEvenOverTheRange(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 10} {
		const each = 10_000
		counts := make([]int, n)
		for _, result := range draw(choice.FromSeed(11), "x", n, each*n) {
			counts[result]++
		}
		for result, count := range counts {
			if count < each*95/100 || count > each*105/100 {
				t.Errorf("n %d: %d came up %d times of about %d", n, result, count, each)
			}
		}
	}
}

func TestChoicesHaveNoBiasInHugeRanges(t *testing.T) {
	// Among 3·2^61 possibilities a plain product would favour every third: the residues tell.
	const n, times = 3 << 61, 30_000
	thirds := make([]int, 3)
	for _, result := range draw(choice.FromSeed(5), "x", n, times) {
		if result < 0 || result >= n {
			t.Fatalf("got %d, want 0 to %d", result, n-1)
		}
		thirds[result%3]++
	}
	for residue, count := range thirds {
		if count < times/3*95/100 || count > times/3*105/100 {
			t.Errorf("residue %d came up %d times of about %d", residue, count, times/3)
		}
	}
}

func TestChooseOfAKnownLabelAllocatesNothing(t *testing.T) {
	s := choice.FromSeed(1)
	s.Choose("net.drop", 10)
	if allocations := testing.AllocsPerRun(1000, func() { s.Choose("net.drop", 10) }); allocations != 0 {
		t.Errorf("got %v allocations a call, want 0", allocations)
	}
}

func TestChoiceAmongNothingPanics(t *testing.T) {
	sources := map[string]choice.Source{
		"seed": choice.FromSeed(1), "replay": choice.Replay(nil, nil), "record": choice.Record(choice.FromSeed(1)),
	}
	for name, s := range sources {
		if !panics(func() { s.Choose("x", 0) }) {
			t.Errorf("%s: no panic", name)
		}
	}
	if !panics(func() { choice.Enumerate(func(s choice.Source) { s.Choose("x", 0) }) }) {
		t.Error("enumerate: no panic")
	}
	if !panics(func() { choice.Chance(always(0), "x", 1, 0) }) {
		t.Error("chance of 1 in 0: no panic")
	}
}

func panics(f func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	f()
	return false
}

func TestChanceComesUpAsOftenAsItSays(t *testing.T) {
	s := choice.FromSeed(9)
	const times = 40_000
	hits := 0
	for range times {
		if choice.Chance(s, "x", 3, 8) {
			hits++
		}
	}
	if hits < times*3/8*95/100 || hits > times*3/8*105/100 {
		t.Errorf("got %d of %d, want about 3 in 8", hits, times)
	}
}

func TestChanceIsFalseForTheChoiceZero(t *testing.T) {
	if choice.Chance(always(0), "x", 7, 8) {
		t.Error("got true: shrinking would make the unusual happen everywhere")
	}
}

func TestCertainChanceIsNotAsked(t *testing.T) {
	r := choice.Record(choice.FromSeed(1))
	if choice.Chance(r, "x", 0, 5) || choice.Chance(r, "x", -1, 5) {
		t.Error("0 in 5 came up")
	}
	if choice.Chance(r, "x", 0, 1) {
		t.Error("0 in 1 came up")
	}
	if !choice.Chance(r, "x", 5, 5) || !choice.Chance(r, "x", 6, 5) {
		t.Error("5 in 5 did not come up")
	}
	if asked := r.Choices(); len(asked) != 0 {
		t.Errorf("asked %v, want nothing", asked)
	}
}

func TestUint64HasEveryBitBothWays(t *testing.T) {
	s := choice.FromSeed(4)
	var ones, zeros uint64
	for range 100 {
		v := choice.Uint64(s, "x")
		ones, zeros = ones|v, zeros|^v
	}
	if ones != ^uint64(0) || zeros != ^uint64(0) {
		t.Errorf("bits seen as 1: %#x, as 0: %#x", ones, zeros)
	}
}

func TestEnumerateVisitsEverySequenceOnceInOrder(t *testing.T) {
	var seen []string
	runs := choice.Enumerate(func(s choice.Source) {
		// The second question depends on the first answer, as it does in real worlds.
		switch first := s.Choose("first", 3); first {
		case 1:
			seen = append(seen, fmt.Sprint(first, s.Choose("two", 2), s.Choose("more", 2)))
		case 2:
			seen = append(seen, fmt.Sprint(first, s.Choose("one", 1)))
		default:
			seen = append(seen, fmt.Sprint(first))
		}
	})
	got, want := strings.Join(seen, ", "), "0, 1 0 0, 1 0 1, 1 1 0, 1 1 1, 2 0"
	if got != want || runs != 6 {
		t.Errorf("got %d runs: %s; want 6: %s", runs, got, want)
	}
}

func TestEnumerateOfNoChoiceRunsOnce(t *testing.T) {
	if runs := choice.Enumerate(func(choice.Source) {}); runs != 1 {
		t.Errorf("got %d runs, want 1", runs)
	}
}

func TestEnumerateRefusesARunThatIsNotAFunctionOfItsChoices(t *testing.T) {
	for name, second := range map[string]func(s choice.Source){
		"other label":   func(s choice.Source) { s.Choose("y", 2) },
		"other number":  func(s choice.Source) { s.Choose("x", 3) },
		"fewer choices": func(choice.Source) {},
	} {
		runs := 0
		if !panics(func() {
			choice.Enumerate(func(s choice.Source) {
				if runs++; runs == 1 {
					s.Choose("x", 2)
					return
				}
				second(s)
			})
		}) {
			t.Errorf("%s: no panic", name)
		}
	}
}

func TestReplayRepeatsWhatWasRecorded(t *testing.T) {
	world := func(s choice.Source) []int { return append(draw(s, "a", 10, 5), draw(s, "b", 1000, 5)...) }
	recorder := choice.Record(choice.FromSeed(6))
	want := world(recorder)
	replayer := choice.Replay(recorder.Choices(), always(-1))
	if got := world(replayer); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if replayer.Left() != 0 || replayer.Diverged() != nil {
		t.Errorf("%d choices left, diverged: %v", replayer.Left(), replayer.Diverged())
	}
}

func TestReplayGoesOnWithTheRestAfterItsEnd(t *testing.T) {
	recorded := []choice.Choice{{Label: "a", N: 9, Result: 8}}
	if got := draw(choice.Replay(recorded, nil), "a", 9, 3); !slices.Equal(got, []int{8, 0, 0}) {
		t.Errorf("without a rest got %v, want 8 and zeros", got)
	}
	replayer := choice.Replay(recorded, always(5))
	if got := draw(replayer, "a", 9, 3); !slices.Equal(got, []int{8, 5, 5}) {
		t.Errorf("got %v, want 8, then the rest's 5", got)
	}
	if err := replayer.Diverged(); err != nil {
		t.Errorf("the end of the record is no divergence: %v", err)
	}
}

func TestReplayTellsWhereItDiverged(t *testing.T) {
	recorded := []choice.Choice{{Label: "a", N: 2, Result: 1}, {Label: "a", N: 2, Result: 1}, {Label: "a", N: 2, Result: 1}}
	for name, second := range map[string]choice.Choice{"label": {Label: "b", N: 2}, "number": {Label: "a", N: 3}} {
		replayer := choice.Replay(recorded, nil)
		first := replayer.Choose("a", 2)
		replayer.Choose(second.Label, second.N)
		if err := replayer.Diverged(); err == nil || !strings.Contains(err.Error(), "choice 1 was a 1/2") {
			t.Errorf("other %s: got %v, want the second choice", name, err)
		}
		if third := replayer.Choose("a", 2); first != 1 || third != 0 {
			t.Errorf("other %s: got %d and then %d, want 1 and then the rest's 0", name, first, third)
		}
		if replayer.Left() != 2 {
			t.Errorf("other %s: %d left, want 2", name, replayer.Left())
		}
	}
}

func TestReplayRefusesARecordThatWasDamaged(t *testing.T) {
	for _, result := range []int{-1, 2} {
		replayer := choice.Replay([]choice.Choice{{Label: "a", N: 2, Result: result}}, nil)
		if got := replayer.Choose("a", 2); got != 0 || replayer.Diverged() == nil {
			t.Errorf("result %d: got %d, diverged: %v", result, got, replayer.Diverged())
		}
	}
}

func TestChoicesAreACopy(t *testing.T) {
	r := choice.Record(always(1))
	r.Choose("a", 2)
	r.Choices()[0].Result = 99
	if got := r.Choices()[0].Result; got != 1 {
		t.Errorf("the record changed to %d", got)
	}
}

func BenchmarkChooseFromSeed(b *testing.B) {
	s := choice.FromSeed(1)
	b.ReportAllocs()
	for b.Loop() {
		s.Choose("net.drop", 1000)
	}
}
