package treekv

import "slices"

// Rot changes a byte of a value, of one key from lo on up to hi, silently: on the disk and in all that was read from it.
// pick chooses the key: it is told how many there are, and says which, from 0 on. It reports whether there was one.
func (e *Engine) Rot(lo, hi []byte, pick func(keys int) int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	var keys [][]byte
	it := newIterator(&e.states[len(e.states)-1], lo, hi)
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Value()) > 0 {
			keys = append(keys, slices.Clone(it.Key()))
		}
	}
	if len(keys) == 0 {
		return false
	}
	key := keys[pick(len(keys))]
	for i := range e.states {
		value, ok := e.states[i].Get(key)
		if !ok {
			continue
		}
		state := e.states[i].Clone()
		rotten := slices.Clone(value)
		rotten[len(rotten)-1] ^= 1
		state.Set(key, rotten)
		e.states[i] = state
	}
	return true
}
