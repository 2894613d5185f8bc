package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/session"
)

var errGoingDown = fmt.Errorf("%w: %w", quorate.ErrOutcomeUnknown, quorate.ErrClosed)

func TestWriteWhoseAnswerIsLostTakesEffectOnce(t *testing.T) {
	for what, fault := range map[string]fault{
		"the server goes down":       loseAnswer,
		"the server is silent":       applyAndWait,
		"the server has not done it": fail,
		"the server cancels": func(_ context.Context, apply func() []byte) ([]byte, error) {
			apply()
			return nil, status.Error(codes.Canceled, "by the server")
		},
		"the server is busy": func(context.Context, func() []byte) ([]byte, error) { return nil, quorate.ErrBusy },
	} {
		c := startCluster(t, 3, nil)
		client := c.newClient(Options{})
		c.setAll(nil)
		c.servers[0].set(first(fault))
		put, err := client.Put(testContext(t), "k", "v", clientv3.WithPrevKV())
		if err != nil || put.Header.Revision != 2 || put.PrevKv != nil {
			t.Errorf("%s: %v, %v", what, put, err)
		}
		equal(t, what+": puts", c.version("k"), 1)
	}
}

func TestEveryKindOfWriteTakesEffectOnce(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{})
	ctx := testContext(t)
	lossy := func() { c.servers[0].set(first(loseAnswer)); c.servers[1].set(first(loseAnswer)) }

	lossy()
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Error(err)
	}
	lossy()
	if deleted, err := client.Delete(ctx, "k"); err != nil || deleted.Deleted != 1 {
		t.Errorf("delete: %+v, %v", deleted, err)
	}
	lossy()
	txn, err := client.Txn(ctx).If(clientv3.Compare(clientv3.Version("t"), "=", 0)).Then(clientv3.OpPut("t", "v")).Commit()
	if err != nil || !txn.Succeeded {
		t.Errorf("transaction: %+v, %v", txn, err)
	}
	lossy()
	lease, err := client.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "leases", len(c.store.Leases()), 1)
	lossy()
	if _, err := client.Revoke(ctx, lease.ID); err != nil {
		t.Error(err)
	}
	lossy()
	if _, err := client.Compact(ctx, 3); err != nil {
		t.Error(err)
	}
	for _, kind := range []kv.Kind{kv.KindPut, kv.KindDeleteRange, kv.KindTxn, kv.KindLeaseGrant, kv.KindLeaseRevoke, kv.KindCompact} {
		equal(t, fmt.Sprintf("copies of kind %d", kind), c.count(kind), 3)
	}
}

func TestRefusalsAreEtcdsAlsoWhenTheyAreRepeated(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{})
	c.servers[0].set(first(loseAnswer))
	if _, err := client.Put(testContext(t), "k", "", clientv3.WithIgnoreValue()); err != rpctypes.ErrKeyNotFound {
		t.Errorf("refused by the state machine, and the answer lost: %v", err)
	}
	if _, err := client.Put(testContext(t), "", "v"); err != rpctypes.ErrEmptyKey {
		t.Errorf("refused by one server: %v", err)
	}
	if _, err := client.Get(testContext(t), ""); err != rpctypes.ErrEmptyKey {
		t.Errorf("a read: %v", err)
	}
	if _, err := client.Revoke(testContext(t), 99); err != rpctypes.ErrLeaseNotFound {
		t.Errorf("a lease: %v", err)
	}
}

// A server that refuses by itself knows nothing of an earlier copy, which may have taken effect.
func TestRefusalOfOneServerAfterAnotherWasAskedIsNotBelieved(t *testing.T) {
	c := startCluster(t, 3, func(server int, o *etcdapi.Options) {
		if server == 1 {
			o.QuotaBytes, o.Size = 1, func() (int64, int64) { return 2, 2 }
		}
	})
	client := c.newClient(Options{Patience: time.Minute}) // nobody is silent
	begin(t, client)
	c.servers[0].set(loseAnswer)
	c.servers[1].set(fail) // it cannot raise the alarm
	c.servers[2].set(first(fail))
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Errorf("put: %v", err)
	}
	equal(t, "puts", c.version("k"), 1)

	begin(t, client)
	ctx, timeIsUp := newDeadline(t)
	c.servers[0].set(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		defer timeIsUp()
		return loseAnswer(ctx, apply)
	})
	c.servers[1].set(fail)
	c.servers[2].set(fail)
	if _, err := client.Put(ctx, "k", "v"); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("put with nobody who knows: %v", err)
	}
}

func TestDeadlineWithAWriteUnderWayIsAnUnknownOutcome(t *testing.T) {
	c := startCluster(t, 3, nil)
	client := c.newClient(Options{Patience: 50 * time.Millisecond})
	if _, err := client.Put(testContext(t), "other", "v"); err != nil { // there is a session
		t.Fatal(err)
	}
	ctx, timeIsUp := newDeadline(t)
	var copies atomic.Int64
	c.setAll(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		apply()
		if copies.Add(1) == 3 {
			timeIsUp()
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	_, err := client.Put(ctx, "k", "v")
	var unknown *OutcomeUnknownError
	if !errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &unknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("put: %v", err)
	}
	if unknown.Method != "Put" || unknown.Last == nil || !strings.Contains(err.Error(), "Put: outcome is unknown: context deadline exceeded") {
		t.Errorf("%+v: %v", unknown, err)
	}
	if c.count(kv.KindPut) < 3 {
		t.Errorf("%d copies were sent", c.count(kv.KindPut))
	}
	canceled, cancel := context.WithCancel(context.Background())
	c.setAll(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		answer := apply()
		cancel()
		<-ctx.Done()
		return answer, ctx.Err()
	})
	if _, err := client.Delete(canceled, "k"); !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("delete, canceled: %v", err)
	}
	equal(t, "puts", c.version("k"), 0) // deleted

	// The number that was given up is acknowledged: the window moves on.
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Error(err)
	}
	n := client.sessions.current
	equal(t, "acknowledged", n.acknowledged, n.last)
}

func TestWriteThatReachedNobodyIsNotUnknown(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{})
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.servers {
		s.listener.Close()
		s.api.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.Put(ctx, "k", "v"); err != context.DeadlineExceeded {
		t.Errorf("with a session: %v", err)
	}
	fresh := c.newClient(Options{})
	ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := fresh.Put(ctx, "k", "v"); err != context.DeadlineExceeded {
		t.Errorf("without one: %v", err)
	}
	if _, err := fresh.Get(ctx, "k"); err != context.DeadlineExceeded {
		t.Errorf("a read: %v", err)
	}
	// A server that has refused has not done it.
	c = startCluster(t, 2, nil)
	client = c.newClient(Options{})
	c.setAll(func(context.Context, func() []byte) ([]byte, error) { return nil, quorate.ErrBusy })
	// Where the time is up just when a copy is under way, nobody knows; mostly it is up in a pause.
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_, err := client.Put(ctx, "k", "v")
		if err == context.DeadlineExceeded {
			return
		}
		if !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatalf("refused by all: %v", err)
		}
	}
	t.Error("refused by all: always unknown")
}

// A copy that is given up may have taken effect if it was sent, unless its server has said that it had no room for it.
func TestCopyThatIsGivenUpCounts(t *testing.T) {
	for _, c := range []struct {
		a      attempt
		copies int
	}{
		{attempt{sent: true, err: context.Canceled}, 1},
		{attempt{sent: true}, 1},
		{attempt{sent: true, err: status.Error(codes.ResourceExhausted, "etcdserver: too many requests")}, 0},
		{attempt{err: context.Canceled}, 0},
	} {
		var given tries
		given.giveUp(&c.a)
		equal(t, fmt.Sprintf("copies after %+v", c.a.err), given.copies, c.copies)
	}
}

func TestSessionThatHasEnded(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{})
	put := func() error { _, err := client.Put(testContext(t), "k", "v"); return err }
	equal(t, "put", put(), nil)
	c.endSession(client)
	equal(t, "put, of which one copy was sent", put(), nil)
	equal(t, "sessions opened", c.count(kv.KindSessionOpen), 2)
	equal(t, "puts", c.version("k"), 2)

	// The first copy takes effect, and then the session ends: the second knows nothing of it.
	c.servers[0].set(first(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		apply()
		c.endSession(client)
		return nil, errGoingDown
	}))
	c.servers[1].set(c.servers[0].fault)
	err := put()
	var unknown *OutcomeUnknownError
	if !errors.As(err, &unknown) || unknown.Cause != errSessionEnded {
		t.Errorf("put, of which two copies were sent: %v", err)
	}
	equal(t, "puts", c.version("k"), 3)
	equal(t, "the next put", put(), nil)
}

// scripted is a server that answers every call by what a test says.
type scripted func(call int, stream grpc.ServerStream) error

// startScripted starts one that the client of the returned cluster finds.
func startScripted(t *testing.T, script scripted) *cluster {
	t.Helper()
	c := &cluster{t: t, servers: []*fakeServer{{listener: bufconn.Listen(1 << 20)}}}
	var calls atomic.Int64
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return script(int(calls.Add(1)), stream)
	}))
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(c.servers[0].listener) })
	t.Cleanup(func() { server.Stop(); running.Wait() })
	return c
}

// Etcd's client sends some calls again by itself. A copy that it sends counts like others: it is not known
// what became of it.
func TestEveryCopyOfAWriteCounts(t *testing.T) {
	c := startScripted(t, func(call int, stream grpc.ServerStream) error {
		if call == 1 {
			return status.Error(codes.Canceled, "by the server")
		}
		stream.SetTrailer(metadata.Pairs(session.AnswerKey, session.AnswerUnknown))
		return status.Error(codes.FailedPrecondition, "no such session")
	})
	client := c.newClient(Options{})
	client.sessions.current = &numbering{opened: session.Opened{ID: 7, TTL: 60, Window: 10}, ended: map[uint64]bool{}, used: time.Now()}
	if _, err := client.Put(testContext(t), "k", "v"); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("put: %v", err)
	}
}

// Two processes with one session, a copied machine say: the second is told that the number is taken.
func TestSessionThatAnotherHasIsLeft(t *testing.T) {
	c := startCluster(t, 1, nil)
	client, other := c.newClient(Options{}), c.newClient(Options{})
	ctx := testContext(t)
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	n := client.sessions.current
	other.sessions.current = &numbering{opened: n.opened, last: n.last, ended: map[uint64]bool{}, acknowledged: n.last, used: time.Now()}
	if _, err := other.Put(ctx, "other", "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Errorf("put with a number that is taken: %v", err)
	}
	equal(t, "puts", c.version("k"), 2)
	equal(t, "sessions opened", c.count(kv.KindSessionOpen), 2)
	// One that has acknowledged further has forgotten whether ours took effect.
	n = client.sessions.current
	other.sessions.current = &numbering{opened: n.opened, last: n.last + 5, ended: map[uint64]bool{}, acknowledged: n.last + 5, used: time.Now()}
	if _, err := other.Put(ctx, "other", "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(ctx, "k", "v"); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("put with a number that is acknowledged: %v", err)
	}
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestAnswerThatIsTooLargeForTheServersIsLost(t *testing.T) {
	c := startCluster(t, 2, func(_ int, o *etcdapi.Options) { o.MaxRequestBytes = 4 << 20 })
	client := c.newClient(Options{Patience: time.Minute})
	ctx := testContext(t)
	if _, err := client.Put(ctx, "k", strings.Repeat("v", session.MaxAnswerBytes)); err != nil {
		t.Fatal(err)
	}
	c.servers[0].set(first(loseAnswer))
	if _, err := client.Put(ctx, "k", "v", clientv3.WithPrevKV()); err != ErrAnswerLost {
		t.Errorf("put: %v", err)
	}
	equal(t, "puts", c.version("k"), 2)
}

func TestAnswerThatIsTooLargeForTheClientIsLost(t *testing.T) {
	c := startCluster(t, 1, nil)
	client := c.newClient(Options{})
	ctx := testContext(t)
	if _, err := client.Put(ctx, "k", strings.Repeat("v", 1000)); err != nil {
		t.Fatal(err)
	}
	small := keyValues{client}
	_, err := small.Put(ctx, &pb.PutRequest{Key: []byte("k"), PrevKv: true}, grpc.MaxCallRecvMsgSize(100))
	if err != ErrAnswerLost {
		t.Errorf("put: %v", err)
	}
	equal(t, "puts", c.version("k"), 2)
}

func TestSessionOfAnotherClusterIsLeft(t *testing.T) {
	a, b := startCluster(t, 1, nil), startCluster(t, 1, func(_ int, o *etcdapi.Options) { o.ClusterID++ })
	client := a.newClient(Options{})
	ctx := testContext(t)
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	other := b.newClient(Options{}) // which has a session of the same id
	if _, err := other.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	other.sessions.current.opened.Cluster = client.sessions.current.opened.Cluster
	if _, err := other.Put(ctx, "k", "v"); err != nil {
		t.Errorf("put: %v", err)
	}
	equal(t, "puts", b.version("k"), 2)
	equal(t, "sessions opened", b.count(kv.KindSessionOpen), 2)
}

func TestManyWritesAtATimeTakeEffectOnceEach(t *testing.T) {
	const callers, each = 40, 50
	c := startCluster(t, 3, nil)
	client := c.newClient(Options{Patience: 20 * time.Millisecond})
	for n, s := range c.servers {
		var calls atomic.Int64
		s.set(func(ctx context.Context, apply func() []byte) ([]byte, error) {
			switch (calls.Add(1) + int64(n)) % 7 {
			case 0, 1:
				return loseAnswer(ctx, apply)
			case 2:
				return fail(ctx, apply)
			case 3:
				if calls.Load()%5 == 0 {
					return applyAndWait(ctx, apply)
				}
			}
			return apply(), nil
		})
	}
	var running sync.WaitGroup
	for n := range callers {
		running.Go(func() {
			for i := range each {
				put, err := client.Put(testContext(t), fmt.Sprint("k", n), fmt.Sprint(i), clientv3.WithPrevKV())
				if err != nil {
					t.Errorf("put: %v", err)
				} else if i > 0 && string(put.PrevKv.Value) != fmt.Sprint(i-1) {
					t.Errorf("put %d: before it there was %s", i, put.PrevKv.Value)
				}
			}
		})
	}
	running.Wait()
	for n := range callers {
		equal(t, "puts", c.version(fmt.Sprint("k", n)), each)
	}
	if copies := c.count(kv.KindPut); copies <= callers*each {
		t.Errorf("%d copies: nothing was sent twice", copies)
	}
	if n := c.count(kv.KindSessionOpen); n > 3 { // one, or more if the server was slow to open it
		t.Errorf("%d sessions for %d callers", n, callers)
	}
	if kept := c.store.SessionBytes(); kept > callers*200 {
		t.Errorf("%d bytes of answers are kept when all are answered", kept)
	}
}

// begin opens a client's session, and lets it begin with the first server.
func begin(t *testing.T, client *Client) {
	t.Helper()
	if _, err := client.Put(testContext(t), "other", "v"); err != nil {
		t.Fatal(err)
	}
	client.endpoints.mu.Lock()
	defer client.endpoints.mu.Unlock()
	client.endpoints.current = 0
}

func TestSlowAnswerCountsThoughTheNextServerIsAskedToo(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{Patience: 100 * time.Millisecond})
	begin(t, client)
	asked := make(chan struct{})
	c.servers[0].set(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		select {
		case <-asked:
			return apply(), nil
		case <-ctx.Done():
			select {
			case <-asked: // slow machine: its turn has come again
			default:
				t.Error("the first copy was given up when the second was sent")
			}
			return nil, ctx.Err()
		}
	})
	c.servers[1].set(first(func(ctx context.Context, _ func() []byte) ([]byte, error) {
		close(asked)
		<-ctx.Done() // silent, until it is known that the other has answered
		return nil, ctx.Err()
	}))
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Error(err)
	}
	equal(t, "puts", c.version("k"), 1)
}

func TestRefusalWhileAnotherCopyIsUnderWayIsNotBelieved(t *testing.T) {
	c := startCluster(t, 3, func(server int, o *etcdapi.Options) {
		if server == 1 {
			o.QuotaBytes, o.Size = 1, func() (int64, int64) { return 2, 2 }
		}
	})
	client := c.newClient(Options{Patience: 300 * time.Millisecond})
	begin(t, client)
	c.servers[0].set(applyAndWait)
	c.servers[1].set(fail) // it cannot raise the alarm
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Errorf("put: %v", err)
	}
	equal(t, "puts", c.version("k"), 1)
}

func TestCopyOfASlowServerIsLeftAloneWhileOthersFail(t *testing.T) {
	c := startCluster(t, 3, nil)
	client := c.newClient(Options{Patience: 300 * time.Millisecond})
	begin(t, client)
	var failed atomic.Int64
	enough := make(chan struct{})
	failing := func(ctx context.Context, apply func() []byte) ([]byte, error) {
		if failed.Add(1) == 6 { // both, three times
			close(enough)
		}
		return fail(ctx, apply)
	}
	c.servers[0].set(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		select {
		case <-enough:
			return apply(), nil
		case <-ctx.Done():
			t.Error("the copy was given up")
			return nil, ctx.Err()
		}
	})
	c.servers[1].set(failing)
	c.servers[2].set(failing)
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Error(err)
	}
	equal(t, "puts", c.version("k"), 1)
}

func TestAllAreAskedWhenEachHasACopyThatCounts(t *testing.T) {
	one, dropped, other := &attempt{name: "one"}, &attempt{name: "one", dropped: true}, &attempt{name: "other"}
	for _, c := range []struct {
		flying []*attempt
		want   bool
	}{
		{[]*attempt{one}, false},
		{[]*attempt{dropped, one}, false},
		{[]*attempt{dropped, one, other}, true},
	} {
		tries := tries{flying: c.flying}
		if got := tries.allAreAsked(2); got != c.want {
			t.Errorf("with %d under way: %v", len(c.flying), got)
		}
	}
}

func TestServerThatIsAskedIsAskedAgainWhenAllAreSilent(t *testing.T) {
	c := startCluster(t, 1, nil)
	client := c.newClient(Options{Patience: 20 * time.Millisecond})
	if _, err := client.Put(testContext(t), "other", "v"); err != nil {
		t.Fatal(err)
	}
	c.servers[0].set(first(applyAndWait))
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Error(err)
	}
	equal(t, "puts", c.version("k"), 1)
}

func TestAnswersAreMeasuredForPatience(t *testing.T) {
	client := startCluster(t, 1, nil).newClient(Options{})
	put := func() {
		if _, err := client.Put(testContext(t), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	put() // and open a session, which counts as a read
	client.patience.mean, client.patience.now = 0, 0
	put()
	if p := &client.patience; p.mean == 0 || p.now != 0 {
		t.Errorf("after a put: %v for writes, %v for reads", p.mean, p.now)
	}
	if _, err := client.Get(testContext(t), "k"); err != nil {
		t.Fatal(err)
	}
	if client.patience.now == 0 {
		t.Error("the answer to a get was not measured")
	}
}

func TestOnlySoManyWritesAreUnderWay(t *testing.T) {
	c := startCluster(t, 1, nil)
	client := c.newClient(Options{Patience: time.Minute})
	ctx := testContext(t)
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	window := client.sessions.current.opened.Window
	equal(t, "window", window, session.Window)
	release := make(chan struct{})
	began := make(chan struct{}, 2*window)
	c.servers[0].set(func(ctx context.Context, apply func() []byte) ([]byte, error) {
		began <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return apply(), nil
	})
	var running sync.WaitGroup
	for range window {
		running.Go(func() {
			if _, err := client.Put(ctx, "k", "v"); err != nil {
				t.Error(err)
			}
		})
	}
	for range window {
		<-began
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := client.Put(short, "k", "v"); err != context.DeadlineExceeded {
		t.Errorf("one more: %v", err)
	}
	running.Go(func() {
		if _, err := client.Put(ctx, "k", "v"); err != nil {
			t.Errorf("one that waits: %v", err)
		}
	})
	close(release)
	running.Wait()
	equal(t, "puts", c.version("k"), window+2)
}

func TestSessionIsOpenedOnceForAllWhoWait(t *testing.T) {
	c := startCluster(t, 1, nil)
	client := c.newClient(Options{})
	var running sync.WaitGroup
	for range 30 {
		running.Go(func() {
			if _, err := client.Put(testContext(t), "k", "v"); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	equal(t, "sessions opened", c.count(kv.KindSessionOpen), 1)
	n := client.sessions.current
	n.used = n.used.Add(-31 * time.Second) // as if nothing had been asked for so long
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Error(err)
	}
	equal(t, "sessions opened after a while", c.count(kv.KindSessionOpen), 2)
	equal(t, "its time to live", client.sessions.current.opened.TTL, 60)
}

func TestReadsAreRepeatedAndNotNumbered(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{})
	for what, fault := range map[string]fault{"down": fail, "silent": applyAndWait} {
		c.servers[0].set(first(fault))
		c.servers[1].set(first(fault))
		if _, err := client.Get(testContext(t), "k"); err != nil {
			t.Errorf("%s: get: %v", what, err)
		}
		c.servers[0].set(first(fault))
		if _, err := client.Txn(testContext(t)).Then(clientv3.OpGet("k")).Commit(); err != nil {
			t.Errorf("%s: transaction: %v", what, err)
		}
		c.servers[0].set(first(fault))
		if _, err := client.TimeToLive(testContext(t), 7); err != nil {
			t.Errorf("%s: time to live: %v", what, err)
		}
		c.servers[1].set(first(fault))
		if _, err := client.Leases(testContext(t)); err != nil {
			t.Errorf("%s: leases: %v", what, err)
		}
	}
	equal(t, "sessions opened", c.count(kv.KindSessionOpen), 0)
	c.setAll(func(context.Context, func() []byte) ([]byte, error) { return nil, errors.New("odd") })
	if _, err := client.Get(testContext(t), "k"); status.Code(err) != codes.Internal {
		t.Errorf("an error of no known meaning: %v", err)
	}
}

func TestClosedClientLeavesNoSession(t *testing.T) {
	c := startCluster(t, 1, nil)
	client := c.newClient(Options{})
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	equal(t, "sessions", c.store.SessionCount(), 1)
	if err := client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	equal(t, "sessions", c.store.SessionCount(), 0)
	if _, err := client.Put(testContext(t), "k", "v"); !errors.Is(err, ErrClosed) {
		t.Errorf("put after the end: %v", err)
	}
	if _, err := client.Get(testContext(t), "k"); !errors.Is(err, ErrClosed) {
		t.Errorf("get after the end: %v", err)
	}
}

func TestServersWithoutSessionsAreAskedOnce(t *testing.T) {
	var opens, others atomic.Int64
	c := startScripted(t, func(call int, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		if strings.Contains(method, session.Service) {
			opens.Add(1)
			return status.Error(codes.Unimplemented, "unknown service "+session.Service)
		}
		if others.Add(1) == 1 {
			return status.Error(codes.Unavailable, "etcdserver: request timed out")
		}
		return status.Error(codes.Internal, method)
	})
	client := c.newClient(Options{})
	if _, err := client.Put(testContext(t), "k", "v"); err != rpctypes.ErrTimeout {
		t.Errorf("put: %v", err)
	}
	equal(t, "copies", others.Load(), 1)
	for method, err := range map[string]error{
		"KV/Put":            second(client.Put(testContext(t), "k", "v")),
		"KV/DeleteRange":    second(client.Delete(testContext(t), "k")),
		"KV/Txn":            second(client.Txn(testContext(t)).Then(clientv3.OpPut("k", "v")).Commit()),
		"KV/Compact":        second(client.Compact(testContext(t), 1)),
		"Lease/LeaseGrant":  second(client.Grant(testContext(t), 1)),
		"Lease/LeaseRevoke": second(client.Revoke(testContext(t), 1)),
	} {
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), method) { // it came to the server
			t.Errorf("%s: %v", method, err)
		}
	}
	equal(t, "copies", others.Load(), 7)
	equal(t, "times that a session was asked for", opens.Load(), 1)
}

func second[T any](_ T, err error) error { return err }

// A server that is not there refuses connections, which is known at once: it is not waited for as one is that is
// silent.
func TestServerThatIsNotThereCostsNoPatience(t *testing.T) {
	c := startCluster(t, 2, nil)
	client := c.newClient(Options{Patience: time.Hour})
	c.servers[0].api.Close()
	c.servers[0].listener.Close()
	for range 4 {
		if _, err := client.Put(testContext(t), "a", ""); err != nil {
			t.Fatal(err)
		}
		client.endpoints.failed(name(1)) // so that the other is tried first again
	}
}

func TestOptionsReportAllThatIsWrong(t *testing.T) {
	_, err := New(clientv3.Config{}, Options{SessionTTL: time.Second, Patience: -1})
	if err == nil || !strings.Contains(err.Error(), "SessionTTL is 1s") || !strings.Contains(err.Error(), "Patience is -1ns") {
		t.Errorf("%v", err)
	}
	if _, err := New(clientv3.Config{}, Options{}); err != clientv3.ErrNoAvailableEndpoints {
		t.Errorf("no endpoints: %v", err)
	}
}

func nobody(string) bool { return false }

func TestEndpointsAreLeftWhenTheyFail(t *testing.T) {
	c := startCluster(t, 3, nil)
	client := c.newClient(Options{})
	picked := func() string {
		_, name, _, err := client.endpoints.pick(nobody)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	equal(t, "first", picked(), name(0))
	client.endpoints.failed(name(1)) // of somebody who asked it before
	equal(t, "another has failed", picked(), name(0))
	client.endpoints.failed(name(0))
	client.endpoints.failed(name(0)) // two have found it out
	equal(t, "it has failed", picked(), name(1))
	client.endpoints.failed(name(1))
	client.endpoints.failed(name(2))
	equal(t, "around", picked(), name(0))
	client.SetEndpoints(name(2))
	equal(t, "another list", picked(), name(2))
	equal(t, "connections", len(client.endpoints.conns), 1)
	if _, err := client.Put(testContext(t), "k", "v"); err != nil {
		t.Error(err)
	}
}
