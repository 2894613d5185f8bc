package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// started returns a cluster of servers that run a script each.
func started(t *testing.T, script string) *Cluster {
	t.Helper()
	c := &Cluster{subject: shell(script), dir: t.TempDir(), joined: Servers}
	for i := range threeAddresses {
		server, err := startServer(c.subject, i, c.dir, threeAddresses)
		if err != nil {
			t.Fatal(err)
		}
		c.Servers = append(c.Servers, server)
	}
	t.Cleanup(c.Close)
	return c
}

func TestServerThatWeEndDoesNotEndTheContextAndOneThatIsStartedAgainDoes(t *testing.T) {
	// The second time that a server starts, it ends by itself once it is told.
	c := started(t, `echo started; if test -e "$0".again; then read line < "$0".again; exit 7; fi; exec sleep 600`)
	ctx, cancel := c.WhileAlive(t.Context())
	defer cancel()
	for i := range c.Servers {
		awaitLog(t, c.Servers[i], "started")
		c.Kill(i)
	}
	if ctx.Err() != nil {
		t.Fatalf("the context ended with %v", context.Cause(ctx))
	}
	fifo(t, filepath.Join(c.dir, "sh.again"))
	old := c.Servers[1].PID
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	if c.Servers[1].PID == old {
		t.Fatal("it is the same process")
	}
	if err := os.WriteFile(filepath.Join(c.dir, "sh.again"), []byte("end\n"), 0); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !strings.Contains(cause.Error(), "n1 ended by itself: exit status 7") {
		t.Fatalf("got %v, want the end of n1", cause)
	}
	if got := strings.Count(c.Servers[1].logTail(), "started"); got != 2 {
		t.Errorf("its log has %d starts, want both", got)
	}
}

func TestServerThatRunsIsNotStartedAgain(t *testing.T) {
	c := started(t, "exec sleep 600")
	if err := c.Restart(0); err == nil || !strings.Contains(err.Error(), "still runs") {
		t.Fatalf("got %v, want that it still runs", err)
	}
}

func TestTerminateWaitsForTheEndAndSaysIfThereIsNone(t *testing.T) {
	c := started(t, "exec sleep 600")
	if err := c.Terminate(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	<-c.Servers[2].ended // else this hangs
	if c.endedCPU != 0 {
		t.Errorf("CPU time of a process that nothing has replaced: %v", c.endedCPU)
	}

	stubborn := started(t, "trap '' TERM; echo deaf; exec sleep 600")
	awaitLog(t, stubborn.Servers[0], "deaf")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("enough"))
	if err := stubborn.Terminate(ctx, 0); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatalf("got %v, want that we had enough", err)
	}
}

func TestPausedServerIsStoppedUntilItIsResumed(t *testing.T) {
	c := started(t, "exec sleep 600")
	if err := c.Pause(0); err != nil {
		t.Fatal(err)
	}
	awaitState(t, c.Servers[0], "T")
	if err := c.Resume(0); err != nil {
		t.Fatal(err)
	}
	awaitState(t, c.Servers[0], "S")
	if err := c.Pause(0); err != nil {
		t.Fatal(err)
	}
	c.Kill(0) // also of one that is paused
	if err := c.Resume(0); err == nil {
		t.Fatal("a server that is gone was resumed")
	}
}

// awaitState waits until the state of a process is the letter that /proc has for it.
func awaitState(t *testing.T, server *Server, want string) {
	t.Helper()
	await(t, func() (string, bool) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server.PID))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		return rest, strings.HasPrefix(rest, want)
	})
}

func awaitLog(t *testing.T, server *Server, want string) {
	t.Helper()
	await(t, func() (string, bool) { log := server.logTail(); return log, strings.Contains(log, want) })
}

// await asks until it is so, within bounds that are wide for any machine.
func await(t *testing.T, isSo func() (string, bool)) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		got, so := isSo()
		if so {
			return
		}
		select {
		case <-limit:
			t.Fatalf("last: %s", got)
		case <-time.After(time.Millisecond):
		}
	}
}

func fifo(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
}
