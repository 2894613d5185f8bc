package check

import "github.com/quorate/quorate/kv"

// modelLease is a lease that lives: for how many seconds, and until which log time.
type modelLease struct {
	ttl      int64
	deadline uint64
}

// HasLease reports whether a lease lives; 0 stands for none, which is always there.
func (m *Model) HasLease(id int64) bool {
	_, lives := m.leases[id]
	return lives || id == 0
}

// Leases is how many there are.
func (m *Model) Leases() int { return len(m.leases) }

func (m *Model) grant(q Grant) Response {
	if m.HasLease(q.ID) {
		return Response{Code: kv.CodeLeaseExists}
	}
	m.leases[q.ID] = modelLease{q.TTL, m.time + uint64(q.TTL)*1e9}
	return Response{TTLs: []int64{q.TTL}}
}

func (m *Model) revoke(q Revoke) Response {
	if _, lives := m.leases[q.ID]; !lives {
		return Response{Code: kv.CodeLeaseNotFound}
	}
	m.endLease(q.ID)
	return Response{}
}

func (m *Model) renew(q Renew) (r Response) {
	for _, id := range q.IDs {
		l, lives := m.leases[id]
		if lives {
			l.deadline = m.time + uint64(l.ttl)*1e9
			m.leases[id] = l
		}
		r.TTLs = append(r.TTLs, l.ttl)
	}
	return r
}

func (m *Model) expire(q Expire) (r Response) {
	for _, id := range q.IDs {
		if l, lives := m.leases[id]; lives && l.deadline <= m.time {
			m.endLease(id)
			m.endRevision() // each has one of its own
			r.Count++
		}
	}
	return r
}

func (m *Model) endLease(id int64) {
	delete(m.leases, id)
	for i := range m.keys {
		if v := m.keys[i].at(m.revision); v != nil && v.Lease == id {
			m.add(modelVersion{KeyValue: KeyValue{Key: v.Key, Mod: m.revision + 1}, deleted: true})
		}
	}
}
