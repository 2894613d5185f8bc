// Package pebblekv is the kv.Engine of production: Pebble, an LSM tree, with its own log off.
//
// What: the state of one group on disk. The Raft log is the log: Pebble's memory tables are lost in
// a crash, and the commands in them are applied again. Durable is what Pebble has flushed, and that
// is always a prefix of the batches committed, because it flushes its memory tables in order.
//
// Units: sizes in bytes.
//
// Shape:
//
//	Engine ── *pebble.DB ── memory tables ──flush──► tables on disk
//	   │                          │                        │
//	   │                     NewIterator              GetDurable (OnlyReadGuaranteedDurable)
//	   ├── stage/: another Pebble ── Seal ──► stage/tables/ ── Install ──► tables on disk
//	   └── Options: Fatal, Background, DiskFull, Stuck, Damage, Log: what Pebble has to say while nobody asks
//
// The comparer orders keys as bytes and names the part that all versions of a key share
// (kv.PrefixLen), so that Pebble keeps a filter for it: a put of a key that does not exist yet
// then reads no blocks.
//
// Install links tables into the state with one edit of Pebble's manifest, which is synced before it returns. A
// state that is replaced as a whole is cut out by the same edit, so that it takes no compaction to be rid of it;
// otherwise a deletion of each span that is replaced is in the tables. The stage is there only while a state is
// received: Drop renames it to stage-dropped/ first, and Open removes that.
//
// Errors: what Pebble returns is returned, with what we were doing. What goes wrong in its
// background goes to Options.Background; a damaged table goes to Options.Damage, and whatever reads it
// gets an error; IsDamage tells what says that the files are not what was written; what Pebble holds to be the end, such as a manifest that
// cannot be written, goes to Options.Fatal.
//
// Concurrency: any goroutine may open iterators, flush, and ask what is durable, while one commits.
// Pebble runs goroutines of its own until Close has returned.
//
// Source: Pebble's documentation of DisableWAL, of IterOptions.OnlyReadGuaranteedDurable and of
// IngestAndExcise.
package pebblekv
