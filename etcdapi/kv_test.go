package etcdapi

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
)

// head is the header that every response is to have.
func head(revision int64) *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: testCluster, MemberId: testMember, Revision: revision, RaftTerm: testTerm}
}

// inner is the header of an operation's response inside a transaction: no ids.
func inner(revision int64) *pb.ResponseHeader { return &pb.ResponseHeader{Revision: revision} }

// kvStory is requests one after the other, on a store that is empty at first, with the whole response
// to each.
var kvStory = []struct {
	what     string
	method   string
	request  proto.Message
	response proto.Message // also says which type to decode into
	err      error
}{
	{"an empty store is at revision 1", "Range",
		&pb.RangeRequest{Key: []byte("a")}, &pb.RangeResponse{Header: head(1)}, nil},
	{"the first write returns 2", "Put",
		&pb.PutRequest{Key: []byte("a"), Value: []byte("1")}, &pb.PutResponse{Header: head(2)}, nil},
	{"a put that asks what was there is told", "Put",
		&pb.PutRequest{Key: []byte("a"), Value: []byte("2"), PrevKv: true},
		&pb.PutResponse{Header: head(3), PrevKv: &mvccpb.KeyValue{
			Key: []byte("a"), CreateRevision: 2, ModRevision: 2, Version: 1, Value: []byte("1")}}, nil},
	{"an old revision is read under the current header", "Range",
		&pb.RangeRequest{Key: []byte("a"), Revision: 2},
		&pb.RangeResponse{Header: head(3), Count: 1, Kvs: []*mvccpb.KeyValue{{
			Key: []byte("a"), CreateRevision: 2, ModRevision: 2, Version: 1, Value: []byte("1")}}}, nil},
	{"a transaction's operations share a revision", "Txn",
		&pb.TxnRequest{
			Compare: []*pb.Compare{{Key: []byte("a"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("2")}}},
			Success: []*pb.RequestOp{
				{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), Value: []byte("3")}}},
				{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("b"), CountOnly: true}}},
			},
		},
		&pb.TxnResponse{Header: head(4), Succeeded: true, Responses: []*pb.ResponseOp{
			{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{Header: inner(4)}}},
			{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Header: inner(4), Count: 1}}},
		}}, nil},
	{"a transaction that only reads changes nothing", "Txn",
		&pb.TxnRequest{
			Compare: []*pb.Compare{{Key: []byte("none"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}}},
			Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("b"), KeysOnly: true}}}},
		},
		&pb.TxnResponse{Header: head(4), Responses: []*pb.ResponseOp{
			{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Header: inner(4), Count: 1, Kvs: []*mvccpb.KeyValue{{
				Key: []byte("b"), CreateRevision: 4, ModRevision: 4, Version: 1}}}}},
		}}, nil},
	{"a limited range says that there is more", "Range",
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, Limit: 1},
		&pb.RangeResponse{Header: head(4), More: true, Count: 2, Kvs: []*mvccpb.KeyValue{{
			Key: []byte("a"), CreateRevision: 2, ModRevision: 3, Version: 2, Value: []byte("2")}}}, nil},
	{"a delete of nothing does not bump the revision", "DeleteRange",
		&pb.DeleteRangeRequest{Key: []byte("c")}, &pb.DeleteRangeResponse{Header: head(4)}, nil},
	{"a delete says how many and which", "DeleteRange",
		&pb.DeleteRangeRequest{Key: []byte("b"), PrevKv: true},
		&pb.DeleteRangeResponse{Header: head(5), Deleted: 1, PrevKvs: []*mvccpb.KeyValue{{
			Key: []byte("b"), CreateRevision: 4, ModRevision: 4, Version: 1, Value: []byte("3")}}}, nil},
	{"a compaction does not bump the revision", "Compact",
		&pb.CompactionRequest{Revision: 4}, &pb.CompactionResponse{Header: head(5)}, nil},
	{"a compaction repeated is compacted", "Compact",
		&pb.CompactionRequest{Revision: 4}, &pb.CompactionResponse{}, rpctypes.ErrGRPCCompacted},
	{"a compaction of the future is refused", "Compact",
		&pb.CompactionRequest{Revision: 6}, &pb.CompactionResponse{}, rpctypes.ErrGRPCFutureRev},
	{"what is compacted cannot be read", "Range",
		&pb.RangeRequest{Key: []byte("a"), Revision: 3}, &pb.RangeResponse{}, rpctypes.ErrGRPCCompacted},
	{"the compaction revision itself can", "Range",
		&pb.RangeRequest{Key: []byte("b"), Revision: 4, CountOnly: true}, &pb.RangeResponse{Header: head(5), Count: 1}, nil},
	{"the future cannot be read", "Range",
		&pb.RangeRequest{Key: []byte("a"), Revision: 6}, &pb.RangeResponse{}, rpctypes.ErrGRPCFutureRev},
	{"no key", "Put", &pb.PutRequest{}, &pb.PutResponse{}, rpctypes.ErrGRPCEmptyKey},
	{"no key to read", "Range", &pb.RangeRequest{}, &pb.RangeResponse{}, rpctypes.ErrGRPCEmptyKey},
	{"no key to delete", "DeleteRange", &pb.DeleteRangeRequest{}, &pb.DeleteRangeResponse{}, rpctypes.ErrGRPCEmptyKey},
	{"an unknown way to sort", "Range",
		&pb.RangeRequest{Key: []byte("a"), SortOrder: 9}, &pb.RangeResponse{}, rpctypes.ErrGRPCInvalidSortOption},
	{"a value where none may be", "Put",
		&pb.PutRequest{Key: []byte("a"), Value: []byte("x"), IgnoreValue: true}, &pb.PutResponse{}, rpctypes.ErrGRPCValueProvided},
	{"a key that must be there and is not", "Put",
		&pb.PutRequest{Key: []byte("none"), IgnoreValue: true}, &pb.PutResponse{}, rpctypes.ErrGRPCKeyNotFound},
	{"a lease that nobody granted", "Put",
		&pb.PutRequest{Key: []byte("a"), Lease: 5}, &pb.PutResponse{}, rpctypes.ErrGRPCLeaseNotFound},
	{"a key put twice", "Txn",
		&pb.TxnRequest{Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}},
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}},
		}}, &pb.TxnResponse{}, rpctypes.ErrGRPCDuplicateKey},
	{"a transaction of too many compares", "Txn",
		&pb.TxnRequest{Compare: manyCompares(129)}, &pb.TxnResponse{}, rpctypes.ErrGRPCTooManyOps},
	{"a transaction of as many compares as may be", "Txn",
		&pb.TxnRequest{Compare: manyCompares(128)}, &pb.TxnResponse{Header: head(5)}, nil},
}

func manyCompares(n int) []*pb.Compare {
	compares := make([]*pb.Compare, n)
	for i := range compares {
		compares[i] = &pb.Compare{Key: []byte("none"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}}
	}
	return compares
}

func TestResponsesAreEtcdsMessages(t *testing.T) {
	w := newWorld(t, nil)
	for _, step := range kvStory {
		got := step.response.ProtoReflect().New().Interface()
		err := w.conn.Invoke(testContext(t), "/etcdserverpb.KV/"+step.method, step.request, got)
		if step.err != nil {
			if err == nil || err.Error() != step.err.Error() {
				t.Errorf("%s: got error %v, want %v", step.what, err, step.err)
			}
			continue
		}
		if err != nil || !proto.Equal(got, step.response) {
			t.Errorf("%s: got %v and %v, want %v", step.what, got, err, step.response)
		}
	}
}

// What is put on the wire is, byte for byte, what protobuf's encoder makes of the same message.
func TestResponsesAreEncodedAsProtobufEncodesThem(t *testing.T) {
	w := newWorld(t, nil)
	for _, step := range kvStory {
		if step.err != nil {
			continue
		}
		var got []byte
		err := w.conn.Invoke(testContext(t), "/etcdserverpb.KV/"+step.method, marshal(t, step.request), &got, grpc.ForceCodecV2(bytesCodec{}))
		if want := marshal(t, step.response); err != nil || string(got) != string(want) {
			t.Errorf("%s: got %x and %v, want %x", step.what, got, err, want)
		}
	}
}

func TestOfficialClientReadsAndWrites(t *testing.T) {
	w := newWorld(t, nil)
	client := clientv3.NewCtxClient(context.Background())
	client.KV = clientv3.NewKVFromKVClient(pb.NewKVClient(w.conn), client)
	ctx := testContext(t)
	put, err := client.Put(ctx, "fruit/apple", "red")
	if err != nil || put.Header.Revision != 2 {
		t.Fatalf("put: %v, %v", put, err)
	}
	got, err := client.Get(ctx, "fruit/", clientv3.WithPrefix())
	if err != nil || got.Count != 1 || string(got.Kvs[0].Value) != "red" {
		t.Fatalf("get: %v, %v", got, err)
	}
	txn, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value("fruit/apple"), "=", "red")).
		Then(clientv3.OpDelete("fruit/", clientv3.WithPrefix())).
		Else(clientv3.OpGet("fruit/apple")).Commit()
	if err != nil || !txn.Succeeded || txn.Responses[0].GetResponseDeleteRange().Deleted != 1 {
		t.Fatalf("txn: %v, %v", txn, err)
	}
	if _, err := client.Get(ctx, "x", clientv3.WithRev(99)); !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Errorf("get of the future: %v", err)
	}
	if _, err := client.Compact(ctx, 3); err != nil {
		t.Errorf("compact: %v", err)
	}
}

func TestLargeResponsesArriveWhole(t *testing.T) {
	w := newWorld(t, nil)
	client := pb.NewKVClient(w.conn)
	for _, size := range []int{joinBytes - 64, joinBytes - 1, joinBytes, joinBytes + 1, 1 << 20} {
		value := strings.Repeat("x", size-2) + "yz"
		if _, err := client.Put(testContext(t), &pb.PutRequest{Key: []byte("k"), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		got, err := client.Range(testContext(t), &pb.RangeRequest{Key: []byte("k")})
		if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != value {
			t.Errorf("a value of %d bytes did not come back: %v", size, err)
		}
	}
}

func TestReadsAskTheGroupUnlessSerializable(t *testing.T) {
	get := func(serializable bool) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), Serializable: serializable}}}
	}
	for _, c := range []struct {
		what    string
		call    func(pb.KVClient, context.Context) error
		asks    int
		through int // the log
	}{
		{"linearizable range", func(k pb.KVClient, ctx context.Context) error {
			_, err := k.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
			return err
		}, 1, 0},
		{"serializable range", func(k pb.KVClient, ctx context.Context) error {
			_, err := k.Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true})
			return err
		}, 0, 0},
		{"transaction of linearizable ranges", func(k pb.KVClient, ctx context.Context) error {
			_, err := k.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{get(true)}, Failure: []*pb.RequestOp{get(false)}})
			return err
		}, 1, 0},
		{"transaction of serializable ranges", func(k pb.KVClient, ctx context.Context) error {
			_, err := k.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{get(true)}})
			return err
		}, 0, 0},
		{"transaction of compares alone", func(k pb.KVClient, ctx context.Context) error {
			_, err := k.Txn(ctx, &pb.TxnRequest{Compare: manyCompares(1)})
			return err
		}, 1, 0},
		{"transaction that writes", func(k pb.KVClient, ctx context.Context) error {
			_, err := k.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
				{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}}}})
			return err
		}, 0, 1},
		{"range that is refused", func(k pb.KVClient, ctx context.Context) error {
			if _, err := k.Range(ctx, &pb.RangeRequest{}); err == nil {
				return errors.New("not refused")
			}
			return nil
		}, 0, 0},
		{"transaction of ranges that is refused", func(k pb.KVClient, ctx context.Context) error {
			if _, err := k.Txn(ctx, &pb.TxnRequest{Compare: manyCompares(129), Success: []*pb.RequestOp{get(false)}}); err == nil {
				return errors.New("not refused")
			}
			return nil
		}, 0, 0},
		{"put that is refused", func(k pb.KVClient, ctx context.Context) error {
			if _, err := k.Put(ctx, &pb.PutRequest{}); err == nil {
				return errors.New("not refused")
			}
			return nil
		}, 0, 0},
	} {
		w := newWorld(t, nil)
		err := c.call(pb.NewKVClient(w.conn), testContext(t))
		reads, proposals := w.group.counts()
		if err != nil || reads != c.asks || proposals != c.through {
			t.Errorf("%s: %d reads, %d proposals, error %v; want %d and %d", c.what, reads, proposals, err, c.asks, c.through)
		}
	}
}

func TestRequestsThatAreTooLargeAreRefusedByName(t *testing.T) {
	const limit = 3 << 19
	w := newWorld(t, nil)
	client := pb.NewKVClient(w.conn)
	request := &pb.PutRequest{Key: []byte("k"), Value: make([]byte, limit)}
	request.Value = request.Value[:limit-(proto.Size(request)-limit)]
	if _, err := client.Put(testContext(t), request); err != nil {
		t.Errorf("a request of %d bytes: %v", proto.Size(request), err)
	}
	request.Value = append(request.Value, 'x')
	_, err := client.Put(testContext(t), request)
	if err == nil || err.Error() != rpctypes.ErrGRPCRequestTooLarge.Error() {
		t.Errorf("a request of %d bytes: %v", proto.Size(request), err)
	}
	request.Value = make([]byte, limit+receiveRoomBytes)
	if _, err := client.Put(testContext(t), request); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request of %d bytes: %v", proto.Size(request), err)
	}
}

func TestServersOwnTimeLimitIsTimedOut(t *testing.T) {
	w := newWorld(t, func(o *Options, g *fakeGroup) {
		o.RequestTimeout = 1 // a nanosecond: over before it begins
		g.propose = func(ctx context.Context) error { <-ctx.Done(); return quorate.ErrOutcomeUnknown }
		g.read = func(ctx context.Context) error { <-ctx.Done(); return quorate.ErrCanceled }
	})
	client := pb.NewKVClient(w.conn)
	if _, err := client.Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err == nil || err.Error() != rpctypes.ErrGRPCTimeout.Error() {
		t.Errorf("put: got %v, want %v", err, rpctypes.ErrGRPCTimeout)
	}
	if _, err := client.Range(testContext(t), &pb.RangeRequest{Key: []byte("k")}); err == nil || err.Error() != rpctypes.ErrGRPCTimeout.Error() {
		t.Errorf("range: got %v, want %v", err, rpctypes.ErrGRPCTimeout)
	}
	if s := w.Stats(); s.FailedWrites != 1 || s.FailedReads != 1 {
		t.Errorf("counted %d failed writes and %d failed reads", s.FailedWrites, s.FailedReads)
	}
}

func TestCallersDeadlineIsReportedAsGRPCReportsIt(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.propose = func(ctx context.Context) error { <-ctx.Done(); return quorate.ErrCanceled }
	})
	ctx, cancel := context.WithTimeout(context.Background(), 1)
	defer cancel()
	_, err := pb.NewKVClient(w.conn).Put(ctx, &pb.PutRequest{Key: []byte("k")})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

// A client that goes away ends the waiting in the group.
func TestCallersEndEndsTheWaiting(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.propose = func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			ended <- ctx.Err()
			return quorate.ErrCanceled
		}
	})
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-began
		cancel()
	}()
	_, err := pb.NewKVClient(w.conn).Put(ctx, &pb.PutRequest{Key: []byte("k")})
	if status.Code(err) != codes.Canceled {
		t.Errorf("the client: got %v, want Canceled", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the group: got %v, want %v", err, context.Canceled)
	}
}

func TestCallThatWantsALeaderFailsAtOnceWithoutOne(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.leader = 0
		g.propose = func(context.Context) error { return quorate.ErrBusy }
	})
	client := pb.NewKVClient(w.conn)
	wants := clientv3.WithRequireLeader(testContext(t))
	if _, err := client.Put(wants, &pb.PutRequest{Key: []byte("k")}); err == nil || err.Error() != rpctypes.ErrGRPCNoLeader.Error() {
		t.Errorf("put: got %v, want %v", err, rpctypes.ErrGRPCNoLeader)
	}
	if _, err := client.Range(wants, &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err == nil || err.Error() != rpctypes.ErrGRPCNoLeader.Error() {
		t.Errorf("serializable range: got %v, want %v", err, rpctypes.ErrGRPCNoLeader)
	}
	// Others are left to the group, also if they say that they do not want one.
	relaxed := metadata.AppendToOutgoingContext(testContext(t), "hasleader", "false")
	if _, err := client.Range(relaxed, &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err != nil {
		t.Errorf("range that wants no leader: %v", err)
	}
	if _, err := client.Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err == nil || err.Error() != rpctypes.ErrGRPCRequestTooManyRequests.Error() {
		t.Errorf("put that can wait: got %v, want %v", err, rpctypes.ErrGRPCRequestTooManyRequests)
	}
	if _, err := client.Range(testContext(t), &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err != nil {
		t.Errorf("serializable range that can wait: %v", err)
	}
}

// brokenStore cannot be read.
type brokenStore struct{ Store }

func (brokenStore) Range([]byte) (kv.Answer, error) { return kv.Answer{}, errors.New("bad sector") }
func (brokenStore) ReadOnlyTxn([]byte) (kv.Answer, error) {
	return kv.Answer{}, errors.New("bad sector")
}

func TestStoreThatCannotBeReadIsAnError(t *testing.T) {
	var told atomic.Int32
	w := newWorld(t, func(o *Options, _ *fakeGroup) {
		o.Store = brokenStore{o.Store}
		o.Unread = func(err error) {
			if err.Error() == "bad sector" {
				told.Add(1)
			}
		}
	})
	client := pb.NewKVClient(w.conn)
	if _, err := client.Range(testContext(t), &pb.RangeRequest{Key: []byte("k")}); err == nil || err.Error() != errStore.Error() {
		t.Errorf("range: got %v, want %v", err, errStore)
	}
	if _, err := client.Txn(testContext(t), &pb.TxnRequest{}); err == nil || err.Error() != errStore.Error() {
		t.Errorf("txn: got %v, want %v", err, errStore)
	}
	if n := told.Load(); n != 2 {
		t.Errorf("told %d times, want each time", n)
	}
}

func TestAnswerThatIsNoneIsAnError(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) { g.answer = []byte{} })
	_, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte("k")})
	if err == nil || err.Error() != errAnswer.Error() {
		t.Errorf("got %v, want %v", err, errAnswer)
	}
}

func TestPhysicalCompactionWaitsForTheRemoval(t *testing.T) {
	var waited []int64
	closed := false
	w := newWorld(t, func(o *Options, _ *fakeGroup) {
		o.Compacted = func(_ context.Context, revision int64) error {
			waited = append(waited, revision)
			if closed {
				return errors.New("closed")
			}
			return nil
		}
	})
	client := pb.NewKVClient(w.conn)
	for range 3 {
		if _, err := client.Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Compact(testContext(t), &pb.CompactionRequest{Revision: 2}); err != nil || len(waited) != 0 {
		t.Errorf("a compaction that need not wait: waited for %v, error %v", waited, err)
	}
	if _, err := client.Compact(testContext(t), &pb.CompactionRequest{Revision: 3, Physical: true}); err != nil || len(waited) != 1 || waited[0] != 3 {
		t.Errorf("a physical compaction: waited for %v, error %v", waited, err)
	}
	closed = true
	_, err := client.Compact(testContext(t), &pb.CompactionRequest{Revision: 4, Physical: true})
	if err == nil || err.Error() != rpctypes.ErrGRPCStopped.Error() {
		t.Errorf("a physical compaction while the server closes: %v", err)
	}
}

// FuzzRequest hands arbitrary bytes to the methods that take bytes: nothing panics, and whatever is
// answered decodes as the message that it is supposed to be.
func FuzzRequest(f *testing.F) {
	numbers := map[string]byte{"Range": 0, "Put": 1, "DeleteRange": 2, "Txn": 3, "Compact": 4}
	for _, step := range kvStory {
		f.Add(numbers[step.method], marshal(f, step.request))
	}
	f.Fuzz(func(t *testing.T, method byte, request []byte) {
		store := newStore(t)
		server, err := New(Options{
			Group: &fakeGroup{store: store, feed: NewFeed(1, -1), leader: 1}, Store: store, ClusterID: testCluster, MemberID: testMember,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		ctx := context.Background()
		calls := []func() (*response, error){
			func() (*response, error) { return server.rangeKeys(ctx, request) },
			func() (*response, error) { return server.write(ctx, kv.KindPut, request) },
			func() (*response, error) { return server.write(ctx, kv.KindDeleteRange, request) },
			func() (*response, error) { return server.txn(ctx, request) },
			func() (*response, error) { return server.compact(ctx, request) },
		}
		messages := []proto.Message{
			new(pb.RangeResponse), new(pb.PutResponse), new(pb.DeleteRangeResponse), new(pb.TxnResponse), new(pb.CompactionResponse),
		}
		which := int(method) % len(calls)
		answer, err := calls[which]()
		if err != nil {
			return
		}
		buffers, err := server.codec.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(buffers.Materialize(), messages[which]); err != nil {
			t.Fatalf("response to %x: %v", request, err)
		}
	})
}
