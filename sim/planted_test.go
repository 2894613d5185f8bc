package sim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A planted bug is a patch in the directory planted: a few lines of head that say what it is, and a
// diff of at most maxChangedLines lines. It is applied to copies, which the compiler takes in place of
// the sources (-overlay): there is nothing in the product for it. What catches it is the ordinary
// test of ordinary seeds, which are fresh each time.

var (
	planted       = flag.String("planted", "", "plant this many bugs chosen at random, or all, or the one with this name")
	plantedTimes  = flag.Int("planted.times", 1, "how often to plant each")
	plantedShrink = flag.String("planted.shrink", "", "shrink what catches a planted bug, and write the script into this directory")
	plantedSeeds  = flag.Int("planted.seeds", 3000, "after how many seeds a planted bug has survived")
)

const maxChangedLines = 10

// plant is one planted bug.
type plant struct {
	name  string
	head  map[string]string // What, Class, From, Caught by
	files map[string][]hunk // by path from the root of the module
	lines int               // changed
}

// hunk replaces some lines of a file by others.
type hunk struct{ old, new string }

func TestPlantedBugs(t *testing.T) {
	all := readPlants(t)
	if *planted == "" { // they must be ready to be planted
		for _, p := range all {
			t.Run(p.name, func(t *testing.T) { p.overlay(t, t.TempDir()) })
		}
		return
	}
	run := (*plant).plantAndRun
	if *plantedNet == "wal" {
		run = (*plant).plantInLog
		all = slices.DeleteFunc(all, func(p *plant) bool { return !p.isIn("wal/") })
	}
	chosen := choosePlants(t, all)
	var report []string
	for _, p := range chosen {
		for range *plantedTimes {
			line, caught := run(p, t)
			if !caught {
				t.Error(line)
			}
			t.Log(line)
			report = append(report, line)
		}
	}
	t.Logf("%d planted\n%s", len(report), strings.Join(report, "\n"))
}

// choosePlants chooses as the flag says.
func choosePlants(t *testing.T, all []*plant) []*plant {
	t.Helper()
	n, err := strconv.Atoi(*planted)
	switch {
	case *planted == "all":
		return all
	case err == nil:
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all[:min(n, len(all))]
	}
	i := slices.IndexFunc(all, func(p *plant) bool { return p.name == *planted })
	if i < 0 {
		t.Fatalf("there is no planted bug %q", *planted)
	}
	return all[i : i+1]
}

// readPlants reads all patches.
func readPlants(t *testing.T) []*plant {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("planted", "*.patch"))
	if err != nil || len(names) < 16 {
		t.Fatalf("%d patches: %v", len(names), err)
	}
	var all []*plant
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePlant(string(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.name = strings.TrimSuffix(filepath.Base(name), ".patch")
		all = append(all, p)
	}
	return all
}

// parsePlant reads a patch: its head, and then a diff as git makes it.
func parsePlant(text string) (*plant, error) {
	p := &plant{head: map[string]string{}, files: map[string][]hunk{}}
	head, diff, _ := strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		p.head[key] = value
	}
	for _, key := range []string{"What", "Class", "From", "Caught by"} {
		if p.head[key] == "" {
			return nil, fmt.Errorf("the head does not say %q", key)
		}
	}
	file := ""
	for line := range strings.Lines(diff) {
		hunks := p.files[file]
		switch {
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+++ b/"):
			file = strings.TrimSpace(line[len("+++ b/"):])
		case strings.HasPrefix(line, "@@"):
			p.files[file] = append(hunks, hunk{})
		case len(hunks) == 0:
			return nil, fmt.Errorf("a line before any hunk: %q", line)
		default:
			last := &hunks[len(hunks)-1]
			if line[0] != '+' {
				last.old += line[1:]
			}
			if line[0] != '-' {
				last.new += line[1:]
			}
			if line[0] != ' ' {
				p.lines++
			}
		}
	}
	if p.lines == 0 || p.lines > maxChangedLines {
		return nil, fmt.Errorf("%d lines are changed, must be 1 to %d", p.lines, maxChangedLines)
	}
	return p, nil
}

// overlay writes the patched files, and the list of them for the compiler.
func (p *plant) overlay(t *testing.T, dir string) string {
	t.Helper()
	replace := map[string]string{}
	for file, hunks := range p.files {
		source, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		patched, err := patch(string(text), hunks)
		if err != nil {
			t.Fatalf("planted bug %s does not apply to %s any more: %v", p.name, file, err)
		}
		replace[source] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[source], []byte(patched), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// patch applies hunks. They are found by their lines, which must be there exactly once, wherever that is.
func patch(text string, hunks []hunk) (string, error) {
	for _, h := range hunks {
		if n := strings.Count(text, h.old); n != 1 {
			return "", fmt.Errorf("these lines are there %d times:\n%s", n, h.old)
		}
		text = strings.Replace(text, h.old, h.new, 1)
	}
	return text, nil
}

// found is what the test of the seeds prints about a failure.
var found = regexp.MustCompile(`seed (\d+): at ([^:]+): ([A-Z]\d+): (.{0,90})`)

// plantAndRun builds the test of the seeds with the bug in it, and runs fresh seeds until one fails.
func (p *plant) plantAndRun(t *testing.T) (line string, caught bool) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "planted.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "-overlay", p.overlay(t, dir), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with %s: %v\n%s", p.name, err, out)
	}
	from := rand.Uint64N(1 << 48)
	var out bytes.Buffer
	run := exec.Command(binary, "-test.run", "^TestThousandSeeds$", "-test.timeout", "20m", "-test.v",
		"-sim.from", fmt.Sprint(from), "-sim.seeds", fmt.Sprint(*plantedSeeds), "-sim.stop", fmt.Sprintf("-sim.shrink=%v", *plantedShrink != ""))
	run.Stdout, run.Stderr = &out, &out
	err := run.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("run %s: %v", p.name, err)
	}
	cpu := (run.ProcessState.UserTime() + run.ProcessState.SystemTime()).Round(time.Millisecond)
	by := found.FindStringSubmatch(out.String())
	if err == nil || by == nil {
		return fmt.Sprintf("%-28s %-12s SURVIVED %d seeds from %d on, %8.2f s of CPU\n%s", p.name, p.head["Class"],
			*plantedSeeds, from, cpu.Seconds(), tail(out.String())), false
	}
	shrunk := p.corpusShows(t, binary)
	if *plantedShrink != "" {
		shrunk += p.keepScript(t, out.String())
	}
	return fmt.Sprintf("%-28s %-12s caught by %-3s after %8.2f s of CPU, seed %s at %s: %s", p.name, p.head["Class"],
		by[3], cpu.Seconds(), by[1], by[2], by[4]) + shrunk, true
}

// corpusShows says whether the bug's script in the corpus still shows it, if there is one.
func (p *plant) corpusShows(t *testing.T, binary string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join("testdata", "corpus", p.name+".txt")); err != nil {
		return ""
	}
	out, err := exec.Command(binary, "-test.run", "^TestCorpusStaysRight$/^"+p.name+"$").CombinedOutput()
	if by := found.FindStringSubmatch(string(out)); err != nil && by != nil {
		return "\nits script in the corpus shows it: " + by[3]
	}
	return "\nits script in the corpus shows it no more"
}

// keepScript writes down the script to which the failing world was shrunk, and says how far that was.
func (p *plant) keepScript(t *testing.T, out string) string {
	t.Helper()
	script := shrunkTo.FindStringSubmatch(out)
	if script == nil {
		return "\nnot shrunk: " + tail(out)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Planted: %s\n# What: %s\n", p.name, p.head["What"])
	for line := range strings.Lines(script[2]) {
		text.WriteString(strings.TrimSpace(line) + "\n")
	}
	if err := os.WriteFile(filepath.Join(*plantedShrink, p.name+".txt"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return "\n" + script[1]
}

// shrunkTo is what the test of the seeds prints about the world that is left.
var shrunkTo = regexp.MustCompile(`(?s)(shrunk in .*?)\s+--- script\n(.*?)\s+--- end`)

// tail returns the end of a long text.
func tail(s string) string { return s[max(0, len(s)-2000):] }

func TestPatchRefusesWhatDoesNotFit(t *testing.T) {
	hunks := []hunk{{old: "b\n", new: "x\n"}}
	if got, err := patch("a\nb\nc\n", hunks); err != nil || got != "a\nx\nc\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"a\nc\n", "b\nb\n"} {
		if _, err := patch(text, hunks); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
	head := "What: a\nClass: b\nFrom: c\nCaught by: d\n\n"
	for name, text := range map[string]string{
		"no head":    "--- a/x\n+++ b/x\n@@\n-a\n",
		"no change":  head + "--- a/x\n+++ b/x\n@@\n a\n",
		"too large":  head + "--- a/x\n+++ b/x\n@@\n" + strings.Repeat("-a\n", 11),
		"no hunk":    head + "--- a/x\n+++ b/x\n-a\n",
		"no file":    head + "-a\n",
		"empty head": "What: \nClass: b\nFrom: c\nCaught by: d\n\n--- a/x\n+++ b/x\n@@\n-a\n",
	} {
		if _, err := parsePlant(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
