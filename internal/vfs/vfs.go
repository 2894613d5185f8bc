package vfs

import "io"

// FS is a file system. Names are slash- or OS-separated paths that the caller has joined.
type FS interface {
	// MkdirAll makes dir and its missing parents. A directory is durable after SyncDir of its parent,
	// so each one that was missing needs that, the topmost included.
	MkdirAll(dir string) error
	// Create makes a new empty file for reading and writing; fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing; fs.ErrNotExist if there is none.
	Open(name string) (File, error)
	// Remove deletes a file (not a directory).
	Remove(name string) error
	// Rename replaces newName by oldName in one step: whatever happens, newName is the old file or the
	// new one. Durable after SyncDir; between two directories, after SyncDir of both.
	Rename(oldName, newName string) error
	// List returns the base names in dir, sorted; fs.ErrNotExist if dir does not exist.
	List(dir string) ([]string, error)
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
	// Lock makes the file name if there is none, and takes an exclusive lock that ends with the process
	// or with Close, whichever is first. It fails at once, with ErrLocked, if another holder has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Truncate sets the length in bytes; a longer file is filled with zeros.
	Truncate(bytes int64) error
	// Sync makes every earlier WriteAt and Truncate of this file durable (fdatasync), but not its name.
	Sync() error
}
