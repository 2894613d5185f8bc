// Package raft is the algorithm: Figure 2 of the Raft paper, and the thesis' extensions, as a
// function.
//
// # What
//
// A Core is one server's part in one group. Step tells it what happened and returns what must now
// be done. The package has no goroutine, lock, clock, file, socket, logger or source of chance, and
// never looks into commands: it deals in terms, indexes and configurations. Elections with pre-vote
// and check-quorum; replication with a window of appends in flight; a diverged log reconciled in one
// round trip; commit by the rule of section 5.4.2; reads by read index; joint consensus.
//
// # Units
//
// Time is in ticks, whose length the host decides. How many a server waits for its leader comes with
// each tick, and may be another on each server; for how many it refuses its vote after a word from its
// leader is an option, the same on all of them. Sizes are in bytes. Terms, indexes and tickets
// count from 1, and 0 means none.
//
// # Shape
//
//	          Input                               Output
//	Tick, Receive, Persisted,   ┌──────┐   Persist  one write, with its ticket
//	Applied, Propose,       ──> │ Core │ ─> Send     messages, each with the write to wait for
//	ReadIndex, Campaign, ...    └──────┘   Apply    committed entries, ascending, no gaps
//	                                       Accepted, Refused, Reads, Events
//
// The order of everything is data. Writes are one stream with one watermark, Persisted. A message
// names in After the write that must be durable before it leaves: at least the one that made its own
// term durable, and for an acknowledgement the write of what it acknowledges. A message of a term
// that has ended is dropped, never stamped anew.
//
// The files, in reading order: types, configuration, message, step and event (the vocabulary); log;
// core (Step, the term rule, what leaves a step); election; follow; lead; change; read; explore and status.
// A tag such as "Figure 2, Leaders 4." stands where that rule is enforced, and the test of that rule
// has its name. "Differs:" marks where we leave the paper; docs/raft.md lists those places.
//
// # Errors
//
// New refuses a state that contradicts itself. Step has no errors: a proposal or read that will
// certainly not happen comes back as a Refusal with its reason. Messages are not trusted: what no
// server could have sent is dropped. A broken invariant panics, for to go on could lose data.
//
// # Concurrency
//
// A Core belongs to one goroutine. What Step returns is the caller's.
//
// # Source
//
// Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (2014), and Ongaro's
// thesis, Consensus: Bridging Theory and Practice (2014).
package raft
