package kv

import (
	"bytes"
	"fmt"
	"slices"
)

// Which keys a lease has is written beside the versions, as keys without a value in a space of their
// own. That of a key's newest version is all that counts: a put with another lease, or without one,
// takes the key away from the lease that it had.

// attached is what the batch under way has changed in that space: true for what was added, false for
// what was taken away.
type attached map[string]bool

// attach notes that a key has gone from one lease to another; 0 stands for none.
func (w *writer) attach(key []byte, from, to int64) {
	if from == to {
		return
	}
	if from != 0 {
		w.key = appendLeasedKey(w.key[:0], from, key)
		w.batch.Delete(w.key)
		w.noteAttached(false)
	}
	if to != 0 {
		w.key = appendLeasedKey(w.key[:0], to, key)
		w.batch.Set(w.key, nil)
		w.noteAttached(true)
	}
}

func (w *writer) noteAttached(added bool) {
	if w.attached == nil {
		w.attached = make(attached)
	}
	w.attached[string(w.key)] = added
}

// leasedKeys returns the keys of a lease, sorted, with what the batch has changed.
func (w *writer) leasedKeys(id int64) ([][]byte, error) {
	lo, hi := leasedBounds(id)
	keys, err := readLeasedKeys(w.store.engine, id)
	if err != nil || len(w.attached) == 0 {
		return keys, err
	}
	keys = slices.DeleteFunc(keys, func(key []byte) bool {
		_, changed := w.attached[string(appendLeasedKey(w.key[:0], id, key))]
		return changed
	})
	for k, added := range w.attached { //tidy:ordered sorted below
		if added && string(lo) <= k && k < string(hi) {
			keys = append(keys, []byte(k[leasedKeyBytes:]))
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys, nil
}

// readLeasedKeys reads the keys of a lease, sorted, from the engine.
func readLeasedKeys(e Engine, id int64) (keys [][]byte, err error) {
	lo, hi := leasedBounds(id)
	it, err := e.NewIterator(lo, hi)
	if err != nil {
		return nil, fmt.Errorf("keys of lease %x: %w", uint64(id), err)
	}
	defer func() { err = joinClose(err, it.Close) }()
	for ok := it.First(); ok; ok = it.Next() {
		keys = append(keys, slices.Clone(it.Key()[leasedKeyBytes:]))
	}
	return keys, it.Error()
}

const leasedKeyBytes = 1 + 8 // before the user's key: space, id

func appendLeasedKey(b []byte, id int64, key []byte) []byte {
	b = appendLeaseKey(b, id)
	b[len(b)-leaseKeyBytes] = spaceLeaseKeys
	return append(b, key...)
}

// leasedBounds returns between which keys of the engine those of a lease are.
func leasedBounds(id int64) (lo, hi []byte) {
	lo = appendLeasedKey(nil, id, nil)
	hi = slices.Clone(lo)
	for i := len(hi) - 1; ; i-- { // the space itself is less than ff
		if hi[i]++; hi[i] != 0 {
			return lo, hi
		}
	}
}
