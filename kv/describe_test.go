package kv_test

import (
	"math/rand"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
)

func TestDescribeSaysKindAndKeysAndNoValuesUnasked(t *testing.T) {
	put := &pb.PutRequest{Key: []byte("a"), Value: []byte("secret"), Lease: 255}
	nested := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("a")}, {Key: []byte("b"), RangeEnd: []byte("c")}},
		Success: []*pb.RequestOp{putOp("x", "secret"), deleteOp("y", "\x00")},
		Failure: []*pb.RequestOp{nestedOp(&pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("z", "")}})},
	}
	many := &pb.TxnRequest{Success: slices.Repeat([]*pb.RequestOp{putOp("k", "")}, 20)}
	for _, c := range []struct {
		kind    kv.Kind
		request []byte
		values  bool
		want    string
	}{
		{kv.KindPut, marshal(t, put), false, `put "a", value of 6 bytes, lease ff`},
		{kv.KindPut, marshal(t, put), true, `put "a" = "secret", lease ff`},
		{kv.KindDeleteRange, marshal(t, &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("b")}), false, `delete "a" to "b"`},
		{kv.KindTxn, marshal(t, nested), false,
			`txn if "a" and "b" to "c" then put "x", value of 6 bytes and delete "y" and after else (txn then range "z")`},
		{kv.KindTxn, marshal(t, many), false, "txn then" + strings.Repeat(` put "k", value of 0 bytes and`, 15) + ` put "k", value of 0 bytes (then: 4 more)`},
		{kv.KindCompact, kv.CompactionRequest(9), false, "compact 9"},
		{kv.KindLeaseGrant, kv.GrantRequest(16, 5), false, "lease grant 10, 5 s"},
		{kv.KindLeaseRenew, kv.LeaseList([]int64{1, 255}), false, "lease renew 1 ff"},
		{kv.KindLeaseExpire, kv.LeaseList(slices.Repeat([]int64{1}, 18)), false, "lease expire" + strings.Repeat(" 1", 16) + " and 2 more"},
		{kv.KindAlarm, kv.AlarmRequest(kv.Alarm{Member: 5, Type: kv.AlarmNoSpace}), false, "alarm NOSPACE of 5: raise"},
		{kv.KindTokenUse, []byte("whatever"), true, "token use"},
		{kv.KindPut, []byte{0xff}, false, "put (1 bytes that cannot be read: quorate: request is malformed)"},
		{99, nil, false, "kind 99"},
	} {
		if got := kv.Describe(c.kind, c.request, c.values); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestDescribeTakesAnything: it neither panics nor says much about little.
func TestDescribeTakesAnything(t *testing.T) {
	g := &generator{rng: rand.New(rand.NewSource(1))}
	for range 20_000 {
		kind, m := g.write()
		var b []byte
		if m != nil {
			b, _ = proto.Marshal(m)
		}
		for range g.rng.Intn(3) {
			if len(b) > 0 {
				b[g.rng.Intn(len(b))] ^= byte(1 << g.rng.Intn(8))
			}
		}
		if text := kv.Describe(kv.Kind(g.rng.Intn(40)), b, false); len(text) > 1000+20*len(b) {
			t.Fatalf("%d bytes to describe %d", len(text), len(b))
		}
		_ = kv.Describe(kind, b, true)
	}
}
