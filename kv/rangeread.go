package kv

import (
	"bytes"
	"cmp"
	"slices"
)

// resolve returns the main revision that a read with this revision in its request is of, given the
// newest and the compaction revision.
func resolve(asked, current, compact int64) (int64, Code) {
	switch {
	case asked > current:
		return 0, CodeFutureRevision
	case asked <= 0:
		return current, CodeOK
	case asked < compact: // the compaction revision itself is readable
		return 0, CodeCompacted
	}
	return asked, CodeOK
}

// appendRange executes a range at main revision at, and appends the response without its header.
//
// etcd's order of work is: fetch in the order of keys, filter, sort, cut to the limit. The count is
// of all keys in the range whatever is filtered or cut. Where the result is in the order of keys
// anyway, all of it is one pass that keeps nothing.
func (r *reader) appendRange(b []byte, q *rangeRequest, at int64) ([]byte, error) {
	var count, matched int64
	inKeyOrder := q.target == sortByKey && q.order != orderDescend
	var fetched collected
	err := r.read(q.keyRange, at, func(v *version) bool {
		count++
		switch {
		case q.countOnly || !q.passes(v):
			return true
		case inKeyOrder && (q.limit <= 0 || matched < q.limit):
			b = appendKeyValue(b, rangeKVs, q.shown(v))
		case !inKeyOrder && q.fetches(matched):
			fetched.add(v, q)
		}
		matched++
		return true
	})
	if err != nil {
		return b, err
	}
	if !inKeyOrder {
		fetched.sort(q)
		for i := range fetched.versions {
			if q.limit <= 0 || int64(i) < q.limit {
				b = appendKeyValue(b, rangeKVs, q.shown(&fetched.versions[i]))
			}
		}
	}
	b = appendBool(b, rangeMore, q.limit > 0 && matched > q.limit)
	return appendInt(b, rangeCount, count), nil
}

// passes tells whether v is within the filters; a bound of zero is none.
func (r *rangeRequest) passes(v *version) bool {
	return (r.maxMod == 0 || v.at.main <= r.maxMod) && (r.minMod == 0 || v.at.main >= r.minMod) &&
		(r.maxCreate == 0 || v.create <= r.maxCreate) && (r.minCreate == 0 || v.create >= r.minCreate)
}

func (r *rangeRequest) hasFilters() bool {
	return r.maxMod != 0 || r.minMod != 0 || r.maxCreate != 0 || r.minCreate != 0
}

// fetches tells whether one more key is fetched for sorting. All are, but for a quirk that clients
// may have come to know: with a target and the order NONE, etcd sorts upwards, but has cut to one
// more than the limit, in the order of keys, before.
func (r *rangeRequest) fetches(already int64) bool {
	return r.limit <= 0 || r.order != orderNone || r.hasFilters() || already <= r.limit
}

// shown returns v as the response shows it: with keys_only without its value, and without its lease,
// too, since etcd 3.7 answers that from its index, except where it sorts by value.
func (r *rangeRequest) shown(v *version) *version {
	if r.keysOnly {
		v.value = nil
		if r.target != sortByValue {
			v.lease = 0
		}
	}
	return v
}

// collected is copies of versions, for sorting.
type collected struct {
	versions []version
	arena    []byte
}

func (c *collected) add(v *version, r *rangeRequest) {
	kept := *v
	kept.key = c.copy(v.key)
	kept.value = nil
	if !r.keysOnly || r.target == sortByValue {
		kept.value = c.copy(v.value)
	}
	c.versions = append(c.versions, kept)
}

func (c *collected) copy(b []byte) []byte {
	if cap(c.arena)-len(c.arena) < len(b) {
		c.arena = make([]byte, 0, max(arenaBytes, len(b)))
	}
	start := len(c.arena)
	c.arena = append(c.arena, b...)
	return c.arena[start:len(c.arena):len(c.arena)]
}

// sort orders what was fetched; equals stay in the order of keys.
func (c *collected) sort(r *rangeRequest) {
	compare := func(a, b version) int { return bytes.Compare(a.key, b.key) }
	switch r.target {
	case sortByVersion:
		compare = func(a, b version) int { return cmp.Compare(a.version, b.version) }
	case sortByCreate:
		compare = func(a, b version) int { return cmp.Compare(a.create, b.create) }
	case sortByMod:
		compare = func(a, b version) int { return cmp.Compare(a.at.main, b.at.main) }
	case sortByValue:
		compare = func(a, b version) int { return bytes.Compare(a.value, b.value) }
	}
	if r.order == orderDescend {
		ascending := compare
		compare = func(a, b version) int { return ascending(b, a) }
	}
	slices.SortStableFunc(c.versions, compare)
}
