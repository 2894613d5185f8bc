// Package ordered is a map from byte strings to byte strings that is kept in key order and can be
// copied in no time: a B+tree of which two copies share every node that neither has changed.
//
// What: the tree under the simulator's engine (package treekv), where a copy is a pinned view or a
// state to which a crash may return, and under the writes of one apply batch (package kv), where
// reads of the batch must find them in order. It does not lock, log, balance after deletes or
// bound its memory.
//
// Units: none but keys and values, compared as bytes.
//
// Shape:
//
//	Tree ── root ──► inner ──► inner ──► leaf{keys, values}
//	copy ── root ────────┘ (shared until one of the two writes below it)
//
// Each Tree owns a token; a node whose token is another tree's is copied before it is changed.
// Iter walks one tree's nodes by a stack, since leaves cannot be chained when they are shared.
//
// Errors: none. Concurrency: a Tree and its iterators belong to one goroutine at a time; trees that
// share nodes may be used by different goroutines, because shared nodes are never changed.
//
// Source: B+trees are textbook matter; copying on write by owner is our own choice among several.
package ordered
