package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// difference is one that is known, and how it is recognised.
type difference struct {
	what string
	is   func(method string, request proto.Message, etcd, quorate answer) bool
}

// differences are all that are known; docs/etcd.md tells those who use Quorate.
var differences = []difference{
	{"RangeStream of a range that is sorted or filtered is refused by both, in other words",
		func(method string, _ proto.Message, etcd, quorate answer) bool {
			return strings.HasSuffix(method, "RangeStream") &&
				status.Code(etcd.err) == codes.Unimplemented && status.Code(quorate.err) == codes.Unimplemented
		}},
	{"keys that are equal in what they are sorted by come in any order from etcd, and in the order of keys from Quorate",
		func(method string, request proto.Message, etcd, quorate answer) bool {
			r, ok := request.(*pb.RangeRequest)
			return ok && strings.HasSuffix(method, "Range") && etcd.err == nil && quorate.err == nil &&
				sortedAlike(r, etcd.message.(*pb.RangeResponse), quorate.message.(*pb.RangeResponse))
		}},
	{"RangeStream with a sort target and no order: etcd sorts each piece, and so may lose and repeat keys",
		func(method string, request proto.Message, etcd, quorate answer) bool {
			r, ok := request.(*pb.RangeRequest)
			return ok && strings.HasSuffix(method, "RangeStream") && r.SortOrder == pb.RangeRequest_NONE &&
				r.SortTarget != pb.RangeRequest_KEY && etcd.err == nil && quorate.err == nil
		}},
	{"the keys of a lease come in any order from etcd, and in the order of keys from Quorate",
		func(method string, request proto.Message, etcd, quorate answer) bool {
			if method != timeToLiveMethod || etcd.err != nil || quorate.err != nil {
				return false
			}
			inOrder := proto.Clone(etcd.message).(*pb.LeaseTimeToLiveResponse)
			slices.SortFunc(inOrder.Keys, bytes.Compare)
			return proto.Equal(inOrder, quorate.message)
		}},
	{"errors behind locks and elections leave etcd as Unknown by accident, and have their code from Quorate",
		func(method string, _ proto.Message, etcd, quorate answer) bool {
			e, q := status.Convert(etcd.err), status.Convert(quorate.err)
			return (strings.HasPrefix(method, "/v3lockpb.") || strings.HasPrefix(method, "/v3electionpb.")) &&
				e.Code() == codes.Unknown && q.Code() != codes.OK && e.Message() == q.Message()
		}},
}

// known returns which known difference this is, or "".
func known(method string, request proto.Message, etcd, quorate answer) string {
	for _, d := range differences {
		if d.is(method, request, etcd, quorate) {
			return d.what
		}
	}
	return ""
}

// sortedAlike reports whether two answers to a sorted range are equal but for the order of equals, which
// also decides which of them are left out by a limit.
func sortedAlike(r *pb.RangeRequest, a, b *pb.RangeResponse) bool {
	if r.SortTarget == pb.RangeRequest_KEY || a.Count != b.Count || a.More != b.More || len(a.Kvs) != len(b.Kvs) {
		return false
	}
	for i := range a.Kvs {
		if sortValue(r.SortTarget, a.Kvs[i]) != sortValue(r.SortTarget, b.Kvs[i]) {
			return false
		}
	}
	return a.More || sameKeys(a.Kvs, b.Kvs)
}

// sortValue is what a key is sorted by. Values may be left out of the answer; then nothing is compared.
func sortValue(target pb.RangeRequest_SortTarget, kv *mvccpb.KeyValue) string {
	switch target {
	case pb.RangeRequest_VERSION:
		return fmt.Sprint(kv.Version)
	case pb.RangeRequest_CREATE:
		return fmt.Sprint(kv.CreateRevision)
	case pb.RangeRequest_MOD:
		return fmt.Sprint(kv.ModRevision)
	}
	return string(kv.Value)
}

// sameKeys reports whether two lists have the same elements, in any order.
func sameKeys(a, b []*mvccpb.KeyValue) bool {
	byKey := make(map[string]*mvccpb.KeyValue)
	for _, kv := range a {
		byKey[string(kv.Key)] = kv
	}
	for _, kv := range b {
		if !proto.Equal(byKey[string(kv.Key)], kv) {
			return false
		}
	}
	return true
}
