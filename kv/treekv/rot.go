package treekv

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/kv/internal/ordered"
)

// ErrDamaged: what is there is not what was written, as a checksum shows.
var ErrDamaged = errors.New("a value of the tree is damaged")

// damaged is the value of a key that cannot be read any more: this very slice.
var damaged = []byte{0}

func isDamaged(value []byte) bool { return len(value) == 1 && &value[0] == &damaged[0] }

// Rot changes a bit of a value, of one key from lo on up to hi, silently: on the disk and in all that was read from it.
// pick chooses the key, then the byte, then the bit: it is told how many there are, and says which, from 0 on. Rot
// reports whether there was a key with a value.
func (e *Engine) Rot(lo, hi []byte, pick func(of int) int) bool {
	key, now := e.pick(lo, hi, pick)
	if key == nil {
		return false
	}
	at, bit := pick(len(now)), byte(1)<<pick(8)
	e.replace(key, func(value []byte) []byte {
		if at >= len(value) {
			return value // of an earlier state, and another one
		}
		rotten := slices.Clone(value)
		rotten[at] ^= bit
		return rotten
	})
	return true
}

// Damage makes a value unreadable, of one key from lo on up to hi, as a byte that changes does where values have
// checksums: whoever comes upon it gets ErrDamaged, until it is written anew. pick chooses the key, as for Rot.
func (e *Engine) Damage(lo, hi []byte, pick func(of int) int) bool {
	key, _ := e.pick(lo, hi, pick)
	if key == nil {
		return false
	}
	e.replace(key, func([]byte) []byte { return damaged })
	return true
}

// pick returns a key that has a value, and the value.
func (e *Engine) pick(lo, hi []byte, pick func(of int) int) (key, value []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var keys [][]byte
	newest := &e.states[len(e.states)-1]
	var it ordered.Iter
	it.Init(newest, lo, hi)
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Value()) > 0 && !isDamaged(it.Value()) {
			keys = append(keys, slices.Clone(it.Key()))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	key = keys[pick(len(keys))]
	value, _ = newest.Get(key)
	return key, value
}

// replace replaces the value of a key in all states that have the key.
func (e *Engine) replace(key []byte, by func(value []byte) []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.states {
		if value, ok := e.states[i].Get(key); ok {
			state := e.states[i].Clone()
			state.Set(key, by(value))
			e.states[i] = state
		}
	}
}
