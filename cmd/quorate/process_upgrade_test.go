package main

import (
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var processPrevious = flag.String("process.previous", "", "the program from which the test of upgrades upgrades; default: it is built from the commit before")

// TestProcessRollingUpgrade runs a cluster of the commit before's build, and replaces one program after the other under
// load, those of leaders among them; servers of both builds work together meanwhile. Then one goes back and forth once
// more. Nothing is lost, and everything is linearizable.
func TestProcessRollingUpgrade(t *testing.T) {
	previous := *processPrevious
	if previous == "" {
		previous = previousBinary(t)
	}
	servers := newServers(t, 3, quick...)
	for _, s := range servers {
		s.program = previous
	}
	startAll(t, servers)
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	l := startLoad(t, servers, seed, mixedOperation)
	change := func(s *serverProcess, program string) {
		t.Helper()
		l.waitProgress(t, 150)
		s.terminate(t)
		s.program = program
		s.start(t)
		s.waitServing(t)
		waitCaughtUp(t, s, waitLeader(t, servers))
	}
	leader := waitLeader(t, servers)
	for _, s := range append(others(servers, leader), leader) {
		change(s, "")
	}
	change(servers[1], previous)
	change(servers[1], "")
	l.waitProgress(t, 150)
	l.expectLinearizable(t)
	waitCaughtUp(t, servers[1], servers[0])
	expectSameHashes(t, servers)
}

// previousBinary builds the program as it was one commit ago. Where there is no history (a shallow clone), it is the
// one under test: then this test is of rolling restarts.
func previousBinary(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	file, err := buildPrevious(source)
	if err != nil {
		t.Logf("there is no build of the commit before, and it is upgraded from this one: %v", err)
		return ""
	}
	return file
}

func buildPrevious(dir string) (string, error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("no repository: %w", err)
	}
	top := strings.TrimSpace(string(root))
	if err := exec.Command("git", "-C", top, "rev-parse", "--verify", "--quiet", "HEAD~1").Run(); err != nil {
		return "", errors.New("no commit before this one is known")
	}
	archive := filepath.Join(dir, "previous.tar")
	for _, command := range []*exec.Cmd{
		exec.Command("git", "-C", top, "archive", "--output", archive, "HEAD~1"),
		exec.Command("tar", "-x", "-f", archive, "-C", dir),
	} {
		if out, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", command.Args, err, out)
		}
	}
	file := filepath.Join(dir, "quorate-previous")
	build := exec.Command("go", "build", "-trimpath", "-o", file, "./cmd/quorate")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	return file, nil
}
