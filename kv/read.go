package kv

import (
	"bytes"
	"cmp"
	"math"
)

// newest is a revision at or above all.
const newest = int64(math.MaxInt64)

// maxSteps is how many versions in a row a reader passes over one by one before it seeks. A seek
// costs about as much as eight steps; most keys have fewer versions than that.
const maxSteps = 8

// reader finds versions as of a revision in a cursor over the space of versions.
type reader struct {
	cursor  cursor
	seek    []byte // the key last sought
	hi      []byte // end of a scan
	prefix  []byte // of the key that a scan has just dealt with
	scratch []byte // an unescaped key
}

// latest reads into v the newest version of key at or below main revision at. It reports whether
// the key lives then. v aliases key and the cursor: it is valid until the next read.
func (r *reader) latest(key []byte, at int64, v *version) (bool, error) {
	r.seek = appendVersionKey(r.seek[:0], key, revision{at, lastSub})
	prefix := len(r.seek) - suffixBytes
	if !r.cursor.SeekPrefix(r.seek) {
		return false, r.cursor.Error()
	}
	k := r.cursor.Key()
	if !bytes.HasPrefix(k, r.seek[:prefix]) {
		return false, nil
	}
	var err error
	if v.at, err = splitSuffix(k, prefix); err != nil {
		return false, err
	}
	v.key = key
	if err := r.parse(v, r.cursor.Value()); err != nil {
		return false, err
	}
	return !v.tombstone, nil
}

// parse parses the cursor's value. An engine that could not read it gives an empty one and an
// error, and then the error is what matters.
func (r *reader) parse(v *version, value []byte) error {
	if err := v.parse(value); err != nil {
		return cmp.Or(r.cursor.Error(), err)
	}
	return nil
}

// read visits the versions of the keys in the range that live at main revision at, in the order of
// keys, until visit returns false. What visit is given is valid until it returns.
func (r *reader) read(keys keyRange, at int64, visit func(*version) bool) error {
	var v version
	if keys.isPoint() {
		found, err := r.latest(keys.key, at, &v)
		if found {
			visit(&v)
		}
		return err
	}
	r.seek = appendKeyPrefix(r.seek[:0], keys.key)
	r.hi = appendEnd(r.hi[:0], keys)
	if bytes.Compare(r.seek, r.hi) >= 0 {
		return nil
	}
	return r.scan(at, &v, visit)
}

// appendEnd appends the first key that is after all versions of a range that is no point.
func appendEnd(b []byte, keys keyRange) []byte {
	if keys.isFrom() {
		return append(b, spaceVersions+1)
	}
	return appendKeyPrefix(b, keys.end)
}

// scan is read from r.seek up to r.hi.
func (r *reader) scan(at int64, v *version, visit func(*version) bool) error {
	r.prefix = r.prefix[:0]
	steps := 0
	for ok := r.cursor.SeekGE(r.seek); ok && bytes.Compare(r.cursor.Key(), r.hi) < 0; {
		k := r.cursor.Key()
		prefix := PrefixLen(k)
		done := bytes.Equal(k[:prefix], r.prefix)
		if !done {
			var err error
			if v.key, v.at, r.scratch, err = splitVersionKey(k, r.scratch); err != nil {
				return err
			}
		}
		switch {
		case !done && v.at.main <= at: // the version to show, unless it says that there is none
			steps = 0
			r.prefix = append(r.prefix[:0], k[:prefix]...)
			if value := r.cursor.Value(); !isTombstone(value) {
				if err := r.parse(v, value); err != nil {
					return err
				}
				if !visit(v) {
					return nil
				}
			}
			ok = r.cursor.Next()
		case steps < maxSteps:
			steps++
			ok = r.cursor.Next()
		case done: // on to the next key
			steps = 0
			r.seek = append(append(r.seek[:0], k[:prefix-1]...), afterEndOfKey)
			ok = r.cursor.SeekGE(r.seek)
		default: // on to the version that is old enough
			steps = 0
			r.seek = appendInverted(append(r.seek[:0], k[:prefix]...), revision{at, lastSub})
			ok = r.cursor.SeekGE(r.seek)
		}
	}
	return r.cursor.Error()
}
