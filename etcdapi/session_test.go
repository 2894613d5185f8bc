package etcdapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// sessions calls a method of the service of sessions.
func (w *world) sessions(ctx context.Context, method string, request []byte) (response []byte, err error) {
	err = w.conn.Invoke(ctx, "/"+session.Service+"/"+method, request, &response, grpc.ForceCodecV2(bytesCodec{}))
	return response, err
}

func (w *world) openSession(t *testing.T) session.Opened {
	t.Helper()
	response, err := w.sessions(testContext(t), session.MethodOpen, session.OpenRequest(60))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := session.ParseOpened(response)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// numbered returns a context in which a call is a request of a session.
func numbered(t *testing.T, n wire.Session, cluster uint64) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(testContext(t), session.MetadataKey, string(session.AppendMetadata(nil, n, cluster)))
}

// answerOf returns how a call's trailer says that the state machine has answered.
func answerOf(trailer metadata.MD) string { return fmt.Sprint(trailer.Get(session.AnswerKey)) }

func TestWriteOfASessionTakesEffectOnce(t *testing.T) {
	w := newWorld(t, nil)
	client := pb.NewKVClient(w.conn)
	opened := w.openSession(t)
	if opened.ID == 0 || opened.TTL != 60 || opened.Window != session.Window || opened.Cluster != testCluster {
		t.Fatalf("opened: %+v", opened)
	}
	n := wire.Session{ID: opened.ID, Sequence: 1}
	put := &pb.PutRequest{Key: []byte("k"), Value: []byte("v"), PrevKv: true}
	first, err := client.Put(numbered(t, n, testCluster), put)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(testContext(t), put); err != nil { // of no session
		t.Fatal(err)
	}
	again, err := client.Put(numbered(t, n, testCluster), put)
	if err != nil || !proto.Equal(again, first) {
		t.Errorf("again: %v, %v; the first time: %v", again, err, first)
	}
	for name, call := range map[string]func(context.Context) (*pb.ResponseHeader, error){
		"delete": func(ctx context.Context) (*pb.ResponseHeader, error) {
			r, err := client.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k")})
			if err == nil && r.Deleted != 1 {
				err = fmt.Errorf("deleted %d", r.Deleted)
			}
			return r.GetHeader(), err
		},
		"transaction": func(ctx context.Context) (*pb.ResponseHeader, error) {
			r, err := client.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}}})
			return r.GetHeader(), err
		},
		"compaction": func(ctx context.Context) (*pb.ResponseHeader, error) {
			r, err := client.Compact(ctx, &pb.CompactionRequest{Revision: 2})
			return r.GetHeader(), err
		},
		"grant": func(ctx context.Context) (*pb.ResponseHeader, error) {
			r, err := pb.NewLeaseClient(w.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 7, TTL: 9})
			return r.GetHeader(), err
		},
	} {
		n := wire.Session{ID: w.openSession(t).ID, Sequence: 1}
		if name == "delete" {
			if _, err := client.Put(testContext(t), put); err != nil {
				t.Fatal(err)
			}
		}
		first, err := call(numbered(t, n, testCluster))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again, err := call(numbered(t, n, testCluster)); err != nil || !proto.Equal(first, again) {
			t.Errorf("%s again: %v, %v; the first time: %v", name, again, err, first)
		}
	}
}

func TestLeaseOfASessionHasOneIDWhereverItIsGranted(t *testing.T) {
	w := newWorld(t, nil)
	n := wire.Session{ID: w.openSession(t).ID, Sequence: 1}
	grant := func(n wire.Session) int64 {
		t.Helper()
		r, err := pb.NewLeaseClient(w.conn).LeaseGrant(numbered(t, n, testCluster), &pb.LeaseGrantRequest{TTL: 1})
		if err != nil || r.ID <= 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		return r.ID
	}
	first := grant(n)
	w.options.MinLeaseTTL = 9 // another server may be set otherwise
	if again := grant(n); again != first {
		t.Errorf("granted %d, and again %d", first, again)
	}
	n.Sequence++
	if second := grant(n); second == first {
		t.Error("two leases have one id")
	}
	if all := w.group.store.Leases(); len(all) != 2 {
		t.Errorf("leases: %v", all)
	}
}

// What the state machine has said is told apart from what one server says before: after the latter, an
// earlier try may have taken effect all the same.
func TestRefusalsOfTheStateMachineAreMarked(t *testing.T) {
	w := newWorld(t, nil)
	client := pb.NewKVClient(w.conn)
	id := w.openSession(t).ID
	put := func(n wire.Session, cluster uint64, p *pb.PutRequest) (string, error) {
		var trailer metadata.MD
		_, err := client.Put(numbered(t, n, cluster), p, grpc.Trailer(&trailer))
		return answerOf(trailer), rpctypes.Error(err)
	}
	sound := &pb.PutRequest{Key: []byte("k")}
	for _, c := range []struct {
		what    string
		n       wire.Session
		cluster uint64
		put     *pb.PutRequest
		answer  string
		err     error
	}{
		{"a success", wire.Session{ID: id, Sequence: 3, Acknowledged: 1}, testCluster, sound, "[]", nil},
		{"a refusal", wire.Session{ID: id, Sequence: 4, Acknowledged: 1}, testCluster, &pb.PutRequest{Key: []byte("x"), IgnoreValue: true}, "[refused]", rpctypes.ErrKeyNotFound},
		{"no session", wire.Session{ID: 999, Sequence: 1}, testCluster, sound, "[unknown]", status.Error(codes.FailedPrecondition, "quorate: session does not exist, or has ended")},
		{"acknowledged", wire.Session{ID: id, Sequence: 1}, testCluster, sound, "[stale]", status.Error(codes.FailedPrecondition, "quorate: request of the session is acknowledged already")},
		{"another's number", wire.Session{ID: id, Sequence: 3}, testCluster, &pb.PutRequest{Key: []byte("x")}, "[mismatch]", status.Error(codes.FailedPrecondition, "quorate: another request of the session has this number")},
		{"beyond the window", wire.Session{ID: id, Sequence: 9999}, testCluster, sound, "[full]", status.Error(codes.ResourceExhausted, "quorate: too many answers of the session are not acknowledged")},
		{"refused before the log", wire.Session{ID: id, Sequence: 9}, testCluster, &pb.PutRequest{}, "[]", rpctypes.ErrEmptyKey},
		{"another cluster", wire.Session{ID: id, Sequence: 9}, testCluster + 1, sound, "[unknown]", errOtherCluster},
		{"malformed", wire.Session{ID: id, Sequence: 1, Acknowledged: 1}, testCluster, sound, "[]", errSessionMetadata},
	} {
		answer, err := put(c.n, c.cluster, c.put)
		if answer != c.answer || fmt.Sprint(err) != fmt.Sprint(c.err) {
			t.Errorf("%s: answer %s, %v; want %s, %v", c.what, answer, err, c.answer, c.err)
		}
	}
	n := wire.Session{ID: id, Sequence: 5, Acknowledged: 1}
	large := &pb.PutRequest{Key: []byte("large"), Value: make([]byte, session.MaxAnswerBytes), PrevKv: true}
	for range 2 {
		if _, err := client.Put(testContext(t), large); err != nil {
			t.Fatal(err)
		}
	}
	if answer, err := put(n, testCluster, large); answer != "[]" || err != nil {
		t.Errorf("a large answer: %s, %v", answer, err)
	}
	if answer, err := put(n, testCluster, large); answer != "[dropped]" || status.Code(err) != codes.DataLoss {
		t.Errorf("a large answer again: %s, %v", answer, err)
	}
	ctx := metadata.AppendToOutgoingContext(numbered(t, n, testCluster), session.MetadataKey, "1.1.0.1")
	if _, err := client.Put(ctx, sound); status.Code(err) != codes.InvalidArgument {
		t.Errorf("two numbers: %v", err)
	}
}

func TestSessionIsKeptAliveAndClosed(t *testing.T) {
	w := newWorld(t, nil)
	client := pb.NewKVClient(w.conn)
	id := w.openSession(t).ID
	if _, err := client.Put(numbered(t, wire.Session{ID: id, Sequence: 1}, testCluster), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	before, _ := w.group.store.Session(id)
	w.group.pass(50 * time.Second)
	if _, err := w.sessions(testContext(t), session.MethodKeepAlive, session.KeepAliveRequest(id, 1)); err != nil {
		t.Error(err)
	}
	after, _ := w.group.store.Session(id)
	if after.Deadline <= before.Deadline || after.Acknowledged != 1 || w.group.store.SessionBytes() != 0 {
		t.Errorf("before: %+v, after: %+v", before, after)
	}
	if _, err := w.sessions(testContext(t), session.MethodClose, session.CloseRequest(id)); err != nil {
		t.Error(err)
	}
	for _, method := range []string{session.MethodKeepAlive, session.MethodClose} {
		if _, err := w.sessions(testContext(t), method, session.CloseRequest(id)); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s after the end: %v", method, err)
		}
	}
	for _, method := range []string{session.MethodOpen, session.MethodKeepAlive, session.MethodClose} {
		if _, err := w.sessions(testContext(t), method, []byte{0xff}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s of nothing: %v", method, err)
		}
	}
	if _, err := client.Put(numbered(t, wire.Session{ID: id, Sequence: 2}, testCluster), &pb.PutRequest{Key: []byte("k")}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("put after the end: %v", err)
	}
}
