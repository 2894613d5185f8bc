package kv_test

import (
	"fmt"
	"math/rand"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
)

// generator makes random requests over a few keys, with everything that the API allows and some
// things that it does not. rev and compact are where the store is, so that most explicit revisions
// make sense.
type generator struct {
	rng          *rand.Rand
	rev, compact int64
	large        int // one value in so many is large and cannot be compressed; 0: none
}

// someKeys have zeros, ones and a 0xff, to try the escaping, and share prefixes.
var someKeys = []string{"a", "aa", "ab", "a\x00", "a\x00\x01", "a\x01", "b", "c", "ca", "d", "\x00", "\xff", "\xff\xff", "e"}

func (g *generator) oneIn(n int) bool { return g.rng.Intn(n) == 0 }

func (g *generator) key() []byte {
	if g.oneIn(150) {
		return nil
	}
	return []byte(someKeys[g.rng.Intn(len(someKeys))])
}

func (g *generator) end() []byte {
	switch g.rng.Intn(6) {
	case 0:
		return []byte{0}
	case 1:
		k := g.key()
		if len(k) > 0 {
			k[len(k)-1]++
		}
		return k
	case 2, 3:
		return g.key()
	default:
		return nil
	}
}

func (g *generator) value() []byte {
	if g.large > 0 && g.oneIn(g.large) {
		b := make([]byte, g.rng.Intn(100<<10))
		g.rng.Read(b)
		return b
	}
	return []byte([]string{"", "x", "y", "\x00", "zz", "a longer value, for a change"}[g.rng.Intn(6)])
}

func (g *generator) revision() int64 {
	switch g.rng.Intn(8) {
	case 0:
		return g.rev - g.rng.Int63n(6)
	case 1:
		return g.compact + g.rng.Int63n(3) - 1
	case 2:
		return g.rng.Int63n(g.rev + 4)
	case 3:
		return -g.rng.Int63n(3)
	default:
		return 0
	}
}

// bound is a revision for a filter.
func (g *generator) bound() int64 {
	if g.oneIn(5) {
		return g.rng.Int63n(g.rev+2) - 1
	}
	return 0
}

func (g *generator) rangeRequest() *pb.RangeRequest {
	r := &pb.RangeRequest{
		Key: g.key(), RangeEnd: g.end(), Revision: g.revision(), Serializable: g.oneIn(2),
		KeysOnly: g.oneIn(4), CountOnly: g.oneIn(8), SortTarget: pb.RangeRequest_SortTarget(g.rng.Intn(5)),
		SortOrder: pb.RangeRequest_SortOrder(g.rng.Intn(3)), MinModRevision: g.bound(), MaxModRevision: g.bound(),
		MinCreateRevision: g.bound(), MaxCreateRevision: g.bound(),
	}
	if g.oneIn(2) {
		r.Limit = g.rng.Int63n(5) - 1
	}
	if g.oneIn(2) {
		r.SortTarget = pb.RangeRequest_KEY
	}
	if g.oneIn(150) {
		r.SortTarget = pb.RangeRequest_SortTarget(g.rng.Intn(9) - 2)
		r.SortOrder = pb.RangeRequest_SortOrder(g.rng.Intn(6) - 2)
	}
	return r
}

func (g *generator) putRequest() *pb.PutRequest {
	p := &pb.PutRequest{Key: g.key(), Value: g.value(), PrevKv: g.oneIn(3)}
	if g.oneIn(40) {
		p.Lease = g.rng.Int63n(5) - 2
	}
	if g.oneIn(8) {
		p.IgnoreValue = true
		if !g.oneIn(10) {
			p.Value = nil
		}
	}
	p.IgnoreLease = g.oneIn(10)
	return p
}

func (g *generator) deleteRequest() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: g.key(), RangeEnd: g.end(), PrevKv: g.oneIn(2)}
}

func (g *generator) compactRequest() *pb.CompactionRequest {
	r := &pb.CompactionRequest{Revision: g.rev - g.rng.Int63n(12), Physical: g.oneIn(2)}
	if g.oneIn(10) {
		r.Revision = g.rng.Int63n(g.rev+12) - 2
	}
	return r
}

func (g *generator) compare() *pb.Compare {
	c := &pb.Compare{
		Result: pb.Compare_CompareResult(g.rng.Intn(4)), Target: pb.Compare_CompareTarget(g.rng.Intn(5)),
		Key: g.key(),
	}
	if g.oneIn(3) {
		c.RangeEnd = g.end()
	}
	union := c.Target
	if g.oneIn(10) {
		union = pb.Compare_CompareTarget(g.rng.Intn(6))
	}
	number := g.rng.Int63n(3)
	if g.oneIn(2) {
		number = g.rng.Int63n(g.rev + 1)
	}
	switch union {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: number}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: number}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: number}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: g.value()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: number - 1}
	}
	if g.oneIn(200) {
		c.Target = 7
	}
	return c
}

// txnRequest makes a transaction; writes says whether it may have other operations than ranges.
func (g *generator) txnRequest(depth int, writes bool) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range g.rng.Intn(3) {
		t.Compare = append(t.Compare, g.compare())
	}
	for range g.rng.Intn(4) {
		t.Success = append(t.Success, g.op(depth, writes))
	}
	for range g.rng.Intn(3) {
		t.Failure = append(t.Failure, g.op(depth, writes))
	}
	return t
}

func (g *generator) op(depth int, writes bool) *pb.RequestOp {
	if g.oneIn(200) {
		return &pb.RequestOp{}
	}
	pick := g.rng.Intn(10)
	switch {
	case !writes || pick < 3:
		r := g.rangeRequest()
		if g.oneIn(2) {
			r.Revision = 0
		}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
	case pick < 7:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.putRequest()}}
	case pick < 8 || depth == 0:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRequest()}}
	default:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txnRequest(depth-1, true)}}
	}
}

// write makes a request of a kind that goes through the log.
func (g *generator) write() (kv.Kind, proto.Message) {
	switch pick := g.rng.Intn(100); {
	case pick < 45:
		return kv.KindPut, g.putRequest()
	case pick < 60:
		return kv.KindDeleteRange, g.deleteRequest()
	case pick < 90:
		return kv.KindTxn, g.txnRequest(3, true)
	case pick < 95:
		return kv.KindCompact, g.compactRequest()
	default:
		return kv.KindNone, nil
	}
}

// describe prints a request on one line.
func describe(kind kv.Kind, m proto.Message) string {
	if m == nil {
		return fmt.Sprintf("kind %d", kind)
	}
	return fmt.Sprintf("kind %d: %v", kind, m)
}
