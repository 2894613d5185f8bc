package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProcessUnreadableStateIsHealedByTheOthers: a disk refuses to read one table of a server's state, at every start. The
// server ends, says why, and has the state from the others at the next start, without a hand but one that starts it.
func TestProcessUnreadableStateIsHealedByTheOthers(t *testing.T) {
	if out, err := exec.Command("strace", "-D", "-f", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		lacking(t, "strace", fmt.Errorf("%w %s", err, out), "nothing stands in for a disk that does not read, so this is not shown")
		return
	}
	servers := startServers(t, 3, soon...)
	hurt, other := servers[0], servers[1]
	for i := range 6 { // each start leaves a table, so that the last one's name is not one that the new state has
		fill(t, other, 1000*i, 300)
		waitCaughtUp(t, hurt, other)
		hurt.terminate(t)
		if i < 5 {
			hurt.start(t)
			hurt.waitServing(t)
		}
	}
	tables, err := filepath.Glob(filepath.Join(hurt.dir, "state", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	table := tables[len(tables)-1]
	hurt.wrapper = []string{"strace", "-D", "-f", "-qq", "-o", os.DevNull, "-P", table,
		"-e", "trace=pread64,read", "-e", "inject=pread64,read:error=EIO"}
	hurt.start(t)
	said, ends := "", 0
	for {
		conn, served := hurt.waitServingOrGone(t)
		whole := false
		if served {
			hurt.open(conn, false)
			eventually(t, "it holds what the others do, or ends", func() error {
				select {
				case <-hurt.gone:
					return nil
				default:
				}
				err := sameHash(t, hurt, other)
				whole = err == nil
				return err
			})
		}
		if whole {
			break
		}
		status, last := hurt.waitEnd(t)
		said += last
		if ends++; ends > 2 || status != exitFatal && (served || status != exitFailed) {
			t.Fatalf("end %d with status %d: %s", ends, status, tail(said, 3000))
		}
		hurt.start(t)
	}
	said += hurt.log.String()
	for _, want := range []string{"the disk does not read " + table, "now and when this server ran last", "set aside"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, tail(said, 3000))
		}
	}
	eventually(t, "what was set aside is removed", func() error {
		if _, err := os.Stat(filepath.Join(hurt.dir, "state.damaged")); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("state.damaged: %v", err)
		}
		return nil
	})
	expectSameHashes(t, servers)
}
