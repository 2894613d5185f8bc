package main

import (
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestLeasesAreRenamedWhereverTheyAreNamed(t *testing.T) {
	ids := newIDs()
	ids.add(firstName, 77)
	nested := func(lease int64) *pb.TxnRequest {
		put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Lease: lease}}}
		compare := &pb.Compare{Target: pb.Compare_LEASE, TargetUnion: &pb.Compare_Lease{Lease: lease}}
		inner := &pb.TxnRequest{Compare: []*pb.Compare{compare}, Success: []*pb.RequestOp{put}}
		return &pb.TxnRequest{Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}}}}
	}
	request := nested(firstName)
	if got, want := ids.toEnd(request), nested(77); !proto.Equal(got, want) {
		t.Errorf("to an end: got %v, want %v", got, want)
	}
	if !proto.Equal(request, nested(firstName)) {
		t.Errorf("the request itself has changed: %v", request)
	}
	event := func(lease, other int64) *pb.WatchResponse {
		return &pb.WatchResponse{WatchId: 77, Events: []*mvccpb.Event{
			{Kv: &mvccpb.KeyValue{Version: 77, Lease: other}, PrevKv: &mvccpb.KeyValue{Lease: lease}},
		}}
	}
	told := event(77, 78)
	if ids.fromEnd(told); !proto.Equal(told, event(firstName, 78)) {
		t.Errorf("from an end: got %v", told)
	}
}

func TestTimeLeftMayDifferByTheToleranceAndNoMore(t *testing.T) {
	left := func(ttl, granted int64) answer {
		return answer{message: &pb.LeaseTimeToLiveResponse{ID: 1, TTL: ttl, GrantedTTL: granted}}
	}
	tests := []struct {
		etcd, quorate answer
		stalled       time.Duration
		want          bool
	}{
		{left(100, 200), left(102, 200), 0, true},
		{left(102, 200), left(100, 200), 0, true},
		{left(100, 200), left(103, 200), 0, false},
		{left(100, 200), left(103, 200), time.Second, true},
		{left(100, 200), left(100, 201), 0, false},
		{left(-1, 0), left(0, 0), 0, false},
		{left(1, 2), left(-1, 0), 0, false},
	}
	for _, test := range tests {
		r := &runner{stalled: test.stalled}
		r.settle(test.etcd, test.quorate)
		if got := test.etcd.same(test.quorate); got != test.want {
			t.Errorf("%v and %v: got %v, want %v", test.etcd, test.quorate, got, test.want)
		}
	}
}

func TestLeasesAreComparedAsASet(t *testing.T) {
	leases := func(ids ...int64) answer {
		m := &pb.LeaseLeasesResponse{}
		for _, id := range ids {
			m.Leases = append(m.Leases, &pb.LeaseStatus{ID: id})
		}
		return answer{message: m}
	}
	tests := []struct {
		etcd, quorate answer
		want          bool
	}{
		{leases(1, -2, 3), leases(3, 1, -2), true},
		{leases(1, -2, 3), leases(1, 3), false},
		{leases(1, 3), leases(1, 3, 3), false},
		{leases(1, 2), leases(1, 3), false},
	}
	for _, test := range tests {
		new(runner).settle(test.etcd, test.quorate)
		if got := test.etcd.same(test.quorate); got != test.want {
			t.Errorf("%v and %v: got %v, want %v", test.etcd, test.quorate, got, test.want)
		}
	}
}

func TestKnownDifferencesOfLeasesAreNoWiderThanTheyMustBe(t *testing.T) {
	keys := func(ttl int64, keys ...string) answer {
		m := &pb.LeaseTimeToLiveResponse{TTL: ttl}
		for _, k := range keys {
			m.Keys = append(m.Keys, []byte(k))
		}
		return answer{message: m}
	}
	failed := func(code codes.Code, text string) answer { return answer{err: status.Error(code, text)} }
	tests := []struct {
		what          string
		method        string
		etcd, quorate answer
		want          bool
	}{
		{"etcd's keys in no order", timeToLiveMethod, keys(1, "b", "a"), keys(1, "a", "b"), true},
		{"ours in no order", timeToLiveMethod, keys(1, "a", "b"), keys(1, "b", "a"), false},
		{"other keys", timeToLiveMethod, keys(1, "b", "a"), keys(1, "a", "c"), false},
		{"another field", timeToLiveMethod, keys(1, "b", "a"), keys(2, "a", "b"), false},
		{"a lock's error", lockMethod, failed(codes.Unknown, "x"), failed(codes.NotFound, "x"), true},
		{"a lock's error, in other words", lockMethod, failed(codes.Unknown, "x"), failed(codes.NotFound, "y"), false},
		{"a lock, against an error", lockMethod, failed(codes.Unknown, "x"), answer{message: &pb.PutResponse{}}, false},
		{"another service's error", revokeMethod, failed(codes.Unknown, "x"), failed(codes.NotFound, "x"), false},
	}
	for _, test := range tests {
		if got := known(test.method, &pb.LeaseTimeToLiveRequest{}, test.etcd, test.quorate) != ""; got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, got, test.want)
		}
	}
}

func TestEndsOfLeasesAreSaidRevisionByRevision(t *testing.T) {
	event := func(revision int64, key string) *mvccpb.Event {
		return &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: revision}}
	}
	one := []*mvccpb.Event{event(7, "a"), event(7, "b"), event(8, "c")}
	tests := []struct {
		what  string
		other []*mvccpb.Event
		want  bool
	}{
		{"the other lease first, elsewhere", []*mvccpb.Event{event(4, "c"), event(5, "a"), event(5, "b")}, true},
		{"in another order", []*mvccpb.Event{event(7, "b"), event(7, "a"), event(8, "c")}, false},
		{"one lease in two revisions", []*mvccpb.Event{event(7, "a"), event(8, "b"), event(9, "c")}, false},
		{"two leases in one revision", []*mvccpb.Event{event(7, "a"), event(7, "b"), event(7, "c")}, false},
	}
	for _, test := range tests {
		if got := sayRevisions(one) == sayRevisions(test.other); got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, got, test.want)
		}
	}
}

func TestTransactionsThatEtcdDiesOfAreSpared(t *testing.T) {
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), IgnoreValue: true, IgnoreLease: true}}}
	del := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}}}}
	inner := &pb.TxnRequest{Failure: []*pb.RequestOp{del}}
	outer := &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}}, put}}
	if !deletesToTheEnd(outer) || deletesToTheEnd(&pb.TxnRequest{Success: []*pb.RequestOp{put}}) {
		t.Error("deletes to the end are not found, or found where there are none")
	}
	keepNothing(outer)
	if p := put.GetRequestPut(); p.IgnoreValue || p.IgnoreLease {
		t.Errorf("got %v, want a put that keeps nothing", p)
	}
}

func TestErrorsAreComparedByCodeAndText(t *testing.T) {
	a := answer{err: status.Error(codes.NotFound, "x")}
	for _, other := range []error{status.Error(codes.Unknown, "x"), status.Error(codes.NotFound, "y"), errors.New("x"), nil} {
		if a.same(answer{message: &pb.PutResponse{}, err: other}) {
			t.Errorf("%v and %v are called the same", a.err, other)
		}
	}
	if !a.same(answer{err: status.Error(codes.NotFound, "x")}) {
		t.Error("the same error is called another one")
	}
}
