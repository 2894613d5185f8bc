package etcdapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// sorter is a port over connections in memory, and what it hands over.
type sorter struct {
	*port
	memory *bufconn.Listener
	cancel context.CancelFunc
	done   chan struct{}
}

func newSorter(t *testing.T, change func(*port)) *sorter {
	t.Helper()
	s := &sorter{memory: bufconn.Listen(1 << 16), done: make(chan struct{})}
	s.port = newPort(s.memory, slog.New(slog.DiscardHandler))
	if change != nil {
		change(s.port)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.done)
		s.port.run(ctx)
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *sorter) stop() {
	s.cancel()
	<-s.done
}

func (s *sorter) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := s.memory.DialContext(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// accepted returns the connection that a side of the port gets, and the first n bytes on it.
func accepted(t *testing.T, from *handed, n int) (net.Conn, string) {
	t.Helper()
	conn, err := from.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	return conn, string(b)
}

func TestPrefaceGoesToGRPCWhole(t *testing.T) {
	s := newSorter(t, nil)
	client := s.dial(t)
	for _, b := range []byte(preface) { // however slowly it comes
		write(t, client, string(b))
	}
	write(t, client, "and more")
	server, got := accepted(t, s.grpc, len(preface)+8)
	if got != preface+"and more" {
		t.Errorf("got %q", got)
	}
	write(t, server, "answer")
	b := make([]byte, 6)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "answer" {
		t.Errorf("back came %q, %v", b, err)
	}
}

func TestAnythingElseGoesToHTTPWhole(t *testing.T) {
	s := newSorter(t, nil)
	for _, text := range []string{
		"GET /health HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n", "PRI * HTTP/1.0\r\n", preface[:23] + "x", "\x00\x01\x02", "P\n", "\x16\x03\x01 a TLS client",
	} {
		client := s.dial(t)
		write(t, client, text)
		if _, got := accepted(t, s.http, len(text)); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

// closedByServer waits until the other end has closed.
func closedByServer(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
}

func TestSilentConnectionIsClosedInTime(t *testing.T) {
	s := newSorter(t, func(p *port) { p.waitTime = time.Millisecond })
	silent, half := s.dial(t), s.dial(t)
	write(t, half, preface[:10])
	closedByServer(t, silent)
	closedByServer(t, half)
}

func TestOneTooManyClosesWhatHasWaitedLongest(t *testing.T) {
	s := newSorter(t, func(p *port) { p.waitLimit, p.waitTime = 2, time.Hour })
	first, second, third := s.dial(t), s.dial(t), s.dial(t)
	closedByServer(t, first)
	for _, conn := range []net.Conn{second, third} {
		write(t, conn, "GET /")
		if _, got := accepted(t, s.http, 5); got != "GET /" {
			t.Errorf("got %q", got)
		}
	}
}

func TestClosedPortClosesWhatWaits(t *testing.T) {
	s := newSorter(t, func(p *port) { p.waitTime = time.Hour })
	waiting, full := s.dial(t), s.dial(t)
	write(t, full, "GET /") // sorted, and nobody accepts it
	s.stop()
	closedByServer(t, waiting)
	closedByServer(t, full)
	for _, side := range []*handed{s.grpc, s.http} {
		if _, err := side.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: got %v, want %v", err, net.ErrClosed)
		}
	}
}

func TestConnectionSortedAfterTheEndIsClosed(t *testing.T) {
	s := newSorter(t, func(p *port) { p.waitTime = time.Hour })
	s.stop()
	client, server := net.Pipe()
	defer client.Close()
	s.sort(server)
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	s.running.Wait()
}

// failingListener fails to accept a few times, as with too many files open.
type failingListener struct {
	net.Listener
	mu       sync.Mutex // guards failures
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	fail := l.failures > 0
	l.failures--
	l.mu.Unlock()
	if fail {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestFailureToAcceptIsOvercome(t *testing.T) {
	s := newSorter(t, func(p *port) { p.listener = &failingListener{Listener: p.listener, failures: 3} })
	client := s.dial(t)
	write(t, client, "GET /")
	if _, got := accepted(t, s.http, 5); got != "GET /" {
		t.Errorf("got %q", got)
	}
}

func TestOnePortSpeaksBoth(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	pages := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return w.listener.DialContext(ctx) },
	}}
	defer pages.CloseIdleConnections()
	for range 2 { // the second time over the same connection
		answer, err := pages.Get("http://memory/health")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(b) != `{"health":"true","reason":""}` {
			t.Errorf("HTTP: %q, %v", b, err)
		}
	}
}

func TestGarbageIsRefusedAndHurtsNobody(t *testing.T) {
	w := newWorld(t, nil)
	for _, garbage := range []string{
		"\x00\x00\x00\r\n\r\n", "PUT\r\n\r\n", preface + strings.Repeat("\xff", 64), strings.Repeat("a", 1<<17),
	} {
		conn, err := w.listener.DialContext(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.WriteString(conn, garbage) // may fail: the server need not read it all
		}()
		answer, err := io.ReadAll(bufio.NewReader(conn))
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after %q: %v", garbage[:4], err)
		}
		if strings.HasPrefix(garbage, "P\x00") && !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%q was answered with %q", garbage, answer)
		}
		conn.Close()
		<-sent
	}
	if _, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Errorf("a client that was there before: %v", err)
	}
	if _, err := pb.NewKVClient(w.dial(t)).Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Errorf("a client that comes after: %v", err)
	}
}
