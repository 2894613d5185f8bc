package etcdapi

import (
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watching is one stream of a client.
type watching struct {
	t      *testing.T
	world  *world
	stream pb.Watch_WatchClient
}

func (w *world) watch(t *testing.T) *watching {
	t.Helper()
	stream, err := pb.NewWatchClient(w.conn).Watch(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return &watching{t, w, stream}
}

func (w *watching) send(r *pb.WatchRequest) {
	w.t.Helper()
	if err := w.stream.Send(r); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watching) create(r *pb.WatchCreateRequest) {
	w.t.Helper()
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}})
}

func (w *watching) cancel(id int64) {
	w.t.Helper()
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (w *watching) progress() {
	w.t.Helper()
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

func (w *watching) next() *pb.WatchResponse {
	w.t.Helper()
	r, err := w.stream.Recv()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// want fails the test unless exactly these responses come next.
func (w *watching) want(what string, responses ...*pb.WatchResponse) {
	w.t.Helper()
	for i, want := range responses {
		if got := w.next(); !proto.Equal(got, want) {
			w.t.Fatalf("%s: response %d:\ngot  %v\nwant %v", what, i, got, want)
		}
	}
}

func created(id, rev int64) *pb.WatchResponse {
	return &pb.WatchResponse{Header: head(rev), WatchId: id, Created: true}
}

func refused(rev int64, reason string) *pb.WatchResponse {
	return &pb.WatchResponse{Header: head(rev), WatchId: -1, Created: true, Canceled: true, CancelReason: reason}
}

func canceled(id, rev int64) *pb.WatchResponse {
	return &pb.WatchResponse{Header: head(rev), WatchId: id, Canceled: true}
}

func told(id, rev int64, events ...*mvccpb.Event) *pb.WatchResponse {
	return &pb.WatchResponse{Header: head(rev), WatchId: id, Events: events}
}

func putEvent(key, value string, create, mod, version int64) *mvccpb.Event {
	return &mvccpb.Event{Kv: keyValue(key, value, create, mod, version)}
}

func keyValue(key, value string, create, mod, version int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: create, ModRevision: mod, Version: version}
}

func deleteEvent(key string, mod int64) *mvccpb.Event {
	return &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: mod}}
}

// with adds what was there before.
func with(e *mvccpb.Event, before *mvccpb.KeyValue) *mvccpb.Event {
	e.PrevKv = before
	return e
}

func (w *world) put(t testing.TB, key, value string) int64 {
	t.Helper()
	r, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

func (w *world) deleteKey(t testing.TB, key string) int64 {
	t.Helper()
	r, err := pb.NewKVClient(w.conn).DeleteRange(testContext(t), &pb.DeleteRangeRequest{Key: []byte(key)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

func (w *world) compactAt(t testing.TB, rev int64) {
	t.Helper()
	if _, err := pb.NewKVClient(w.conn).Compact(testContext(t), &pb.CompactionRequest{Revision: rev}); err != nil {
		t.Fatal(err)
	}
}

func TestWatchTellsWhatHappensAsEtcdDoes(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("c"), PrevKv: true})
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte{0}, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}})
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}, WatchId: 7})
	s.want("created in order, with ids from 0 on", created(0, 1), created(1, 1), created(2, 1), created(7, 1))

	got := map[int64][]*mvccpb.Event{}
	collect := func(n int, rev int64) {
		t.Helper()
		for range n {
			r := s.next()
			if r.Header.Revision != rev || r.Created || r.Canceled {
				t.Fatalf("got %v, want events of revision %d", r, rev)
			}
			got[r.WatchId] = append(got[r.WatchId], r.Events...)
		}
	}
	w.put(t, "a", "1")
	collect(3, 2) // not the one that does not want puts
	w.put(t, "b", "2")
	collect(2, 3)
	w.put(t, "a", "3")
	collect(3, 4)
	w.deleteKey(t, "a")
	collect(3, 5) // not the one that does not want deletions
	w.put(t, "\x00", "0")
	collect(1, 6)

	want := map[int64][]*mvccpb.Event{
		0: {putEvent("a", "1", 2, 2, 1), putEvent("a", "3", 2, 4, 2), deleteEvent("a", 5)},
		1: {putEvent("a", "1", 2, 2, 1), putEvent("b", "2", 3, 3, 1), with(putEvent("a", "3", 2, 4, 2), keyValue("a", "1", 2, 2, 1)),
			with(deleteEvent("a", 5), keyValue("a", "3", 2, 4, 2))},
		2: {deleteEvent("a", 5)},
		7: {putEvent("a", "1", 2, 2, 1), putEvent("b", "2", 3, 3, 1), putEvent("a", "3", 2, 4, 2), putEvent("\x00", "0", 6, 6, 1)},
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestWatchFromThePastCatchesUp(t *testing.T) {
	w := newWorld(t, nil)
	w.put(t, "a", "1")
	w.put(t, "b", "2")
	w.put(t, "a", "3")
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 1, PrevKv: true})
	s.want("the past", created(0, 4), told(0, 4, putEvent("a", "1", 2, 2, 1), with(putEvent("a", "3", 2, 4, 2), keyValue("a", "1", 2, 2, 1))))
	w.put(t, "a", "4")
	s.want("the present", told(0, 5, with(putEvent("a", "4", 2, 5, 3), keyValue("a", "3", 2, 4, 2))))
}

func TestWatchFromTheFutureWaits(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 4})
	s.want("created", created(0, 1))
	w.put(t, "a", "1")
	w.put(t, "a", "2")
	s.progress() // unanswered
	s.create(&pb.WatchCreateRequest{Key: []byte("b")})
	s.want("no event, and no progress, of what is before", created(1, 3))
	w.put(t, "a", "3")
	s.want("where it begins", told(0, 4, putEvent("a", "3", 2, 4, 3)))
	s.progress()
	s.want("progress", told(-1, 4))
}

func TestWatchIsRefusedAsEtcdDoes(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.send(&pb.WatchRequest{}) // is ignored
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 3})
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 3})
	s.create(&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")})
	s.create(&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("b")})
	s.create(&pb.WatchCreateRequest{Key: []byte("b"), StartRevision: -1})
	s.create(&pb.WatchCreateRequest{Key: []byte("b")})
	s.want("answers", created(3, 1),
		refused(1, "mvcc: duplicate watch ID provided on the WatchStream"),
		refused(1, "mvcc: watcher range is empty"),
		refused(1, "mvcc: watcher range is empty"),
		refused(1, "etcdserver: mvcc: required revision has been compacted"),
		created(0, 1))
}

func TestWatchBelowTheCompactionIsCanceled(t *testing.T) {
	w := newWorld(t, nil)
	for range 4 {
		w.put(t, "a", "x")
	}
	w.compactAt(t, 4)
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3})
	s.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 4, PrevKv: true})
	gone := &pb.WatchResponse{Header: head(0), WatchId: 0, Canceled: true, CompactRevision: 4}
	s.want("compacted, and just not", created(0, 5), gone, created(1, 5))
	s.want("what was there at a compacted revision is not known",
		told(1, 5, putEvent("a", "x", 2, 4, 3), with(putEvent("a", "x", 2, 5, 4), keyValue("a", "x", 2, 4, 3))))
}

func TestWatchIsCanceled(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	s.cancel(0)
	s.cancel(0)  // ignored
	s.cancel(99) // ignored
	s.create(&pb.WatchCreateRequest{Key: []byte("b")})
	s.want("answers", created(0, 1), created(1, 1), canceled(0, 1), created(2, 1))
	w.put(t, "a", "1")
	s.want("the other one goes on", told(1, 2, putEvent("a", "1", 2, 2, 1)))
}

func TestWatchProgressIsForTheWholeStream(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.progress() // nobody watches: unanswered
	s.create(&pb.WatchCreateRequest{Key: []byte("a")})
	s.want("created", created(0, 1))
	w.put(t, "b", "1")
	w.put(t, "a", "2") // last: the hub may be told of both at once, and a response says how far it goes
	s.progress()
	s.want("behind the events before it", told(0, 3, putEvent("a", "2", 3, 3, 1)), told(-1, 3))
}

// TestEventsOfARevisionComeTogether: also many, in one response.
func TestEventsOfARevisionComeTogether(t *testing.T) {
	w := newWorld(t, nil)
	s := w.watch(t)
	s.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}})
	s.want("created", created(0, 1))
	txn := &pb.TxnRequest{}
	var want []*mvccpb.Event
	for i := range 100 {
		key := fmt.Sprintf("k%03d", i)
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}})
		want = append(want, putEvent(key, "", 2, 2, 1))
	}
	if _, err := pb.NewKVClient(w.conn).Txn(testContext(t), txn); err != nil {
		t.Fatal(err)
	}
	s.want("all at once", told(0, 2, want...))
}
