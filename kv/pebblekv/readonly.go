package pebblekv

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errReadOnly: somebody who was only to look wanted to change something.
var errReadOnly = errors.New("opened for reading only")

// OpenReadOnly opens the engine in a directory, which must be there, to be looked at. It changes no byte
// and no name in it, and takes no lock: the caller makes sure that nobody has it open otherwise. Batches
// and flushes are errors. Of the options only FS, CacheBytes, Damage and Log are of account.
func OpenReadOnly(dir string, o Options) (*Engine, error) {
	o.ReadOnly, o.DiskFull, o.Background = true, nil, func(error) {}
	o = o.withDefaults()
	o.FS = readOnlyFS{o.FS}
	return openEngine(dir, o)
}

// readOnlyFS refuses whatever would change something.
type readOnlyFS struct{ vfs.FS }

func (readOnlyFS) Create(string, vfs.DiskWriteCategory) (vfs.File, error) { return nil, errReadOnly }
func (readOnlyFS) Link(string, string) error                              { return errReadOnly }
func (readOnlyFS) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errReadOnly
}
func (readOnlyFS) Remove(string) error         { return errReadOnly }
func (readOnlyFS) RemoveAll(string) error      { return errReadOnly }
func (readOnlyFS) Rename(string, string) error { return errReadOnly }
func (readOnlyFS) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errReadOnly
}
func (readOnlyFS) MkdirAll(string, os.FileMode) error { return errReadOnly }

// Lock takes none: making the file of the lock would change the directory.
func (readOnlyFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }
