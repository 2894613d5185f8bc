package main

import (
	"fmt"
	"iter"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// drawer draws requests. It knows what revision both are at, so that old and future ones are asked for.
type drawer struct {
	*rand.Rand
	revision int64
	living   []int64 // leases
	picked   []int64 // leases that the two have picked last; some are gone
}

// maxNesting is how deep transactions are nested.
const maxNesting = 3

// draw draws a request, and names the method that it is for.
func (d *drawer) draw() (method string, request proto.Message) {
	switch n := d.IntN(100); {
	case n < 30:
		return "/etcdserverpb.KV/Put", d.put()
	case n < 52:
		return "/etcdserverpb.KV/Range", d.get()
	case n < 60:
		return "/etcdserverpb.KV/DeleteRange", d.del()
	case n < 86:
		r := d.txn(1)
		if deletesToTheEnd(r) {
			keepNothing(r)
		}
		return "/etcdserverpb.KV/Txn", r
	case n < 98:
		return d.leaseRequest()
	default:
		return "/etcdserverpb.KV/Compact", &pb.CompactionRequest{Revision: d.past(), Physical: d.one(2)}
	}
}

// one is true once in n times.
func (d *drawer) one(n int) bool { return d.IntN(n) == 0 }

// key is one of a few, some of them the beginning of others, some of them odd; rarely none.
func (d *drawer) key() []byte {
	switch d.IntN(60) {
	case 0:
		return nil
	case 1:
		return []byte{0}
	case 2:
		return []byte{'k', 0}
	case 3:
		return []byte{'k', 0xff}
	case 4:
		return []byte{0xff}
	}
	return fmt.Appendf(nil, "k%d", d.IntN(20))
}

// end is the end of a range: mostly none.
func (d *drawer) end() []byte {
	switch d.IntN(8) {
	case 0:
		return []byte{0} // everything from the key on
	case 1, 2:
		return d.key()
	case 3:
		return []byte("l")
	}
	return nil
}

// past is a revision around and before the current one.
func (d *drawer) past() int64 {
	switch d.IntN(12) {
	case 0:
		return 0
	case 1:
		return d.revision + 1 + d.Int64N(3)
	case 2:
		return -1
	}
	return max(0, d.revision-d.Int64N(200))
}

func (d *drawer) put() *pb.PutRequest {
	r := &pb.PutRequest{Key: d.key(), PrevKv: d.one(3)}
	if !d.one(6) {
		r.Value = fmt.Appendf(nil, "v%d", d.IntN(8))
	}
	r.IgnoreValue, r.IgnoreLease = d.one(10), d.one(10)
	if r.IgnoreValue && !d.one(4) {
		r.Value = nil
	}
	if d.one(4) && (!r.IgnoreLease || d.one(4)) {
		r.Lease = d.lease()
	}
	return r
}

func (d *drawer) get() *pb.RangeRequest {
	r := &pb.RangeRequest{Key: d.key(), RangeEnd: d.end(), KeysOnly: d.one(5), CountOnly: d.one(8), Serializable: d.one(4)}
	if d.one(3) {
		r.Limit = d.Int64N(6) - 1
	}
	if d.one(4) {
		r.Revision = d.past()
	}
	if d.one(3) {
		r.SortOrder, r.SortTarget = pb.RangeRequest_SortOrder(d.IntN(3)), pb.RangeRequest_SortTarget(d.IntN(5))
	}
	if d.one(60) {
		r.SortOrder = 3 // no such order
	}
	for _, bound := range []*int64{&r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		if d.one(20) {
			*bound = d.past()
		}
	}
	return r
}

func (d *drawer) del() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: d.key(), RangeEnd: d.end(), PrevKv: d.one(2)}
}

func (d *drawer) txn(depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range d.IntN(4) {
		r.Compare = append(r.Compare, d.compare())
	}
	for _, branch := range []*[]*pb.RequestOp{&r.Success, &r.Failure} {
		for range d.IntN(4) {
			*branch = append(*branch, d.op(depth))
		}
	}
	return r
}

// A put that keeps the value or the lease of its key makes all servers of etcd end, for good, if the
// transaction has deleted that key before. (Other deletions of a key that is put are refused; those of
// all keys from one on are not.) So where there are such deletions, no put is of that kind.

func deletesToTheEnd(t *pb.TxnRequest) bool {
	for op := range operations(t) {
		if d := op.GetRequestDeleteRange(); d != nil && string(d.RangeEnd) == "\x00" {
			return true
		}
	}
	return false
}

func keepNothing(t *pb.TxnRequest) {
	for op := range operations(t) {
		if p := op.GetRequestPut(); p != nil {
			p.IgnoreValue, p.IgnoreLease = false, false
		}
	}
}

// operations are those of a transaction and of all that are nested in it.
func operations(t *pb.TxnRequest) iter.Seq[*pb.RequestOp] {
	return func(yield func(*pb.RequestOp) bool) {
		for _, branch := range [][]*pb.RequestOp{t.Success, t.Failure} {
			for _, op := range branch {
				if !yield(op) {
					return
				}
				if nested := op.GetRequestTxn(); nested != nil {
					for op := range operations(nested) {
						if !yield(op) {
							return
						}
					}
				}
			}
		}
	}
}

func (d *drawer) compare() *pb.Compare {
	c := &pb.Compare{Key: d.key(), Result: pb.Compare_CompareResult(d.IntN(4)), Target: pb.Compare_CompareTarget(d.IntN(5))}
	if d.one(3) {
		c.RangeEnd = d.end()
	}
	switch c.Target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: d.Int64N(4)}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: d.past()}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: d.past()}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: fmt.Appendf(nil, "v%d", d.IntN(8))}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: d.comparedLease(c.Result)}
	}
	if d.one(40) {
		c.TargetUnion = nil // compares with zero, or with nothing
	}
	return c
}

// comparedLease is none that the two have picked themselves where it is asked which one is greater.
func (d *drawer) comparedLease(result pb.Compare_CompareResult) int64 {
	switch {
	case d.one(3):
		return 0
	case result == pb.Compare_EQUAL || result == pb.Compare_NOT_EQUAL:
		return d.lease()
	}
	return d.plainLease()
}

func (d *drawer) op(depth int) *pb.RequestOp {
	switch n := d.IntN(10); {
	case n < 4:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: d.put()}}
	case n < 7:
		get := d.get()
		get.SortTarget = pb.RangeRequest_KEY // others leave the order of equals to chance
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: get}}
	case n < 9 || depth == maxNesting:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: d.del()}}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: d.txn(depth + 1)}}
}
