package transport

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
)

// fakeFS is a disk that can lose power at any operation. A name and a file's bytes each have two
// states: what programs see, and what is durable.
type fakeFS struct {
	seen, durable map[string]*fakeFile
	ops           int
	dieAt         int // the operation that fails, and every later one; 0: none
}

var errPower = errors.New("power failure")

func newFakeFS() *fakeFS {
	return &fakeFS{seen: map[string]*fakeFile{}, durable: map[string]*fakeFile{}}
}

func (d *fakeFS) op() error {
	d.ops++
	if d.dieAt > 0 && d.ops >= d.dieAt {
		return errPower
	}
	return nil
}

// crash is the power coming back. Names that were not synced are kept or lost; of bytes that were
// not synced, keep says how many of each write reached the disk.
func (d *fakeFS) crash(keepNames bool, keep func(written int) int) {
	if !keepNames {
		d.seen = map[string]*fakeFile{}
		for name, f := range d.durable {
			d.seen[name] = f
		}
	}
	for _, f := range d.seen {
		for _, w := range f.unsynced {
			f.durable = overwrite(f.durable, w.b[:keep(len(w.b))], w.offset)
		}
		f.seen, f.unsynced = slices.Clone(f.durable), nil
	}
	d.durable = map[string]*fakeFile{}
	for name, f := range d.seen {
		d.durable[name] = f
	}
	d.ops, d.dieAt = 0, 0
}

func (d *fakeFS) put(name string, b []byte) {
	f := &fakeFile{disk: d, seen: slices.Clone(b), durable: slices.Clone(b)}
	d.seen[name], d.durable[name] = f, f
}

func (d *fakeFS) bytes(t *testing.T, name string) []byte {
	t.Helper()
	if d.seen[name] == nil {
		t.Fatalf("there is no file %s", name)
	}
	return slices.Clone(d.seen[name].seen)
}

func (d *fakeFS) MkdirAll(string) error { return d.op() }

func (d *fakeFS) Create(name string) (vfs.File, error) {
	if err := d.op(); err != nil {
		return nil, err
	}
	if d.seen[name] != nil {
		return nil, fs.ErrExist
	}
	d.seen[name] = &fakeFile{disk: d}
	return d.seen[name], nil
}

func (d *fakeFS) Open(name string) (vfs.File, error) {
	if err := d.op(); err != nil {
		return nil, err
	}
	if d.seen[name] == nil {
		return nil, fs.ErrNotExist
	}
	return d.seen[name], nil
}

func (d *fakeFS) Remove(name string) error {
	if err := d.op(); err != nil {
		return err
	}
	if d.seen[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.seen, name)
	return nil
}

func (d *fakeFS) Rename(from, to string) error {
	if err := d.op(); err != nil {
		return err
	}
	d.seen[to] = d.seen[from]
	delete(d.seen, from)
	return nil
}

func (d *fakeFS) List(string) ([]string, error) { return nil, errors.ErrUnsupported }

func (d *fakeFS) SyncDir(dir string) error {
	if err := d.op(); err != nil {
		return err
	}
	for _, names := range []map[string]*fakeFile{d.seen, d.durable} {
		for name := range names {
			if filepath.Dir(name) != dir {
				continue
			}
			if f := d.seen[name]; f != nil {
				d.durable[name] = f
			} else {
				delete(d.durable, name)
			}
		}
	}
	return nil
}

func (d *fakeFS) Lock(string) (io.Closer, error) { return nil, errors.ErrUnsupported }

type fakeFile struct {
	disk          *fakeFS
	seen, durable []byte
	unsynced      []fakeWrite
}

type fakeWrite struct {
	offset int64
	b      []byte
}

func overwrite(file, b []byte, offset int64) []byte {
	if grow := int(offset) + len(b) - len(file); grow > 0 && len(b) > 0 {
		file = append(file, make([]byte, grow)...)
	}
	copy(file[min(int(offset), len(file)):], b)
	return file
}

func (f *fakeFile) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.disk.op(); err != nil {
		return 0, err
	}
	if offset >= int64(len(f.seen)) {
		return 0, io.EOF
	}
	n := copy(b, f.seen[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *fakeFile) WriteAt(b []byte, offset int64) (int, error) {
	// The write that is under way when the power fails may have reached the disk in part.
	err := f.disk.op()
	if err == nil || f.disk.ops == f.disk.dieAt {
		f.seen = overwrite(f.seen, b, offset)
		f.unsynced = append(f.unsynced, fakeWrite{offset, slices.Clone(b)})
	}
	return len(b), err
}

func (f *fakeFile) Size() (int64, error) { return int64(len(f.seen)), f.disk.op() }
func (f *fakeFile) Truncate(int64) error { return errors.ErrUnsupported }
func (f *fakeFile) Close() error         { return nil }

func (f *fakeFile) Sync() error {
	if err := f.disk.op(); err != nil {
		return err
	}
	f.durable, f.unsynced = slices.Clone(f.seen), nil
	return nil
}
