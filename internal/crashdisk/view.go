package crashdisk

import (
	"io/fs"
	"syscall"
)

// Clone returns a disk in the same state, with the same things pending, that goes its own way from
// here. It is a machine that is on: no files and locks are held, no operations counted, no faults planned.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return with(d.options, d.state.clone())
}

// CrashNow returns the disk that Crash would leave now if it were Strict, and leaves d as it is. What
// it costs depends on the number of files, and not on what is in them.
func (d *Disk) CrashNow() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return with(d.options, d.state.strict())
}

// Pending returns how many changes are not durable: writes, truncations, and changes of names. It is
// zero if a crash can lose nothing.
func (d *Disk) Pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.state.changes)
	for i := range d.state.inodes {
		for _, w := range d.state.inodes[i].file.writes {
			if w.state != synced {
				n++
			}
		}
	}
	return n
}

// Durable is a view of what a strict crash now would leave. It costs nothing to have.
type Durable struct{ disk *Disk }

// Durable returns the view. It always shows the present, and counts no operations.
func (d *Disk) Durable() Durable { return Durable{d} }

// List returns the base names in dir, sorted; fs.ErrNotExist if there would be no such directory.
func (v Durable) List(dir string) ([]string, error) {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	inode, err := v.disk.state.durable(dir)
	if err == nil && !v.disk.state.inodes[inode].directory {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: err}
	}
	return listed(v.disk.state.inodes[inode].durable), nil
}

// Size returns the length of a file in bytes; fs.ErrNotExist if there would be no such file.
func (v Durable) Size(name string) (int64, error) {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	inode, err := v.disk.state.durableFile(name)
	if err != nil {
		return 0, &fs.PathError{Op: "size", Path: name, Err: err}
	}
	return v.disk.state.inodes[inode].file.durable.size, nil
}

// ReadAt reads from a file as io.ReaderAt does; fs.ErrNotExist if there would be no such file.
func (v Durable) ReadAt(name string, p []byte, offset int64) (int, error) {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	inode, err := v.disk.state.durableFile(name)
	if err != nil {
		return 0, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return readAt(v.disk.state.inodes[inode].file.durable, p, offset)
}

// durable returns the inode that a name would have after a strict crash.
func (s *state) durable(name string) (int, error) {
	at := rootInode
	for _, part := range split(name) {
		if !s.inodes[at].directory {
			return none, syscall.ENOTDIR
		}
		if at = s.inodes[at].durable.find(part); at == none {
			return none, fs.ErrNotExist
		}
	}
	return at, nil
}

func (s *state) durableFile(name string) (int, error) {
	inode, err := s.durable(name)
	if err == nil && s.inodes[inode].directory {
		err = syscall.EISDIR
	}
	return inode, err
}
