package kv

import (
	"fmt"
	"strings"
)

var kindNames = map[Kind]string{
	KindNone: "none", KindPut: "put", KindDeleteRange: "delete", KindTxn: "txn", KindCompact: "compact", KindRange: "range",
	KindLeaseGrant: "lease grant", KindLeaseRevoke: "lease revoke", KindLeaseRenew: "lease renew", KindLeaseExpire: "lease expire",
	KindAlarm: "alarm", KindSessionOpen: "session open", KindSessionKeepAlive: "session keep-alive",
	KindSessionClose: "session close", KindSessionExpire: "session expire",
	KindTokenCreate: "token create", KindTokenUse: "token use",
}

func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// maxDescribed bounds how many operations of a transaction are described.
const maxDescribed = 16

// Describe says in words what a command asks for: its kind, its keys, and its values if they are wanted.
// Of a transaction with many operations only the first are described. Secrets (of tokens) are left out.
func Describe(kind Kind, request []byte, values bool) string {
	d := describer{values: values, left: maxDescribed}
	if code := d.command(kind, request); code != CodeOK {
		return fmt.Sprintf("%s (%d bytes that cannot be read: %s)", kind, len(request), code)
	}
	return d.text.String()
}

// describer puts words together.
type describer struct {
	text   strings.Builder
	values bool
	left   int // how many more operations are described
}

func (d *describer) say(format string, args ...any) { fmt.Fprintf(&d.text, format, args...) }

// command describes one request. The code says why it cannot be read.
func (d *describer) command(kind Kind, request []byte) Code {
	switch kind {
	case KindPut:
		return d.put(request)
	case KindDeleteRange:
		var r deleteRequest
		code := r.decode(request)
		d.say("delete %s", r.keyRange)
		return code
	case KindRange:
		var r rangeRequest
		code := r.decode(request)
		d.say("range %s", r.keyRange)
		return code
	case KindTxn:
		return d.txn(request)
	case KindCompact:
		var r compactRequest
		code := r.decode(request)
		d.say("compact %d", r.revision)
		return code
	case KindLeaseGrant:
		var r leaseGrantRequest
		code := r.decode(request)
		d.say("lease grant %x, %d s", uint64(r.id), r.ttl)
		return code
	case KindLeaseRevoke:
		var r leaseRevokeRequest
		code := r.decode(request)
		d.say("lease revoke %x", uint64(r.id))
		return code
	case KindLeaseRenew, KindLeaseExpire, KindSessionExpire:
		return d.list(kind, request)
	case KindSessionKeepAlive, KindSessionClose:
		var r sessionRequest
		code := r.decode(request)
		d.say("%s %d", kind, r.id)
		return code
	case KindAlarm:
		var r alarmRequest
		code := r.decode(request)
		d.say("alarm %s of %x: %s", r.Type, r.Member, [...]string{"list", "raise", "clear"}[max(0, min(2, r.action))])
		return code
	}
	d.say("%s", kind) // a token's proof is nobody's business
	return CodeOK
}

func (d *describer) put(request []byte) Code {
	var r putRequest
	if code := r.decode(request); code != CodeOK {
		return code
	}
	d.say("put %q", r.key)
	switch {
	case r.ignoreValue:
		d.say(", value as it is")
	case d.values:
		d.say(" = %q", r.value)
	default:
		d.say(", value of %d bytes", len(r.value))
	}
	if r.lease != 0 {
		d.say(", lease %x", uint64(r.lease))
	}
	return CodeOK
}

func (d *describer) list(kind Kind, request []byte) Code {
	ids, code := leaseList(request).ids()
	d.say("%s", kind)
	for i, id := range ids {
		if i == maxDescribed {
			d.say(" and %d more", len(ids)-i)
			break
		}
		d.say(" %x", uint64(id))
	}
	return code
}

// txn describes a transaction: if what, then what, else what.
func (d *describer) txn(t txnRequest) Code {
	compares := 0
	code := t.each(txnCompare, func(body []byte) Code {
		var c compare
		if code := c.decode(body); code != CodeOK {
			return code
		}
		if compares++; d.left > 0 {
			d.left--
			d.say("%s %s", [...]string{"txn if", " and"}[min(compares-1, 1)], c.keyRange)
		}
		return CodeOK
	})
	if compares == 0 {
		d.say("txn")
	}
	for _, b := range [...]struct {
		word      string
		succeeded bool
	}{{"then", true}, {"else", false}} {
		if code == CodeOK {
			code = d.branch(t, b.word, b.succeeded)
		}
	}
	return code
}

// branch describes the operations of one outcome.
func (d *describer) branch(t txnRequest, word string, succeeded bool) Code {
	operations, left := 0, 0
	code := t.each(branch(succeeded), func(body []byte) Code {
		var o requestOp
		if code := o.decode(body); code != CodeOK {
			return code
		}
		if operations++; d.left == 0 {
			left++
			return CodeOK
		}
		d.left--
		d.say(" %s ", [...]string{word, "and"}[min(operations-1, 1)])
		switch o.kind {
		case opRange:
			return d.command(KindRange, o.body)
		case opPut:
			return d.command(KindPut, o.body)
		case opDelete:
			return d.command(KindDeleteRange, o.body)
		case opTxn:
			d.say("(")
			code := d.txn(o.body)
			d.say(")")
			return code
		}
		d.say("nothing")
		return CodeOK
	})
	if left > 0 {
		d.say(" (%s: %d more)", word, left)
	}
	return code
}

func (r keyRange) String() string {
	switch {
	case r.isPoint():
		return fmt.Sprintf("%q", r.key)
	case r.isFrom():
		return fmt.Sprintf("%q and after", r.key)
	}
	return fmt.Sprintf("%q to %q", r.key, r.end)
}
