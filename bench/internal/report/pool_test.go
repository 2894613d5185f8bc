package report

import (
	"reflect"
	"testing"
)

func TestNearestRankIsTheLeastValueThatSoManyAreNotAbove(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	tests := []struct {
		values  []float64
		percent float64
		want    float64
	}{
		{hundred, 90, 90},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
		{hundred[:10], 90, 9},
		{hundred[:10], 99, 10}, // of few values the last percent is the greatest
		{hundred[:11], 90, 10},
		{hundred[:1], 99, 1},
	}
	for _, test := range tests {
		if got := nearestRank(test.values, test.percent); got != test.want {
			t.Errorf("%v%% of %d values: got %v, want %v", test.percent, len(test.values), got, test.want)
		}
	}
}

func TestValuesOfAllRoundsArePooledAndSubjectsLieBesideEachOther(t *testing.T) {
	var runs []Run
	for i, values := range [][]float64{{5, 1}, {50}, {9, 3, 2}, {40, 60}} {
		run := made([]string{"quorate", "etcd"}[i%2], 1+i/2, 100)
		for _, v := range values {
			run.AddSample("gap, ms", v)
		}
		run.AddSample("end, ms", 7)
		runs = append(runs, run)
	}
	failed := made("quorate", 3, 100)
	failed.AddSample("gap, ms", 1e9)
	failed.Failure = "no leader"
	got := Pools(append(runs, failed))
	quorate, etcd := runs[0].Case, runs[1].Case
	want := []Pool{
		{Case: quorate, Name: "gap, ms", Rounds: 2, Count: 5, Median: 3, P90: 9, P99: 9, Max: 9},
		{Case: etcd, Name: "gap, ms", Rounds: 2, Count: 3, Median: 50, P90: 60, P99: 60, Max: 60},
		{Case: quorate, Name: "end, ms", Rounds: 2, Count: 2, Median: 7, P90: 7, P99: 7, Max: 7},
		{Case: etcd, Name: "end, ms", Rounds: 2, Count: 2, Median: 7, P90: 7, P99: 7, Max: 7},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if runs[0].Samples[0].Values[0] != 5 {
		t.Errorf("the run's own values have another order now: %v", runs[0].Samples[0].Values)
	}
}

func TestMedianOfEachSampleIsAFigureOfTheRun(t *testing.T) {
	var r Run
	for _, v := range []float64{4, 1, 3} {
		r.AddSample("a", v)
		r.AddSample("b", 2*v)
	}
	r.AddMedians()
	if want := []Figure{{"a, median", 3}, {"b, median", 6}}; !reflect.DeepEqual(r.More, want) {
		t.Errorf("got %+v, want %+v", r.More, want)
	}
}
