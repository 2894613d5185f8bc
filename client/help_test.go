package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

const clusterID = 77

// cluster is servers that speak etcd's API over one store. What a server does with a command can be
// changed: to apply it and lose the answer, for one.
type cluster struct {
	t       *testing.T
	servers []*fakeServer

	mu       sync.Mutex // guards what follows
	store    *kv.Store
	index    uint64
	time     uint64
	proposed map[kv.Kind]int
}

// fakeServer is one of them, as its etcdapi.Group.
type fakeServer struct {
	etcdapi.Group // nil: what is not replaced below is not called
	*cluster
	api      *etcdapi.Server
	listener *bufconn.Listener

	mu    sync.Mutex // guards fault
	fault fault
}

// fault is what a server does instead of applying a command and answering; nil: nothing else.
type fault func(ctx context.Context, apply func() []byte) ([]byte, error)

// startCluster starts servers; change may change the options of one.
func startCluster(t *testing.T, count int, change func(server int, o *etcdapi.Options)) *cluster {
	t.Helper()
	store, err := kv.Open(treekv.New(), kv.Options{Cluster: clusterID})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, store: store, proposed: map[kv.Kind]int{}}
	for n := range count {
		s := &fakeServer{cluster: c, listener: bufconn.Listen(1 << 20)}
		o := etcdapi.Options{Group: s, Store: store, ClusterID: clusterID, MemberID: uint64(n + 1), CloseGrace: time.Millisecond}
		if change != nil {
			change(n, &o)
		}
		if s.api, err = etcdapi.New(o); err != nil {
			t.Fatal(err)
		}
		if err := s.api.Serve(s.listener); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.api.Close)
		c.servers = append(c.servers, s)
	}
	return c
}

func (s *fakeServer) ProposeCommand(ctx context.Context, command wire.Command) ([]byte, error) {
	apply := func() []byte { return s.apply(command) }
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && kv.Kind(command.Kind) != kv.KindSessionOpen {
		return fault(ctx, apply)
	}
	return apply(), nil
}

func (s *fakeServer) Read(ctx context.Context) error {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		_, err := fault(ctx, func() []byte { return nil })
		return err
	}
	return nil
}

func (s *fakeServer) Status() replica.Status { return replica.Status{Raft: raft.Status{Leader: 1}} }

func (s *fakeServer) set(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// apply applies a command.
func (c *cluster) apply(command wire.Command) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	c.proposed[kv.Kind(command.Kind)]++
	answers, err := c.store.Apply([]kv.Command{{
		Index: c.index, Time: c.time, Kind: kv.Kind(command.Kind), Request: command.Request, Session: command.Session,
	}})
	if err != nil {
		c.t.Error(err)
		return nil
	}
	return answers[0].Append(nil)
}

// count returns how many commands of a kind were applied, repetitions included.
func (c *cluster) count(kind kv.Kind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proposed[kind]
}

// setAll lets all servers do the same.
func (c *cluster) setAll(f fault) {
	for _, s := range c.servers {
		s.set(f)
	}
}

// endSession ends a client's session on the servers.
func (c *cluster) endSession(client *Client) {
	c.t.Helper()
	n := client.sessions.current
	if a := c.apply(wire.Command{Kind: uint8(kv.KindSessionClose), Request: session.CloseRequest(n.opened.ID)}); a[0] != 0 {
		c.t.Fatal("there is no session to end")
	}
}

// Faults.

// loseAnswer applies the command, and then fails as a server that is going down does.
func loseAnswer(_ context.Context, apply func() []byte) ([]byte, error) {
	apply()
	return nil, errGoingDown
}

// fail does not apply it.
func fail(context.Context, func() []byte) ([]byte, error) { return nil, errGoingDown }

// applyAndWait applies the command, and is silent.
func applyAndWait(ctx context.Context, apply func() []byte) ([]byte, error) {
	apply()
	<-ctx.Done()
	return nil, ctx.Err()
}

// deadline is a context whose time is up when a test says so: what it waits for may take long.
type deadline struct {
	context.Context
	up chan struct{}
}

func (d *deadline) Done() <-chan struct{} { return d.up }

func (d *deadline) Err() error {
	select {
	case <-d.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// newDeadline makes one, and what ends it.
func newDeadline(t *testing.T) (context.Context, func()) {
	d := &deadline{Context: context.Background(), up: make(chan struct{})}
	end := sync.OnceFunc(func() { close(d.up) })
	t.Cleanup(end)
	return d, end
}

// first does something to the first command, and nothing to all others.
func first(f fault) fault {
	var once sync.Once
	return func(ctx context.Context, apply func() []byte) (answer []byte, err error) {
		done := false
		once.Do(func() { done, answer, err = true, nil, nil })
		if done {
			return f(ctx, apply)
		}
		return apply(), nil
	}
}

// name is a server's endpoint.
func name(n int) string { return fmt.Sprintf("http://server%d", n) }

// dialer connects to the servers by name.
func (c *cluster) dialer() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		for n, s := range c.servers {
			if name(n) == "http://"+address {
				return s.listener.DialContext(ctx)
			}
		}
		return nil, fmt.Errorf("no server at %s", address)
	})
}

// newClient makes a client of all servers that loses patience soon.
func (c *cluster) newClient(o Options) *Client {
	c.t.Helper()
	config := clientv3.Config{
		DialOptions: []grpc.DialOption{c.dialer(), grpc.WithTransportCredentials(insecure.NewCredentials())},
		Logger:      clientv3.NewCtxClient(context.Background()).GetLogger(), // one that is silent
	}
	for n := range c.servers {
		config.Endpoints = append(config.Endpoints, name(n))
	}
	if o.Patience == 0 {
		o.Patience = 200 * time.Millisecond
	}
	client, err := New(config, o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { client.Close() })
	return client
}

// version returns how often a key was put.
func (c *cluster) version(key string) int64 {
	c.t.Helper()
	c.setAll(nil)
	client := c.newClient(Options{})
	answer, err := client.Get(testContext(c.t), key)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(answer.Kvs) == 0 {
		return 0
	}
	return answer.Kvs[0].Version
}

// testContext ends long before the test binary's own time-out.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
