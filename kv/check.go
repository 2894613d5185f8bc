package kv

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kind says which request a command carries. The numbers are in the log: never renumbered.
type Kind uint8

// The kinds. KindNone carries nothing and only advances the applied index; KindRange never comes
// through the log, and is here for Check.
const (
	KindNone        Kind = 0
	KindPut         Kind = 1
	KindDeleteRange Kind = 2
	KindTxn         Kind = 3
	KindCompact     Kind = 4
	KindRange       Kind = 5
	// KindLeaseGrant and KindLeaseRevoke are etcd's; KindLeaseRenew and KindLeaseExpire carry a
	// LeaseList, which only servers make.
	KindLeaseGrant  Kind = 6
	KindLeaseRevoke Kind = 7
	KindLeaseRenew  Kind = 8
	KindLeaseExpire Kind = 9
	KindAlarm       Kind = 16 // 10 to 15 are kept for leases
	// The kinds of sessions carry the requests of package session; KindSessionExpire a LeaseList of
	// sessions, which only servers make.
	KindSessionOpen      Kind = 20
	KindSessionKeepAlive Kind = 21
	KindSessionClose     Kind = 22
	KindSessionExpire    Kind = 23
	// KindTokenCreate and KindTokenUse carry requests of ours, which no client sends. 24 to 31 are kept
	// for sessions.
	KindTokenCreate Kind = 32
	KindTokenUse    Kind = 33
)

// Check tells whether a request is one that the store can execute, looking at nothing but the
// request: it is decoded strictly, bounded, and held to etcd's rules, in etcd's order. It is run
// where requests come in, with the limits that the operator set, and again by Apply, with the
// widest limits that there are.
func Check(kind Kind, request []byte, limits Limits) Code {
	limits = limits.withDefaults()
	if len(request) > limits.RequestBytes {
		return CodeRequestTooLarge
	}
	switch kind {
	case KindPut:
		return checkPut(request)
	case KindDeleteRange:
		return checkDelete(request)
	case KindTxn:
		return checkTxn(request, limits)
	case KindCompact:
		return new(compactRequest).decode(request)
	case KindRange:
		return checkRange(request)
	case KindAlarm:
		return new(alarmRequest).decode(request)
	case KindLeaseGrant:
		return new(leaseGrantRequest).decode(request)
	case KindLeaseRevoke:
		return new(leaseRevokeRequest).decode(request)
	case KindLeaseRenew, KindLeaseExpire, KindSessionExpire:
		return leaseList(request).check()
	case KindSessionOpen:
		return new(sessionOpenRequest).decode(request)
	case KindSessionKeepAlive, KindSessionClose:
		return new(sessionRequest).decode(request)
	case KindTokenCreate, KindTokenUse:
		return new(tokenRequest).decode(kind, request)
	case KindNone:
		return CodeOK
	}
	return CodeMalformed
}

func checkRange(body []byte) Code {
	var r rangeRequest
	if code := r.decode(body); code != CodeOK {
		return code
	}
	return r.check()
}

func (r *rangeRequest) check() Code {
	if len(r.key) == 0 {
		return CodeKeyNotProvided
	}
	if r.order < orderNone || r.order > orderDescend || r.target < sortByKey || r.target > sortByValue {
		return CodeInvalidSortOption
	}
	return CodeOK
}

func checkPut(body []byte) Code {
	var p putRequest
	if code := p.decode(body); code != CodeOK {
		return code
	}
	return p.check()
}

func (p *putRequest) check() Code {
	switch {
	case len(p.key) == 0:
		return CodeKeyNotProvided
	case p.ignoreValue && len(p.value) != 0:
		return CodeValueProvided
	case p.ignoreLease && p.lease != 0:
		return CodeLeaseProvided
	}
	return CodeOK
}

func checkDelete(body []byte) Code {
	var d deleteRequest
	if code := d.decode(body); code != CodeOK {
		return code
	}
	return d.check()
}

func (d *deleteRequest) check() Code {
	if len(d.key) == 0 {
		return CodeKeyNotProvided
	}
	return CodeOK
}

func checkCompare(body []byte) Code {
	var c compare
	if code := c.decode(body); code != CodeOK {
		return code
	}
	if len(c.key) == 0 {
		return CodeKeyNotProvided
	}
	// etcd takes unknown results and targets as "true" and "equal". The next version may give
	// them a meaning, and then servers of two versions would choose different branches.
	if c.result < compareEqual || c.result > compareNotEqual || c.target < compareVersion || c.target > compareLease {
		return CodeMalformed
	}
	return CodeOK
}

// checkTxn checks a transaction: first every message in it, then that no key is written twice.
func checkTxn(t txnRequest, limits Limits) Code {
	left := treeFactor * limits.TxnOps
	if code := checkTxnMessages(t, limits.TxnOps, limits.Depth, &left); code != CodeOK {
		return code
	}
	for _, succeeded := range []bool{true, false} {
		if _, code := collectWrites(t, succeeded); code != CodeOK {
			return code
		}
	}
	return CodeOK
}

// checkTxnMessages checks a transaction and those nested in it. Each of its three lists may have
// ops members, and the longest of them is taken off what the nested ones may have; depth is how
// many levels are left, and *left how many members in all.
func checkTxnMessages(t txnRequest, ops, depth int, left *int) Code {
	if depth == 0 {
		return CodeTooDeep
	}
	longest := 0
	for _, list := range [...]protowire.Number{txnCompare, txnSuccess, txnFailure} {
		count, code := t.count(list)
		if code != CodeOK {
			return code
		}
		longest = max(longest, count)
		*left -= count
	}
	if longest > ops || *left < 0 {
		return CodeTooManyOps
	}
	if code := t.each(txnCompare, checkCompare); code != CodeOK {
		return code
	}
	for _, succeeded := range [...]bool{true, false} {
		code := t.each(branch(succeeded), func(body []byte) Code {
			return checkOp(body, ops-longest, depth-1, left)
		})
		if code != CodeOK {
			return code
		}
	}
	return CodeOK
}

func (t txnRequest) count(list protowire.Number) (n int, code Code) {
	code = t.each(list, func([]byte) Code { n++; return CodeOK })
	return n, code
}

func checkOp(body []byte, ops, depth int, left *int) Code {
	var op requestOp
	if code := op.decode(body); code != CodeOK {
		return code
	}
	switch op.kind {
	case opRange:
		return checkRange(op.body)
	case opPut:
		return checkPut(op.body)
	case opDelete:
		return checkDelete(op.body)
	case opTxn:
		return checkTxnMessages(op.body, ops, depth, left)
	}
	return CodeKeyNotFound // an operation without a request; etcd answers so
}

// writes is what a branch may write: the keys that it puts, sorted, and the intervals that it
// deletes, sorted and disjoint.
type writes struct {
	puts [][]byte
	dels []interval
}

// interval is lo <= key < hi, and never empty.
type interval struct{ lo, hi []byte }

// collectWrites collects what a branch of a checked transaction may write, with what is nested in
// it, and refuses a key that is put twice, or put and deleted. It follows etcd's rule to the letter:
//
//   - The two branches of one nested transaction exclude each other, and are not held against each
//     other, but both against everything around them.
//   - Deleting twice is fine.
//   - Two cases slip through. A nested transaction may delete what an earlier sibling put. And a
//     range_end of "\0" is taken as it stands, as an interval without keys, not as "from key on".
//     Clients use the second (clear all, then put): we keep both, and they do no harm here, since
//     changes of one key within one revision are told apart by their sub revision.
func collectWrites(t txnRequest, succeeded bool) (writes, Code) {
	var own writes
	if code := t.each(branch(succeeded), own.addDelete); code != CodeOK {
		return writes{}, code
	}
	var all gathered
	all.add(writes{dels: disjoint(own.dels)})
	if code := t.each(branch(succeeded), all.addNested); code != CodeOK {
		return writes{}, code
	}
	if code := t.each(branch(succeeded), own.addPut); code != CodeOK {
		return writes{}, code
	}
	slices.SortFunc(own.puts, bytes.Compare)
	for i := 1; i < len(own.puts); i++ {
		if bytes.Equal(own.puts[i-1], own.puts[i]) {
			return writes{}, CodeDuplicateKey
		}
	}
	if all.conflicts(own.puts) {
		return writes{}, CodeDuplicateKey
	}
	all.add(writes{puts: own.puts})
	return all.join(), CodeOK
}

func (w *writes) addDelete(body []byte) Code {
	var op requestOp
	if code := op.decode(body); code != CodeOK || op.kind != opDelete {
		return code
	}
	var d deleteRequest
	if code := d.decode(op.body); code != CodeOK {
		return code
	}
	hi := d.end
	if len(hi) == 0 {
		hi = append(slices.Clip(d.key), 0)
	}
	if bytes.Compare(d.key, hi) < 0 {
		w.dels = append(w.dels, interval{d.key, hi})
	}
	return CodeOK
}

func (w *writes) addPut(body []byte) Code {
	var op requestOp
	if code := op.decode(body); code != CodeOK || op.kind != opPut {
		return code
	}
	var p putRequest
	if code := p.decode(op.body); code != CodeOK {
		return code
	}
	w.puts = append(w.puts, p.key)
	return CodeOK
}

// gathered is what several write: in parts, each more than twice as large as the one after it. So a
// key is merged a few times, however many nested transactions bring one key each.
type gathered []writes

func (g *gathered) addNested(body []byte) Code {
	var op requestOp
	if code := op.decode(body); code != CodeOK || op.kind != opTxn {
		return code
	}
	var outcomes [2]writes
	for i, succeeded := range [...]bool{true, false} {
		outcome, code := collectWrites(op.body, succeeded)
		if code != CodeOK {
			return code
		}
		if g.conflicts(outcome.puts) {
			return CodeDuplicateKey
		}
		outcomes[i] = outcome
	}
	g.add(outcomes[0])
	g.add(outcomes[1])
	return CodeOK
}

func (g *gathered) add(w writes) {
	if w.size() == 0 {
		return
	}
	parts := *g
	for n := len(parts); n > 0 && parts[n-1].size() <= 2*w.size(); n-- {
		w.merge(parts[n-1])
		parts = parts[:n-1]
	}
	*g = append(parts, w)
}

// join returns all parts as one.
func (g *gathered) join() (all writes) {
	for i := len(*g) - 1; i >= 0; i-- {
		all.merge((*g)[i])
	}
	return all
}

func (g *gathered) conflicts(keys [][]byte) bool {
	for i := range *g {
		if (*g)[i].conflicts(keys) {
			return true
		}
	}
	return false
}

func (w *writes) size() int { return len(w.puts) + len(w.dels) }

// merge takes in what another writes, which must not be used afterwards.
func (w *writes) merge(other writes) {
	w.puts = union(w.puts, other.puts)
	if len(w.dels) == 0 {
		w.dels = other.dels
	} else if len(other.dels) > 0 {
		w.dels = disjoint(append(other.dels, w.dels...))
	}
}

// conflicts tells whether one of the sorted keys is put or deleted by w.
func (w *writes) conflicts(keys [][]byte) bool {
	puts := w.puts
	for _, key := range keys {
		at, found := slices.BinarySearchFunc(puts, key, bytes.Compare)
		if found || covers(w.dels, key) {
			return true
		}
		puts = puts[at:]
	}
	return false
}

// covers tells whether one of the disjoint sorted intervals has key in it.
func covers(intervals []interval, key []byte) bool {
	i, found := slices.BinarySearchFunc(intervals, key, func(v interval, key []byte) int {
		return bytes.Compare(v.lo, key)
	})
	return found || i > 0 && bytes.Compare(key, intervals[i-1].hi) < 0
}

// disjoint sorts intervals and joins those that overlap.
func disjoint(intervals []interval) []interval {
	if len(intervals) < 2 {
		return intervals
	}
	slices.SortFunc(intervals, func(a, b interval) int { return bytes.Compare(a.lo, b.lo) })
	last := 0
	for _, v := range intervals[1:] {
		if l := &intervals[last]; bytes.Compare(v.lo, l.hi) <= 0 {
			if bytes.Compare(v.hi, l.hi) > 0 {
				l.hi = v.hi
			}
			continue
		}
		last++
		intervals[last] = v
	}
	return intervals[:last+1]
}

// union merges two sorted lists of keys; keys in both are kept once.
func union(a, b [][]byte) [][]byte {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	merged := make([][]byte, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		order := bytes.Compare(a[0], b[0])
		if order <= 0 {
			merged = append(merged, a[0])
			a = a[1:]
		} else {
			merged = append(merged, b[0])
		}
		if order >= 0 {
			b = b[1:]
		}
	}
	return append(append(merged, a...), b...)
}
