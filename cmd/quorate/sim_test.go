package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSimGoesOnInItsLedger(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger.jsonl")
	run := func(more ...string) result {
		return runOf(append([]string{"sim", "--seconds", "1", "--ledger", ledger, "--commit", "abc"}, more...)...)
	}
	run("--seeds", "5", "--chunk", "2").expect(t, "first run", exitDone, "5 worlds in 3 chunks of 1 commits (0 of them repeated)")
	run("--seeds", "2").expect(t, "second run", exitDone, "7 worlds in 4 chunks of 1 commits (0 of them repeated)")
	run("--seeds", "3", "--from", "2").expect(t, "the same again", exitDone, "10 worlds in 5 chunks of 1 commits (3 of them repeated)")
	run("--summary").expect(t, "summary", exitDone, "0 findings")
	run("--summary", "--output", "json").expect(t, "summary in JSON", exitDone, `"Worlds":10`)
	text, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, from := range []string{`"from":1,"seeds":2`, `"from":3,"seeds":2`, `"from":5,"seeds":1`, `"from":6,"seeds":2`, `"from":2,"seeds":3`} {
		if !strings.Contains(lines[i], from) || !strings.Contains(lines[i], `"commit":"abc"`) {
			t.Errorf("line %d is %s, want %s", i+1, lines[i], from)
		}
	}
}

func TestSimSaysWhichFlagsDoNotFit(t *testing.T) {
	for said, flags := range map[string]string{
		"exclude each other":        "--seed 1 --twice",
		"--seed is one world":       "--seed 1 --seeds 4",
		"--shrink needs a":          "--shrink",
		"--script is where":         "--seed 1 --script x",
		"--runs is 0":               "--seed 1 --shrink --runs 0",
		"--summary needs a":         "--summary",
		"--chunk is 0":              "--ledger x --chunk 0",
		"--stop does not go with":   "--ledger x --stop",
		"--from auto needs a":       "--from auto",
		"must be a number or auto":  "--from x",
		"Simulated is":              "--seconds -1",
		"Count is -1":               "--seeds -1",
		"takes no words":            "word",
		"output":                    "--output nonsense",
		"Workers is -2, must not b": "--workers -2",
	} {
		runOf(append([]string{"sim"}, strings.Fields(flags)...)...).expect(t, flags, exitUsage, said)
	}
}

func TestProcessSimIsTheSameWithAnyNumberOfThreads(t *testing.T) {
	out, err := exec.Command(binary(t), "sim", "--twice", "--from", "77", "--seeds", "10", "--seconds", "3").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "10 of 10 worlds are the same") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestSimReplaysAScript(t *testing.T) {
	name := filepath.Join(t.TempDir(), "script.txt")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# A story of old.\nseed 7\nsimulated 1s\ncheck C2\nplan.servers = 2\nplan.clients = 0\n")
	r := runOf("sim", "--replay", name)
	for _, want := range []string{"# A story of old.", "3 servers, 1 clients", "is asked: request 1,", "once failed C2"} {
		r.expect(t, "replay", exitDone, want)
	}
	write("nonsense\n")
	runOf("sim", "--replay", name).expect(t, "no script", exitUsage, "line 1 of the script")
	runOf("sim", "--replay", name+"x").expect(t, "no file", exitUsage, "read the script")
	runOf("sim", "--seed", "7", "--seconds", "1", "--shrink").expect(t, "a world that is right", exitFailed, "nothing is wrong in this world")
}
