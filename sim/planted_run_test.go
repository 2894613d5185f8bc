package sim_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/ledger"
)

// outcome is what became of one bug that was planted once.
type outcome struct {
	Commit string `json:"commit"`
	Bug    string `json:"bug"`
	Class  string `json:"class"`
	Legal  bool   `json:"legal,omitempty"`
	Net    string `json:"net"`
	Caught bool   `json:"caught"`
	// Check is the check that caught it, of other nets than the simulator the test.
	Check string `json:"check,omitempty"`
	// Text is what it said; of a survivor, the end of what was printed.
	Text string `json:"text,omitempty"`
	// Of the simulator: which seed caught it, the how-manieth that was.
	Seed  uint64 `json:"seed,omitempty"`
	Seeds uint64 `json:"seeds,omitempty"`
	// Seconds of CPU, of the run alone and of the build before it.
	CPUSeconds   float64 `json:"cpu_seconds"`
	BuildSeconds float64 `json:"build_seconds"`

	printed string // all of it
}

func (o *outcome) String() string {
	return fmt.Sprintf("%-32s %-6s %9.2f s of CPU, seed %d: %s", o.Bug, o.Check, o.CPUSeconds, o.Seed, o.Text[:min(len(o.Text), 400)])
}

const (
	// simulator is the net that catches what no head says otherwise about.
	simulator = "./sim TestThousandSeeds"
	// crashEnumerator is that of -planted.net=wal, with the few crashes that are drawn.
	crashEnumerator = "./wal TestNoCrashLosesOrInventsAnything.*"
	// exploration is that of -planted.net=raft, with the stories that every change must pass.
	exploration = "./raft TestExplore"
)

// plantAndRun builds the net with the bug in it, and runs it as often as the flag says, each time with
// fresh seeds, until the first failure.
func (p *plant) plantAndRun(dir string) (outcomes []outcome, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	words := strings.Fields(cmp.Or(p.head["Net"], simulator))
	switch *inNet {
	case "wal":
		words = strings.Fields(crashEnumerator)
	case "raft":
		words = strings.Fields(exploration)
	}
	overlay, err := p.overlay(dir)
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "planted.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "-ldflags", "-s -w", "-overlay", overlay, words[0])
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	defer os.Remove(binary) // they are large, and many
	for range *times {
		o := outcome{
			Commit: commit(), Bug: p.name, Class: p.head["Class"], Legal: p.isLegal(), Net: words[0] + " " + words[1],
			BuildSeconds: cpuSeconds(build.ProcessState),
		}
		if err := o.run(binary, words); err != nil {
			return outcomes, err
		}
		if err := p.keepScript(&o); err != nil {
			return outcomes, err
		}
		p.tryCorpus(&o, binary)
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// run runs the net once. The error is that of running it at all.
func (o *outcome) run(binary string, net []string) error {
	from := rand.Uint64N(1 << 48)
	args := []string{"-test.run", "^" + net[1] + "$", "-test.failfast", "-test.timeout", "30m"}
	for _, flag := range net[2:] {
		args = append(args, strings.ReplaceAll(flag, "SEED", fmt.Sprint(from)))
	}
	if o.Net == simulator {
		seeds := *most
		if o.Legal {
			seeds = *legal
		}
		args = append(args, "-sim.from", fmt.Sprint(from), "-sim.seeds", fmt.Sprint(seeds), "-sim.stop", fmt.Sprintf("-sim.shrink=%t", *shrunk != ""))
	}
	run := exec.Command(binary, args...)
	run.Dir = filepath.Join("..", net[0])
	run.Env = append(os.Environ(), "GOMAXPROCS=1") // others run beside it
	out, err := run.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return err
	}
	o.CPUSeconds = cpuSeconds(run.ProcessState)
	o.Text, o.printed = tail(string(out)), string(out)
	if err == nil {
		return nil
	}
	return o.found(string(out), from)
}

var (
	// foundInSeed is what the simulator prints about a failure.
	foundInSeed = regexp.MustCompile(`seed (\d+): at [^:]+: ([A-Z]\d+): (.*)`)
	// foundByTest is what any other test prints first.
	foundByTest = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: (.*)|^panic: (.*)`)
)

// found reads from what a failed net has printed what it has found.
func (o *outcome) found(out string, from uint64) error {
	if m := foundInSeed.FindStringSubmatch(out); o.Net == simulator && m != nil {
		seed, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			return err
		}
		o.Caught, o.Check, o.Text, o.Seed, o.Seeds = true, m[2], m[3], seed, seed-from+1
		return nil
	}
	m := foundByTest.FindStringSubmatch(out)
	if o.Net == simulator || m == nil || strings.HasPrefix(m[2], "test timed out") {
		return fmt.Errorf("%s fails, and does not say why:\n%s", o.Net, tail(out))
	}
	_, test, _ := strings.Cut(o.Net, " ")
	o.Caught, o.Check, o.Text = true, test, m[1]+m[2]
	return nil
}

// shrunkTo is what the test of the seeds prints about the world that is left.
var shrunkTo = regexp.MustCompile(`(?s)(shrunk in .*?)\s+--- script\n(.*?)\s+--- end`)

// keepScript writes down the script to which the failing world was shrunk, if the flag says where.
func (p *plant) keepScript(o *outcome) error {
	if *shrunk == "" || !o.Caught || o.Net != simulator {
		return nil
	}
	script := shrunkTo.FindStringSubmatch(o.printed)
	if script == nil {
		return fmt.Errorf("not shrunk: %s", tail(o.printed))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Planted: %s\n# What: %s\n", p.name, p.head["What"])
	for line := range strings.Lines(script[2]) {
		text.WriteString(strings.TrimSpace(line) + "\n")
	}
	o.Text += "\n" + script[1]
	return os.WriteFile(filepath.Join(*shrunk, p.name+".txt"), []byte(text.String()), 0o644)
}

// tryCorpus says whether the bug's script in the corpus still shows it, if there is one.
func (p *plant) tryCorpus(o *outcome, binary string) {
	if _, err := os.Stat(filepath.Join("testdata", "corpus", p.name+".txt")); err != nil || !o.Caught || o.Net != simulator {
		return
	}
	out, err := exec.Command(binary, "-test.run", "^TestCorpusStaysRight$/^"+p.name+"$").CombinedOutput()
	if m := foundInSeed.FindSubmatch(out); err != nil && m != nil {
		o.Text += "\nits script in the corpus shows it: " + string(m[2])
	} else {
		o.Text += "\nits script in the corpus shows it no more"
	}
}

// cpuSeconds returns how long a process and its children had a processor.
func cpuSeconds(s *os.ProcessState) float64 {
	return (s.UserTime() + s.SystemTime()).Round(time.Millisecond).Seconds()
}

// tail returns the end of a long text.
func tail(s string) string { return s[max(0, len(s)-2000):] }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// commit names the version that the bugs are planted in, and says if it was changed since.
var commit = sync.OnceValue(func() string {
	git := func(args ...string) string {
		out, err := exec.Command("git", args...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	name := git("rev-parse", "--short=12", "HEAD")
	if name != "" && git("status", "--porcelain", "--untracked-files=no") != "" {
		name += "+"
	}
	return name
})

// appendLedger appends outcomes to a file, one line of JSON each; with no name it does nothing. What a
// survivor has printed is left out.
func appendLedger(name string, outcomes []outcome) error {
	lines := make([]any, len(outcomes))
	for i, o := range outcomes {
		if o.Text = firstLine(o.Text); !o.Caught {
			o.Text = ""
		}
		lines[i] = &o
	}
	return ledger.Append(name, lines...)
}

func TestOutcomeIsReadFromWhatANetPrints(t *testing.T) {
	const seeds = "--- FAIL: TestThousandSeeds (0.10s)\n    sim_test.go:37: seed 107: at 1.5s: C9: server 1 lies\n        replay: quorate\n"
	const walk = "--- FAIL: TestRandomWalk (0.01s)\n    walk_test.go:49: two leaders\n        after\nFAIL\n"
	for _, c := range []struct {
		net, out    string
		check, text string
		seeds       uint64
	}{
		{simulator, seeds, "C9", "server 1 lies", 8},
		{"./raft TestRandomWalk", walk, "TestRandomWalk", "two leaders", 0},
		{"./wal TestX", "panic: index out of range\n", "TestX", "index out of range", 0},
		{simulator, "panic: index out of range\n", "", "", 0},
		{"./wal TestX", "panic: test timed out after 1s\n", "", "", 0},
		{"./wal TestX", "exit status 2\n", "", "", 0},
	} {
		o := outcome{Net: c.net}
		err := o.found(c.out, 100)
		if o.Check != c.check || o.Text != c.text || o.Seeds != c.seeds || o.Caught != (c.check != "") || (err == nil) != o.Caught {
			t.Errorf("%q: got %+v, %v", c.out, o, err)
		}
	}
}
