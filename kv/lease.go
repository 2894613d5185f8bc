package kv

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// A lease lives until a moment of the group's log time, its deadline, which is replicated like
// everything else: granting and renewing set it, through the log. So every server knows it, whoever
// leads, and ending a lease is a command as well, which takes effect only if the deadline has passed
// by the time that the command itself carries. No clock is looked at here.

// Limits of leases.
const (
	// MaxLeaseTTL is the longest time to live, in seconds; etcd's number.
	MaxLeaseTTL = 9_000_000_000
	// MaxLeasesPerCommand is how many leases one command may renew, or end.
	MaxLeasesPerCommand = 1024

	nanoseconds = 1_000_000_000 // in a second of log time
)

// Lease is a lease that lives, as of now.
type Lease struct {
	ID int64
	// TTL is for how many seconds it was granted.
	TTL int64
	// Deadline is the log time, in nanoseconds, from which on it may be ended.
	Deadline uint64
}

// after returns the log time that is so many seconds after another.
func after(time uint64, seconds int64) uint64 {
	if room := math.MaxUint64 - time; uint64(seconds) > room/nanoseconds {
		return math.MaxUint64
	}
	return time + uint64(seconds)*nanoseconds
}

// leaseGrantRequest is etcd's LeaseGrantRequest. Whoever hands it in has replaced an id of 0, and a
// time that is too short.
type leaseGrantRequest struct{ ttl, id int64 }

// GrantRequest encodes etcd's request to grant a lease.
func GrantRequest(id, ttl int64) []byte { return appendInt(appendInt(nil, 1, ttl), 2, id) }

// ParseGrantRequest decodes what a client has asked for, as Check would.
func ParseGrantRequest(request []byte) (id, ttl int64, code Code) {
	var r leaseGrantRequest
	code = r.decode(request)
	return r.id, r.ttl, code
}

func (r *leaseGrantRequest) decode(b []byte) Code {
	code := eachField(b, func(f field) bool {
		switch {
		case f.is(1, varint):
			r.ttl = int64(f.int)
		case f.is(2, varint):
			r.id = int64(f.int)
		default:
			return false
		}
		return true
	})
	if code == CodeOK && r.ttl > MaxLeaseTTL {
		return CodeLeaseTTLTooLarge
	}
	return code
}

// leaseRevokeRequest is etcd's LeaseRevokeRequest.
type leaseRevokeRequest struct{ id int64 }

func (r *leaseRevokeRequest) decode(b []byte) Code {
	return eachField(b, func(f field) bool {
		r.id = int64(f.int)
		return f.is(1, varint)
	})
}

// leaseList is the request of KindLeaseRenew and KindLeaseExpire: repeated int64 in field 1. It is
// ours: no client sends it.
type leaseList []byte

// LeaseList encodes the request to renew leases, or to end those whose deadline has passed.
func LeaseList(ids []int64) []byte {
	var b []byte
	for _, id := range ids {
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, varint), uint64(id))
	}
	return b
}

// ids decodes a list, which has a bound.
func (l leaseList) ids() (ids []int64, code Code) {
	code = eachField(l, func(f field) bool {
		if len(ids) <= MaxLeasesPerCommand {
			ids = append(ids, int64(f.int))
		}
		return f.is(1, varint)
	})
	if code == CodeOK && len(ids) > MaxLeasesPerCommand {
		return nil, CodeRequestTooLarge
	}
	return ids, code
}

func (l leaseList) check() Code {
	_, code := l.ids()
	return code
}

// Fields of LeaseGrantResponse.
const (
	grantID  = protowire.Number(2)
	grantTTL = protowire.Number(3)
)

// executeGrant begins a lease, and appends the response without its header.
func (w *writer) executeGrant(b, request []byte) ([]byte, Code) {
	var r leaseGrantRequest
	switch code := r.decode(request); {
	case code != CodeOK:
		return b, code
	case r.id == 0:
		return b, CodeLeaseNotFound // as in etcd: 0 is no lease
	case r.ttl <= 0:
		return b, CodeMalformed
	case w.store.leases.has(r.id):
		return b, CodeLeaseExists
	}
	w.setLease(Lease{ID: r.id, TTL: r.ttl, Deadline: after(w.now.time, r.ttl)})
	return appendInt(appendInt(b, grantID, r.id), grantTTL, r.ttl), CodeOK
}

// executeRenew gives leases their whole time again. The body is a uvarint for each: its time to live, 0
// if there is no such lease.
func (w *writer) executeRenew(b []byte, list leaseList) ([]byte, Code) {
	ids, code := list.ids()
	if code != CodeOK {
		return b, code
	}
	for _, id := range ids {
		l, found := w.store.leases.get(id)
		if found {
			l.Deadline = after(w.now.time, l.TTL)
			w.setLease(l)
		}
		b = binary.AppendUvarint(b, uint64(l.TTL))
	}
	return b, CodeOK
}

// ParseRenewed decodes the answer's body to a LeaseList of so many leases: the time to live of each in
// seconds, 0 where there is no such lease.
func ParseRenewed(body []byte, count int) ([]int64, error) {
	ttls := make([]int64, count)
	for i := range ttls {
		ttl, n := binary.Uvarint(body)
		if n <= 0 || ttl > MaxLeaseTTL {
			return nil, errAnswer
		}
		ttls[i], body = int64(ttl), body[n:]
	}
	if len(body) > 0 {
		return nil, errAnswer
	}
	return ttls, nil
}

// executeRevoke ends a lease, whatever its deadline, and deletes its keys.
func (w *writer) executeRevoke(request []byte) (Code, error) {
	var r leaseRevokeRequest
	if code := r.decode(request); code != CodeOK {
		return code, nil
	}
	if !w.store.leases.has(r.id) {
		return CodeLeaseNotFound, nil
	}
	return CodeOK, w.endLease(r.id)
}

// executeExpire ends those of the leases whose deadline has passed, each with its keys in a revision of
// its own. The others live: they were renewed after somebody found that they were due. The body is a
// uvarint: how many have ended.
func (w *writer) executeExpire(b []byte, list leaseList) ([]byte, Code, error) {
	ids, code := list.ids()
	if code != CodeOK {
		return b, code, nil
	}
	ended := uint64(0)
	for _, id := range ids {
		l, found := w.store.leases.get(id)
		if !found || l.Deadline > w.now.time {
			continue
		}
		if err := w.endLease(id); err != nil {
			return b, CodeOK, err
		}
		w.countRevision()
		ended++
	}
	return binary.AppendUvarint(b, ended), CodeOK, nil
}

// ParseExpired decodes the answer's body to a command that ends leases, or sessions: how many have ended.
func ParseExpired(body []byte) (ended int, err error) {
	n, size := binary.Uvarint(body)
	if size <= 0 || size != len(body) || n > MaxLeasesPerCommand {
		return 0, errAnswer
	}
	return int(n), nil
}

// setLease writes a lease.
func (w *writer) setLease(l Lease) {
	w.key = appendLeaseKey(w.key[:0], l.ID)
	w.value = appendLease(w.value[:0], &l)
	w.batch.Set(w.key, w.value)
	w.store.leases.set(l)
}

// endLease deletes a lease and its keys, in the order of the keys.
func (w *writer) endLease(id int64) error {
	keys, err := w.leasedKeys(id)
	if err != nil {
		return err
	}
	for _, key := range keys {
		w.writeVersion(&version{key: key, tombstone: true}, id)
	}
	w.batch.Delete(appendLeaseKey(w.key[:0], id))
	w.store.leases.remove(id)
	return nil
}

const leaseKeyBytes = 1 + 8 // space, id

func appendLeaseKey(b []byte, id int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, spaceLeases), uint64(id))
}

// leaseLives is the first byte of a lease's record. Later versions may need others.
const leaseLives = 1

func appendLease(b []byte, l *Lease) []byte {
	b = append(b, leaseLives)
	b = binary.AppendUvarint(b, uint64(l.TTL))
	return binary.AppendUvarint(b, l.Deadline)
}

func parseLease(key, value []byte) (Lease, error) {
	if len(key) != leaseKeyBytes || len(value) == 0 || value[0] != leaseLives {
		return Lease{}, fmt.Errorf("lease %x: %x: %w", key, value, ErrCorrupt)
	}
	ttl, n := binary.Uvarint(value[1:])
	deadline, m := binary.Uvarint(value[1+max(n, 0):])
	if n <= 0 || m <= 0 || 1+n+m != len(value) || ttl == 0 || ttl > MaxLeaseTTL {
		return Lease{}, fmt.Errorf("lease %x: %x: %w", key, value, ErrCorrupt)
	}
	return Lease{ID: int64(binary.BigEndian.Uint64(key[1:])), TTL: int64(ttl), Deadline: deadline}, nil
}
