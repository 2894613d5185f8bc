package replica

import (
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// tail holds the latest records of the log in memory: all that may still be truncated, and as many
// before them as the limit allows, for those who send and apply.
type tail struct {
	// records[0] is the entry at first.
	first   raft.Index
	records []wire.Raw
	// before is the hash of the entry before first.
	before wire.Hash
	// bytes is the size of records; above limit, old ones are forgotten.
	bytes, limit int
}

// last returns the index of the last entry of the log.
func (t *tail) last() raft.Index { return t.first + raft.Index(len(t.records)) - 1 }

// has reports whether the entry at i is in memory.
func (t *tail) has(i raft.Index) bool { return i >= t.first && i <= t.last() }

// at returns the entry at i, which is in memory.
func (t *tail) at(i raft.Index) wire.Raw { return t.records[i-t.first] }

// hashAt returns the hash of the entry at i; false if it is not in memory.
func (t *tail) hashAt(i raft.Index) (wire.Hash, bool) {
	if i == t.first-1 {
		return t.before, true
	}
	if !t.has(i) {
		return wire.Hash{}, false
	}
	return t.at(i).Hash(), true
}

// append adds the entry after the last.
func (t *tail) append(record wire.Raw) {
	invariant.Check(record.Index() == t.last()+1, "record %d after %d", record.Index(), t.last())
	t.records = append(t.records, record)
	t.bytes += len(record)
}

// truncate drops the entries from index from on.
func (t *tail) truncate(from raft.Index) {
	invariant.Check(from >= t.first, "truncate from %d, in memory from %d", from, t.first)
	keep := int(from - t.first)
	for i := keep; i < len(t.records); i++ {
		t.bytes -= len(t.records[i])
		t.records[i] = nil
	}
	t.records = t.records[:min(keep, len(t.records))]
}

// install lets the log begin after a state, and end at last: if that is not where the state is, the log had that
// entry, and keeps what follows.
func (t *tail) install(at *wire.Position, last raft.Index) {
	if last == at.Index {
		*t = tail{first: at.Index + 1, before: at.Hash, limit: t.limit}
	}
}

// forget drops old entries from memory while there are too many bytes of them, but none after safe:
// those can still be truncated, or are not on disk yet.
func (t *tail) forget(safe raft.Index) {
	n := 0
	for t.bytes > t.limit && n < len(t.records) && t.first+raft.Index(n) <= safe {
		t.bytes -= len(t.records[n])
		t.before = t.records[n].Hash()
		t.records[n] = nil
		n++
	}
	t.records = t.records[n:]
	t.first += raft.Index(n)
}

// span returns the records from first to last, at most limit bytes of them but at least one; false
// if the first is not in memory. With limit 0 it returns all or nothing.
func (t *tail) span(first, last raft.Index, limit int) ([][]byte, bool) {
	if !t.has(first) || last > t.last() {
		return nil, false
	}
	records := make([][]byte, 0, last-first+1)
	bytes := 0
	for i := first; i <= last; i++ {
		record := t.at(i)
		bytes += len(record)
		if limit > 0 && bytes > limit && len(records) > 0 {
			break
		}
		records = append(records, record)
	}
	return records, true
}
