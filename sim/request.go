package sim

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/wire"
)

// Requests travel as clients of etcd send them: protobuf messages, written here field by field, so
// that the simulator depends on nobody's encoder. Numbers are etcd's.

// encode returns the kind and the bytes of a request.
func encode(request check.Request) (kv.Kind, []byte) {
	switch q := request.(type) {
	case check.Put:
		return kv.KindPut, appendPut(nil, q)
	case check.Delete:
		return kv.KindDeleteRange, appendDelete(nil, q)
	case check.Range:
		return kv.KindRange, appendRange(nil, q)
	case check.Txn:
		return kv.KindTxn, appendTxn(nil, q)
	case check.Compact:
		return kv.KindCompact, appendInt(nil, 1, q.Revision)
	case check.Grant:
		return kv.KindLeaseGrant, appendInt(appendInt(nil, 1, q.TTL), 2, q.ID)
	case check.Revoke:
		return kv.KindLeaseRevoke, appendInt(nil, 1, q.ID)
	case check.Renew:
		return kv.KindLeaseRenew, kv.LeaseList(q.IDs)
	case check.Expire:
		return kv.KindLeaseExpire, kv.LeaseList(q.IDs)
	case check.Open:
		return kv.KindSessionOpen, appendInt(nil, 1, q.TTL)
	case check.Numbered:
		return encode(q.Request)
	case check.Close:
		return kv.KindSessionClose, appendInt(nil, 1, int64(q.Session))
	case check.KeepAlive:
		return kv.KindSessionKeepAlive, appendInt(appendInt(nil, 1, int64(q.Session)), 2, int64(q.Acknowledged))
	case check.ExpireSessions:
		return kv.KindSessionExpire, kv.LeaseList(q.IDs)
	}
	panic(fmt.Sprintf("sim: no encoding for %T", request))
}

// numberOf returns which request of a session a request is, for the command's header.
func numberOf(request check.Request) wire.Session {
	q, _ := request.(check.Numbered)
	return wire.Session{ID: q.Session, Sequence: q.Number, Acknowledged: q.Acknowledged}
}

func appendInt(b []byte, field int, v int64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(field)<<3)
	return binary.AppendUvarint(b, uint64(v))
}

func appendBool(b []byte, field int, v bool) []byte {
	if !v {
		return b
	}
	return appendInt(b, field, 1)
}

func appendString(b []byte, field int, s string) []byte {
	if s == "" {
		return b
	}
	return appendMessage(b, field, []byte(s))
}

func appendMessage(b []byte, field int, message []byte) []byte {
	b = binary.AppendUvarint(b, uint64(field)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(message)))
	return append(b, message...)
}

func appendPut(b []byte, q check.Put) []byte {
	return appendBool(appendInt(appendString(appendString(b, 1, q.Key), 2, q.Value), 3, q.Lease), 4, q.PrevKV)
}

func appendDelete(b []byte, q check.Delete) []byte {
	return appendBool(appendString(appendString(b, 1, q.Key), 2, q.End), 3, q.PrevKV)
}

func appendRange(b []byte, q check.Range) []byte {
	return appendInt(appendInt(appendString(appendString(b, 1, q.Key), 2, q.End), 3, q.Limit), 4, q.Revision)
}

func appendTxn(b []byte, q check.Txn) []byte {
	for i := range q.Compares {
		b = appendMessage(b, 1, appendCompare(nil, &q.Compares[i]))
	}
	for i, ops := range [...][]check.Request{q.Success, q.Failure} {
		for _, op := range ops {
			b = appendMessage(b, 2+i, appendOp(nil, op))
		}
	}
	return b
}

func appendCompare(b []byte, c *check.Compare) []byte {
	b = appendInt(b, 1, int64(c.Result))
	b = appendInt(b, 2, int64(c.Target))
	b = appendString(b, 3, c.Key)
	if c.Target == check.TargetValue {
		return appendMessage(b, 7, []byte(c.Value))
	}
	// version 4, create revision 5, mod revision 6, lease 8: of a union, and so there also if it is zero.
	field := uint64(4 + c.Target)
	b = binary.AppendUvarint(b, field<<3)
	return binary.AppendUvarint(b, uint64(c.Number))
}

func appendOp(b []byte, op check.Request) []byte {
	switch q := op.(type) {
	case check.Range:
		return appendMessage(b, 1, appendRange(nil, q))
	case check.Put:
		return appendMessage(b, 2, appendPut(nil, q))
	case check.Delete:
		return appendMessage(b, 3, appendDelete(nil, q))
	}
	panic(fmt.Sprintf("sim: no operation %T in a transaction", op))
}
