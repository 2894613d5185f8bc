package report

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// made returns a run of 4 s with ops operations, 2 s of CPU at the leader and 1 s at the followers.
func made(subject string, round int, ops int64) Run {
	return Run{
		Case:  Case{Scenario: "put", Clients: 64, Target: "all", Subject: subject},
		Round: round, Seconds: 4, Ops: ops, P50Micros: 819, P99Micros: 12_345,
		LeaderCPUSeconds: 2, FollowersCPUSeconds: 1, ClientCPUSeconds: 0.5,
		AnonBytes: 100 << 20, FileBytes: 50 << 20, StealCPUs: 0.01, OtherCPUs: 0.02,
	}
}

func sample() *Report {
	disturbed := made("etcd", 2, 4000)
	disturbed.StealCPUs = 0.5
	disturbed.Errors, disturbed.ErrorExample = 3, "etcdserver: request timed out"
	failed := made("quorate", 2, 0)
	failed.Failure = "server n1 ended by itself: exit status 2; the end of its log:\npanic"
	calm, busy, without := made("quorate", 1, 8000), made("etcd", 1, 4400), made("quorate", 1, 0)
	for _, r := range []*Run{&calm, &busy, &without} {
		r.Scenario = "watchers:100"
	}
	calm.Add("puts/s", 1500)
	busy.Add("puts/s", 1000)
	calm.Add("memory, KiB", 2.345)
	for _, gap := range []float64{12, 1300, 40} {
		calm.AddSample("gap, ms", gap)
		busy.AddSample("gap, ms", gap/10)
	}
	busy.LeaderCPUSeconds, busy.FollowersCPUSeconds, busy.ClientCPUSeconds = 0, 0, 0 // not measured
	without.Scenario, without.Skipped = "leases", "there are no leases"
	r := &Report{
		Began:    "2026-01-02T03:04:05Z",
		Commit:   "abc",
		Command:  "bench -quorate q",
		Machine:  Machine{CPU: "Example", CPUs: 2, MemoryBytes: 8 << 30, Kernel: "6.1", FileSystem: "ext4", Go: "go1.26"},
		Subjects: []Subject{{"quorate", "v0", "quorate serve"}, {"etcd", "v3", "etcd"}},
		Load:     []string{"A load."},
		Runs:     []Run{made("quorate", 1, 8000), made("etcd", 1, 4400), failed, disturbed, calm, busy, without},
	}
	r.Conclude()
	return r
}

func TestReportInEveryFormat(t *testing.T) {
	for _, format := range Formats {
		var got bytes.Buffer
		if err := sample().Write(&got, format); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "report."+format)
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s differs (-update rewrites it); got:\n%s", golden, got.Bytes())
		}
	}
}

func TestRowIsTheMedianOfEachFigure(t *testing.T) {
	a, b, c := made("etcd", 1, 4000), made("etcd", 2, 6000), made("etcd", 3, 5000)
	a.LeaderCPUSeconds, b.LeaderCPUSeconds, c.LeaderCPUSeconds = 4, 3, 1 // 100, 50, 20 per 100k
	a.P99Micros, b.P99Micros, c.P99Micros = 1, 2, 3
	rows := Rows([]Run{a, b, c})
	if len(rows) != 1 {
		t.Fatalf("got %d rows, want 1", len(rows))
	}
	r := rows[0]
	if r.OpsPerSecond != 1250 || r.Spread != 0.4 || r.LeaderPer100k != 50 || r.P99Micros != 2 {
		t.Fatalf("got %+v; want 1250 ops/s, spread 0.4, leader 50, p99 2", r)
	}
	// Medians of sums, which are not the sums of medians: (4+1)/4000, (3+1)/6000, (1+1)/5000.
	if got := thousands(r.ServersPer100k * 1000); got != "66,667" {
		t.Fatalf("servers: got %s thousandths, want 66,667", got)
	}
}

func TestRunsWithoutFiguresLeaveTheMedianAloneButAreCounted(t *testing.T) {
	failed := made("etcd", 2, 9000)
	failed.Failure = "no leader"
	failed.Errors = 2
	idle := made("etcd", 3, 0)
	r := Rows([]Run{made("etcd", 1, 4000), failed, idle})[0]
	if r.OpsPerSecond != 1000 || r.Runs != 1 || r.Failed != 2 || r.Errors != 2 {
		t.Fatalf("got %+v; want 1000 ops/s, 1 run, 2 failed, 2 errors", r)
	}
}

func TestRatioIsTheMedianOfTheQuotientsOfEachRound(t *testing.T) {
	// The machine is slow in round 2 and fast in round 3; the quotients are 2, 3, 1.5 all the same. The
	// quotient of the medians would be 3000 / 2000.
	runs := []Run{
		made("quorate", 1, 4000), made("etcd", 1, 2000),
		made("quorate", 2, 3000), made("etcd", 2, 1000),
		made("quorate", 3, 9000), made("etcd", 3, 6000),
	}
	runs[0].P50Micros, runs[1].P50Micros = 100, 400
	ratios := Ratios(runs, "etcd")
	if len(ratios) != 1 {
		t.Fatalf("got %d ratios, want 1", len(ratios))
	}
	r := ratios[0]
	if r.Subject != "quorate" || r.Base != "etcd" || r.Rounds != 3 {
		t.Errorf("got %s / %s of %d rounds, want quorate / etcd of 3", r.Subject, r.Base, r.Rounds)
	}
	if want := (Interval{Median: 2, Low: 1.5, High: 3}); r.OpsPerSecond != want {
		t.Errorf("ops/s: got %+v, want %+v", r.OpsPerSecond, want)
	}
	if want := (Interval{Median: 1, Low: 0.25, High: 1}); r.P50 != want {
		t.Errorf("p50: got %+v, want %+v", r.P50, want)
	}
}

func TestOnlyRoundsInWhichBothHaveFiguresAreCompared(t *testing.T) {
	runs := []Run{made("quorate", 1, 8000), made("etcd", 1, 0), made("quorate", 2, 6000), made("etcd", 2, 3000), made("quorate", 3, 9000)}
	got := Ratios(runs, "etcd")
	if len(got) != 1 || got[0].Rounds != 1 || got[0].OpsPerSecond.Median != 2 {
		t.Errorf("got %+v, want round 2 alone", got)
	}
	if got := Ratios(runs[:2], "etcd"); len(got) != 0 {
		t.Errorf("nothing to compare: got %+v", got)
	}
}

func TestFiguresOfSomeScenariosAreComparedRoundByRound(t *testing.T) {
	var runs []Run
	for i, puts := range []float64{4000, 2000, 3000, 1000, 9000, 6000} {
		run := made([]string{"quorate", "etcd"}[i%2], 1+i/2, 100)
		run.Add("puts/s", puts)
		runs = append(runs, run)
	}
	runs[0].Add("only there", 5)
	failed := made("quorate", 4, 100)
	failed.Failure = "no leader"
	failed.Add("of a failed run", 1)
	got := Besides(append(runs, failed), "etcd")
	if len(got) != 2 || got[0].Name != "puts/s" || got[1].Name != "only there" {
		t.Fatalf("got %+v, want puts/s and what is only there", got)
	}
	quorate := got[0].of("quorate")
	if want := (Interval{Median: 4000, Low: 3000, High: 9000}); quorate.Value != want {
		t.Errorf("value: got %+v, want %+v", quorate.Value, want)
	}
	if want := (Interval{Median: 2, Low: 1.5, High: 3}); quorate.Ratio != want || quorate.Rounds != 3 {
		t.Errorf("ratio: got %+v of %d rounds, want %+v of 3", quorate.Ratio, quorate.Rounds, want)
	}
	if etcd := got[0].of("etcd"); etcd.Rounds != 0 || etcd.Value.Median != 2000 {
		t.Errorf("base: got %+v, want 2000 and no quotient", etcd)
	}
	if etcd := got[1].of("etcd"); etcd.text() != "-" {
		t.Errorf("a figure that the base has not got is written %q, want -", etcd.text())
	}
}

func TestSkippedRunIsNoFailure(t *testing.T) {
	skipped := made("quorate", 1, 0)
	skipped.Skipped = "there are no leases"
	if r := Rows([]Run{skipped})[0]; r.Runs != 0 || r.Failed != 0 {
		t.Errorf("got %d runs with figures and %d failed, want none of either", r.Runs, r.Failed)
	}
}

func TestMedianOfAnEvenNumberIsTheMeanOfTheMiddleTwo(t *testing.T) {
	if got := Median([]float64{9, 1, 4, 2}); got != 3 {
		t.Fatalf("got %v, want 3", got)
	}
}

func TestFiguresAreWrittenForPeople(t *testing.T) {
	tests := []struct{ got, want string }{
		{micros(818.7), "819 us"},
		{micros(999.6), "1.00 ms"},
		{micros(9_994), "9.99 ms"},
		{micros(9_996), "10.0 ms"},
		{micros(2_500_000), "2.50 s"},
		{thousands(0), "0"},
		{thousands(999), "999"},
		{thousands(1234567), "1,234,567"},
		{thousands(-123456), "-123,456"},
		{percent(0.256), "26%"},
		{short(0.123), "0.12"},
		{short(12.34), "12.3"},
		{short(1234.5), "1,234"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestUnknownFormatIsRefused(t *testing.T) {
	if err := sample().Write(&bytes.Buffer{}, "xml"); err == nil || !strings.Contains(err.Error(), "xml") {
		t.Fatalf("got %v, want an error that names the format", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestReportThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, format := range Formats {
		if err := sample().Write(fullDisk{}, format); err == nil {
			t.Errorf("%s: got no error", format)
		}
	}
}
