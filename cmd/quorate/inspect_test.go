package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/ops"
)

// TestProcessInspectShowsAServerThatIsStopped: refused while it runs, shown after it was killed, and with
// what is wrong once something is.
func TestProcessInspectShowsAServerThatIsStopped(t *testing.T) {
	server := startServers(t, 1, quick...)[0]
	w := newOnceWrites()
	l := startLoad(t, []*serverProcess{server}, 1, w.put)
	l.waitProgress(t, 30)
	runOf("inspect", server.dir).expect(t, "while it runs", exitFailed, "a server runs on it: stop it first")
	l.finish(t)
	server.kill(t)
	runOf("inspect", server.dir).expect(t, "a killed server", exitDone, "nothing is wrong")
	runOf("inspect", "--verify", server.dir).expect(t, "all of it", exitDone, "Everything was read, and nothing is wrong.")
	r := runOf("inspect", "--verify", "--output", "json", server.dir)
	var report ops.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || !report.Verified || len(report.Log.Groups) != 1 || r.err != "" {
		t.Errorf("JSON: %v, %+v", err, r)
	}
	r = runOf("inspect", "--log", "1:5", server.dir)
	if lines := strings.Count(r.out, "\n"); r.status != exitDone || lines != 6 || !strings.Contains(r.out, "configuration") {
		t.Errorf("entries: %+v", r)
	}
	runOf("inspect", "--log", "3", "-w", "json", server.dir).expect(t, "one entry", exitDone, `{"index":3,"term":1,`)
	runOf("inspect", "--log", "999999:", server.dir).expect(t, "no entries", exitFailed, "has no such entries")
	name := filepath.Join(server.dir, "wal", "0000000000000001.seg")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[4096+30] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	runOf("inspect", server.dir).expect(t, "damaged", exitFailed, "WRONG "+name+", byte 4096: ")
	runOf("inspect", "-w", "simple", server.dir).expect(t, "damaged", exitFailed, name+", byte 4096: a header is damaged")
}

func TestInspectSaysWhatItWants(t *testing.T) {
	dir := t.TempDir()
	for said, words := range map[string][]string{
		"takes a data directory":           {},
		"inspect takes a data":             {dir, dir},
		"want FIRST:LAST":                  {"--log", "9:3", dir},
		"--values is about entries":        {"--values", dir},
		"one at a time":                    {"--log", "3:9", "--verify", dir},
		"there is no output format":        {"--output", "yaml", dir},
		"there is no flag --verfy; did yo": {"--verfy", dir},
	} {
		runOf(append([]string{"inspect"}, words...)...).expect(t, said, exitUsage, said)
	}
	runOf("inspect", dir).expect(t, "nothing there", exitFailed, "is it the directory that --data-dir names?")
}
