package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/server"
)

// startServer starts a server that is a cluster of its own.
func startServer(t *testing.T) (endpoint string) {
	t.Helper()
	return serve(t, server.Options{
		Name: "s1", DataDir: t.TempDir(), ListenPeerURLs: []string{"http://127.0.0.1:0"}, ListenClientURLs: []string{"http://127.0.0.1:0"},
		InitialCluster: "s1=http://127.0.0.1:1", InitialAdvertisePeerURLs: []string{"http://127.0.0.1:1"},
	})
}

// serve runs a server until the test ends, and returns where clients find it.
func serve(t *testing.T, o server.Options) (endpoint string) {
	t.Helper()
	o.OnFatal = func(err error) { t.Error(err) }
	s, err := server.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.ClientAddrs()[0].String()
}

// clientOf returns a client of a server, for looking at what commands have done.
func clientOf(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := newClient([]string{endpoint}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// lines is an output that tells of every line that is complete.
type lines struct {
	mu    sync.Mutex // guards bytes
	bytes bytes.Buffer
	told  chan string // holds many
}

func newLines() *lines { return &lines{told: make(chan string, 100)} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes.Write(b)
	for {
		line, err := l.bytes.ReadString('\n')
		if err != nil {
			l.bytes.WriteString(line)
			return len(b), nil
		}
		l.told <- strings.TrimSuffix(line, "\n")
	}
}

// begin runs a command beside the test.
func begin(arguments ...string) (out *lines, status chan int) {
	out, status = newLines(), make(chan int, 1)
	go func() { status <- run(&world{in: strings.NewReader(""), out: out, err: out, environ: nil}, arguments) }()
	return out, status
}

// interrupt is what ^C does to this process: commands that wait for it end.
func interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

func TestLockIsHeldUntilInterrupted(t *testing.T) {
	endpoint := startServer(t)
	client := clientOf(t, endpoint)
	out, status := begin("lock", "l", "--endpoints", endpoint)
	key := <-out.told
	held, err := client.Get(context.Background(), key)
	if err != nil || held.Count != 1 || !strings.HasPrefix(key, "l/") || held.Kvs[0].Lease == 0 {
		t.Fatalf("%q stands for the lock: %v, %v", key, held, err)
	}
	interrupt(t)
	if got := <-status; got != exitDone {
		t.Errorf("exit status %d", got)
	}
	if held, err = client.Get(context.Background(), key); err != nil || held.Count != 0 {
		t.Errorf("after it was given back: %v, %v", held, err)
	}
}

func TestCommandRunsWhileTheLockIsHeld(t *testing.T) {
	endpoint := startServer(t)
	out, status := begin("lock", "l", "--endpoints", endpoint, "--", "sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; exit 7")
	line := <-out.told
	if !strings.HasPrefix(line, "l/") || !strings.HasSuffix(line, " 2") {
		t.Errorf("the command is told %q", line)
	}
	if got := <-status; got != 7 {
		t.Errorf("exit status %d, the command's is 7", got)
	}
	left, err := clientOf(t, endpoint).Get(context.Background(), "l", clientv3.WithPrefix())
	if err != nil || left.Count != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	out, status = begin("lock", "l", "--endpoints", endpoint, "no-such-command")
	if line, got := <-out.told, <-status; got != exitFailed || !strings.Contains(line, "no-such-command") {
		t.Errorf("a command that is not there: %d, %q", got, line)
	}
}

func TestLockThatIsLostIsSaidToBe(t *testing.T) {
	endpoint := startServer(t)
	client := clientOf(t, endpoint)
	out, status := begin("lock", "l", "--endpoints", endpoint, "--ttl", "3", "--", "sh", "-c", "echo held; exec sleep 600")
	<-out.told
	leases, err := client.Leases(context.Background())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatal(leases, err)
	}
	if _, err := client.Revoke(context.Background(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	if line, got := <-out.told, <-status; got != exitFailed || !strings.Contains(line, "has ended") {
		t.Errorf("%d, %q", got, line)
	}
}

func TestElectionHasOneWinnerAfterTheOther(t *testing.T) {
	endpoint := startServer(t)
	client := clientOf(t, endpoint)
	observed, _ := begin("elect", "--listen", "e", "--endpoints", endpoint)
	first, _ := begin("elect", "e", "one", "--endpoints", endpoint)
	key, value := <-first.told, <-first.told
	if !strings.HasPrefix(key, "e/") || value != "one" {
		t.Errorf("elected: %q, %q", key, value)
	}
	second, status := begin("elect", "e", "two", "--endpoints", endpoint)
	if k, v := <-observed.told, <-observed.told; k != key || v != "one" {
		t.Errorf("observed: %q, %q", k, v)
	}
	if _, err := client.Delete(context.Background(), key); err != nil { // as if its lease had ended
		t.Fatal(err)
	}
	key, value = <-second.told, <-second.told
	if value != "two" {
		t.Errorf("elected: %q, %q", key, value)
	}
	if k, v := <-observed.told, <-observed.told; k != key || v != "two" {
		t.Errorf("observed: %q, %q", k, v)
	}
	interrupt(t)
	if got := <-status; got != exitDone {
		t.Errorf("exit status %d", got)
	}
}

func TestLockAndElectRefuseWhatMakesNoSense(t *testing.T) {
	for _, line := range []string{"lock", "lock --ttl 0 l", "elect", "elect e", "elect e a b", "elect --listen e a", "elect --listen"} {
		runOf(append(strings.Fields(line), "--endpoints", "127.0.0.1:1")...).expect(t, line, exitUsage, "--help")
	}
}
