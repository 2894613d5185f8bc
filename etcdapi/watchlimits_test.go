package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/watch"
)

// fill puts n keys under a prefix, some in one batch.
func (w *world) fill(t testing.TB, prefix string, n int, value []byte) {
	t.Helper()
	const batch = 1000
	for start := 0; start < n; start += batch {
		var commands []kv.Command
		w.group.mu.Lock()
		for i := start; i < min(start+batch, n); i++ {
			w.group.index++
			request := marshal(t, &pb.PutRequest{Key: fmt.Appendf(nil, "%s%06d", prefix, i), Value: value})
			commands = append(commands, kv.Command{Index: w.group.index, Kind: kv.KindPut, Request: request})
		}
		var told *kv.Changes
		if w.group.feed.Wanted() && !w.group.silent {
			told = new(kv.Changes)
		}
		_, err := w.group.store.ApplyAndTell(commands, told)
		if err != nil {
			t.Fatal(err)
		}
		w.group.feed.Add(told, w.group.store.Revision(), w.group.store.CompactRevision())
		w.group.mu.Unlock()
	}
}

// follow reads events until one of a revision has come; it checks that revisions are one after the
// other.
func (w *watching) follow(from, until int64) (responses int) {
	w.t.Helper()
	for next := from; next <= until; responses++ {
		for _, e := range w.next().Events {
			if e.Kv.ModRevision != next {
				w.t.Fatalf("told of revision %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
	}
	return responses
}

// heap is what lives on the heap. A pool keeps what is in it for one collection more.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestWatchFromTheBeginningOfALongHistory: it is read in windows, so that memory does not grow with it,
// and one that keeps up is not kept waiting by it.
func TestWatchFromTheBeginningOfALongHistory(t *testing.T) {
	const length, limit = 100_000, 16 << 20
	w := newWorld(t, nil)
	w.conn = w.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(8<<20))
	w.fill(t, "k", length, make([]byte, 300))
	before := heap()
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 1})
	s.want("created", created(0, length+1))
	if grown := heap() - before; grown > limit {
		t.Errorf("the heap has grown by %d bytes while nothing is read", grown)
	}
	live := w.watch(t)
	live.create(&pb.WatchCreateRequest{Key: []byte("now")})
	live.want("created", created(0, length+1))
	w.put(t, "now", "x")
	live.want("at once", told(0, length+2, putEvent("now", "x", length+2, length+2, 1)))
	if responses := s.follow(2, length+2); responses < length/1000 {
		t.Errorf("%d responses for %d events: the windows are too large", responses, length)
	}
}

// measuredStore knows the most that a read of changes has brought.
type measuredStore struct {
	*kv.Store
	most *atomic.Int64
}

func (s measuredStore) Changes(q kv.ChangesQuery) (kv.Changes, int64, kv.Code, error) {
	list, through, code, err := s.Store.Changes(q)
	if bytes := int64(list.Bytes); bytes > s.most.Load() {
		s.most.Store(bytes)
	}
	return list, through, code, err
}

// TestReadsAndResponsesAreBounded: also when each revision is large.
func TestReadsAndResponsesAreBounded(t *testing.T) {
	const value, limit = 100 << 10, 256<<10 + 101<<10
	var most atomic.Int64
	w := newWorld(t, func(o *Options, g *fakeGroup) { o.Store = measuredStore{g.store, &most} })
	w.fill(t, "k", 50, make([]byte, value))
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 1})
	s.want("created", created(0, 51))
	for next := int64(2); next <= 51; {
		r := s.next()
		if size := proto.Size(r); size > limit {
			t.Errorf("a response of %d bytes", size)
		}
		next += int64(len(r.Events))
	}
	if got := most.Load(); got == 0 || got > limit {
		t.Errorf("%d bytes were read at once", got)
	}
}

// TestChangesThatAreNotToldAreRead: as after too many at once, or a snapshot.
// slowStore takes its time to read.
type slowStore struct {
	*kv.Store
	takes time.Duration
	began *[]time.Time
}

func (s slowStore) Changes(q kv.ChangesQuery) (kv.Changes, int64, kv.Code, error) {
	*s.began = append(*s.began, time.Now())
	<-time.After(s.takes) // of the bubble's time
	return s.Store.Changes(q)
}

// TestWhoReadsALongHistoryLeavesTimeForOthers: three times what a read takes is free of reads, but 25 ms
// at most.
func TestWhoReadsALongHistoryLeavesTimeForOthers(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{
		4 * time.Millisecond:   16 * time.Millisecond,
		100 * time.Millisecond: 125 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			var began []time.Time
			w := newWorld(t, func(o *Options, _ *fakeGroup) { o.Store = slowStore{o.Store.(*kv.Store), takes, &began} })
			w.fill(t, "old", 5000, nil)
			old := w.watch(t)
			old.create(&pb.WatchCreateRequest{Key: []byte("old"), RangeEnd: []byte("ole"), StartRevision: 1})
			old.want("created", created(0, 5001))
			old.follow(2, 5001)
			if len(began) < 5 {
				t.Fatalf("%d reads, want at least 5: a window has 1000 revisions", len(began))
			}
			for i := range began[1:] {
				if apart := began[i+1].Sub(began[i]); apart != want {
					t.Errorf("reads of %v: number %d began %v after the one before, want %v", takes, i+1, apart, want)
				}
			}
		})
	}
}

func TestChangesThatAreNotToldAreRead(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}})
	s.want("created", created(0, 1))
	w.group.silent = true
	w.fill(t, "k", 5000, nil)
	s.follow(2, 5001)
	w.group.silent = false
	w.fill(t, "k", 15_000, make([]byte, 300)) // more than a feed holds
	s.follow(5002, 20_001)
}

func TestAFeedHoldsSoMuch(t *testing.T) {
	f := NewFeed(1, -1)
	for rev := int64(2); rev <= 6; rev++ {
		f.Add(&kv.Changes{List: make([]kv.Change, 1), Bytes: feedBytes / 4}, rev, 1)
	}
	if got := f.fetch(); !got.Missing || got.Revision != 6 || got.Compact != 1 {
		t.Errorf("fetched %+v", got)
	}
}

// TestAStreamThatIsNeverReadCostsLittle: whatever happens, and others are told of it all.
func TestAStreamThatIsNeverReadCostsLittle(t *testing.T) {
	const length, streams = 15_000, 20
	grown := func(idle int) int64 {
		w := newWorld(t, nil)
		// The client is in this process, too: a fixed window keeps what it holds small.
		w.conn = w.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(8<<20))
		for range idle {
			s := w.watch(t)
			s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}})
			s.want("created", created(0, 1))
		}
		busy := w.watch(t)
		busy.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}})
		busy.want("created", created(0, 1))
		done := make(chan int, 1)
		go func() { done <- busy.follow(2, length+1) }()
		before := heap()
		w.fill(t, "k", length, make([]byte, 1000))
		<-done
		grown := heap() - before
		if lagging := w.Stats().Watch.Lagging; lagging < idle {
			t.Errorf("%d watchers lag, want the %d that nobody reads", lagging, idle)
		}
		return grown
	}
	alone := grown(0)
	for tries := 0; alone < 0 && tries < 5; tries++ { // what earlier tests have left went meanwhile
		alone = grown(0)
	}
	each := (grown(streams) - alone) / streams
	t.Logf("%d bytes for each stream that is not read, of %d that have happened; %d without one", each, length*1000, alone)
	if each > 3<<19 {
		t.Errorf("a stream that is not read costs %d bytes", each)
	}
}

// TestAClientThatAsksAndDoesNotReadIsMadeToWait: creates are answered, so they cost room, too. What is
// answered and not read lies in gRPC's buffers, on both sides, and in the queue: a few thousand answers.
func TestAClientThatAsksAndDoesNotReadIsMadeToWait(t *testing.T) {
	const many, buffered = 20_000, 10_000
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.Watch = watch.Options{QueueBytes: 16 << 10} })
	w.conn = w.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(8<<20))
	s, other := w.watch(t), w.watch(t)
	asked := make(chan error, 1)
	go func() {
		for range many {
			if err := s.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
				CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}}); err != nil {
				asked <- err
				return
			}
		}
		asked <- nil
	}()
	for i := range int64(2000) { // by then, all that would be taken has been
		other.create(&pb.WatchCreateRequest{Key: []byte("b")})
		other.cancel(i)
		other.want("another stream", created(i, 1), canceled(i, 1))
	}
	if got := w.Stats().Watch.Watchers; got == 0 || got > buffered {
		t.Errorf("%d watchers were created for a client that reads no answers", got)
	}
	for i := range int64(many) {
		if got := s.next(); !proto.Equal(got, created(i, 1)) {
			t.Fatalf("got %v, want %d created", got, i)
		}
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

// TestManyWatchersAreCreatedAtOnce: by etcd's own client, and told of everything.
func TestManyWatchersAreCreatedAtOnce(t *testing.T) {
	const many = 10_000
	w := newWorld(t, nil)
	client := clientv3.NewCtxClient(testContext(t))
	watcher := clientv3.NewWatchFromWatchClient(pb.NewWatchClient(w.conn), client)
	defer watcher.Close()
	ctx := testContext(t)
	channels := make(chan clientv3.WatchChan, many)
	for i := range 100 {
		go func() {
			for j := range many / 100 {
				channels <- watcher.Watch(ctx, fmt.Sprintf("k%d", (i*100+j)%10), clientv3.WithCreatedNotify())
			}
		}()
	}
	var all []clientv3.WatchChan
	for range many {
		c := <-channels
		if r, ok := <-c; !ok || !r.Created {
			t.Fatalf("got %+v, want created", r)
		}
		all = append(all, c)
	}
	if s := w.Stats().Watch; s.Watchers != many {
		t.Errorf("%+v, want %d watchers", s, many)
	}
	last := int64(0)
	for i := range 10 {
		last = w.put(t, fmt.Sprintf("k%d", i), "v")
	}
	for _, c := range all {
		if r := <-c; len(r.Events) != 1 || r.Events[0].Kv.ModRevision > last {
			t.Fatalf("got %+v, want one event", r)
		}
	}
}

func TestFragmentsArePutTogether(t *testing.T) {
	const limit = 512<<10 + receiveRoomBytes
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.MaxRequestBytes = limit - receiveRoomBytes })
	w.fill(t, "k", 20, make([]byte, 120<<10))
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, PrevKv: true, Fragment: true})
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, PrevKv: true})
	s.want("created", created(0, 21), created(1, 21))
	if _, err := pb.NewKVClient(w.conn).DeleteRange(testContext(t), &pb.DeleteRangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}); err != nil {
		t.Fatal(err)
	}
	got := map[int64][]*mvccpb.Event{}
	pieces := map[int64]int{}
	for whole := 0; whole < 2; {
		r := s.next()
		if r.Header.Revision != 22 || r.WatchId == 0 && proto.Size(r) >= limit {
			t.Fatalf("a piece of %d bytes, revision %d", proto.Size(r), r.Header.Revision)
		}
		got[r.WatchId] = append(got[r.WatchId], r.Events...)
		if pieces[r.WatchId]++; !r.Fragment {
			whole++
		}
	}
	for id, want := range map[int64]int{0: 3, 1: 1} {
		if len(got[id]) != 20 || pieces[id] != want || string(got[id][19].Kv.Key) != "k000019" || len(got[id][0].PrevKv.Value) != 120<<10 {
			t.Errorf("watcher %d: %d events in %d pieces, want 20 in %d", id, len(got[id]), pieces[id], want)
		}
	}
}

func TestWatchersAreToldOfProgressWhileNothingHappens(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.WatchProgressInterval = minWatchProgress })
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true})
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true, StartRevision: 9})
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	s.want("created, and progress for the first", created(0, 1), created(1, 1), created(2, 1), told(0, 1), told(0, 1))
}

func TestWatchThatWantsALeaderEndsWithoutOne(t *testing.T) {
	w := newWorld(t, func(o *Options, g *fakeGroup) { o.LeaderTimeout = 30 * time.Millisecond })
	ctx := metadata.AppendToOutgoingContext(testContext(t), "hasleader", "true")
	stream, err := pb.NewWatchClient(w.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	patient := w.watch(t)
	for _, s := range []*watching{{t, w, stream}, patient} {
		s.create(&pb.WatchCreateRequest{Key: []byte("a")})
		s.want("created", created(0, 1))
	}
	w.group.setLeader(0)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "etcdserver: no leader" {
		t.Errorf("got %v, want that there is no leader", err)
	}
	late, err := pb.NewWatchClient(w.conn).Watch(ctx)
	if err == nil {
		_, err = late.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a new stream: got %v, want that there is no leader", err)
	}
	w.group.setLeader(raft.ServerID(testMember))
	w.put(t, "a", "1")
	patient.want("one that does not care goes on", told(0, 2, putEvent("a", "1", 2, 2, 1)))
}

func TestCloseEndsWatches(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.CloseGrace = time.Hour })
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	s.want("created", created(0, 1))
	closed := make(chan struct{})
	go func() {
		w.Close()
		close(closed)
	}()
	if _, err := s.stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	<-closed
}

// TestAWatchGoesOnWhenItsClientAsksForNothingMore: and ends when it goes away.
func TestAWatchGoesOnWhenItsClientAsksForNothingMore(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(testContext(t))
	stream, err := pb.NewWatchClient(w.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &watching{t, w, stream}
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	s.want("created", created(0, 1))
	w.put(t, "a", "1")
	s.want("an event", told(0, 2, putEvent("a", "1", 2, 2, 1)))
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want Canceled", err)
	}
	for w.group.feed.Wanted() { // until the hub has heard of it
		runtime.Gosched()
	}
}

// unreadableStore cannot read changes.
type unreadableStore struct{ *kv.Store }

func (unreadableStore) Changes(kv.ChangesQuery) (kv.Changes, int64, kv.Code, error) {
	return kv.Changes{}, 0, kv.CodeOK, errors.New("the disk is gone")
}

func TestAStoreThatCannotBeReadEndsWatches(t *testing.T) {
	w := newWorld(t, func(o *Options, g *fakeGroup) { o.Store = unreadableStore{g.store} })
	w.put(t, "a", "1")
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 1})
	for {
		if _, err := s.stream.Recv(); err != nil {
			if status.Code(err) != codes.Internal || errors.Is(err, io.EOF) {
				t.Errorf("got %v, want Internal", err)
			}
			break
		}
	}
	later := w.watch(t)
	later.create(&pb.WatchCreateRequest{Key: []byte("a")})
	later.want("who has nothing to be read goes on", created(0, 2))
}

// forgetfulStore does not know what was there before.
type forgetfulStore struct{ *kv.Store }

func (forgetfulStore) AddPrevious(list []kv.Change, _ func(*kv.Change) bool) error {
	if len(list) == 0 {
		return nil
	}
	return errors.New("the disk is gone")
}

// TestAStoreThatFailsWhileAClientAsksEndsItsStream: the news that come first are what cannot be read.
func TestAStoreThatFailsWhileAClientAsksEndsItsStream(t *testing.T) {
	w := newWorld(t, func(o *Options, g *fakeGroup) { o.Store = forgetfulStore{g.store} })
	l := newHub(w.Server) // another one, without a loop
	l.feed = NewFeed(1, -1)
	s := &watchStream{batches: make(chan []watch.Response, 1), accepted: make(chan struct{}, 1), failed: make(chan struct{})}
	create := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte("a"), PrevKv: true}}}
	l.answer(question{s, opened{}})
	l.answer(question{s, create})
	<-s.accepted
	l.feed.Add(&kv.Changes{List: []kv.Change{{Revision: 2, Key: []byte("a")}}}, 2, -1)
	l.answer(question{s, create})
	select {
	case <-s.failed:
	default:
		t.Error("the stream goes on")
	}
	l.answer(question{s, sent{}}) // what comes later is ignored
	l.answer(question{s, ended{}})
}
