package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrReadOnly means that somebody who was only to look wanted to change something.
var ErrReadOnly = errors.New("opened for reading only")

// ReadOnly is the file system of the operating system, for those who look: it refuses whatever would
// change a byte or a name. Lock takes the lock of a file that is there, and makes none.
type ReadOnly struct{ os OS }

var _ FS = ReadOnly{}

func refuse(operation, name string) error {
	return fmt.Errorf("%s %s: %w", operation, name, ErrReadOnly)
}

// MkdirAll implements FS.
func (ReadOnly) MkdirAll(dir string) error { return refuse("make directory", dir) }

// Create implements FS.
func (ReadOnly) Create(name string) (File, error) { return nil, refuse("create", name) }

// Open implements FS.
func (ReadOnly) Open(name string) (File, error) {
	f, err := open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f}, nil
}

// Remove implements FS.
func (ReadOnly) Remove(name string) error { return refuse("remove", name) }

// Rename implements FS.
func (ReadOnly) Rename(oldName, _ string) error { return refuse("rename", oldName) }

// List implements FS.
func (r ReadOnly) List(dir string) ([]string, error) { return r.os.List(dir) }

// SyncDir implements FS. There is nothing of ours to be made durable.
func (ReadOnly) SyncDir(string) error { return nil }

// Lock implements FS; fs.ErrNotExist if the file is not there.
func (ReadOnly) Lock(name string) (io.Closer, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return f, nil
}

// readOnlyFile is an open file that is not to be changed.
type readOnlyFile struct{ File }

// WriteAt implements File.
func (readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, ErrReadOnly }

// Truncate implements File.
func (readOnlyFile) Truncate(int64) error { return ErrReadOnly }

// Sync implements File. There is nothing of ours to be made durable.
func (readOnlyFile) Sync() error { return nil }
