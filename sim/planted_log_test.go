package sim_test

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var plantedNet = flag.String("planted.net", "sim", "what must catch them: sim, or wal, the crash enumerator, for those in the log alone")

// isIn reports whether all that a planted bug changes is in a directory.
func (p *plant) isIn(dir string) bool {
	for file := range p.files { //tidy:ordered the answer does not depend on the order
		if !strings.HasPrefix(file, dir) {
			return false
		}
	}
	return true
}

// foundInLog is what the crash enumerator prints about a failure.
var foundInLog = regexp.MustCompile(`crash_test.go:\d+: (.{0,150})`)

// plantInLog builds the tests of the log with the bug in it, and runs the crash enumerator, and the few
// crashes that are drawn, with garbage where nothing was synced. It shows that these are no weaker than
// the simulator where both can see.
func (p *plant) plantInLog(t *testing.T) (line string, caught bool) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "planted.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "-overlay", p.overlay(t, dir), "../wal")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with %s: %v\n%s", p.name, err, out)
	}
	run := exec.Command(binary, "-test.run", "^TestNoCrashLosesOrInventsAnything", "-test.failfast", "-test.timeout", "10m")
	out, err := run.CombinedOutput()
	cpu := run.ProcessState.UserTime() + run.ProcessState.SystemTime()
	by := foundInLog.FindSubmatch(out)
	if err == nil || by == nil {
		return fmt.Sprintf("%-28s %-12s SURVIVED the crash enumerator, %8.2f s of CPU, %v\n%s", p.name, p.head["Class"],
			cpu.Seconds(), err, tail(string(out))), false
	}
	return fmt.Sprintf("%-28s %-12s caught by wal after %8.2f s of CPU: %s", p.name, p.head["Class"], cpu.Seconds(), by[1]), true
}
