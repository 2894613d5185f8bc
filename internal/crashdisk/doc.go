// Package crashdisk is a disk in memory that can crash.
//
// What: a vfs.FS that keeps apart what a program wrote from what it may rely on after a power cut, so
// that a test can lose, tear and ruin exactly what a POSIX file system may, and never more. Same
// operations and same choices, same disk. It is for tests and the simulator; nothing in it is on a
// real disk.
//
// Units: offsets and sizes are bytes; operations are counted from 1.
//
// Shape: a file is its durable content and the writes since its last Sync; a directory is its durable
// names and the changes since its last SyncDir.
//
//	           WriteAt, Truncate          Sync
//	current ◄── durable + writes ────────────────► durable     of each file
//	           Create, Rename, Remove     SyncDir
//	current ◄── durable + changes ───────────────► durable     of each directory
//
//	Disk       Crash     what was pending is decided by a choice.Source, what was open is dead
//	           Kill      only the process dies
//	           Images    what crashes now may leave, one after the other
//	           CrashNow  the worst of them; Durable is the same, to look at only
//	           StopAt, FailAt, Flip, Options.CapacityBytes    faults
//
// What a crash may do. Each sector that a pending write touches becomes, for itself, old, new, torn
// at a byte, zeros, or garbage (noise, or what a removed file had there). The length of a file is apart
// from its data. A pending change of names happens or not, in one step, and never without an earlier
// one of the same names. A file's Sync does not make its name durable, nor SyncDir what is in the
// files. A rename between directories becomes durable with either of them, which is more than POSIX
// says: keep to one directory.
//
// Errors: those of package vfs, and ErrCrashed once the power is out.
//
// Concurrency: anybody may call anything; one mutex guards all. The order of concurrent operations is
// not fixed by the seed, of course.
//
// Source: "All File Systems Are Not Created Equal" (Pillai and others, 2014) for what may be lost;
// "Can Applications Recover from fsync Failures?" (Rebello and others, 2020) for failed syncs.
package crashdisk
