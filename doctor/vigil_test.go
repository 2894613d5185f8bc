package doctor

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestTheLogIsToldOnceAndAgainAndThatItIsOver(t *testing.T) {
	well := viewOf(3)
	lost := viewOf(3).without(2, 3).leaderless(0)
	electing := viewOf(3).leaderless(0)
	warned := viewOf(3).without(3)
	for _, c := range []struct {
		what string
		at   func(second int) *View
		want []string
	}{
		{"all well", func(int) *View { return well }, nil},
		{"one of three is missing", func(int) *View { return warned }, nil},
		{"no quorum from the 5th to the 70th second", func(s int) *View {
			if s >= 5 && s < 70 {
				return lost
			}
			return well
		}, []string{"7: no-quorum after 2s", "37: no-quorum after 32s", "67: no-quorum after 1m2s", "70: over after 1m5s"}},
		{"shorter than an election", func(s int) *View {
			if s == 5 || s == 6 {
				return lost
			}
			return well
		}, nil},
		{"an election that takes long, and then there is no quorum", func(s int) *View {
			switch {
			case s < 10:
				return electing
			case s < 20:
				return lost
			}
			return well
		}, []string{"10: no-quorum after 10s", "20: over after 20s"}},
		{"nobody is elected", func(s int) *View {
			if s < 55 {
				return electing
			}
			return warned
		}, []string{"20: no-leader after 20s", "50: no-leader after 50s", "55: over after 55s"}},
		{"twice", func(s int) *View {
			if s >= 5 && s < 10 || s >= 20 && s < 25 {
				return lost
			}
			return well
		}, []string{"7: no-quorum after 2s", "10: over after 5s", "22: no-quorum after 2s", "25: over after 5s"}},
	} {
		v := Vigil{ElectionTimeout: 2 * time.Second}
		var got []string
		for second := range 100 {
			view := *c.at(second)
			view.Now = started.Add(time.Duration(second) * time.Second)
			n, say := v.Look(Examine(&view))
			switch {
			case say && n.Over:
				got = append(got, fmt.Sprintf("%d: over after %v", second, n.Lasted))
			case say:
				got = append(got, fmt.Sprintf("%d: %s after %v", second, n.Finding.Code, n.Lasted))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}
