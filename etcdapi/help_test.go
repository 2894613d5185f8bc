package etcdapi

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

const (
	testCluster = 0xc1057e4
	testMember  = 0x3e3be4
	testTerm    = 7
)

// fakeGroup applies commands at once, to its store. Hooks, if set, come first; one that returns a
// result ends the call.
type fakeGroup struct {
	store *kv.Store
	feed  *Feed

	mu        sync.Mutex // guards index, reads, proposals, edits
	index     uint64
	reads     int
	proposals int
	edits     []replica.Edit // those that were done; members stay as they are

	propose func(ctx context.Context) error
	read    func(ctx context.Context) error
	change  func(ctx context.Context) error                   // of members
	hand    func(ctx context.Context, to raft.ServerID) error // leadership over
	answer  []byte                                            // instead of the store's, if not nil
	silent  bool                                              // changes are not told
	leader  raft.ServerID                                     // guarded by mu, too
	term    raft.Term                                         // guarded by mu, too
	members []wire.Member                                     // guarded by mu, too
	missing bool                                              // the state; guarded by mu, too
	time    uint64                                            // log time; guarded by mu, too
}

// pass lets log time pass.
func (g *fakeGroup) pass(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.time += uint64(d)
}

func (g *fakeGroup) setLeader(leader raft.ServerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader = leader
}

func (g *fakeGroup) ProposeCommand(ctx context.Context, c wire.Command) ([]byte, error) {
	if g.propose != nil {
		if err := g.propose(ctx); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answer != nil {
		return g.answer, nil
	}
	g.index++
	g.proposals++
	var told *kv.Changes
	if g.feed.Wanted() {
		told = new(kv.Changes)
	}
	answers, err := g.store.ApplyAndTell([]kv.Command{{Index: g.index, Time: g.time, Kind: kv.Kind(c.Kind), Request: c.Request, Session: c.Session}}, told)
	if err != nil {
		return nil, err
	}
	g.feed.Add(told, g.store.Revision(), g.store.CompactRevision())
	return answers[0].Append(nil), nil
}

func (g *fakeGroup) Read(ctx context.Context) error {
	g.mu.Lock()
	g.reads++
	g.mu.Unlock()
	if g.read != nil {
		return g.read(ctx)
	}
	return nil
}

func (g *fakeGroup) Reconfigure(ctx context.Context, edits ...replica.Edit) error {
	if g.change != nil {
		if err := g.change(ctx); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.edits = append(g.edits, edits...)
	return nil
}

// takeEdits returns what was changed since it was asked last.
func (g *fakeGroup) takeEdits() []replica.Edit {
	g.mu.Lock()
	defer g.mu.Unlock()
	edits := g.edits
	g.edits = nil
	return edits
}

func (g *fakeGroup) TransferLeadership(ctx context.Context, to raft.ServerID) error {
	if g.hand != nil {
		return g.hand(ctx, to)
	}
	g.reign(to)
	return nil
}

// reign begins a term in which somebody leads, or nobody.
func (g *fakeGroup) reign(leader raft.ServerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.term, g.leader = g.term+1, leader
}

// counts returns how many reads and proposals have come.
func (g *fakeGroup) counts() (reads, proposals int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reads, g.proposals
}

func (g *fakeGroup) Status() replica.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return replica.Status{
		Raft: raft.Status{
			ID: testMember, CurrentTerm: g.term, Leader: g.leader, CommitIndex: 12, LastApplied: 11,
		},
		Configuration: &wire.Configuration{Members: g.members},
		LogTime:       g.time,
		Snapshots:     replica.SnapshotStatus{Missing: g.missing},
	}
}

// world is a server over a fake group, in memory.
type world struct {
	*Server
	group    *fakeGroup
	listener *bufconn.Listener
	conn     *grpc.ClientConn
}

func newStore(t testing.TB) *kv.Store {
	t.Helper()
	store, err := kv.Open(treekv.New(), kv.Options{Cluster: testCluster})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// newWorld starts a server; change may change its options and its group first.
func newWorld(t testing.TB, change func(*Options, *fakeGroup)) *world {
	t.Helper()
	store := newStore(t)
	feed := NewFeed(store.Revision(), store.CompactRevision())
	group := &fakeGroup{store: store, feed: feed, leader: testMember, term: testTerm}
	options := Options{Group: group, Store: store, Feed: feed, ClusterID: testCluster, MemberID: testMember}
	if change != nil {
		change(&options, group)
	}
	server, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: server, group: group, listener: bufconn.Listen(1 << 20)}
	t.Cleanup(server.Close)
	if err := server.Serve(w.listener); err != nil {
		t.Fatal(err)
	}
	w.conn = w.dial(t)
	return w
}

// dial returns another connection to the server.
func (w *world) dial(t testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:memory", append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// testContext ends long before the test binary's own time-out, so that a call that hangs says where.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
