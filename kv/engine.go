package kv

// Engine is what the store keeps its state in: an ordered map with atomic batches. The store uses
// it in this way: one goroutine creates and commits batches, one after the other; any goroutine
// opens iterators.
//
// Two adapters exist: package pebblekv (production) and package treekv (the simulator).
type Engine interface {
	// NewBatch returns an empty batch.
	NewBatch() Batch

	// NewIterator opens an iterator over lo <= key < hi, positioned on nothing; a nil bound is no
	// bound. It is a pinned view: it shows all batches committed before the call and nothing of any
	// later one, for as long as it is open. It keeps lo and hi until it is closed.
	NewIterator(lo, hi []byte) (Iterator, error)

	// GetDurable returns the value that key would have if the machine lost power now: it looks at
	// what is on the disk and at nothing else. It reports false if there would be none.
	GetDurable(key []byte) (value []byte, ok bool, err error)

	// Flush makes every batch committed before the call durable, and waits for it.
	Flush() error

	// Close releases the engine. It does not flush: what was not durable may be gone, which a log
	// that is replayed from the durable index makes good. All iterators must be closed before.
	Close() error
}

// A crash keeps, of the batches committed since the last flush, any number from the first on, and
// nothing of the others: never the second of two without the first. The store's promise about its
// durable index rests on this, and every adapter is tested for it.

// Batch collects writes, which become visible and durable together or not at all.
type Batch interface {
	// Set stores value under key. Both slices are copied.
	Set(key, value []byte)
	// Delete removes key. The slice is copied.
	Delete(key []byte)
	// Commit applies the writes, and reports the first error of any of them. When it returns nil,
	// iterators opened afterwards see the batch. The batch must not be used afterwards.
	Commit() error
	// Discard drops the batch instead.
	Discard()
}

// Iterator walks keys in ascending or descending order. It belongs to one goroutine. The slices of
// Key and Value are valid until the next movement. A movement that returns false has left the range
// or met an error, which Error tells apart.
type Iterator interface {
	// SeekGE moves to the first key at or after key.
	SeekGE(key []byte) bool
	// SeekPrefix is SeekGE for a caller that only wants keys with the same first PrefixLen(key)
	// bytes: an engine may answer false without having looked further than it takes to know that
	// there is none. After it, only Next, Valid, Key and Value may be used until the next seek.
	SeekPrefix(key []byte) bool
	// SeekLT moves to the last key before key.
	SeekLT(key []byte) bool
	First() bool
	Last() bool
	// Next and Prev move by one; the iterator must be valid.
	Next() bool
	Prev() bool
	Valid() bool
	Key() []byte
	Value() []byte
	// Error returns the error that ended the last movement, if one did.
	Error() error
	// Close releases the view and returns the iterator's error, if it had one.
	Close() error
}
