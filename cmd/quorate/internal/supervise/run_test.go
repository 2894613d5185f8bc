package supervise

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The children of these tests are this very program, told by a variable what to do.
const roleVariable = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "die":
		fmt.Fprintln(os.Stderr, "no space left")
		os.Exit(3)
	case "obey": // until SIGTERM
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		report(argument, "ready")
		<-told
		os.Exit(0)
	case "ignore": // SIGTERM
		signal.Ignore(syscall.SIGTERM)
		report(argument, "ready")
		select {}
	case "parent":
		superviseTwo(argument)
	case "orphan": // until standard input ends
		connection := report(argument, "ready")
		go func() { _, _ = io.Copy(connection, connection) }() // an echo, until the process ends
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// report connects to the test, which sees by it that a process lives.
func report(address, text string) net.Conn {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(connection, text)
	return connection
}

func superviseTwo(argument string) {
	address, dir, _ := strings.Cut(argument, " ")
	children := []Child{child(dir, "a", "orphan "+address), child(dir, "b", "orphan "+address)}
	Run(context.Background(), children, Options{}, make(chan Event, 10))
}

func child(dir, name, role string) Child {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Child{Name: name, Program: program, Environment: append(os.Environ(), roleVariable+"="+role),
		Log: filepath.Join(dir, name+".log")}
}

// run runs children until the test ends or stop is called, which waits.
func run(t *testing.T, options Options, children ...Child) (events chan Event, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events = make(chan Event, 100)
	go func() {
		defer close(events)
		Run(ctx, children, options, events)
	}()
	t.Cleanup(func() {
		cancel()
		for range events { // until Run has returned
		}
	})
	return events, cancel
}

// next returns the next event, which must be of type E.
func next[E Event](t *testing.T, events <-chan Event) E {
	t.Helper()
	e, open := <-events
	want, ok := e.(E)
	if !ok {
		t.Fatalf("got event %#v (open: %v), want a %T", e, open, want)
	}
	return want
}

func TestADeadChildIsStartedAgain(t *testing.T) {
	listener := listen(t)
	s1 := child(t.TempDir(), "s1", "obey "+listener.Addr().String())
	if err := os.WriteFile(s1.Log, []byte("of an earlier life\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	events, _ := run(t, Options{Policy: Policy{Pause: 1}}, s1)
	first := next[Started](t, events)
	kill(t, first.PID)
	died := next[Died](t, events)
	if died.Death.How != "signal: killed" || died.Death.LastWords != "" || died.Pause != 1 {
		t.Errorf("death is %+v", died)
	}
	if second := next[Started](t, events); second.PID == first.PID || second.Name != "s1" {
		t.Errorf("started again as %+v, at first as %+v", second, first)
	}
}

func TestAChildThatDiesAtOnceIsGivenUpWithItsReason(t *testing.T) {
	events, _ := run(t, Options{Policy: Policy{Pause: 1, Quick: time.Hour, GiveUp: 3}}, child(t.TempDir(), "s1", "die"))
	for range 2 {
		next[Started](t, events)
		next[Died](t, events)
	}
	next[Started](t, events)
	end := next[GivenUp](t, events)
	if end.Deaths != 3 || end.Death.How != "exit status 3" || end.Death.LastWords != "no space left" {
		t.Errorf("given up as %+v", end)
	}
	if e, open := <-events; open {
		t.Errorf("after the last event came %#v", e)
	}
}

func TestAProgramThatIsNotThereIsGivenUp(t *testing.T) {
	missing := Child{Name: "s1", Program: filepath.Join(t.TempDir(), "none"), Log: filepath.Join(t.TempDir(), "log")}
	events, _ := run(t, Options{Policy: Policy{Pause: 1, Quick: time.Hour, GiveUp: 2}}, missing)
	next[Died](t, events)
	if end := next[GivenUp](t, events); !strings.Contains(end.Death.How, "no such file") {
		t.Errorf("given up as %+v", end)
	}
}

func TestAllChildrenAreStoppedInGoodOrder(t *testing.T) {
	listener := listen(t)
	dir, role := t.TempDir(), "obey "+listener.Addr().String()
	events, stop := run(t, Options{}, child(dir, "s1", role), child(dir, "s2", role))
	for range 2 {
		next[Started](t, events)
		accept(t, listener) // It listens to signals now.
	}
	stop()
	for range 2 {
		if e := next[Stopped](t, events); e.How != "exit status 0" || e.Killed {
			t.Errorf("stopped as %+v", e)
		}
	}
	if _, open := <-events; open {
		t.Error("Run goes on")
	}
}

func TestAChildThatDoesNotListenIsKilled(t *testing.T) {
	listener := listen(t)
	events, stop := run(t, Options{Grace: 1}, child(t.TempDir(), "s1", "ignore "+listener.Addr().String()))
	next[Started](t, events)
	living := accept(t, listener)
	stop()
	if e := next[Stopped](t, events); e.How != "signal: killed" || !e.Killed {
		t.Errorf("stopped as %+v", e)
	}
	waitGone(t, living)
}

func TestAPauseEndsWhenAllIsStopped(t *testing.T) {
	events, stop := run(t, Options{Policy: Policy{Pause: time.Hour, MaxPause: time.Hour}}, child(t.TempDir(), "s1", "die"))
	next[Started](t, events)
	next[Died](t, events)
	stop()
	next[Stopped](t, events)
}

func TestChildrenSeeThatTheirParentWasKilled(t *testing.T) {
	listener, dir := listen(t), t.TempDir()
	parents, _ := run(t, Options{Policy: Policy{Pause: time.Hour, MaxPause: time.Hour}},
		child(dir, "parent", "parent "+listener.Addr().String()+" "+dir))
	parent := next[Started](t, parents)
	first, second := accept(t, listener), accept(t, listener)
	for _, child := range []*living{first, second} {
		if err := child.answers(); err != nil {
			t.Fatalf("a child is gone before its parent: %v", err)
		}
	}
	kill(t, parent.PID)
	waitGone(t, first)
	waitGone(t, second)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func kill(t *testing.T, pid int) {
	t.Helper()
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// living is the connection of a process that lives.
type living struct {
	net.Conn
	lines *bufio.Reader
}

// accept waits for a process that reports that it is ready.
func accept(t *testing.T, listener net.Listener) *living {
	t.Helper()
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	process := &living{connection, bufio.NewReader(connection)}
	if line, err := process.lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return process
}

// answers asks an orphan for an echo.
func (l *living) answers() error {
	if _, err := fmt.Fprintln(l, "there?"); err != nil {
		return err
	}
	_, err := l.lines.ReadString('\n')
	return err
}

// waitGone waits until the process at the other end is gone, and its connection with it.
func waitGone(t *testing.T, process *living) {
	t.Helper()
	if text, err := process.lines.ReadString('\n'); err == nil {
		t.Errorf("the process says %q", text)
	}
}
