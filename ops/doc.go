// Package ops looks into the data directories of servers that do not run, and makes new ones out of
// snapshots.
//
// What: Open shows what is in a data directory, and verifies it, without changing one byte. Restore makes
// data directories of a new cluster out of a snapshot, which is a file that a server has written. It runs
// no servers, speaks to none, and mends nothing.
//
// Units: sizes are bytes, times nanoseconds of the group's log time.
//
// Shape:
//
//	Open ──► Directory ──┬── Report   what there is, and what is wrong with it
//	                     └── Entries  the entries of a group's log, one by one
//	SaveSnapshot ──► a file ──┬── SnapshotStatus
//	                          └── Restore ──► a data directory that a server can be started on
//
// Errors: what is wrong with a directory is no error but a Problem in the report. An error says that
// nothing could be looked at, or made: ErrInUse, ErrNoDirectory, ErrNotEmpty, ErrSameCluster.
//
// Concurrency: a Directory belongs to one goroutine.
//
// Source: none.
package ops
