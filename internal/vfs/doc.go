// Package vfs is the seam between Quorate and the disk.
//
// What: a few operations on files and directories, with exactly the durability promises that a
// POSIX file system makes and no more. Everything that stores something takes an FS, so that the
// simulator can lose, tear and refuse writes. It caches nothing and retries nothing.
//
// Units: offsets and sizes are bytes.
//
// Shape:
//
//	FS    a tree of directories: Create, Open, Rename, Remove, List, SyncDir, Lock
//	File  ReadAt, WriteAt, Truncate, Sync
//	OS    the file system of the operating system
//
// Durability: WriteAt is volatile until Sync of that file returns nil. A name (Create, Rename,
// Remove, MkdirAll) is volatile until SyncDir of its directory returns nil. A failed Sync leaves
// the file's contents unknown: the caller must end the process, never retry.
//
// Errors: those of package os, which say what was done to which file; errors.Is with
// fs.ErrNotExist, fs.ErrExist, fs.ErrClosed and syscall.ENOSPC works. Lock adds ErrLocked. A write that
// fails may have written a part, and says how many bytes.
//
// Concurrency: an FS and a File may be used by several goroutines at once; two writers of
// overlapping bytes are the caller's mistake.
package vfs
