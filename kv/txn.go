package kv

import (
	"bytes"
	"cmp"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/internal/invariant"
)

// txnRun executes one checked transaction: it decides all compares, nested ones too, on the state
// before; then checks every operation that will run; and only then writes. So a transaction that
// fails has written nothing.
type txnRun struct {
	read              *reader // of a read-only transaction
	write             *writer // of any other; nil for a read-only one
	revision, compact int64   // as the transaction began

	path    []bool // of each transaction on the path taken, in order, whether its compares held
	next    int    // the one that a walk over the path comes to next
	cleared []byte // lowest key from which on an operation on the path deletes all; nil: none does
	err     error  // of the engine
}

// run executes t and appends the response without its header.
func (r *txnRun) run(b []byte, t txnRequest) ([]byte, Code, error) {
	r.choose(t)
	if r.err != nil {
		return b, CodeOK, r.err
	}
	if code := r.check(t); code != CodeOK || r.err != nil {
		return b, code, r.err
	}
	r.next = 0
	b = r.execute(b, t)
	return b, CodeOK, r.err
}

// reader returns the reader of the state as it is now.
func (r *txnRun) reader() (*reader, error) {
	if r.write == nil {
		return r.read, nil
	}
	return r.write.reader()
}

// readRevision is the revision that a read is of now.
func (r *txnRun) readRevision() int64 {
	if r.write == nil {
		return r.revision
	}
	return r.write.readRevision()
}

// stop ends a walk because of err, if there is one.
func (r *txnRun) stop(err error) Code {
	if err != nil {
		r.err = err
		return codeStop
	}
	return CodeOK
}

// eachOp calls visit with the operations of a branch. The request has been checked, so its own
// codes are not looked at.
func eachOp(t txnRequest, succeeded bool, visit func(*requestOp) Code) Code {
	return t.each(branch(succeeded), func(body []byte) Code {
		var op requestOp
		if code := op.decode(body); code != CodeOK {
			return code
		}
		return visit(&op)
	})
}

// choose appends to the path whether t's compares hold, and goes on with what is nested in the
// branch that this selects.
func (r *txnRun) choose(t txnRequest) {
	holds := true
	t.each(txnCompare, func(body []byte) Code {
		var c compare
		if code := c.decode(body); code != CodeOK {
			return code
		}
		rd, err := r.reader()
		if err == nil {
			holds, err = rd.holds(&c, r.revision)
		}
		if !holds {
			return codeStop
		}
		return r.stop(err)
	})
	r.path = append(r.path, holds)
	eachOp(t, holds, func(op *requestOp) Code {
		if op.kind == opTxn && r.err == nil {
			r.choose(op.body)
		}
		return CodeOK
	})
}

// holds tells whether a compare holds for all keys in its range. On no keys at all it is held
// against a key of which everything is zero, but a value of a key that is not there equals nothing.
func (r *reader) holds(c *compare, at int64) (bool, error) {
	holds, some := true, false
	err := r.read(c.keyRange, at, func(v *version) bool {
		holds, some = c.holds(v), true
		return holds
	})
	if err == nil && !some {
		holds = c.target != compareValue && c.holds(&version{})
	}
	return holds, err
}

func (c *compare) holds(v *version) bool {
	var order int
	switch c.target {
	case compareVersion:
		order = cmp.Compare(v.version, c.number())
	case compareCreate:
		order = cmp.Compare(v.create, c.number())
	case compareMod:
		order = cmp.Compare(v.at.main, c.number())
	case compareLease:
		order = cmp.Compare(v.lease, c.number())
	case compareValue:
		order = bytes.Compare(v.value, c.octets())
	}
	switch c.result {
	case compareEqual:
		return order == 0
	case compareGreater:
		return order > 0
	case compareLess:
		return order < 0
	default:
		return order != 0
	}
}

// number and octets return what to compare with. If the union has another member than the target
// names, that is zero.
func (c *compare) number() int64 {
	if c.given != c.target {
		return 0
	}
	return c.int
}

func (c *compare) octets() []byte {
	if c.given != c.target {
		return nil
	}
	return c.value
}

// taken returns which branch the path takes in the transaction that the walk has come to.
func (r *txnRun) taken() bool {
	r.next++
	return r.path[r.next-1]
}

// check looks for what would make an operation on the path fail.
func (r *txnRun) check(t txnRequest) Code {
	return eachOp(t, r.taken(), func(op *requestOp) Code {
		switch op.kind {
		case opRange:
			var req rangeRequest
			req.decode(op.body)
			if req.revision < 0 && req.revision < r.compact {
				return CodeCompacted // as in etcd; outside of a transaction it means the newest
			}
			_, code := resolve(req.revision, r.revision, r.compact)
			return code
		case opPut:
			return r.checkPut(op.body)
		case opDelete:
			var d deleteRequest
			d.decode(op.body)
			if d.isFrom() && (r.cleared == nil || bytes.Compare(d.key, r.cleared) < 0) {
				r.cleared = d.key
			}
		case opTxn:
			return r.check(op.body)
		}
		return CodeOK
	})
}

// checkPut checks a put on the path. One that keeps its key's value or lease needs a key that is
// there when its turn comes: there before, and not deleted by an operation between. Only deletes
// "from key on" have to be thought of: all others are refused along with puts of the same key.
func (r *txnRun) checkPut(body []byte) Code {
	var p putRequest
	p.decode(body)
	if p.lease != 0 && !r.write.store.leases.has(p.lease) {
		return CodeLeaseNotFound
	}
	if !p.ignoreValue && !p.ignoreLease {
		return CodeOK
	}
	rd, err := r.reader()
	var lives bool
	if err == nil {
		lives, err = rd.latest(p.key, r.revision, new(version))
	}
	if err == nil && (!lives || r.cleared != nil && bytes.Compare(p.key, r.cleared) >= 0) {
		return CodeKeyNotFound
	}
	return r.stop(err)
}

// execute executes the path and appends the response without its header.
func (r *txnRun) execute(b []byte, t txnRequest) []byte {
	taken := r.taken()
	b = appendBool(b, txnSucceeded, taken)
	eachOp(t, taken, func(op *requestOp) Code {
		var outer, inner int
		b, outer = beginMessage(b, txnResponses)
		b, inner = beginMessage(b, protowire.Number(op.kind))
		var err error
		b, err = r.executeOp(b, op)
		if r.stop(err); r.err != nil { // its own, or that of one nested in it
			return codeStop
		}
		b = endMessage(endMessage(b, inner), outer)
		return CodeOK
	})
	return b
}

// executeOp executes one operation and appends its response, with a header that has a revision and
// no ids. As in etcd, the header of a nested transaction's response is there and empty.
func (r *txnRun) executeOp(b []byte, op *requestOp) ([]byte, error) {
	switch op.kind {
	case opRange:
		var req rangeRequest
		req.decode(op.body)
		rd, err := r.reader()
		if err != nil {
			return b, err
		}
		now := r.readRevision()
		at, code := resolve(req.revision, now, r.compact)
		invariant.Check(code == CodeOK, "range at %d in a transaction: %v", req.revision, code)
		return rd.appendRange(appendHeader(b, now), &req, at)
	case opPut:
		var p putRequest
		p.decode(op.body)
		b, code, err := r.write.put(appendHeader(b, r.write.now.revision+1), &p)
		invariant.Check(code == CodeOK, "put in a transaction that has begun to write: %v", code)
		return b, err
	case opDelete:
		var d deleteRequest
		d.decode(op.body)
		deleted, err := r.write.delete(&d)
		return r.write.appendDeleted(appendHeader(b, r.readRevision()), deleted), err
	default:
		return r.execute(appendHeader(b, 0), op.body), nil
	}
}
