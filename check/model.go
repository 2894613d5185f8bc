package check

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/kv"
)

// Request is what a client asks of the store, apart from its encoding: one of the structs below.
type Request interface{ isRequest() }

// Put sets a key. Lease is the one that it goes with; 0 for none.
type Put struct {
	Key, Value string
	PrevKV     bool
	Lease      int64
}

// Delete deletes the keys from Key up to End; only Key if End is empty.
type Delete struct {
	Key, End string
	PrevKV   bool
}

// Range reads the keys from Key up to End; only Key if End is empty. Limit and Revision are 0 for
// none and the newest.
type Range struct {
	Key, End        string
	Limit, Revision int64
}

// Txn does Success if all Compares hold, else Failure. Its operations are Put, Delete and Range.
type Txn struct {
	Compares         []Compare
	Success, Failure []Request
}

// Compare compares a property of a key: Number, or Value if that is the target.
type Compare struct {
	Key    string
	Target Target
	Result Relation
	Number int64
	Value  string
}

// Target is what of a key is compared. The numbers are etcd's.
type Target uint8

// The targets.
const (
	TargetVersion Target = iota
	TargetCreate
	TargetMod
	TargetValue
	TargetLease
)

// Relation is how. The numbers are etcd's.
type Relation uint8

// The relations.
const (
	Equal Relation = iota
	Greater
	Less
	NotEqual
)

// Compact makes everything below Revision unreadable.
type Compact struct{ Revision int64 }

// Grant begins a lease that lives for TTL seconds.
type Grant struct{ ID, TTL int64 }

// Revoke ends a lease.
type Revoke struct{ ID int64 }

// Renew gives leases their whole time again.
type Renew struct{ IDs []int64 }

// Expire ends those of the leases whose time is over.
type Expire struct{ IDs []int64 }

func (Put) isRequest()     {}
func (Delete) isRequest()  {}
func (Range) isRequest()   {}
func (Txn) isRequest()     {}
func (Compact) isRequest() {}
func (Grant) isRequest()   {}
func (Revoke) isRequest()  {}
func (Renew) isRequest()   {}
func (Expire) isRequest()  {}

// KeyValue is a key as a response shows it.
type KeyValue struct {
	Key, Value           string
	Create, Mod, Version int64
	Lease                int64
}

// Response is what a request is answered with, apart from its encoding.
type Response struct {
	Code     kv.Code
	Revision int64
	// KVs are the keys found, or those of before.
	KVs []KeyValue
	// Count is how many keys were found, or deleted; More says that not all are in KVs.
	Count int64
	More  bool
	// TTLs are the times to live of leases that were granted or renewed; 0 where there is none.
	TTLs []int64
	// Session is one that was opened.
	Session uint64
	// Of a transaction:
	Succeeded bool
	Responses []Response
}

// Equal reports whether two responses say the same.
func (r *Response) Equal(other *Response) bool {
	return r.Code == other.Code && r.Revision == other.Revision && r.Count == other.Count && r.More == other.More && r.Session == other.Session &&
		r.Succeeded == other.Succeeded && slices.Equal(r.KVs, other.KVs) && slices.Equal(r.TTLs, other.TTLs) &&
		slices.EqualFunc(r.Responses, other.Responses, func(a, b Response) bool { return a.Equal(&b) })
}

// Model is the store as one would write it if it had to do nothing but be right: every version of
// every key, for ever.
type Model struct {
	point
	keys []modelKey // sorted
	// writing is set while a request has changed something: its revision is one more then.
	writing bool
	// time is the log time, in nanoseconds, of the latest request.
	time   uint64
	leases map[int64]modelLease
	// index is where in the log the request is that is applied.
	index    uint64
	sessions map[uint64]*modelSession
	// repeated is set while a request is answered as it was before.
	repeated bool
}

type modelKey struct {
	name     string
	versions []modelVersion // ascending by mod
}

type modelVersion struct {
	KeyValue
	deleted bool
}

// NewModel returns an empty store. Its revision is 1, and nothing is compacted.
func NewModel() Model {
	return Model{point: point{revision: 1, compacted: -1}, leases: map[int64]modelLease{}}
}

func (m *Model) now() point { return m.point }

// Apply executes a request that was made at a log time, and returns the response.
func (m *Model) Apply(time uint64, request Request) Response {
	m.time, m.repeated = max(m.time, time), false
	r := m.execute(request)
	m.endRevision()
	if !m.repeated {
		r.Revision = m.revision
	}
	return r
}

// ApplyAt is Apply, for a request of which it matters where in the log it is.
func (m *Model) ApplyAt(index, time uint64, request Request) Response {
	m.index = index
	return m.Apply(time, request)
}

func (m *Model) endRevision() {
	if m.writing {
		m.revision++
		m.writing = false
	}
}

func (m *Model) execute(request Request) Response {
	switch q := request.(type) {
	case Put:
		return m.put(q)
	case Delete:
		return m.delete(q)
	case Range:
		return m.readNow(q, m.point)
	case Txn:
		return m.txn(q)
	case Compact:
		return m.compact(q)
	case Grant:
		return m.grant(q)
	case Revoke:
		return m.revoke(q)
	case Renew:
		return m.renew(q)
	case Expire:
		return m.expire(q)
	case Open:
		return m.open(q)
	case Numbered:
		return m.numbered(q)
	case Close:
		return m.closeSession(q)
	case KeepAlive:
		return m.keepAlive(q)
	case ExpireSessions:
		return m.expireSessions(q)
	}
	return Response{}
}

// readRevision is the revision of what a request sees of its own changes.
func (m *Model) readRevision() int64 {
	if m.writing {
		return m.revision + 1
	}
	return m.revision
}

func (m *Model) put(q Put) (r Response) {
	if !m.HasLease(q.Lease) {
		return Response{Code: kv.CodeLeaseNotFound}
	}
	v := modelVersion{KeyValue: KeyValue{
		Key: q.Key, Value: q.Value, Create: m.revision + 1, Mod: m.revision + 1, Version: 1, Lease: q.Lease,
	}}
	if old := m.latest(q.Key, m.readRevision()); old != nil {
		v.Create, v.Version = old.Create, old.Version+1
		if q.PrevKV {
			r.KVs = append(r.KVs, old.KeyValue)
		}
	}
	m.add(v)
	return r
}

func (m *Model) delete(q Delete) (r Response) {
	for _, found := range m.find(q.Key, q.End, m.readRevision()) {
		r.Count++
		if q.PrevKV {
			r.KVs = append(r.KVs, found)
		}
		m.add(modelVersion{KeyValue: KeyValue{Key: found.Key, Mod: m.revision + 1}, deleted: true})
	}
	return r
}

// readNow reads, a past revision as allowed at that point.
func (m *Model) readNow(q Range, at point) (r Response) {
	revision := m.readRevision()
	switch {
	case q.Revision > revision:
		return Response{Code: kv.CodeFutureRevision}
	case q.Revision > 0 && q.Revision < at.compacted:
		return Response{Code: kv.CodeCompacted}
	case q.Revision > 0:
		revision = q.Revision
	}
	r.KVs = m.find(q.Key, q.End, revision)
	r.Count = int64(len(r.KVs))
	if q.Limit > 0 && r.Count > q.Limit {
		r.KVs, r.More = r.KVs[:q.Limit], true
	}
	return r
}

// readAt reads as the store would have answered at a point in the past, from outside a transaction.
func (m *Model) readAt(request Request, at point) Response {
	past := *m
	past.point = at
	r := past.readNow(request.(Range), at)
	r.Revision = at.revision
	return r
}

func (m *Model) txn(q Txn) Response {
	r := Response{Succeeded: true}
	for i := range q.Compares {
		r.Succeeded = r.Succeeded && m.holds(&q.Compares[i])
	}
	ops := q.Success
	if !r.Succeeded {
		ops = q.Failure
	}
	for _, op := range ops { // one that fails makes the whole transaction fail, with nothing done
		code := kv.CodeOK
		switch q := op.(type) {
		case Range:
			code = m.readNow(q, m.point).Code
		case Put:
			if !m.HasLease(q.Lease) {
				code = kv.CodeLeaseNotFound
			}
		}
		if code != kv.CodeOK {
			return Response{Code: code}
		}
	}
	for _, op := range ops {
		inner := m.execute(op)
		inner.Revision = m.readRevision()
		r.Responses = append(r.Responses, inner)
	}
	return r
}

func (m *Model) holds(c *Compare) bool {
	var found KeyValue
	if old := m.latest(c.Key, m.revision); old != nil {
		found = old.KeyValue
	} else if c.Target == TargetValue {
		return false
	}
	var order int
	switch c.Target {
	case TargetVersion:
		order = compareInts(found.Version, c.Number)
	case TargetCreate:
		order = compareInts(found.Create, c.Number)
	case TargetMod:
		order = compareInts(found.Mod, c.Number)
	case TargetValue:
		order = strings.Compare(found.Value, c.Value)
	case TargetLease:
		order = compareInts(found.Lease, c.Number)
	}
	switch c.Result {
	case Equal:
		return order == 0
	case Greater:
		return order > 0
	case Less:
		return order < 0
	}
	return order != 0
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (m *Model) compact(q Compact) Response {
	switch {
	case q.Revision <= m.compacted:
		return Response{Code: kv.CodeCompacted}
	case q.Revision > m.revision:
		return Response{Code: kv.CodeFutureRevision}
	}
	m.compacted = q.Revision
	return Response{}
}

// find returns the keys that live at a revision.
func (m *Model) find(key, end string, revision int64) []KeyValue {
	var found []KeyValue
	for i := range m.keys {
		name := m.keys[i].name
		if name < key || end == "" && name != key || end != "" && end != "\x00" && name >= end {
			continue
		}
		if v := m.keys[i].at(revision); v != nil {
			found = append(found, v.KeyValue)
		}
	}
	return found
}

// latest returns the version of a key that lives at a revision; nil if none does.
func (m *Model) latest(key string, revision int64) *modelVersion {
	if i, ok := m.search(key); ok {
		return m.keys[i].at(revision)
	}
	return nil
}

func (m *Model) search(key string) (int, bool) {
	return slices.BinarySearchFunc(m.keys, key, func(k modelKey, key string) int { return strings.Compare(k.name, key) })
}

func (k *modelKey) at(revision int64) *modelVersion {
	for i := len(k.versions) - 1; i >= 0; i-- {
		if v := &k.versions[i]; v.Mod <= revision {
			if v.deleted {
				return nil
			}
			return v
		}
	}
	return nil
}

func (m *Model) add(v modelVersion) {
	m.writing = true
	i, ok := m.search(v.Key)
	if !ok {
		m.keys = slices.Insert(m.keys, i, modelKey{name: v.Key})
	}
	m.keys[i].versions = append(m.keys[i].versions, v)
}

// Change is one change of a key.
type Change struct {
	// KeyValue is what the key has become; of a deletion, key and Mod only.
	KeyValue
	Deleted bool
	// Before is what was there at the revision before; nil if nothing was.
	Before *KeyValue
}

// Revision is that of the newest change.
func (m *Model) Revision() int64 { return m.revision }

// Compacted is the revision of the last compaction; -1 before the first.
func (m *Model) Compacted() int64 { return m.compacted }

// Changes returns what has changed at a revision, in the order of keys. It is quick for the latest.
func (m *Model) Changes(revision int64) []Change {
	var changes []Change
	for i := range m.keys {
		versions := m.keys[i].versions
		for at := len(versions) - 1; at >= 0 && versions[at].Mod >= revision; at-- {
			v := &versions[at]
			if v.Mod > revision {
				continue
			}
			c := Change{KeyValue: v.KeyValue, Deleted: v.deleted}
			if before := m.keys[i].at(revision - 1); before != nil {
				c.Before = &before.KeyValue
			}
			changes = append(changes, c)
		}
	}
	return changes
}
