package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/raft"
)

// fakeNet joins listeners and dialers in memory. Its connections are unbuffered: a write waits for
// its reader, as on a link whose other side is slow.
type fakeNet struct {
	mu        sync.Mutex
	listeners map[string]*fakeListener
	ports     int
	// spoil, if set, may replace the dialler's end of a new connection.
	spoil func(net.Conn) net.Conn
}

func newFakeNet() *fakeNet { return &fakeNet{listeners: map[string]*fakeListener{}} }

func (n *fakeNet) listen(address string) *fakeListener {
	l := &fakeListener{net: n, address: fakeAddr(address), accepts: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return l
}

// dialFrom returns a dialer whose connections come from that host.
func (n *fakeNet) dialFrom(host string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		n.mu.Lock()
		l, spoil := n.listeners[address], n.spoil
		n.ports++
		local := fakeAddr(fmt.Sprintf("%s:%d", host, 40000+n.ports))
		n.mu.Unlock()
		if l == nil {
			return nil, fmt.Errorf("connect %s: connection refused", address)
		}
		near, far := net.Pipe()
		select {
		case l.accepts <- &fakeConn{far, l.address, local}:
		case <-l.closed:
			return nil, fmt.Errorf("connect %s: connection refused", address)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var conn net.Conn = &fakeConn{near, local, l.address}
		if spoil != nil {
			conn = spoil(conn)
		}
		return conn, nil
	}
}

type fakeListener struct {
	net     *fakeNet
	address fakeAddr
	accepts chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepts:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Addr() net.Addr { return l.address }

func (l *fakeListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[string(l.address)] == l {
			delete(l.net.listeners, string(l.address))
		}
		close(l.closed)
	})
	return nil
}

type fakeAddr string

func (a fakeAddr) Network() string { return "fake" }
func (a fakeAddr) String() string  { return string(a) }

type fakeConn struct {
	net.Conn
	local, remote fakeAddr
}

func (c *fakeConn) LocalAddr() net.Addr  { return c.local }
func (c *fakeConn) RemoteAddr() net.Addr { return c.remote }

// cutConn breaks once budget bytes have gone through it, in both directions together.
type cutConn struct {
	net.Conn
	budget *atomic.Int64
}

func (c *cutConn) spend(b []byte) []byte {
	left := c.budget.Add(-int64(len(b))) + int64(len(b))
	return b[:max(0, min(int64(len(b)), left))]
}

func (c *cutConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(c.spend(b))
	if err == nil && n < len(b) {
		c.Conn.Close()
		err = errors.New("cut")
	}
	return n, err
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if kept := len(c.spend(b[:n])); kept < n {
		c.Conn.Close()
		return kept, errors.New("cut")
	}
	return n, err
}

// server is a Transport under test, with all that it told its owner.
type server struct {
	*Transport
	t        *testing.T
	id       raft.ServerID
	identity *Identity
	log      *logBuffer

	mu       sync.Mutex
	received []string // "from/boot message"
	events   []string // "peer up", "peer down: reason"
	claims   []string // "id fingerprint"
}

const testCluster = 0x1f

// testIdentity is the same for the same number in every run.
func testIdentity(n byte) *Identity {
	id, err := NewIdentity(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		panic(err)
	}
	return id
}

func addressOf(id raft.ServerID) string { return fmt.Sprintf("10.0.0.%d:2380", id) }

// start makes a server with the defaults of the tests, and change's changes to them.
func start(t *testing.T, n *fakeNet, id raft.ServerID, change func(*Options)) *server {
	t.Helper()
	s := &server{t: t, id: id, identity: testIdentity(byte(id)), log: &logBuffer{}}
	address := addressOf(id)
	o := Options{
		Identity: s.identity, Cluster: testCluster, Self: id, Boot: 1,
		Dial:    n.dialFrom(fmt.Sprintf("10.0.0.%d", id)),
		Handler: s.handle, OnLink: s.onLink, Claim: s.claim,
		Random: bytes.NewReader(bytes.Repeat([]byte{byte(id)}, 16)),
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	s.identity = o.Identity
	if o.Listener == nil {
		if o.ListenAddress != "" {
			address = o.ListenAddress
		}
		o.Listener = n.listen(address)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Transport = tr
	t.Cleanup(func() { tr.Close() })
	return s
}

func (s *server) handle(from raft.ServerID, boot uint64, messages [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.received = append(s.received, fmt.Sprintf("%x/%d %s", from, boot, m))
	}
}

func (s *server) onLink(peer raft.ServerID, up bool, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up {
		s.events = append(s.events, fmt.Sprintf("%x up", peer))
	} else {
		s.events = append(s.events, fmt.Sprintf("%x down: %v", peer, reason))
	}
}

func (s *server) claim(id raft.ServerID, key PublicKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = append(s.claims, fmt.Sprintf("%x %s", id, key.Fingerprint()))
	return nil
}

func (s *server) setPeers(peers ...Peer) {
	s.t.Helper()
	if err := s.SetPeers(peers); err != nil {
		s.t.Fatal(err)
	}
}

// got returns what was received so far, after everything that can happen now has happened.
func (s *server) got() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

func (s *server) wantReceived(want ...string) {
	s.t.Helper()
	if got := s.got(); !slices.Equal(got, want) {
		s.t.Errorf("server %x received %q, want %q", s.id, got, want)
	}
}

// peer is a row for another server that is reached at its usual address.
func peerRow(s *server) Peer {
	return Peer{ID: s.id, Addresses: []string{addressOf(s.id)}, Key: s.identity.Public()}
}

func unclaimed(id raft.ServerID) Peer { return Peer{ID: id, Addresses: []string{addressOf(id)}} }

// status returns the row of one peer.
func (s *server) status(id raft.ServerID) PeerStatus {
	s.t.Helper()
	synctest.Wait()
	for _, row := range s.Status() {
		if row.ID == id {
			return row
		}
	}
	s.t.Fatalf("server %x has no row for %x", s.id, id)
	return PeerStatus{}
}

func (s *server) isConnected(id raft.ServerID) bool {
	s.t.Helper()
	return !s.status(id).ConnectedSince.IsZero()
}

func (s *server) wantConnected(id raft.ServerID, want bool) {
	s.t.Helper()
	if got := s.isConnected(id); got != want {
		s.t.Fatalf("server %x connected to %x: got %v, want %v; status %+v\nlog:\n%s", s.id, id, got, want,
			s.status(id), s.log)
	}
}

// wantError checks the error of the last attempt to reach a peer.
func (s *server) wantError(id raft.ServerID, want string) {
	s.t.Helper()
	if got := s.status(id).Error; !strings.Contains(got, want) {
		s.t.Errorf("server %x's error about %x is %q, want %q in it", s.id, id, got, want)
	}
}

func (s *server) wantLog(want string) {
	s.t.Helper()
	synctest.Wait()
	got := strings.ReplaceAll(s.log.String(), `\"`, `"`) // slog quotes; so do some of our texts.
	if !strings.Contains(got, want) {
		s.t.Errorf("log of server %x:\n%swant in it: %s", s.id, got, want)
	}
}

// pair starts two servers that know each other's keys, and waits until both links are up.
func pair(t *testing.T, change func(*Options)) (a, b *server) {
	t.Helper()
	n := newFakeNet()
	a, b = start(t, n, 1, change), start(t, n, 2, change)
	a.setPeers(peerRow(b))
	b.setPeers(peerRow(a))
	letPass(time.Second)
	a.wantConnected(2, true)
	b.wantConnected(1, true)
	return a, b
}

// letPass advances the virtual time of the bubble in which the test runs.
func letPass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// logBuffer is a log that a test can read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

var _ io.Writer = (*logBuffer)(nil)
