package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	status := m.Run()
	removeBinary()
	os.Exit(status)
}

// result is what a command said.
type result struct {
	status   int
	out, err string
}

// runWith runs a command in this process.
func runWith(input string, environ []string, arguments ...string) result {
	var out, err bytes.Buffer
	w := &world{in: strings.NewReader(input), out: &out, err: &err, environ: environ}
	status := run(w, arguments)
	return result{status, out.String(), err.String()}
}

func runOf(arguments ...string) result { return runWith("", nil, arguments...) }

// expect checks an exit status, and that something is said.
func (r result) expect(t *testing.T, what string, status int, said string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.out+r.err, said) {
		t.Errorf("%s: exit status %d, want %d; %q should contain %q", what, r.status, status, r.out+r.err, said)
	}
}

var update = flag.Bool("update", false, "rewrite the golden files")
