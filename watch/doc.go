// Package watch is the hub between a store that changes and those who watch it: which watcher is told
// what, in which order, and what happens to one that does not keep up.
//
// # What
//
// A stream is one client's connection for watching; it carries any number of watchers. A watcher is
// told of every change in an interval of keys, from a revision on, as etcd's API promises: in order,
// once, none left out, all changes of one revision in one response. A hub never drops anything
// silently: a watcher gets its next event, or it is told that the event is compacted.
//
// The hub decides, and does nothing: no goroutine, clock, file, gRPC. Whoever drives it puts in what
// happens and takes out what is to be sent and to be read. It knows events only as bytes.
//
// # Units
//
// Revisions are etcd's main revisions, counted from 1. Bytes where a name says so.
//
// # Shape
//
//	client ──► Create, Cancel, Progress, Tick ──┐                  ┌──► Ready, Take ──► client
//	store ───► Apply, Jump, Compact ────────────┤        Hub       │
//	disk ────► Fed ─────────────────────────────┘                  └──► NextRead, Wants ──► disk
//
// A watcher is synced or lagging. Synced ones are told of an applied batch at once: an index finds the
// groups of watchers (those of one interval with the same wishes) that a key concerns, and the events of
// a batch are encoded once for a group. What is to be sent waits in the stream's queue. When that is
// full, the watcher lags: all that is kept of it is the first revision that it has not been given. When
// there is room again it queues, behind all others that lag, for a read: a window of revisions, of
// bounded size, that begins where the first in the queue stands and serves everybody who stands within.
// Who has come to the present is synced again; the others go to the end of the queue. So one who has far
// to go delays nobody for longer than it takes to read a window.
//
// # Bounds
//
// A stream's queue holds Options.QueueBytes and one response more. A response holds
// Options.ResponseBytes and one revision more. Responses without events are few: one for a request, which
// the driver does not take from a stream that is Full, and one for each watcher that is canceled.
//
// # Errors
//
// There are none. What is wrong with a request is told to the client in a Response.
//
// # Concurrency
//
// A hub belongs to one goroutine. The bytes of responses are shared by many, and never change.
//
// # Source
//
// etcd's Watch API and its server's behaviour, version 3.7; docs/adr/0009-watch.md.
package watch
