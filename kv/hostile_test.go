package kv

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protowire"
)

// What may be allocated for bytes from outside, garbage included: a multiple of their number, and a
// little. The check of a transaction is the worst: it collects the keys that each level writes.
const (
	checkFactor  = 80
	recordFactor = 16 // an error shows the whole record in hexadecimal
	allocFloor   = 8 << 10
)

// bounded runs f, and fails the test if it allocates more than factor times the size of its input and
// a little. The runtime counts for all goroutines, so an excess is measured again: f's own comes every
// time.
func bounded(t testing.TB, what string, inputBytes, factor int, f func()) {
	t.Helper()
	limit := uint64(factor*inputBytes + allocFloor)
	var spent uint64
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if spent = after.TotalAlloc - before.TotalAlloc; spent <= limit {
			return
		}
	}
	t.Errorf("%s: %d bytes allocated for %d, more than %d", what, spent, inputBytes, limit)
}

// inTxn returns a transaction of one operation.
func inTxn(op []byte) []byte { return appendField(nil, txnSuccess, op) }

func appendField(b []byte, num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
}

// inParts returns an operation that gives its request as many parts, which mean little by themselves.
func inParts(kind opKind, parts int, part []byte) []byte {
	var op []byte
	for range parts {
		op = appendField(op, protowire.Number(kind), part)
	}
	return op
}

// splitChain returns transactions nested as deeply as may be, each given in two parts.
func splitChain(bytes int) []byte {
	t := appendField(nil, txnSuccess, inParts(opPut, 1, appendField(nil, 1, make([]byte, bytes))))
	compare := appendField(nil, txnCompare, appendField(nil, 3, []byte("key")))
	for range MaxTxnDepth - 1 {
		op := appendField(nil, protowire.Number(opTxn), t)
		t = inTxn(appendField(op, protowire.Number(opTxn), compare))
	}
	return t
}

// nestedAlone returns many transactions in one, each with one operation.
func nestedAlone(n int, op func(key string) *pb.RequestOp) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for i := range n {
		t.Success = append(t.Success, opNested(ops(op(fmt.Sprintf("%06d", i))), nil))
	}
	return t
}

func put(key string) *pb.RequestOp { return opsPut(key)[0] }

// hostileTxns are made to cost more than they weigh.
func hostileTxns(tb testing.TB) map[string][]byte {
	emptyLease := []byte{0x18, 0x00}
	return map[string][]byte{
		"a put in 100,000 parts":              inTxn(inParts(opPut, 100_000, emptyLease)),
		"a range in 100,000 parts":            inTxn(inParts(opRange, 100_000, emptyLease)),
		"a transaction in 100,000 parts":      inTxn(inParts(opTxn, 100_000, appendField(nil, txnFailure, nil))),
		"the union changed 100,000 times":     inTxn(bytes.Repeat([]byte{0x0a, 0, 0x12, 0, 0x12, 0}, 33_333)),
		"nested to the limit, each in parts":  splitChain(100_000),
		"10,000 transactions of one put":      marshalTxn(tb, nestedAlone(10_000, put)),
		"10,000 transactions of one deletion": marshalTxn(tb, nestedAlone(10_000, func(key string) *pb.RequestOp { return opDel(key, "") })),
		"100,000 empty operations":            bytes.Repeat([]byte{0x12, 0}, 100_000),
		"100,000 empty compares":              bytes.Repeat([]byte{0x0a, 0}, 100_000),
		"a length beyond the end":             {0x12, 0xff, 0xff, 0xff, 0xff, 0x07},
		"a length that overflows":             {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	}
}

// A client's request is checked where it comes in and again on every server: what costs more than its
// size costs the whole cluster.
func TestHostileTransactionsCostInProportion(t *testing.T) {
	for name, request := range hostileTxns(t) {
		for _, limits := range []Limits{{}, appliedLimits()} {
			bounded(t, name, len(request), checkFactor, func() { Check(KindTxn, request, limits) })
		}
	}
}

// FuzzCheck looks for requests that cost more memory than they should, or that are judged otherwise by
// wider limits than by narrower ones, other than for their size.
func FuzzCheck(f *testing.F) {
	f.Add(uint8(KindTxn), inTxn(inParts(opPut, 3, []byte{0x18, 0})))
	f.Add(uint8(KindTxn), splitChain(3))
	f.Add(uint8(KindTxn), marshalTxn(f, nestedAlone(3, put)))
	f.Add(uint8(KindPut), appendField(nil, 1, []byte("key")))
	f.Add(uint8(KindRange), appendField(nil, 2, []byte{0}))
	f.Fuzz(func(t *testing.T, kind uint8, request []byte) {
		narrow := Check(Kind(kind), request, Limits{})
		bounded(t, "check", len(request), checkFactor, func() {
			wide := Check(Kind(kind), request, appliedLimits())
			sized := narrow == CodeRequestTooLarge || narrow == CodeTooManyOps
			if wide != narrow && !sized {
				t.Errorf("%v by the default limits, %v by the widest", narrow, wide)
			}
		})
	})
}

// storedRecords are the decoders of what is read from the engine.
var storedRecords = []struct {
	name  string
	parse func(b []byte) (again []byte, err error) // again: what was read, encoded
}{
	{"version", func(b []byte) ([]byte, error) {
		var v version
		err := v.parse(b)
		return appendVersion(nil, &v), err
	}},
	{"revision entry", func(b []byte) ([]byte, error) {
		tombstone, key, err := parseRevisionEntry(b)
		return appendRevisionEntry(nil, tombstone, key), err
	}},
	{"state", func(b []byte) ([]byte, error) {
		s, err := parseState(b)
		return appendState(nil, &s), err
	}},
	{"progress", func(b []byte) ([]byte, error) {
		p, err := parseProgress(b)
		return appendProgress(nil, &p), err
	}},
	{"format", func(b []byte) ([]byte, error) { return appendFormat(nil, 7), checkFormat(b, 7) }},
	{"version key", func(b []byte) ([]byte, error) {
		key, r, _, err := splitVersionKey(b, nil)
		return appendVersionKey(nil, key, r), err
	}},
	{"revision key", func(b []byte) ([]byte, error) {
		r, err := splitRevisionKey(b)
		return appendRevisionKey(nil, r), err
	}},
	{"answer", func(b []byte) ([]byte, error) {
		a, err := ParseAnswer(b)
		return a.Append(nil), err
	}},
}

// FuzzStoredRecords reads anything as each of the records in the engine: it is refused with the error
// for damage, or means the same when it is written again and read again.
func FuzzStoredRecords(f *testing.F) {
	f.Add(appendVersion(nil, &version{create: 300, version: 2, lease: 1, value: []byte("value")}))
	f.Add(appendVersion(nil, &version{tombstone: true}))
	f.Add(appendRevisionEntry(nil, false, []byte("key")))
	f.Add(appendState(nil, &state{applied: 1, revision: 2, compact: -1}))
	f.Add(appendProgress(nil, &progress{target: 5, next: revision{3, 1}, done: true}))
	f.Add(appendFormat(nil, 7))
	f.Add(appendVersionKey(nil, []byte("a\x00b"), revision{4, 2}))
	f.Add(appendRevisionKey(nil, revision{4, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range storedRecords {
			bounded(t, r.name, len(b), recordFactor, func() { checkRecord(t, r.name, b, r.parse) })
		}
		if n := PrefixLen(b); n > len(b) {
			t.Errorf("%x has a prefix of %d bytes", b, n)
		}
	})
}

func checkRecord(t *testing.T, name string, b []byte, parse func([]byte) ([]byte, error)) {
	t.Helper()
	again, err := parse(b)
	switch {
	case err == nil:
	case errors.Is(err, ErrCorrupt), errors.Is(err, errAnswer), errors.Is(err, ErrNewerFormat), errors.Is(err, ErrOtherCluster):
		return
	default:
		t.Errorf("%s %x: an error of no kind: %v", name, b, err)
		return
	}
	if once, err := parse(again); err != nil || !bytes.Equal(once, again) {
		t.Errorf("%s %x: written again as %x, and then as %x, %v", name, b, again, once, err)
	}
}

// TestHostileRecordsCostInProportion: an engine's records have no bound but the request's.
func TestHostileRecordsCostInProportion(t *testing.T) {
	for _, kind := range []byte{0, kindPut, kindTombstone, spaceVersions, spaceRevisions, 0xff} {
		b := bytes.Repeat([]byte{kind}, 1<<20)
		for _, r := range storedRecords {
			bounded(t, r.name, len(b), recordFactor, func() { checkRecord(t, r.name, b, r.parse) })
		}
	}
}
