package kv

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Shorthands for the operations of transactions.

func opsPut(keys ...string) (ops []*pb.RequestOp) {
	for _, key := range keys {
		ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}})
	}
	return ops
}

func opDel(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func opGet(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
		RequestRange: &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func opNested(then, otherwise []*pb.RequestOp) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{
		RequestTxn: &pb.TxnRequest{Success: then, Failure: otherwise}}}
}

func ops(list ...any) (joined []*pb.RequestOp) {
	for _, item := range list {
		switch item := item.(type) {
		case *pb.RequestOp:
			joined = append(joined, item)
		case []*pb.RequestOp:
			joined = append(joined, item...)
		}
	}
	return joined
}

// TestTxnMayNotWriteAKeyTwice has each rule in both branches: what is refused in one of them is
// refused even if the other is taken.
func TestTxnMayNotWriteAKeyTwice(t *testing.T) {
	none := []*pb.RequestOp(nil)
	for _, c := range []struct {
		rule string
		ops  []*pb.RequestOp
		want Code
	}{
		{"different keys", opsPut("a", "b"), CodeOK},
		{"put twice", opsPut("a", "b", "a"), CodeDuplicateKey},
		{"put and delete", ops(opsPut("a"), opDel("a", "")), CodeDuplicateKey},
		{"delete and put", ops(opDel("a", ""), opsPut("a")), CodeDuplicateKey},
		{"put in a deleted range", ops(opDel("a", "c"), opsPut("b")), CodeDuplicateKey},
		{"put at the end of a deleted range", ops(opDel("a", "b"), opsPut("b")), CodeOK},
		{"put at the start of a deleted range", ops(opDel("a", "b"), opsPut("a")), CodeDuplicateKey},
		{"put in one of many deleted ranges", ops(opDel("a", "c"), opDel("x", "z"), opDel("b", "f"), opsPut("e")), CodeDuplicateKey},
		{"put between deleted ranges", ops(opDel("a", "c"), opDel("x", "z"), opDel("b", "f"), opsPut("g")), CodeOK},
		{"delete twice", ops(opDel("a", "c"), opDel("b", ""), opDel("a", "")), CodeOK},
		{"deleted range the wrong way round", ops(opDel("c", "a"), opsPut("b")), CodeOK},
		{"put after a range that reads it", ops(opGet("a", "c"), opsPut("b")), CodeOK},
		{"put in both branches of one nested txn", ops(opNested(opsPut("a"), opsPut("a"))), CodeOK},
		{"put in two nested txns", ops(opNested(opsPut("a"), none), opNested(opsPut("a"), none)), CodeDuplicateKey},
		{"put in other branches of two nested txns", ops(opNested(opsPut("a"), none), opNested(none, opsPut("a"))), CodeDuplicateKey},
		{"put nested and here", ops(opNested(none, opsPut("a")), opsPut("a")), CodeDuplicateKey},
		{"put here, listed first, and nested", ops(opsPut("a"), opNested(none, opsPut("a"))), CodeDuplicateKey},
		{"put nested, deleted here", ops(opNested(opsPut("a"), none), opDel("a", "b")), CodeDuplicateKey},
		{"deleted nested, put here", ops(opNested(ops(opDel("a", "b")), none), opsPut("a")), CodeDuplicateKey},
		{"put and deleted in branches of one nested txn", ops(opNested(opsPut("a"), ops(opDel("a", "")))), CodeOK},
		{"deleted nested, put by a later sibling", ops(opNested(ops(opDel("a", "")), none), opNested(opsPut("a"), none)), CodeDuplicateKey},
		{"put twice two levels down", ops(opNested(none, ops(opNested(opsPut("a"), none), opsPut("a")))), CodeDuplicateKey},
		// The two that etcd lets through.
		{"put nested, deleted by a later sibling", ops(opNested(opsPut("a"), none), opNested(ops(opDel("a", "")), none)), CodeOK},
		{"put of a key that is deleted from a key on", ops(opDel("a", "\x00"), opsPut("b")), CodeOK},
	} {
		for branch, txn := range []*pb.TxnRequest{{Success: c.ops}, {Failure: c.ops}} {
			if got := Check(KindTxn, marshalTxn(t, txn), Limits{}); got != c.want {
				t.Errorf("%s, branch %d: %v, want %v", c.rule, branch, got, c.want)
			}
		}
	}
}

// chain nests transactions, depth of them in all.
func chain(depth int) *pb.TxnRequest {
	txn := &pb.TxnRequest{Success: opsPut("a")}
	for range depth - 1 {
		txn = &pb.TxnRequest{Failure: ops(opNested(txn.Success, txn.Failure))}
	}
	return txn
}

// many makes n puts of different keys.
func many(n int) []*pb.RequestOp {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%06d", i)
	}
	return opsPut(keys...)
}

func TestTxnSizeIsBounded(t *testing.T) {
	compares := make([]*pb.Compare, 129)
	for i := range compares {
		compares[i] = &pb.Compare{Key: []byte("a")}
	}
	nested := func(outer, inner int) *pb.TxnRequest {
		success := many(outer)
		return &pb.TxnRequest{Success: append(success, opNested(nil, opsPutFrom(outer, inner)))}
	}
	wide := func(children, each int) *pb.TxnRequest {
		txn := &pb.TxnRequest{}
		for i := range children {
			txn.Success = append(txn.Success, opNested(opsPutFrom(i*each, each), opsPutFrom(i*each, each)))
		}
		return txn
	}
	for _, c := range []struct {
		name   string
		txn    *pb.TxnRequest
		limits Limits
		want   Code
	}{
		{"128 of each", &pb.TxnRequest{Compare: compares[:128], Success: many(128), Failure: many(128)}, Limits{}, CodeOK},
		{"129 compares", &pb.TxnRequest{Compare: compares}, Limits{}, CodeTooManyOps},
		{"129 in then", &pb.TxnRequest{Success: many(129)}, Limits{}, CodeTooManyOps},
		{"129 in else", &pb.TxnRequest{Failure: many(129)}, Limits{}, CodeTooManyOps},
		{"129 where more are allowed", &pb.TxnRequest{Failure: many(129)}, Limits{TxnOps: 200}, CodeOK},
		{"nested within what is left", nested(99, 28), Limits{}, CodeOK},
		{"nested beyond what is left", nested(99, 29), Limits{}, CodeTooManyOps},
		{"wide but within the whole", wide(60, 60), Limits{}, CodeOK},
		{"as deep as allowed", chain(MaxTxnDepth), Limits{}, CodeOK},
		{"one deeper", chain(MaxTxnDepth + 1), Limits{}, CodeTooDeep},
		{"deeper than set", chain(3), Limits{Depth: 2}, CodeTooDeep},
	} {
		if got := Check(KindTxn, marshalTxn(t, c.txn), c.limits); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func opsPutFrom(first, n int) []*pb.RequestOp {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%06d", first+i)
	}
	return opsPut(keys...)
}

// TestTxnTreeIsBoundedAsAWhole: the budget that nested transactions share bounds every path, but a
// tree with few members on each path can still be as large as its bytes allow.
func TestTxnTreeIsBoundedAsAWhole(t *testing.T) {
	var tree func(levels int) *pb.TxnRequest
	tree = func(levels int) *pb.TxnRequest {
		if levels == 0 {
			return &pb.TxnRequest{}
		}
		txn := &pb.TxnRequest{}
		for range 2 {
			child := tree(levels - 1)
			txn.Success = append(txn.Success, opNested(child.Success, child.Failure))
			txn.Failure = append(txn.Failure, opNested(child.Success, child.Failure))
		}
		return txn
	}
	for levels, want := range map[int]Code{5: CodeOK, 6: CodeOK, 7: CodeTooManyOps} {
		if got := Check(KindTxn, marshalTxn(t, tree(levels)), Limits{}); got != want {
			t.Errorf("%d levels: %v, want %v", levels, got, want)
		}
	}
}

func TestErrorsComeInTheOrderOfTheirChecks(t *testing.T) {
	sort := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), SortOrder: 9}}}
	for _, c := range []struct {
		name string
		txn  *pb.TxnRequest
		want Code
	}{
		{"too many before all", &pb.TxnRequest{Compare: []*pb.Compare{{}}, Success: many(129)}, CodeTooManyOps},
		{"compares before operations", &pb.TxnRequest{Compare: []*pb.Compare{{}}, Success: ops(sort)}, CodeKeyNotProvided},
		{"then before else", &pb.TxnRequest{Success: ops(sort), Failure: ops(&pb.RequestOp{})}, CodeInvalidSortOption},
		{"empty operation", &pb.TxnRequest{Failure: ops(&pb.RequestOp{})}, CodeKeyNotFound},
		{"operations before duplicates", &pb.TxnRequest{Success: opsPut("a", "a"), Failure: ops(sort)}, CodeInvalidSortOption},
		{"unknown compare", &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte("a"), Target: 5}}}, CodeMalformed},
		{"unknown result", &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte("a"), Result: 4}}}, CodeMalformed},
	} {
		if got := Check(KindTxn, marshalTxn(t, c.txn), Limits{}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRequestSizeIsBounded(t *testing.T) {
	request := marshalTxn(t, &pb.TxnRequest{Success: opsPut(strings.Repeat("k", 1000))})
	for limit, want := range map[int]Code{len(request): CodeOK, len(request) - 1: CodeRequestTooLarge} {
		if got := Check(KindTxn, request, Limits{RequestBytes: limit}); got != want {
			t.Errorf("%d bytes with a limit of %d: %v", len(request), limit, got)
		}
	}
	if got := Check(KindPut, make([]byte, defaultRequestBytes+1), Limits{}); got != CodeRequestTooLarge {
		t.Errorf("1.5 MiB and a byte: %v", got)
	}
}

// TestCheckingATxnAllocatesLittle: the check keeps a key's slice for each write, and nothing for
// anything else.
func TestCheckingATxnAllocatesLittle(t *testing.T) {
	for name, txn := range map[string]*pb.TxnRequest{
		"puts":            {Success: many(128)},
		"smallest tree":   chain(MaxTxnDepth),
		"ranges":          {Success: ops(opGet("a", ""), opGet("b", "c"), opGet("d", "")), Failure: ops(opGet("a", ""))},
		"empty compares":  {Compare: make([]*pb.Compare, 100)},
		"empty requests":  {Success: make([]*pb.RequestOp, 100)},
		"deletes, nested": {Success: ops(opNested(ops(opDel("a", ""), opDel("b", ""), opDel("c", "d")), nil), opDel("x", "z"))},
	} {
		for i := range txn.Compare {
			txn.Compare[i] = &pb.Compare{}
		}
		for i := range txn.Success {
			if txn.Success[i] == nil {
				txn.Success[i] = &pb.RequestOp{}
			}
		}
		request := marshalTxn(t, txn)
		const rounds = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			Check(KindTxn, request, Limits{})
		}
		runtime.ReadMemStats(&after)
		if used := int(after.TotalAlloc-before.TotalAlloc) / rounds; used > 512+10*len(request) {
			t.Errorf("%s: %d bytes allocated for a request of %d", name, used, len(request))
		}
	}
}
