// Package feed is what lies between a store and the hub of those who watch it: what has been applied and
// the hub has not been told of yet, and what it asks to be read.
//
// # What
//
// A Backlog takes in what each apply has changed, up to so many bytes. Beyond that it drops the changes,
// and remembers that they are missing; dropping is safe, because the store has them all. Tell tells the
// hub of what a backlog held, or that it must read; Read reads what the hub asks for.
//
// There is no goroutine and no lock here: package etcdapi drives it in a server, and package sim in a
// simulated one.
//
// # Units
//
// Revisions are etcd's main revisions. Bytes where a name says so.
//
// # Shape
//
//	applier ── Add ──► Backlog ── Take ──► Batch ── Tell ──► watch.Hub ── NextRead ──► Read ── Fed ──► watch.Hub
//
// # Errors
//
// Those of the store, which has failed then. The hub is left as it is after a batch whose changes are
// missing, or a read that brought nothing.
//
// # Concurrency
//
// A backlog and a hub belong to whoever calls; Tell and Read only read the store, which others may write.
//
// # Source
//
// docs/adr/0009-watch.md.
package feed
