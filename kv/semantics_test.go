package kv_test

import (
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// Each test here is one rule of etcd's API, by example. The model (model_test.go) has them all at
// once; these say them one at a time.

func rangeOf(key, end string) *pb.RangeRequest {
	return &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)}
}

func putOp(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

func deleteOp(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func rangeOp(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: rangeOf(key, end)}}
}

func nestedOp(t *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}}
}

func TestRevision_EmptyStoreIsOneAndFirstWriteIsTwo(t *testing.T) {
	c := newClient(t)
	equal(t, "empty store", c.store.Revision(), 1)
	_, _, rev := c.get(rangeOf("a", ""))
	equal(t, "header of a read of it", rev, 1)
	equal(t, "first put", c.put("a", "1"), 2)
	equal(t, "never compacted", c.store.CompactRevision(), -1)
}

func TestRevision_OneForEachRequestThatChangesSomething(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	equal(t, "put of the same value", c.put("a", "1"), 3)
	_, rev := c.delete("x", "z")
	equal(t, "delete of nothing", rev, 3)
	_, rev = c.delete("a", "")
	equal(t, "delete of something", rev, 4)
	_, rev = c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "1"), putOp("b", "1"), deleteOp("x", "")}})
	equal(t, "transaction with two puts", rev, 5)
	_, rev = c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("x", ""), rangeOp("a", "")}})
	equal(t, "transaction that writes nothing", rev, 5)
	c.compact(3)
	equal(t, "compaction", c.store.Revision(), 5)
	response, _, _ := c.get(rangeOf("a", "c"))
	equal(t, "all of a transaction has one revision", []int64{response.Kvs[0].ModRevision, response.Kvs[1].ModRevision}, "[5 5]")
}

func TestRange_EndForms(t *testing.T) {
	c := newClient(t)
	for _, key := range []string{"\x00", "a", "a\x00", "ab", "b", "\xff"} {
		c.put(key, "")
	}
	for _, r := range []struct{ key, end, want string }{
		{"a", "", "a"},
		{"x", "", ""},
		{"a", "b", "a a\x00 ab"},
		{"a", "a\x00", "a"},
		{"a", "\x00", "a a\x00 ab b \xff"},
		{"\x00", "\x00", "\x00 a a\x00 ab b \xff"},
		{"b", "a", ""},
		{"b", "b", ""},
		{"c", "\xff", ""},
	} {
		equal(t, "["+r.key+", "+r.end+")", c.keys(rangeOf(r.key, r.end)), r.want)
	}
}

func TestRange_RevisionRules(t *testing.T) {
	c := newClient(t)
	c.put("a", "1") // 2
	c.put("a", "2") // 3
	c.delete("a", "")
	c.put("a", "3") // 5
	at := func(rev int64) (string, kv.Code) {
		response, code, header := c.get(&pb.RangeRequest{Key: []byte("a"), Revision: rev})
		equal(t, "header is of the newest revision", header, 5)
		if len(response.Kvs) == 0 {
			return "", code
		}
		return string(response.Kvs[0].Value), code
	}
	for rev, want := range map[int64]string{-3: "3", 0: "3", 1: "", 2: "1", 3: "2", 4: "", 5: "3"} {
		got, code := at(rev)
		c.want(code, kv.CodeOK)
		equal(t, "value", got, want)
	}
	_, code := at(6)
	c.want(code, kv.CodeFutureRevision)
	c.compact(3)
	_, code = at(2)
	c.want(code, kv.CodeCompacted)
	got, code := at(3)
	c.want(code, kv.CodeOK)
	equal(t, "the compaction revision is readable", got, "2")
}

func TestRange_CountIgnoresLimitAndFilters(t *testing.T) {
	c := newClient(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		c.put(key, "")
	}
	r := rangeOf("a", "\x00")
	r.Limit = 2
	response, _, _ := c.get(r)
	equal(t, "limit: kvs, more, count", []any{len(response.Kvs), response.More, response.Count}, "[2 true 4]")
	r.Limit = 4
	response, _, _ = c.get(r)
	equal(t, "limit of all: kvs, more, count", []any{len(response.Kvs), response.More, response.Count}, "[4 false 4]")
	r.Limit, r.MinModRevision = 1, 4
	response, _, _ = c.get(r)
	equal(t, "limit and filter", []any{len(response.Kvs), response.More, response.Count}, "[1 true 4]")
	equal(t, "the filter comes before the limit", string(response.Kvs[0].Key), "c")
	r.CountOnly, r.KeysOnly = true, true
	response, _, _ = c.get(r)
	equal(t, "count_only beats keys_only", []any{len(response.Kvs), response.More, response.Count}, "[0 false 4]")
}

func TestRange_KeysOnlyHasNoValueButMetadata(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	c.put("a", "2")
	response, _, _ := c.get(&pb.RangeRequest{Key: []byte("a"), KeysOnly: true})
	equal(t, "pair", pair(response.Kvs[0]), "a= create 2 mod 3 version 2 lease 0")
}

func TestRange_SortingAndItsQuirk(t *testing.T) {
	c := newClient(t)
	// key: value, version, create, mod in other orders than that of the keys.
	c.put("b", "1")
	c.put("a", "2")
	c.put("c", "0")
	c.put("a", "2")
	c.put("a", "2")
	c.put("b", "1")
	sorted := func(target pb.RangeRequest_SortTarget, order pb.RangeRequest_SortOrder, limit int64) string {
		return c.keys(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, SortTarget: target, SortOrder: order, Limit: limit})
	}
	const none, up, down = pb.RangeRequest_NONE, pb.RangeRequest_ASCEND, pb.RangeRequest_DESCEND
	for _, s := range []struct {
		target pb.RangeRequest_SortTarget
		order  pb.RangeRequest_SortOrder
		limit  int64
		want   string
	}{
		{pb.RangeRequest_KEY, none, 0, "a b c"},
		{pb.RangeRequest_KEY, up, 0, "a b c"},
		{pb.RangeRequest_KEY, down, 0, "c b a"},
		{pb.RangeRequest_KEY, down, 2, "c b"},
		{pb.RangeRequest_VERSION, up, 0, "c b a"},
		{pb.RangeRequest_VERSION, down, 0, "a b c"},
		{pb.RangeRequest_CREATE, up, 0, "b a c"},
		{pb.RangeRequest_MOD, down, 0, "b a c"},
		{pb.RangeRequest_VALUE, up, 0, "c b a"},
		{pb.RangeRequest_VALUE, up, 1, "c"},
		// Without an order a target sorts upwards, but of what the limit (and one more) has left.
		{pb.RangeRequest_VALUE, none, 0, "c b a"},
		{pb.RangeRequest_VALUE, none, 1, "b"},
		{pb.RangeRequest_VALUE, none, 2, "c b"},
	} {
		equal(t, s.target.String()+" "+s.order.String(), sorted(s.target, s.order, s.limit), s.want)
	}
	for _, bad := range []*pb.RangeRequest{
		{Key: []byte("a"), SortOrder: 3}, {Key: []byte("a"), SortTarget: 5}, {Key: []byte("a"), SortOrder: -1},
	} {
		_, code, _ := c.get(bad)
		c.want(code, kv.CodeInvalidSortOption)
	}
	_, code, _ := c.get(&pb.RangeRequest{})
	c.want(code, kv.CodeKeyNotProvided)
}

func TestRange_FiltersAreInclusive(t *testing.T) {
	c := newClient(t)
	for _, key := range []string{"a", "b", "c", "d", "b"} { // mod: a2 c4 d5 b6, create: a2 b3 c4 d5
		c.put(key, "")
	}
	for _, f := range []struct {
		r    *pb.RangeRequest
		want string
	}{
		{&pb.RangeRequest{MinModRevision: 4}, "b c d"},
		{&pb.RangeRequest{MaxModRevision: 4}, "a c"},
		{&pb.RangeRequest{MinCreateRevision: 3, MaxCreateRevision: 4}, "b c"},
		{&pb.RangeRequest{MinModRevision: 5, MaxCreateRevision: 3}, "b"},
		{&pb.RangeRequest{MinModRevision: 7}, ""},
	} {
		f.r.Key, f.r.RangeEnd = []byte("a"), []byte{0}
		equal(t, f.r.String(), c.keys(f.r), f.want)
	}
}

func TestPut_PreviousPairAndVersions(t *testing.T) {
	c := newClient(t)
	put := func(r *pb.PutRequest) (string, kv.Code) {
		response := &pb.PutResponse{}
		code, _ := c.apply(kv.KindPut, r, response)
		return pair(response.PrevKv), code
	}
	prev, _ := put(&pb.PutRequest{Key: []byte("a"), Value: []byte("1"), PrevKv: true})
	equal(t, "of a new key", prev, "none")
	prev, _ = put(&pb.PutRequest{Key: []byte("a"), Value: []byte("2"), PrevKv: true})
	equal(t, "of an old key", prev, "a=1 create 2 mod 2 version 1 lease 0")
	prev, _ = put(&pb.PutRequest{Key: []byte("a"), IgnoreValue: true})
	equal(t, "not asked for", prev, "none")
	response, _, _ := c.get(rangeOf("a", ""))
	equal(t, "value kept", pair(response.Kvs[0]), "a=2 create 2 mod 4 version 3 lease 0")
	c.delete("a", "")
	c.put("a", "3")
	response, _, _ = c.get(rangeOf("a", ""))
	equal(t, "a deleted key starts anew", pair(response.Kvs[0]), "a=3 create 6 mod 6 version 1 lease 0")
}

func TestPut_Errors(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	a, x := []byte("a"), []byte("x")
	for _, p := range []struct {
		r    *pb.PutRequest
		want kv.Code
	}{
		{&pb.PutRequest{}, kv.CodeKeyNotProvided},
		{&pb.PutRequest{Key: a, Value: x, IgnoreValue: true}, kv.CodeValueProvided},
		{&pb.PutRequest{Key: a, Lease: 1, IgnoreLease: true}, kv.CodeLeaseProvided},
		{&pb.PutRequest{Key: x, IgnoreValue: true}, kv.CodeKeyNotFound},
		{&pb.PutRequest{Key: x, IgnoreLease: true}, kv.CodeKeyNotFound},
		{&pb.PutRequest{Key: a, Lease: 1}, kv.CodeLeaseNotFound},
		{&pb.PutRequest{Key: x, Lease: -1, IgnoreValue: true}, kv.CodeLeaseNotFound},
		{&pb.PutRequest{Key: a, IgnoreLease: true, Value: x}, kv.CodeOK},
	} {
		before := c.store.Revision()
		code, rev := c.apply(kv.KindPut, p.r, &pb.PutResponse{})
		if code != p.want || (code != kv.CodeOK && rev != before) {
			t.Errorf("%v: %v at %d, want %v", p.r, code, rev, p.want)
		}
	}
}

func TestDeleteRange_CountsAndPreviousPairs(t *testing.T) {
	c := newClient(t)
	for _, key := range []string{"b", "a", "c"} {
		c.put(key, key)
	}
	response := &pb.DeleteRangeResponse{}
	code, rev := c.apply(kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("c"), PrevKv: true}, response)
	c.want(code, kv.CodeOK)
	equal(t, "revision", rev, 5)
	equal(t, "deleted", response.Deleted, 2)
	equal(t, "in the order of keys", pair(response.PrevKvs[0])+", "+pair(response.PrevKvs[1]),
		"a=a create 3 mod 3 version 1 lease 0, b=b create 2 mod 2 version 1 lease 0")
	deleted, _ := c.delete("a", "\x00")
	equal(t, "what is left", deleted, 1)
	deleted, _ = c.delete("a", "\x00")
	equal(t, "again", deleted, 0)
	code, _ = c.apply(kv.KindDeleteRange, &pb.DeleteRangeRequest{RangeEnd: []byte{0}}, &pb.DeleteRangeResponse{})
	c.want(code, kv.CodeKeyNotProvided)
}

func TestTxn_ComparesOnKeysThatAreNotThere(t *testing.T) {
	c := newClient(t)
	c.put("a", "")
	holds := func(compare *pb.Compare) bool {
		response, _ := c.txn(&pb.TxnRequest{Compare: []*pb.Compare{compare}})
		return response.Succeeded
	}
	x, a := []byte("x"), []byte("a")
	for _, want := range []struct {
		compare *pb.Compare
		holds   bool
	}{
		{&pb.Compare{Key: x, Target: pb.Compare_VERSION}, true}, // zero equals zero
		{&pb.Compare{Key: x, Target: pb.Compare_CREATE, Result: pb.Compare_GREATER}, false},
		{&pb.Compare{Key: x, Target: pb.Compare_MOD, Result: pb.Compare_LESS, TargetUnion: &pb.Compare_ModRevision{ModRevision: 1}}, true},
		{&pb.Compare{Key: x, Target: pb.Compare_LEASE}, true},
		{&pb.Compare{Key: x, Target: pb.Compare_VALUE}, false}, // no value equals nothing
		{&pb.Compare{Key: x, Target: pb.Compare_VALUE, Result: pb.Compare_NOT_EQUAL, TargetUnion: &pb.Compare_Value{Value: x}}, false},
		{&pb.Compare{Key: a, Target: pb.Compare_VALUE}, true}, // an empty value is one
		// The union names another target: then it is compared with zero.
		{&pb.Compare{Key: a, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_ModRevision{ModRevision: 1}}, false},
		{&pb.Compare{Key: a, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}}, true},
	} {
		if got := holds(want.compare); got != want.holds {
			t.Errorf("%v: %v", want.compare, got)
		}
	}
}

func TestTxn_CompareOfARangeHoldsForEveryKey(t *testing.T) {
	c := newClient(t)
	c.put("a", "x")
	c.put("b", "x")
	all := &pb.Compare{Key: []byte("a"), RangeEnd: []byte{0}, Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("x")}}
	response, _ := c.txn(&pb.TxnRequest{Compare: []*pb.Compare{all}})
	equal(t, "all are x", response.Succeeded, true)
	c.put("c", "y")
	response, _ = c.txn(&pb.TxnRequest{Compare: []*pb.Compare{all}})
	equal(t, "one is not", response.Succeeded, false)
	all.Key = []byte("d")
	response, _ = c.txn(&pb.TxnRequest{Compare: []*pb.Compare{all}})
	equal(t, "no keys and a value", response.Succeeded, false)
}

func TestTxn_AllComparesAreDecidedBeforeAnyWrite(t *testing.T) {
	c := newClient(t)
	missing := func(key string) []*pb.Compare {
		return []*pb.Compare{{Key: []byte(key), Target: pb.Compare_VERSION}}
	}
	response, _ := c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{
		putOp("a", "1"),
		nestedOp(&pb.TxnRequest{Compare: missing("a"), Success: []*pb.RequestOp{putOp("b", "1")}, Failure: []*pb.RequestOp{putOp("c", "1")}}),
	}})
	equal(t, "a was missing when it was looked at", response.Responses[1].GetResponseTxn().Succeeded, true)
	equal(t, "keys", c.keys(rangeOf("a", "\x00")), "a b")
}

func TestTxn_ReadsSeeEarlierWritesAtTheNextRevision(t *testing.T) {
	c := newClient(t)
	c.put("a", "old")
	response, rev := c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp("a", "c"), putOp("a", "new"), rangeOp("a", "c"), putOp("b", "1"), deleteOp("c", ""), rangeOp("a", "c"),
	}})
	equal(t, "revision", rev, 3)
	var seen []string
	for _, i := range []int{0, 2, 5} {
		r := response.Responses[i].GetResponseRange()
		var keys []string
		for _, p := range r.Kvs {
			keys = append(keys, string(p.Key)+"="+string(p.Value))
		}
		seen = append(seen, strings.Join(keys, " "))
		want := int64(3)
		if i == 0 {
			want = 2
		}
		equal(t, "header of a range", r.Header.Revision, want)
	}
	equal(t, "what the ranges saw", strings.Join(seen, ", "), "a=old, a=new, a=new b=1")
	equal(t, "header of a put", response.Responses[1].GetResponsePut().Header.String(), "revision:3")
	equal(t, "header of a delete of nothing, after a write", response.Responses[4].GetResponseDeleteRange().Header.Revision, 3)
}

func TestTxn_HeaderOfANestedTxnIsThereAndEmpty(t *testing.T) {
	c := newClient(t)
	response, _ := c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{nestedOp(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "1")}})}})
	nested := response.Responses[0].GetResponseTxn()
	if nested.Header == nil || nested.Header.Revision != 0 {
		t.Errorf("header %v", nested.Header)
	}
	equal(t, "header of the put in it", nested.Responses[0].GetResponsePut().Header.Revision, 2)
}

func TestTxn_ABadOperationInTheTakenBranchFailsItAll(t *testing.T) {
	c := newClient(t)
	c.put("k", "1")
	c.put("k", "2")
	c.compact(3)
	bad := map[string]struct {
		op   *pb.RequestOp
		want kv.Code
	}{
		"lease":     {&pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), Lease: 9}}}, kv.CodeLeaseNotFound},
		"ignore":    {&pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), IgnoreValue: true}}}, kv.CodeKeyNotFound},
		"compacted": {&pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), Revision: 2}}}, kv.CodeCompacted},
		// The revision that the transaction itself would make is in the future when it is checked.
		"future": {&pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), Revision: 4}}}, kv.CodeFutureRevision},
	}
	for name, b := range bad {
		for _, op := range []*pb.RequestOp{b.op, nestedOp(&pb.TxnRequest{Success: []*pb.RequestOp{b.op}})} {
			code, rev := c.apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "1"), op}}, &pb.TxnResponse{})
			if code != b.want || rev != 3 {
				t.Errorf("%s: %v at %d", name, code, rev)
			}
			code, _ = c.apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{}, Failure: []*pb.RequestOp{op}}, &pb.TxnResponse{})
			if code != kv.CodeOK {
				t.Errorf("%s, in the branch not taken: %v", name, code)
			}
		}
	}
	equal(t, "keys", c.keys(rangeOf("a", "\x00")), "k")
}

// TestTxn_KeepingAValueThatWasJustDeletedFails: etcd does not see this coming and stops its server.
func TestTxn_KeepingAValueThatWasJustDeletedFails(t *testing.T) {
	c := newClient(t)
	c.put("b", "1")
	keep := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), IgnoreValue: true}}}
	for _, deletes := range [][]*pb.RequestOp{
		{deleteOp("a", "\x00")}, {deleteOp("b", "\x00")}, {deleteOp("a", "\x00"), deleteOp("c", "\x00")},
		{nestedOp(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("a", "\x00")}})},
	} {
		code, rev := c.apply(kv.KindTxn, &pb.TxnRequest{Success: append(deletes, keep)}, &pb.TxnResponse{})
		c.want(code, kv.CodeKeyNotFound)
		equal(t, "revision", rev, 2)
	}
	equal(t, "nothing is deleted", c.keys(rangeOf("a", "\x00")), "b")
	// The other way round, and with a delete of other keys, there is nothing wrong with it.
	_, rev := c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("c", "\x00"), keep, deleteOp("c", "\x00")}})
	equal(t, "revision", rev, 3)
}

// TestTxn_ClearAllAndPut: one key changes twice in one revision, and both changes are kept.
func TestTxn_ClearAllAndPut(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	c.put("b", "1")
	_, rev := c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("\x00", "\x00"), putOp("b", "2")}})
	equal(t, "revision", rev, 4)
	response, _, _ := c.get(rangeOf("\x00", "\x00"))
	equal(t, "keys", response.Count, 1)
	equal(t, "b is a new key", pair(response.Kvs[0]), "b=2 create 4 mod 4 version 1 lease 0")
}

func TestTxn_ReadOnlyIsAllRanges(t *testing.T) {
	for _, c := range []struct {
		name                   string
		txn                    *pb.TxnRequest
		readOnly, serializable bool
	}{
		{"empty", &pb.TxnRequest{}, true, false},
		{"compares only", &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte("a")}}}, true, false},
		{"ranges", &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", "")}, Failure: []*pb.RequestOp{rangeOp("a", "")}}, true, false},
		{"a put in the other branch", &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", "")}, Failure: []*pb.RequestOp{putOp("a", "")}}, false, false},
		{"nested", &pb.TxnRequest{Success: []*pb.RequestOp{nestedOp(&pb.TxnRequest{})}}, false, false},
		{"an empty operation", &pb.TxnRequest{Success: []*pb.RequestOp{{}}}, false, false},
		{"serializable ranges", &pb.TxnRequest{Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), Serializable: true}}}}}, true, true},
	} {
		request := marshal(t, c.txn)
		equal(t, c.name+": read-only", kv.IsReadOnlyTxn(request), c.readOnly)
		equal(t, c.name+": serializable", kv.IsSerializable(kv.KindTxn, request), c.serializable)
	}
	equal(t, "malformed", kv.IsReadOnlyTxn([]byte{0x80}), false)
	equal(t, "serializable range", kv.IsSerializable(kv.KindRange, marshal(t, &pb.RangeRequest{Serializable: true})), true)
	equal(t, "linearizable range", kv.IsSerializable(kv.KindRange, marshal(t, &pb.RangeRequest{})), false)

	s := newClient(t)
	if _, err := s.store.ReadOnlyTxn(marshal(t, &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "")}})); err == nil {
		t.Error("a put was taken for a read")
	}
}

func TestCompact_Errors(t *testing.T) {
	c := newClient(t)
	for range 5 {
		c.put("a", "")
	}
	for _, want := range []struct {
		rev  int64
		code kv.Code
	}{
		{7, kv.CodeFutureRevision},
		{-1, kv.CodeCompacted},
		{0, kv.CodeOK}, // as in etcd: nothing has been compacted yet
		{0, kv.CodeCompacted},
		{4, kv.CodeOK},
		{4, kv.CodeCompacted},
		{3, kv.CodeCompacted},
		{6, kv.CodeOK},
		{7, kv.CodeFutureRevision},
	} {
		code, rev := c.apply(kv.KindCompact, &pb.CompactionRequest{Revision: want.rev, Physical: true}, &pb.CompactionResponse{})
		if code != want.code || rev != 6 {
			t.Errorf("compact at %d: %v at %d, want %v", want.rev, code, rev, want.code)
		}
	}
	equal(t, "compaction revision", c.store.CompactRevision(), 6)
}

// Outside of a transaction a negative revision means the newest; inside, it is compared.
func TestTxn_NegativeRevisionIsGoneOnceSomethingIs(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	negative := rangeOp("a", "")
	negative.GetRequestRange().Revision = -1
	ask := func() (kv.Code, *pb.TxnResponse) {
		response := &pb.TxnResponse{}
		code, _ := c.apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{negative}}, response)
		return code, response
	}
	code, response := ask()
	equal(t, "before a compaction", code, kv.CodeOK)
	equal(t, "what it reads", len(response.Responses[0].GetResponseRange().Kvs), 1)
	c.compact(2)
	code, _ = ask()
	equal(t, "after a compaction", code, kv.CodeCompacted)
	alone, _, _ := c.get(&pb.RangeRequest{Key: []byte("a"), Revision: -1})
	equal(t, "outside of a transaction", len(alone.Kvs), 1)
}
