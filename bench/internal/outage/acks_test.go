package outage

import (
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestLongestGapTouchesTheTimeAskedFor(t *testing.T) {
	at := []time.Duration{10 * ms, 20 * ms, 70 * ms, 80 * ms, 95 * ms, 200 * ms, 300 * ms}
	tests := []struct {
		what     string
		from, to time.Duration
		want     time.Duration
	}{
		{"the gap begins before it", 30 * ms, 80 * ms, 50 * ms},
		{"and ends behind it", 80 * ms, 100 * ms, 105 * ms},
		{"it lies within the gap", 30 * ms, 40 * ms, 50 * ms},
		{"a greater one before it does not count", 81 * ms, 94 * ms, 15 * ms},
		{"nothing before it", 0, 20 * ms, 10 * ms},
		{"nothing after it", 290 * ms, 500 * ms, 200 * ms},
		{"nothing after it, and the greatest is another", 90 * ms, 310 * ms, 105 * ms},
	}
	for _, test := range tests {
		if got := longestGap(at, test.from, test.to); got != test.want {
			t.Errorf("%s, from %v to %v: got %v, want %v", test.what, test.from, test.to, got, test.want)
		}
	}
	if got := longestGap(nil, 3*ms, 10*ms); got != 7*ms {
		t.Errorf("nothing at all: got %v, want 7ms", got)
	}
}

func TestGapsAreFoundWhateverTheOrderOfAcknowledgements(t *testing.T) {
	a := New(time.Now())
	for _, at := range []time.Duration{50, 10, 40, 20, 30} {
		a.Add(at*ms, 1, 1)
	}
	if got := a.LongestGap(10*ms, 50*ms); got != 10*ms {
		t.Errorf("got %v, want 10ms", got)
	}
	if a.Count() != 5 {
		t.Errorf("counted %d, want 5", a.Count())
	}
}

func TestRatesAreOfWholeWindowsWithinTheTimeAskedFor(t *testing.T) {
	a := New(time.Now())
	for _, at := range []time.Duration{99, 100, 149, 150, 260, 205, 299, 300, 305} {
		a.Add(at*ms, 1, 1)
	}
	tests := []struct {
		from, to time.Duration
		want     []float64
	}{
		{100 * ms, 300 * ms, []float64{40, 20, 20, 40}},
		{100 * ms, 349 * ms, []float64{40, 20, 20, 40}}, // what is left is no window
		{100 * ms, 350 * ms, []float64{40, 20, 20, 40, 40}},
		{100 * ms, 149 * ms, nil},
		{200 * ms, 100 * ms, nil},
		{400 * ms, 500 * ms, []float64{0, 0}},
	}
	for _, test := range tests {
		if got := a.Rates(test.from, test.to, 50*ms); !slices.Equal(got, test.want) {
			t.Errorf("from %v to %v: got %v, want %v", test.from, test.to, got, test.want)
		}
	}
	if got := a.Rate(100*ms, 300*ms); got != 30 {
		t.Errorf("from 100ms to 300ms: got %v, want 30", got)
	}
}

func TestOutageEndsWithTheFirstAcknowledgementOfALaterTerm(t *testing.T) {
	a := New(time.Now())
	a.Add(10*ms, 1, 4)
	a.Add(12*ms, 2, 4) // the failed leader's last, on its way when it failed
	if at, found := a.FirstAbove(4); found {
		t.Errorf("found %v, but no term above 4 was there", at)
	}
	a.Add(90*ms, 2, 7)
	a.Add(80*ms, 3, 6)
	a.Add(85*ms, 3, 6)
	if at, found := a.FirstAbove(4); !found || at != 80*ms {
		t.Errorf("above 4: got %v, %v, want 80ms", at, found)
	}
	if at, found := a.FirstAbove(6); !found || at != 90*ms {
		t.Errorf("above 6: got %v, %v, want 90ms", at, found)
	}
}

func TestMembersAreThoseThatHaveAnsweredSince(t *testing.T) {
	a := New(time.Now())
	for member, at := range []time.Duration{10, 20, 30} {
		a.Add(at*ms, uint64(member), 1)
	}
	a.Add(5*ms, 2, 1) // late
	for since, want := range map[time.Duration]int{0: 3, 10 * ms: 3, 11 * ms: 2, 30 * ms: 1, 31 * ms: 0} {
		if got := a.Members(since); got != want {
			t.Errorf("since %v: got %d members, want %d", since, got, want)
		}
		if got := a.Since(since); got != (want > 0) {
			t.Errorf("any since %v: got %v", since, got)
		}
	}
}
