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

	// OpenStage opens the engine's stage, with what is in it. If there is none, it is created, or (not
	// create) nil is returned. There is one, and it is opened once.
	OpenStage(create bool) (Stage, error)

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
	// Clone opens another iterator on the same view, with bounds of its own. It may be called by one
	// goroutine at a time.
	Clone(lo, hi []byte) (Iterator, error)
	// Close releases the view and returns the iterator's error, if it had one.
	Close() error
}

// Stage is a place beside the state of an engine, in which the parts of another state are collected: an
// ordered map of its own, with the same promises about crashes. In the end what is in it is sealed: made
// ready to take its place in the state. Installing is then one step, which a crash leaves done or not
// done, whole.
//
// One goroutine uses it. Only Install also needs that nobody else commits to the engine.
type Stage interface {
	NewBatch() Batch
	NewIterator(lo, hi []byte) (Iterator, error)
	// Flush makes every batch of the stage that was committed before the call durable.
	Flush() error
	// Seal writes down what Install shall do. A later call replaces what an earlier one wrote. It does not
	// survive a restart: only the map does.
	Seal(r Replacement) error
	// Install makes what was sealed part of the engine's state, in one step, atomic and durable along with
	// all batches committed before it, and adds the pairs, which lie within Replacement.Apart. Iterators
	// opened before go on showing the old state.
	Install(apart []Pair) error
	// Close closes the stage. What is durable is there when it is opened again.
	Close() error
	// Drop closes the stage and removes it.
	Drop() error
}

// Replacement says what becomes of a state.
type Replacement struct {
	// Clear are the spans of keys that are emptied first, in order, each behind the one before.
	Clear []Span
	// Apart is emptied as well. What goes there is known only to Install.
	Apart Span
	// Fill hands over what is then set and deleted, in ascending order of keys, none of them in Apart.
	Fill func(into Sink) error
}

// Span is the keys from Lo on up to Hi, which is not in it.
type Span struct{ Lo, Hi []byte }

// Has tells whether a key is in the span.
func (s Span) Has(key []byte) bool {
	return string(s.Lo) <= string(key) && string(key) < string(s.Hi)
}

// Pair is a key and its value.
type Pair struct{ Key, Value []byte }

// Sink takes writes, in ascending order of keys. The slices are copied.
type Sink interface {
	Set(key, value []byte) error
	Delete(key []byte) error
}
