package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/hist"
	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/proc"
	"github.com/quorate/quorate/bench/internal/raw"
	"github.com/quorate/quorate/bench/internal/report"
)

func TestFlagsReportEverythingWrongAtOnce(t *testing.T) {
	_, err := parse([]string{"-clients", "1,0", "-target", "moon", "-rounds", "0", "-format", "xml",
		"-scenario", "put,pat", "-window", "1ms", "-etcd", "0", "extra"}, io.Discard)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"-clients", "-target", "-rounds", "-format", `"pat"`, "-window", "nothing to measure", "extra"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in:\n%v", want, err)
		}
	}
}

func TestHelpSaysWhatEveryScenarioIs(t *testing.T) {
	var help strings.Builder
	if _, err := parse([]string{"-help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("got %v", err)
	}
	for _, s := range scenarios() {
		if s.what == "" || !strings.Contains(help.String(), fmt.Sprintf("  %-18s %s\n", s.asked(), s.what)) {
			t.Errorf("nothing of %s, %q, in:\n%s", s.asked(), s.what, help.String())
		}
	}
}

func TestPathsBecomeAbsoluteBecauseServersRunElsewhere(t *testing.T) {
	o, err := parse([]string{"-quorate", "a", "-quorate", "b", "-dir", "d", "-profile", "p"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(o.quorate, o.dir, o.profile) {
		if !filepath.IsAbs(path) {
			t.Errorf("%q is not absolute", path)
		}
	}
}

func TestScenarioHasASizeOfItsOwnOrTheOneAskedFor(t *testing.T) {
	for asked, want := range map[string]int{"watchers": 1000, "watchers:100": 100, "unread:0": 0, "put": 0} {
		s, err := findScenario(asked)
		if err != nil || s.size != want {
			t.Errorf("%s: got %+v, %v; want size %d", asked, s, err, want)
		}
	}
	for _, asked := range []string{"watchers:", "watchers:-1", "watchers:1000000000", "watchers:x", "put:1", "watch", ""} {
		if s, err := findScenario(asked); err == nil {
			t.Errorf("%q: got %+v, want an error", asked, s)
		}
	}
}

func TestWatcherThatMissesARevisionIsFound(t *testing.T) {
	s := &watchStream{}
	take := func(complete bool, a raw.Answer) error { return s.take(&a, complete, true) }
	for id := range int64(2) {
		if err := take(true, raw.Answer{Created: true, ID: id, Revision: 10}); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		complete bool
		answer   raw.Answer
		ok       bool
	}{
		{true, raw.Answer{ID: 0, Events: 2, First: 11, Last: 12}, true},
		{true, raw.Answer{ID: -1, Revision: 12}, true}, // progress
		{true, raw.Answer{ID: 0, Events: 1, First: 14, Last: 14}, false},
		{false, raw.Answer{ID: 0, Events: 1, First: 14, Last: 14}, true},
		{false, raw.Answer{ID: 0, Events: 1, First: 14, Last: 14}, false}, // again
		{true, raw.Answer{ID: 1, Events: 2, First: 11, Last: 13, Gaps: 1}, false},
		{true, raw.Answer{ID: 2, Events: 1, First: 11, Last: 11}, false}, // nobody's
		{true, raw.Answer{ID: 1, Canceled: true}, false},
		{true, raw.Answer{ID: 1, Created: true}, false}, // it is number 2
	}
	for i, step := range steps {
		if err := take(step.complete, step.answer); (err == nil) != step.ok {
			t.Errorf("step %d, %+v: got %v", i, step.answer, err)
		}
	}
	if s.events != 3 || s.delay.Count() != 2 {
		t.Errorf("counted %d events in %d responses, want 3 in 2", s.events, s.delay.Count())
	}
}

func TestSkipIsToldFromFailure(t *testing.T) {
	c := &comparison{options: &options{dir: t.TempDir()}, dir: filepath.Join(t.TempDir(), "gone"), progress: io.Discard}
	var r report.Run
	r.Scenario = "put"
	c.outcome(c.run(t.Context(), cluster.Subject{}, &r), &r)
	if r.Failure == "" || r.Skipped != "" {
		t.Errorf("a run without a directory: got %+v, want a failure", r)
	}
	r = report.Run{}
	c.outcome(fmt.Errorf("run: %w", skip{"there are no leases"}), &r)
	if r.Failure != "" || r.Skipped != "there are no leases" {
		t.Errorf("got %+v, want that it was skipped", r)
	}
}

func TestSubjectsTakeTurns(t *testing.T) {
	o := &options{rounds: 2, scenarios: []string{"put", "lrange"}, clients: []int{1, 64}, targets: []string{"leader", "follower"}}
	subjects := []cluster.Subject{{Name: "a"}, {Name: "b"}}
	runs := o.cases(subjects)
	if len(runs) != 32 {
		t.Fatalf("got %d runs, want 32", len(runs))
	}
	for i, r := range runs {
		if want := subjects[i%2].Name; r.Subject != want {
			t.Errorf("run %d is of %s, want %s", i, r.Subject, want)
		}
		partner, mate := runs[i-i%2].Case, r.Case
		partner.Subject, mate.Subject = "", ""
		if partner != mate || r.Round != i/16+1 {
			t.Errorf("run %d is %+v in round %d, beside %+v", i, mate, r.Round, partner)
		}
	}
}

func TestSubjectsOfAKindAreNumberedAndAllOfThemServeProfilesIfAsked(t *testing.T) {
	o := &options{quorate: []string{"/q", "/r"}, etcd: 2, etcdBinary: "/e", profile: "/p"}
	subjects, err := o.subjects(t.Context(), "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range subjects {
		names = append(names, s.Name)
		if got := s.Flags[len(s.Flags)-1]; got != profileFlag {
			t.Errorf("%s: last flag is %s", s.Name, got)
		}
	}
	if want := []string{"quorate", "quorate2", "etcd", "etcd2"}; !slices.Equal(names, want) {
		t.Fatalf("got %v, want %v", names, want)
	}
}

func TestConnectionsAreDealtToTheLeaderFirst(t *testing.T) {
	servers := []*cluster.Server{{URL: "http://a"}, {URL: "http://b"}, {URL: "http://c"}}
	tests := []struct {
		target string
		want   []string
	}{
		{"leader", []string{"http://b"}},
		{"follower", []string{"http://c"}},
		{"all", []string{"http://b", "http://a", "http://c"}},
	}
	for _, test := range tests {
		b := &bed{target: test.target, cluster: &cluster.Cluster{Servers: servers, Leader: 1}}
		if got := b.targets(); !slices.Equal(got, test.want) {
			t.Errorf("-target %s: got %v, want %v", test.target, got, test.want)
		}
	}
}

func TestClientsShareConnectionsAboveSixteen(t *testing.T) {
	servers := []*cluster.Server{{URL: "http://127.0.0.1:1"}}
	b := &bed{target: "leader", cluster: &cluster.Cluster{Servers: servers}}
	for _, test := range []struct{ clients, want int }{{1, 1}, {16, 16}, {17, 16}, {256, 16}} {
		connections, err := b.connect(test.clients)
		if err != nil {
			t.Fatal(err)
		}
		if len(connections) != test.want {
			t.Errorf("%d clients have %d connections, want %d", test.clients, len(connections), test.want)
		}
		closeAll(connections)
	}
}

func TestKeysAndValuesHaveTheSizeAskedForAndDependOnTheSeedOnly(t *testing.T) {
	make := func() *bed {
		b := &bed{options: &options{keys: maxKeys, valueBytes: 300}}
		b.fill()
		return b
	}
	a, b := make(), make()
	chanceA, chanceB := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		key, value := a.key(chanceA), a.value(chanceA)
		if len(key) != 8 || len(value) != 300 {
			t.Fatalf("key %q and a value of %d bytes, want 8 and 300", key, len(value))
		}
		if key != b.key(chanceB) || value != b.value(chanceB) {
			t.Fatal("the same seed gave another key or value")
		}
	}
}

func TestCostIsTheDifferenceBetweenTwoSamples(t *testing.T) {
	second := time.Second
	from := usage{leader: 10 * second, followers: 20 * second, client: second, machine: proc.Machine{Busy: 100 * second, Steal: second}}
	to := usage{leader: 12 * second, followers: 21 * second, client: 2 * second, machine: proc.Machine{Busy: 105 * second, Steal: 2 * second}}
	var r report.Run
	fill(&r, load.Result{Ops: 7, Window: 4 * second, Latency: &hist.Histogram{}}, from, to)
	want := report.Run{Seconds: 4, Ops: 7, LeaderCPUSeconds: 2, FollowersCPUSeconds: 1, ClientCPUSeconds: 1,
		StealCPUs: 0.25, OtherCPUs: 0.25} // busy for 5 s, of which 4 s are ours
	if !reflect.DeepEqual(r, want) {
		t.Fatalf("got %+v\nwant %+v", r, want)
	}
}

func TestWhatServersUsedThatWereReplacedIsNotOtherUse(t *testing.T) {
	second := time.Second
	r := report.Run{Seconds: 4}
	from := total{ours: 10 * second, machine: proc.Machine{Busy: 100 * second, Steal: second}}
	from.fill(&r, total{ours: 13 * second, machine: proc.Machine{Busy: 105 * second, Steal: 3 * second}})
	if r.OtherCPUs != 0.5 || r.StealCPUs != 0.5 {
		t.Errorf("got other %v and steal %v, want 0.5 of either", r.OtherCPUs, r.StealCPUs)
	}
	from.fill(&r, total{ours: 16 * second, machine: proc.Machine{Busy: 105 * second, Steal: second}})
	if r.OtherCPUs != 0 {
		t.Errorf("got other %v, want 0 and nothing below", r.OtherCPUs)
	}
}

func TestAllServersAreGivenTheSameTimeouts(t *testing.T) {
	o, err := parse([]string{"-quorate", "/q", "-etcd-binary", "/e", "-heartbeat", "20ms", "-election", "100ms"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := o.subjects(t.Context(), "", io.Discard)
	if err != nil || len(subjects) != 2 {
		t.Fatalf("got %d subjects, %v", len(subjects), err)
	}
	for _, s := range subjects {
		if got := strings.Join(s.Flags, " "); !strings.HasSuffix(got, "--heartbeat-interval=20 --election-timeout=100") {
			t.Errorf("%s has the flags %s", s.Name, got)
		}
	}
}

func TestFlagsOfFailuresHaveBounds(t *testing.T) {
	for _, words := range []string{"-rate -1", "-rate NaN", "-rate 1e9", "-timeout 1ms", "-timeout 1h", "-heartbeat 20ms",
		"-election 100ms", "-heartbeat 20us -election 100ms", "-heartbeat -1ms -election 1s", "-target leader,moon"} {
		if _, err := parse(strings.Fields(words), io.Discard); err == nil {
			t.Errorf("%s: got no error", words)
		}
	}
	o, err := parse([]string{"-target", "leader,follower", "-rate", "500.5"}, io.Discard)
	if err != nil || !slices.Equal(o.targets, []string{"leader", "follower"}) || o.rate != 500.5 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestReportSaysHowOftenClientsPutWhileServersFail(t *testing.T) {
	o := &options{scenarios: []string{"put", "failover:3"}, timeout: 2 * time.Second, rate: 750}
	if got := strings.Join(o.sentences(), "\n"); !strings.Contains(got, "750 times a second") || !strings.Contains(got, "2s") {
		t.Errorf("got:\n%s", got)
	}
	o.scenarios = []string{"put"}
	if got := strings.Join(o.sentences(), "\n"); strings.Contains(got, "750") {
		t.Errorf("without failures, got:\n%s", got)
	}
}

func TestOtherUseIsNeverNegative(t *testing.T) {
	var r report.Run
	// The leader's tick was counted between the reading of the machine and its own.
	fill(&r, load.Result{Window: time.Second, Latency: &hist.Histogram{}}, usage{}, usage{leader: proc.Tick})
	if r.OtherCPUs != 0 {
		t.Fatalf("got %v, want 0", r.OtherCPUs)
	}
}

func TestProfileIsSavedUnderTheNameOfItsRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debug/pprof/profile" || r.URL.Query().Get("seconds") != "3" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, "a profile")
	}))
	defer server.Close()
	run := &report.Run{Case: report.Case{Scenario: "put", Clients: 64, Target: "all", Subject: "etcd"}, Round: 2}
	b := &bed{
		options: &options{window: 3500 * time.Millisecond},
		cluster: &cluster.Cluster{Servers: []*cluster.Server{{URL: server.URL}}},
		profile: profileFile(t.TempDir(), run),
		warn:    t.Errorf,
	}
	b.takeProfile(t.Context())
	if name := filepath.Base(b.profile); name != "put-64-all-etcd-round2.pprof" {
		t.Errorf("file name %s", name)
	}
	if got, err := os.ReadFile(b.profile); err != nil || string(got) != "a profile" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSubjectWithoutProfilesIsWarnedAboutAndLeavesNoFile(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	file := filepath.Join(t.TempDir(), "profile")
	err := download(context.Background(), server.URL, file)
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want 404", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file was left: %v", err)
	}
}

func TestMachineIsReadFromProc(t *testing.T) {
	const cpuinfo = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: Example 9\n\nprocessor\t: 1\nmodel\t\t: 7\n"
	if got, want := cpuModel([]byte(cpuinfo)), "Example 9, family 25, model 1"; got != want {
		t.Errorf("CPU: got %q, want %q", got, want)
	}
	if got := cpuModel([]byte("gibberish")); got != "unknown" {
		t.Errorf("CPU of gibberish: got %q", got)
	}
	if got := memoryBytes([]byte("MemTotal:       24106 kB\nMemFree: 1 kB\n")); got != 24106<<10 {
		t.Errorf("memory: got %d", got)
	}
}
