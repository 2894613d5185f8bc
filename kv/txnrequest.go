package kv

import "google.golang.org/protobuf/encoding/protowire"

// A transaction is not decoded into a tree: its bytes are the tree, and are walked once for each
// purpose (check, compare, execute). A request of two-byte operations would make a tree many times
// its own size; the walk needs no memory at all.

// txnRequest is the bytes of etcd's TxnRequest.
type txnRequest []byte

// Fields of TxnRequest.
const (
	txnCompare = protowire.Number(1)
	txnSuccess = protowire.Number(2)
	txnFailure = protowire.Number(3)
)

// each calls visit with the body of every field num, in order, until it returns another code than
// CodeOK. It refuses a message with other fields than those of a TxnRequest.
func (t txnRequest) each(num protowire.Number, visit func(body []byte) Code) Code {
	for b := []byte(t); len(b) > 0; {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		if f.typ != octets || f.num < txnCompare || f.num > txnFailure {
			return CodeUnknownField
		}
		if f.num == num {
			if code := visit(f.bytes); code != CodeOK {
				return code
			}
		}
		b = rest
	}
	return CodeOK
}

// branch is the field that holds the operations of one outcome.
func branch(succeeded bool) protowire.Number {
	if succeeded {
		return txnSuccess
	}
	return txnFailure
}

// opKind has the field numbers of RequestOp's union, which ResponseOp's union shares.
type opKind uint8

const (
	opNone   opKind = 0
	opRange  opKind = 1
	opPut    opKind = 2
	opDelete opKind = 3
	opTxn    opKind = 4
)

// requestOp is one operation of a transaction: which, and the bytes of its request.
type requestOp struct {
	kind opKind
	body []byte
}

// decode reads a RequestOp. Its union may be given once. Protobuf would merge it if it comes in parts,
// and take the last of several members, having read them all: no client writes that, and here it
// would only be a way to say one thing in many ways, and at any cost.
func (o *requestOp) decode(b []byte) Code {
	*o = requestOp{}
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		if f.typ != octets || f.num < 1 || f.num > 4 {
			return CodeUnknownField
		}
		if o.kind != opNone {
			return CodeMalformed
		}
		o.kind, o.body = opKind(f.num), f.bytes
		b = rest
	}
	return CodeOK
}

// compare is etcd's Compare.
type compare struct {
	result compareResult
	target compareTarget
	keyRange
	given compareTarget // which member of the union is set; noTarget if none
	int   int64         // its value, unless it is
	value []byte        // this one
}

// compareResult and compareTarget have the numbers of Compare.CompareResult and CompareTarget.
type compareResult int32

const (
	compareEqual compareResult = iota
	compareGreater
	compareLess
	compareNotEqual
)

type compareTarget int32

const (
	compareVersion compareTarget = iota
	compareCreate
	compareMod
	compareValue
	compareLease

	noTarget compareTarget = -1
)

func (c *compare) decode(b []byte) Code {
	*c = compare{given: noTarget}
	for len(b) > 0 {
		f, rest, code := nextField(b)
		if code != CodeOK {
			return code
		}
		b = rest
		switch {
		case f.is(1, varint):
			c.result = compareResult(f.int)
		case f.is(2, varint):
			c.target = compareTarget(f.int)
		case f.is(3, octets):
			c.key = f.bytes
		case f.is(4, varint):
			c.given, c.int = compareVersion, int64(f.int)
		case f.is(5, varint):
			c.given, c.int = compareCreate, int64(f.int)
		case f.is(6, varint):
			c.given, c.int = compareMod, int64(f.int)
		case f.is(7, octets):
			c.given, c.value = compareValue, f.bytes
		case f.is(8, varint):
			c.given, c.int = compareLease, int64(f.int)
		case f.is(64, octets):
			c.end = f.bytes
		default:
			return CodeUnknownField
		}
	}
	return CodeOK
}
