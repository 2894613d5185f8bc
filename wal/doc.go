// Package wal is the log: one for all groups of a server, in segments, for ever.
//
// What: it stores entries, terms and votes so that after a crash everything is there that had been
// synced, and nothing that had not been appended. Whatever changed on the disk since is found, and
// told from what a crash left unfinished. It encodes no entries and compares no logs: it takes
// records as they are (package wire), and keeps them in the order given.
//
// Units: offsets and sizes are bytes; indexes and terms are those of the Raft log.
//
// Shape:
//
//	Open ──► Log ── Append([]Write) ──► Sync ──► Seal      the writer, one goroutine
//	          │
//	          ├── Read, State, BaseAt                      any goroutine
//	          └── Prepare, Release                         any goroutine: they make and remove files
//
// Errors: ErrRefused is the caller's mistake and changes nothing. Any other error of Append, Sync,
// Seal or Release is final: nothing works afterwards (ErrBroken), and the process is to end.
// *DamageError says that the disk has changed something; it is never repaired by cutting. With
// Options.KeepHoles, entries that are damaged are holes (*HoleError), which copies from other servers fill.
//
// Concurrency: as drawn above. An Append never waits for a Read.
//
// Source: Raft paper §5.3 and Figure 2 (persistent state); Alagappan et al., "Protocol-Aware Recovery
// for Consensus-Based Storage" (FAST 2018), for telling a crash from corruption.
package wal
