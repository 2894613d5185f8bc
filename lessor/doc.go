// Package lessor decides when leases are to be ended.
//
// # What
//
// A lease's deadline is a moment of the group's log time, and is replicated (package kv): a command that
// ends leases takes effect for those whose deadline has passed by the command's own time, and for no
// others. So nothing that is decided here can end a lease too early. What is left to decide is when to
// ask: Lessor.Step says so, at the leader.
//
// # Units
//
// Times are log time in nanoseconds: it goes on by the leader's monotonic clock, and stands still while
// no server runs.
//
// # Shape
//
//	Status (who leads, log time) ─► Lessor.Step ─► leases to end ─► the log ─► kv
//	Store.DueLeases ────────────────────┘
//
// # Bounds
//
// A lease lives for its time to live, at least, counted from when the client sent its last request to
// grant or renew it. It ends, at the latest, its time to live, Options.Slack, a few steps and a commit
// after that request was carried out; and each new leader may add Options.Grace, and the time between its
// last entry and when that reached it. The leader writes an empty command every Options.Mark while there
// are leases and nothing else is written, so that this last part is small.
//
// # Errors
//
// None.
//
// # Concurrency
//
// None: whoever has a Lessor calls it from one goroutine. No clock, no chance.
//
// # Source
//
// docs/adr/0010-leases.md says why it is not done as in etcd.
package lessor
