// Package treekv is a kv.Engine in memory, for the simulator: an ordered tree of which a crash
// keeps as many of the batches since the last flush as the caller chooses.
//
// What: the engine under the store wherever runs must be repeatable to the bit. Pebble flushes and
// compacts in goroutines of its own and so never does the same twice; here nothing happens but what
// is called. It has no file: what it calls durable is memory that Crash keeps.
//
// Units: batches, in Crash.
//
// Shape:
//
//	states: [flushed] ── batch ──► [+1] ── batch ──► [+2] ◄─ iterators open on the newest
//	            └──────── Crash returns to any of these ──────┘
//
// Each state is a copy of the tree before it, which shares all nodes that the batch did not change.
// The states since the last flush are kept: memory grows with what is written between flushes. The stage
// is an engine within the engine, of which a crash keeps a prefix as well.
//
// Errors: ErrClosed, after Close or Crash; ErrDamaged, of what Damage has made unreadable. Concurrency: any goroutine may open iterators while one
// commits; an iterator belongs to one goroutine.
//
// Source: the crash model is DESIGN's, for an engine without a log of its own: a prefix of the
// batches, not older than the last flush.
package treekv
