package kv

import (
	"bytes"
	"math"
	"math/rand"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The oracle of these tests is protobuf's own decoder with etcd's messages: what our decoder
// accepts must be what it accepts without an unknown field anywhere, and come to the same values.

func (r *rangeRequest) message() *pb.RangeRequest {
	return &pb.RangeRequest{Key: r.key, RangeEnd: r.end, Limit: r.limit, Revision: r.revision,
		SortOrder: pb.RangeRequest_SortOrder(r.order), SortTarget: pb.RangeRequest_SortTarget(r.target),
		Serializable: r.serializable, KeysOnly: r.keysOnly, CountOnly: r.countOnly,
		MinModRevision: r.minMod, MaxModRevision: r.maxMod, MinCreateRevision: r.minCreate, MaxCreateRevision: r.maxCreate}
}

func (p *putRequest) message() *pb.PutRequest {
	return &pb.PutRequest{Key: p.key, Value: p.value, Lease: p.lease, PrevKv: p.prevKV,
		IgnoreValue: p.ignoreValue, IgnoreLease: p.ignoreLease}
}

func (d *deleteRequest) message() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: d.key, RangeEnd: d.end, PrevKv: d.prevKV}
}

func (c *compactRequest) message() *pb.CompactionRequest {
	return &pb.CompactionRequest{Revision: c.revision, Physical: c.physical}
}

func (c *compare) message() *pb.Compare {
	m := &pb.Compare{Result: pb.Compare_CompareResult(c.result), Target: pb.Compare_CompareTarget(c.target),
		Key: c.key, RangeEnd: c.end}
	switch c.given {
	case compareVersion:
		m.TargetUnion = &pb.Compare_Version{Version: c.int}
	case compareCreate:
		m.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: c.int}
	case compareMod:
		m.TargetUnion = &pb.Compare_ModRevision{ModRevision: c.int}
	case compareLease:
		m.TargetUnion = &pb.Compare_Lease{Lease: c.int}
	case compareValue:
		m.TargetUnion = &pb.Compare_Value{Value: c.value}
	}
	return m
}

// messageOfTxn walks a transaction into etcd's message.
func messageOfTxn(t txnRequest) (*pb.TxnRequest, Code) {
	m := &pb.TxnRequest{}
	code := t.each(txnCompare, func(body []byte) Code {
		var c compare
		code := c.decode(body)
		m.Compare = append(m.Compare, c.message())
		return code
	})
	for num, list := range map[protowire.Number]*[]*pb.RequestOp{txnSuccess: &m.Success, txnFailure: &m.Failure} {
		if code != CodeOK {
			break
		}
		code = t.each(num, func(body []byte) Code {
			op, code := messageOfOp(body)
			*list = append(*list, op)
			return code
		})
	}
	return m, code
}

func messageOfOp(body []byte) (*pb.RequestOp, Code) {
	var op requestOp
	if code := op.decode(body); code != CodeOK {
		return nil, code
	}
	switch op.kind {
	case opRange:
		var r rangeRequest
		code := r.decode(op.body)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r.message()}}, code
	case opPut:
		var p putRequest
		code := p.decode(op.body)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: p.message()}}, code
	case opDelete:
		var d deleteRequest
		code := d.decode(op.body)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: d.message()}}, code
	case opTxn:
		t, code := messageOfTxn(op.body)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}}, code
	}
	return &pb.RequestOp{}, CodeOK
}

// decoders are our decoders beside etcd's messages.
var decoders = []struct {
	name   string
	kind   Kind
	empty  func() proto.Message
	decode func(b []byte) (proto.Message, Code)
}{
	{"Range", KindRange, func() proto.Message { return &pb.RangeRequest{} }, func(b []byte) (proto.Message, Code) {
		var r rangeRequest
		code := r.decode(b)
		return r.message(), code
	}},
	{"Put", KindPut, func() proto.Message { return &pb.PutRequest{} }, func(b []byte) (proto.Message, Code) {
		var p putRequest
		code := p.decode(b)
		return p.message(), code
	}},
	{"DeleteRange", KindDeleteRange, func() proto.Message { return &pb.DeleteRangeRequest{} }, func(b []byte) (proto.Message, Code) {
		var d deleteRequest
		code := d.decode(b)
		return d.message(), code
	}},
	{"Compact", KindCompact, func() proto.Message { return &pb.CompactionRequest{} }, func(b []byte) (proto.Message, Code) {
		var c compactRequest
		code := c.decode(b)
		return c.message(), code
	}},
	{"Txn", KindTxn, func() proto.Message { return &pb.TxnRequest{} }, func(b []byte) (proto.Message, Code) {
		t, code := messageOfTxn(b)
		return t, code
	}},
}

// hasUnknown tells whether a message has unknown fields, at any depth.
func hasUnknown(m protoreflect.Message) bool {
	unknown := len(m.GetUnknown()) > 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				unknown = unknown || hasUnknown(v.List().Get(i).Message())
			}
		default:
			unknown = unknown || hasUnknown(v.Message())
		}
		return !unknown
	})
	return unknown
}

// agree compares a decoder with protobuf's on any bytes.
func agree(t *testing.T, name string, b []byte) {
	t.Helper()
	for _, d := range decoders {
		if d.name != name {
			continue
		}
		want := d.empty()
		err := proto.Unmarshal(b, want)
		got, code := d.decode(b)
		switch {
		case code == CodeOK && (err != nil || hasUnknown(want.ProtoReflect())):
			t.Fatalf("%s %x: accepted, protobuf has %v, %v", name, b, want, err)
		case code == CodeMalformed && d.kind == KindTxn && repeatsUnion(b):
		case code != CodeOK && err == nil && !hasUnknown(want.ProtoReflect()):
			t.Fatalf("%s %x: %v, protobuf has %v", name, b, code, want)
		case code != CodeOK && code != CodeMalformed && code != CodeUnknownField:
			t.Fatalf("%s %x: %v", name, b, code)
		case code == CodeOK && !proto.Equal(got, want):
			t.Fatalf("%s %x:\ngot  %v\nwant %v", name, b, got, want)
		}
		if c := Check(d.kind, b, Limits{}); c == CodeOK && code != CodeOK {
			t.Fatalf("%s %x: passes the check, but decodes to %v", name, b, code)
		}
	}
}

// repeatsUnion reports whether an operation in the encoding of a transaction, at any depth, gives its
// union more than once: the one thing that protobuf takes and we do not.
func repeatsUnion(txn []byte) bool {
	return slices.ContainsFunc(fieldsOf(txn), func(f field) bool {
		if f.num != txnSuccess && f.num != txnFailure {
			return false
		}
		members := fieldsOf(f.bytes)
		return len(members) > 1 || len(members) == 1 && opKind(members[0].num) == opTxn && repeatsUnion(members[0].bytes)
	})
}

// fieldsOf returns the fields of a message, up to where it ceases to be one.
func fieldsOf(b []byte) (all []field) {
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			break
		}
		all, b = append(all, f), rest
	}
	return all
}

// randomMessage fills a message with anything: each field now and then, lists and depth bounded.
func randomMessage(rng *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if rng.Intn(2) == 0 {
			continue
		}
		switch {
		case f.IsList():
			for range rng.Intn(3) {
				randomMessage(rng, m.Mutable(f).List().AppendMutable().Message(), depth)
			}
		case f.Kind() == protoreflect.MessageKind:
			if depth > 0 {
				randomMessage(rng, m.Mutable(f).Message(), depth-1)
			}
		default:
			m.Set(f, randomScalar(rng, f.Kind()))
		}
	}
}

func randomScalar(rng *rand.Rand, kind protoreflect.Kind) protoreflect.Value {
	numbers := []int64{0, 1, 2, 127, 128, -1, math.MaxInt64, math.MinInt64, rng.Int63()}
	n := numbers[rng.Intn(len(numbers))]
	switch kind {
	case protoreflect.BytesKind:
		b := make([]byte, rng.Intn(4))
		rng.Read(b)
		return protoreflect.ValueOfBytes(b)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rng.Intn(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(n)))
	default:
		return protoreflect.ValueOfInt64(n)
	}
}

func TestDecodersAgreeWithProtobufOnMessages(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 3000 {
		for _, d := range decoders {
			m := d.empty()
			randomMessage(rng, m.ProtoReflect(), 4)
			b, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, code := d.decode(b); code != CodeOK {
				t.Fatalf("%s %v: %v", d.name, m, code)
			}
			agree(t, d.name, b)
		}
	}
}

// TestFieldsGivenTwiceAreMergedAsProtobufSays joins the encodings of two messages, which to
// protobuf is the encoding of their merger. Unions of operations are the exception, see below.
func TestFieldsGivenTwiceAreMergedAsProtobufSays(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	for range 3000 {
		for _, d := range decoders {
			var b []byte
			for range 2 {
				m := d.empty()
				randomMessage(rng, m.ProtoReflect(), 2)
				part, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				b = append(b, part...)
			}
			agree(t, d.name, b)
			if d.kind != KindTxn {
				continue
			}
			// One operation whose union is given several times, with the same member or another.
			var op []byte
			for range 3 {
				m := &pb.RequestOp{}
				randomMessage(rng, m.ProtoReflect(), 2)
				part, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				op = append(op, part...)
			}
			agree(t, "Txn", protowire.AppendBytes(protowire.AppendTag(nil, txnSuccess, octets), op))
		}
	}
}

func TestOperationMustGiveItsUnionOnce(t *testing.T) {
	put := protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(opPut), octets), []byte{0x0a, 1, 'a'})
	read := protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(opRange), octets), []byte{0x0a, 1, 'a'})
	for name, c := range map[string]struct {
		op   []byte
		want Code
	}{
		"once":          {put, CodeOK},
		"in two parts":  {slices.Concat(put, put), CodeMalformed},
		"two members":   {slices.Concat(read, put), CodeMalformed},
		"and back":      {slices.Concat(put, read, put), CodeMalformed},
		"an empty part": {slices.Concat(put, []byte{0x12, 0}), CodeMalformed},
	} {
		var op requestOp
		if code := op.decode(c.op); code != c.want {
			t.Errorf("%s: %v, want %v", name, code, c.want)
		}
		txn := protowire.AppendBytes(protowire.AppendTag(nil, txnSuccess, octets), c.op)
		if code := Check(KindTxn, txn, Limits{}); code != c.want {
			t.Errorf("%s, in a transaction: %v, want %v", name, code, c.want)
		}
	}
}

// TestCompareLooksAtTheLastMemberOfItsUnion: an earlier one has left no trace.
func TestCompareLooksAtTheLastMemberOfItsUnion(t *testing.T) {
	value := protowire.AppendBytes(protowire.AppendTag(nil, 7, octets), []byte("x"))
	number := protowire.AppendVarint(protowire.AppendTag(nil, 4, varint), 5)
	for name, c := range map[string]struct {
		union  []byte
		target compareTarget
		number int64
		octets string
	}{
		"number last, of this target": {slices.Concat(value, number), compareVersion, 5, ""},
		"number last, of another":     {slices.Concat(value, number), compareCreate, 0, ""},
		"number last, value wanted":   {slices.Concat(value, number), compareValue, 0, ""},
		"value last, value wanted":    {slices.Concat(number, value), compareValue, 0, "x"},
		"value last, number wanted":   {slices.Concat(number, value), compareVersion, 0, ""},
	} {
		var got compare
		if code := got.decode(c.union); code != CodeOK {
			t.Fatal(code)
		}
		got.target = c.target
		if c.target == compareValue && string(got.octets()) != c.octets || c.target != compareValue && got.number() != c.number {
			t.Errorf("%s: %d, %q", name, got.number(), got.octets())
		}
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	key := protowire.AppendBytes(protowire.AppendTag(nil, 1, octets), []byte("a"))
	for _, d := range decoders {
		good := key
		if d.kind == KindTxn || d.kind == KindCompact {
			good = nil
		}
		for name, tail := range map[string][]byte{
			"number of the next version":   protowire.AppendVarint(protowire.AppendTag(nil, 99, varint), 1),
			"known number, fixed 32":       protowire.AppendFixed32(protowire.AppendTag(nil, 1, protowire.Fixed32Type), 1),
			"known number, fixed 64":       protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 1),
			"bytes for a number and so on": append(protowire.AppendVarint(protowire.AppendTag(nil, 1, varint), 1), protowire.AppendBytes(protowire.AppendTag(nil, 3, octets), nil)...),
			"group":                        protowire.AppendTag(protowire.AppendTag(nil, 1, protowire.StartGroupType), 1, protowire.EndGroupType),
		} {
			if d.kind == KindCompact && name[:5] == "bytes" {
				tail = protowire.AppendBytes(protowire.AppendTag(nil, 1, octets), nil)
			}
			if _, code := d.decode(append(slices.Clip(good), tail...)); code != CodeUnknownField {
				t.Errorf("%s, %s: %v", d.name, name, code)
			}
		}
		for name, tail := range map[string][]byte{
			"field number zero":  {0x00, 0x00},
			"end of no group":    protowire.AppendTag(nil, 1, protowire.EndGroupType),
			"unknown wire type":  {0x0f},
			"cut in a tag":       {0x80},
			"cut in a number":    {0x18, 0x80},
			"cut in bytes":       {0x0a, 5, 'a'},
			"number of 11 bytes": append([]byte{0x18}, bytes.Repeat([]byte{0xff}, 11)...),
		} {
			if _, code := d.decode(append(slices.Clip(good), tail...)); code != CodeMalformed {
				t.Errorf("%s, %s: %v", d.name, name, code)
			}
		}
	}
}

// TestDecodersAgreeWithProtobufOnDamage flips and cuts bytes of good messages.
func TestDecodersAgreeWithProtobufOnDamage(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for range 4000 {
		for _, d := range decoders {
			m := d.empty()
			randomMessage(rng, m.ProtoReflect(), 3)
			b, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			for range 1 + rng.Intn(2) {
				if len(b) > 0 {
					b[rng.Intn(len(b))] ^= byte(1 << rng.Intn(8))
				}
			}
			if rng.Intn(3) == 0 {
				b = b[:rng.Intn(len(b)+1)]
			}
			agree(t, d.name, b)
		}
	}
}

// TestDecodingDoesNotAllocate: what decoding needs must not grow with what a request claims.
func TestDecodingDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewSource(4))
	for _, d := range decoders {
		if d.kind == KindTxn {
			continue // see TestCheckingATxnAllocatesLittle
		}
		m := d.empty()
		for range 20 {
			randomMessage(rng, m.ProtoReflect(), 3)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { Check(d.kind, b, Limits{}) }); n > 0 {
			t.Errorf("%s: %v allocations", d.name, n)
		}
	}
}

func fuzzDecoder(f *testing.F, name string) {
	rng := rand.New(rand.NewSource(5))
	for _, d := range decoders {
		if d.name != name {
			continue
		}
		for range 8 {
			m := d.empty()
			randomMessage(rng, m.ProtoReflect(), 3)
			b, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 { // protobuf's own decoder, not ours, is what becomes slow
			return
		}
		agree(t, name, b)
	})
}

func FuzzDecodeRange(f *testing.F)       { fuzzDecoder(f, "Range") }
func FuzzDecodePut(f *testing.F)         { fuzzDecoder(f, "Put") }
func FuzzDecodeDeleteRange(f *testing.F) { fuzzDecoder(f, "DeleteRange") }
func FuzzDecodeCompact(f *testing.F)     { fuzzDecoder(f, "Compact") }
func FuzzDecodeTxn(f *testing.F)         { fuzzDecoder(f, "Txn") }

// marshalTxn encodes a transaction for the tests of this package.
func marshalTxn(tb testing.TB, m *pb.TxnRequest) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
