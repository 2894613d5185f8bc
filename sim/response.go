package sim

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
)

// errResponse says that bytes are no response of the expected kind.
var errResponse = errors.New("response is malformed")

// decode reads the store's answer to a request.
func decode(request check.Request, answer []byte) (check.Response, error) {
	a, err := kv.ParseAnswer(answer)
	if err != nil {
		return check.Response{}, err
	}
	if a.Err != kv.CodeOK {
		if len(a.Body) > 0 {
			return check.Response{}, fmt.Errorf("%w: a body with the error %v", errResponse, a.Err)
		}
		return check.Response{Code: a.Err, Revision: a.Revision}, nil
	}
	r, err := decodeBody(request, a.Body)
	r.Revision = a.Revision
	return r, err
}

func decodeBody(request check.Request, body []byte) (r check.Response, err error) {
	switch q := request.(type) {
	case check.Put:
		err = eachField(body, func(f *field) error { return f.keyValue(2, &r) })
	case check.Delete:
		err = eachField(body, func(f *field) error {
			if f.is(2, false) {
				r.Count = int64(f.number)
				return nil
			}
			return f.keyValue(3, &r)
		})
	case check.Range:
		err = eachField(body, func(f *field) error {
			switch {
			case f.is(3, false):
				r.More = f.number != 0
			case f.is(4, false):
				r.Count = int64(f.number)
			default:
				return f.keyValue(2, &r)
			}
			return nil
		})
	case check.Txn:
		err = decodeTxn(q, body, &r)
	case check.Grant:
		err = decodeGrant(q, body, &r)
	case check.Renew:
		r.TTLs, err = kv.ParseRenewed(body, len(q.IDs))
		if len(q.IDs) == 0 {
			r.TTLs = nil
		}
	case check.Numbered:
		r, err = decodeBody(q.Request, body)
	case check.Open:
		err = decodeOpen(body, &r)
	case check.KeepAlive:
		err = eachField(body, func(f *field) error {
			if f.is(2, false) {
				r.TTLs = append(r.TTLs, int64(f.number))
				return nil
			}
			return errResponse
		})
	case check.Expire, check.ExpireSessions:
		var ended int
		ended, err = kv.ParseExpired(body)
		r.Count = int64(ended)
	default:
		err = eachField(body, func(*field) error { return errResponse })
	}
	return r, err
}

func decodeOpen(body []byte, r *check.Response) error {
	return eachField(body, func(f *field) error {
		switch {
		case f.is(2, false):
			r.Session = f.number
		case f.is(3, false):
			r.TTLs = append(r.TTLs, int64(f.number))
		case f.is(4, false):
			r.Count = int64(f.number)
		default:
			return errResponse
		}
		return nil
	})
}

func decodeGrant(q check.Grant, body []byte, r *check.Response) error {
	id := int64(0)
	err := eachField(body, func(f *field) error {
		switch {
		case f.is(2, false):
			id = int64(f.number)
		case f.is(3, false):
			r.TTLs = append(r.TTLs, int64(f.number))
		default:
			return errResponse
		}
		return nil
	})
	if err == nil && id != q.ID {
		err = errResponse
	}
	return err
}

func decodeTxn(q check.Txn, body []byte, r *check.Response) error {
	err := eachField(body, func(f *field) error {
		switch {
		case f.is(2, false):
			r.Succeeded = f.number != 0
			return nil
		case f.is(3, true):
			return nil
		}
		return errResponse
	})
	ops := q.Success
	if !r.Succeeded {
		ops = q.Failure
	}
	return errors.Join(err, eachField(body, func(f *field) error {
		if !f.is(3, true) {
			return nil
		}
		if len(r.Responses) == len(ops) {
			return errResponse
		}
		inner, err := decodeOp(ops[len(r.Responses)], f.bytes)
		r.Responses = append(r.Responses, inner)
		return err
	}))
}

// decodeOp reads the response of one operation of a transaction, which has a header of its own.
func decodeOp(op check.Request, b []byte) (r check.Response, err error) {
	kind := 1
	switch op.(type) {
	case check.Put:
		kind = 2
	case check.Delete:
		kind = 3
	}
	err = eachField(b, func(f *field) error {
		if !f.is(kind, true) {
			return errResponse
		}
		var rest []byte
		var revision int64
		headed := eachField(f.bytes, func(f *field) error {
			if !f.is(1, true) {
				rest = append(rest, f.whole...)
				return nil
			}
			return eachField(f.bytes, func(f *field) error {
				if f.is(3, false) {
					revision = int64(f.number)
				}
				return nil
			})
		})
		r, err = decodeBody(op, rest)
		r.Revision = revision
		return errors.Join(headed, err)
	})
	return r, err
}

// field is one field of a protobuf message: a number, or bytes.
type field struct {
	num     int
	isBytes bool
	number  uint64
	bytes   []byte
	whole   []byte // with its tag
}

func (f *field) is(num int, isBytes bool) bool { return f.num == num && f.isBytes == isBytes }

// eachField calls visit with every field of a message.
func eachField(b []byte, visit func(*field) error) error {
	for len(b) > 0 {
		start := b
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return errResponse
		}
		f := field{num: int(tag >> 3)}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return errResponse
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			f.number = value
		case 2:
			if value > uint64(len(b)) {
				return errResponse
			}
			f.isBytes, f.bytes = true, b[:value]
			b = b[value:]
		default:
			return errResponse
		}
		f.whole = start[:len(start)-len(b)]
		if err := visit(&f); err != nil {
			return err
		}
	}
	return nil
}

// keyValue adds the key that is in the field with that number.
func (f *field) keyValue(num int, r *check.Response) error {
	if !f.is(num, true) {
		return errResponse
	}
	var k check.KeyValue
	err := eachField(f.bytes, func(f *field) error {
		switch {
		case f.is(1, true):
			k.Key = string(f.bytes)
		case f.is(2, false):
			k.Create = int64(f.number)
		case f.is(3, false):
			k.Mod = int64(f.number)
		case f.is(4, false):
			k.Version = int64(f.number)
		case f.is(5, true):
			k.Value = string(f.bytes)
		case f.is(6, false):
			k.Lease = int64(f.number)
		default:
			return errResponse
		}
		return nil
	})
	r.KVs = append(r.KVs, k)
	return err
}
