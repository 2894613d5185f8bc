// Package server puts a server together: the host and its log, the state machine of package kv on its
// engine, etcd's API on the ports for clients, and metrics; and takes it apart again in order.
//
// # What
//
// Options are etcd's flags, with etcd's names and defaults. It does not read flags or files of
// settings, and it does not encrypt what clients send: whoever lets it listen beyond this machine is
// warned in the log.
//
// A data directory holds
//
//	server.json identity boot lock    the host's: who this server is
//	wal/                              the host's log
//	state/                            the engine's tables (Pebble)
//
// # Units
//
// Sizes are bytes, spans of time time.Duration.
//
// # Shape
//
//	clients ─> etcdapi ──ProposeCommand──> quorate.Group ──Apply──> machine ──> kv.Store ─> Pebble
//	              └────────── Range ─────────────────────────────────────────────┘ ^
//	metrics <─ everything, when asked                       flusher, remover ──────┘
//
// The machine is what joins the two halves: it turns entries of the log into commands of kv, and lets
// only one of apply and compaction at the store.
//
// # Errors
//
// Start returns what is wrong with the options, all of it at once, or why the directory or a port
// cannot be used, in words that say what to do. What goes wrong later for good (the disk, mostly) goes
// to Options.OnFatal, which ends the process.
//
// # Concurrency
//
// Everything exported may be called from any goroutine. Goroutines of its own: the flusher, which
// makes the state durable from time to time; the remover, which removes what is compacted, a little at a
// time; the vigil, which logs while no progress is possible; and the pace of memory. Close returns when the last one is gone.
//
// # Source
//
// etcd's flags and metrics are etcd 3.7's.
package server
