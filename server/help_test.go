package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/internal/freeport"
)

// testContext ends long before the test binary's own time-out, so that a call that hangs says where.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// freeURLs returns addresses at which nobody listens.
func freeURLs(t testing.TB, n int) []string {
	t.Helper()
	urls, err := freeport.Addresses(n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range urls {
		urls[i] = "http://" + urls[i]
	}
	return urls
}

// clusterOptions are the options of n servers on this machine. They answer clients on ports that they
// choose themselves.
func clusterOptions(t testing.TB, n int) []Options {
	t.Helper()
	peers := freeURLs(t, n)
	var names []string
	for i, u := range peers {
		names = append(names, fmt.Sprintf("n%d=%s", i, u))
	}
	options := make([]Options, n)
	for i := range options {
		options[i] = Options{
			Name: fmt.Sprintf("n%d", i), DataDir: filepath.Join(t.TempDir(), "data"),
			ListenClientURLs: []string{"http://127.0.0.1:0"}, ListenPeerURLs: peers[i : i+1],
			InitialCluster:    strings.Join(names, ","),
			HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond,
			OnFatal: func(err error) { t.Errorf("server %d: fatal: %v", i, err) },
		}
	}
	return options
}

// start starts a server, which is closed when the test ends.
func start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startAll starts servers one after the other; each serves at once, and a leader comes when a majority
// is there.
func startAll(t testing.TB, options []Options) []*Server {
	t.Helper()
	servers := make([]*Server, len(options))
	for i, o := range options {
		servers[i] = start(t, o)
	}
	return servers
}

// endpoint is where a server answers clients.
func endpoint(s *Server) string { return "http://" + s.ClientAddrs()[0].String() }

// connect returns etcd's own client, with the endpoints of the servers given.
func connect(t testing.TB, servers ...*Server) *clientv3.Client {
	t.Helper()
	var endpoints []string
	for _, s := range servers {
		endpoints = append(endpoints, endpoint(s))
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
