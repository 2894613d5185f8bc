package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// quick makes elections quicker than by default. A machine that is busy with other tests may hold
// more of them; that must not matter.
var quick = []string{"--heartbeat-interval", "50", "--election-timeout", "500"}

// askedForByName reports whether the tests of processes are what this run is for (make process). As a
// part of all tests, they do less of the same.
func askedForByName() bool {
	pattern := flag.Lookup("test.run")
	return pattern != nil && strings.Contains(pattern.Value.String(), "TestProcess")
}

func TestProcessWritesOutliveTheDeathOfAllServers(t *testing.T) {
	servers := startServers(t, 3, quick...)
	w := newOnceWrites()
	l := startLoad(t, servers, 1, w.put)
	for range 3 {
		l.waitProgress(t, 200)
		for _, s := range servers { // Their deaths are one moment for the clients.
			s.expectDeath()
		}
		var dying sync.WaitGroup
		for _, s := range servers {
			dying.Go(func() { _ = s.command.Process.Kill() })
		}
		dying.Wait()
		for _, s := range servers {
			<-s.gone
			s.disconnect()
			s.start(t)
		}
		for _, s := range servers {
			s.waitServing(t)
		}
	}
	l.waitProgress(t, 50)
	l.finish(t)
	w.expectWritten(t, servers)
}

func TestProcessLivesOnAfterGarbageAtItsPorts(t *testing.T) {
	servers := startServers(t, 3, quick...)
	target := servers[0]
	noise := make([]byte, 64<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	for what, send := range map[string]func(net.Conn) error{
		"nothing":           func(net.Conn) error { return nil },
		"noise":             func(c net.Conn) error { return write(c, noise) },
		"zeros":             func(c net.Conn) error { return write(c, make([]byte, 64<<10)) },
		"lengths":           func(c net.Conn) error { return write(c, bytes.Repeat([]byte{0xff}, 64<<10)) },
		"a request of HTTP": func(c net.Conn) error { return write(c, []byte("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")) },
		"half a request": func(c net.Conn) error {
			return write(c, []byte("POST /v3/kv/put HTTP/1.1\r\nContent-Length: 999999\r\n\r\n{"))
		},
		"HTTP/2 and noise": func(c net.Conn) error { return write(c, append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), noise...)) },
		"a stranger's TLS": func(c net.Conn) error {
			err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(t.Context())
			if err == nil {
				err = write(c, noise)
			}
			return err
		},
	} {
		for _, port := range []int{target.clientPort, target.peerPort} {
			conn, err := net.Dial("tcp", localAddress(port))
			if err != nil {
				t.Fatalf("%s to port %d: %v", what, port, err)
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second)) // The server owes a stranger no answer.
			_ = send(conn)                                    // It may hang up at any time.
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}
	select {
	case <-target.gone:
		t.Fatalf("%s ended: %v", target.name, target.command.ProcessState)
	default:
	}
	waitLeader(t, servers)
	conn, _, _ := target.present()
	if _, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: []byte("b")}); err != nil {
		t.Errorf("after the garbage: %v", err)
	}
	// Peers are let in still: it can follow, or be followed, after a restart.
	target.kill(t)
	target.start(t)
	target.waitServing(t)
}

func write(c net.Conn, b []byte) error {
	_, err := c.Write(b)
	return err
}

// expectRefusal starts a server that must not start, and returns what it says.
func (s *serverProcess) expectRefusal(t *testing.T, what string, wants ...string) {
	t.Helper()
	s.start(t)
	status, said := s.waitEnd(t)
	if status != exitFailed {
		t.Errorf("%s: exit status %d, want %d", what, status, exitFailed)
	}
	for _, want := range wants {
		if !strings.Contains(said, want) {
			t.Errorf("%s: %q is not in %q", what, want, said)
		}
	}
}

// A server alone has nobody to ask for what rot has taken. But a single bit is found by checksum and hash.
func TestProcessAloneRefusesADamagedLogAndSaysWhere(t *testing.T) {
	server := startServers(t, 1, quick...)[0]
	conn, _, _ := server.present()
	for i := range 30 {
		request := &pb.PutRequest{Key: []byte("key" + strconv.Itoa(i)), Value: []byte("value" + strconv.Itoa(i) + ".")}
		if _, err := pb.NewKVClient(conn).Put(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	server.kill(t)

	file, at := findInLog(t, filepath.Join(server.dir, "wal"), []byte("value15."))
	good := flip(t, file, at)
	again := flip(t, file, at+3)
	server.expectRefusal(t, "a damaged log", filepath.Base(file), "of the log are lost", "there is nobody else to ask")
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, flipped(again, at+3)) || bytes.Equal(now, good) {
		t.Errorf("the damaged file was changed: %v", err)
	}
	flip(t, file, at+3)
	server.start(t) // One bit is left, and that it mends.
	server.waitServing(t)
	conn, _, _ = server.present()
	answer, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("key15")})
	if err != nil || len(answer.Kvs) != 1 || string(answer.Kvs[0].Value) != "value15." {
		t.Errorf("after the log was mended: %v, %v", answer, err)
	}
}

// findInLog finds bytes in one of the files of a log.
func findInLog(t *testing.T, dir string, what []byte) (file string, at int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, what); at >= 0 {
			return file, at
		}
	}
	t.Fatalf("%q is in none of %q", what, files)
	return "", 0
}

// flip flips a bit of a file, and returns what the file was before.
func flip(t *testing.T, file string, at int) (before []byte) {
	t.Helper()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, flipped(before, at), 0o600); err != nil {
		t.Fatal(err)
	}
	return before
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestProcessRefusesTheDirectoryOfAnotherCluster(t *testing.T) {
	server := startServers(t, 1, quick...)[0]
	if status, _ := server.terminate(t); status != exitDone {
		t.Fatalf("exit status %d", status)
	}
	stranger := newServers(t, 1, "--initial-cluster-token", "another")[0]
	stranger.arguments = append(stranger.arguments, "--data-dir", server.dir)
	stranger.expectRefusal(t, "another cluster's directory", server.dir, "belongs to another cluster")
}

func TestProcessRefusesAPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, flag := range []string{"--listen-client-urls", "--listen-peer-urls", "--listen-metrics-urls"} {
		server := newServers(t, 1, "--listen-metrics-urls", localURL(freePorts(t, 1)[0]))[0].with(flag, localURL(port))
		server.expectRefusal(t, flag, flag, strconv.Itoa(port), "in use")
	}
}

func TestProcessRefusesADirectoryInUse(t *testing.T) {
	server := startServers(t, 1, quick...)[0]
	second := newServers(t, 1)[0]
	second.arguments = append(second.arguments, "--data-dir", server.dir)
	second.expectRefusal(t, "a directory in use", server.dir, "in use")
}

func TestProcessStopsInGoodOrderUnderLoad(t *testing.T) {
	servers := startServers(t, 3, quick...)
	l := startLoad(t, servers, 1, mixedOperation)
	l.waitProgress(t, 100)
	for _, s := range servers {
		began := time.Now()
		if status, said := s.terminate(t); status != exitDone {
			t.Errorf("%s: exit status %d\n%s", s.name, status, tail(said, 2000))
		}
		t.Logf("%s stopped within %v", s.name, time.Since(began).Round(time.Millisecond))
		if s == servers[0] {
			l.waitProgress(t, 100) // The other two go on.
			l.stop()
		}
	}
	l.finish(t)
}

// upProcess is quorate up in a process of its own.
type upProcess struct {
	command *exec.Cmd
	lines   *bufio.Scanner
	gone    chan struct{}
}

func startUp(t *testing.T, dir string, port int, more ...string) *upProcess {
	t.Helper()
	command := exec.Command(binary(t), append([]string{"up", "--dir", dir, "--base-port", strconv.Itoa(port)}, more...)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &upProcess{command: command, lines: bufio.NewScanner(out), gone: make(chan struct{})}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // It may be gone.
		for p.lines.Scan() {                        // until nobody holds the other end
		}
		_ = command.Wait() // again, perhaps
	})
	return p
}

// waitLine reads lines until one has all the words, and returns it.
func (p *upProcess) waitLine(t *testing.T, words ...string) string {
	t.Helper()
	var said []string
	for p.lines.Scan() {
		line := p.lines.Text()
		said = append(said, line)
		missing := false
		for _, word := range words {
			missing = missing || !strings.Contains(line, word)
		}
		if !missing {
			return line
		}
	}
	t.Fatalf("no line with %q in\n%s", words, strings.Join(said, "\n"))
	return ""
}

// pidOf reads the number at the end of a line.
func pidOf(t *testing.T, line string) int {
	t.Helper()
	pid, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
	if err != nil {
		t.Fatalf("%q ends with no pid", line)
	}
	return pid
}

// sixPorts returns the first of six ports in a row at which nobody listens.
func sixPorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		if ports := freePorts(t, 6); ports[5] == ports[0]+5 { // They are in order, but for those that are not free.
			return ports[0]
		}
	}
	t.Fatal("no six free ports in a row")
	return 0
}

func TestProcessUpKeepsItsServersRunningAndEndsWithThem(t *testing.T) {
	dir, port := t.TempDir(), sixPorts(t)
	cluster := startUp(t, dir, port, append([]string{"--"}, quick...)...)
	endpoints := strings.TrimPrefix(cluster.waitLine(t, "endpoints: "), "endpoints: ")
	pid := pidOf(t, cluster.waitLine(t, "s2 started, pid "))
	cluster.waitLine(t, "leads, in term")

	command := func(arguments ...string) string {
		t.Helper()
		out, err := exec.Command(binary(t), append(arguments, "--endpoints", endpoints)...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	if out := command("put", "fruit/apple", "red"); out != "OK\n" {
		t.Errorf("put prints %q", out)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cluster.waitLine(t, "s2 died: signal: killed")
	pid = pidOf(t, cluster.waitLine(t, "s2 started, pid "))
	if out := command("get", "fruit/apple"); out != "fruit/apple\nred\n" {
		t.Errorf("get prints %q", out)
	}
	// kill -9 of the parent takes the children along, in good order.
	if err := cluster.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the servers notice that their parent is gone", func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d is there still: %v", pid, err)
		}
		for i := range 3 {
			if conn, err := net.Dial("tcp", localAddress(port+2*i)); err == nil {
				_ = conn.Close()
				return fmt.Errorf("somebody listens at port %d", port+2*i)
			}
		}
		return nil
	})
	// The next start goes on where this one ended, and Ctrl-C ends it.
	cluster = startUp(t, dir, port, append([]string{"--"}, quick...)...)
	cluster.waitLine(t, "leads, in term")
	if out := command("get", "fruit/apple", "--print-value-only"); out != "red\n" {
		t.Errorf("get prints %q", out)
	}
	command("status")
	if err := cluster.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cluster.waitLine(t, "stopped: exit status 0")
	}
	if err := cluster.command.Wait(); err != nil {
		t.Errorf("up ended with %v", err)
	}
}
