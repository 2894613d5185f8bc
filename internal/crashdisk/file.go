package crashdisk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// file is an open file.
type file struct {
	disk  *Disk
	inode int
	epoch int // of the disk when it was opened
	name  string

	closed bool // guarded by the mutex of the disk
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.do(Operation{Kind: Read, Offset: offset, Bytes: int64(len(p))}, func(s *fileState) error {
		if n = s.readable(offset, len(p)); n < len(p) {
			if n, err = readAt(s.current, p[:n], offset); err == nil {
				err = syscall.EIO
			}
			return err
		}
		n, err = readAt(s.current, p, offset)
		return err
	}, nil)
	return n, err
}

// readAt reads with the answers of io.ReaderAt.
func readAt(c content, p []byte, offset int64) (int, error) {
	switch {
	case offset < 0:
		return 0, syscall.EINVAL
	case len(p) == 0:
		return 0, nil
	case offset >= c.size:
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.size-offset))
	c.read(p[:n], offset)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, offset int64) (n int, err error) {
	write := func(s *fileState, length int) error {
		if offset < 0 {
			return syscall.EINVAL
		}
		fits, err := f.disk.room(s, offset, int64(length))
		n = int(fits)
		f.disk.write(s, p[:n], offset)
		return err
	}
	err = f.do(Operation{Kind: Write, Offset: offset, Bytes: int64(len(p))}, func(s *fileState) error {
		return write(s, len(p))
	}, func(s *fileState, fault error) {
		if fault == io.ErrShortWrite {
			_ = write(s, len(p)/2)
		}
	})
	if errors.Is(err, ErrCrashed) {
		n = 0 // some of it may be written, but nobody knows
	}
	return n, err
}

// write adds a write, keeping a copy of the data.
func (d *Disk) write(s *fileState, p []byte, offset int64) {
	if len(p) == 0 {
		return
	}
	s.written(offset, int64(len(p)))
	s.add(write{seq: d.state.nextSeq(), offset: offset, bytes: int64(len(p)), data: bytes.Clone(withoutZeros(p))})
}

// room returns how many of n bytes at offset there is room for, and why not for all.
func (d *Disk) room(s *fileState, offset, n int64) (int64, error) {
	if offset+n > maxFileBytes || offset+n < 0 {
		return 0, syscall.EFBIG
	}
	grows := offset + n - s.current.size
	if d.options.CapacityBytes == 0 || grows <= 0 {
		return n, nil
	}
	if left := d.options.CapacityBytes - d.state.used(); grows > left {
		return max(0, n-(grows-max(0, left))), syscall.ENOSPC
	}
	return n, nil
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	return f.do(Operation{Kind: Truncate, Offset: size}, func(s *fileState) error {
		if size < 0 {
			return syscall.EINVAL
		}
		if _, err := f.disk.room(s, size, 0); err != nil {
			return err
		}
		if size < s.current.size {
			f.disk.state.bury(f.inode)
		}
		s.add(write{seq: f.disk.state.nextSeq(), truncate: true, offset: size})
		return nil
	}, nil)
}

// Size implements vfs.File.
func (f *file) Size() (size int64, err error) {
	err = f.do(Operation{Kind: Size}, func(s *fileState) error {
		size = s.current.size
		return nil
	}, nil)
	return size, err
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	return f.do(Operation{Kind: Sync}, func(s *fileState) error {
		s.sync()
		return nil
	}, func(s *fileState, _ error) { s.abandon() })
}

// Close implements io.Closer.
func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable(); err != nil {
		return &fs.PathError{Op: "close", Path: f.name, Err: err}
	}
	f.closed = true
	f.disk.state.inodes[f.inode].handles--
	return nil
}

// usable says why a file cannot be used any more, or returns nil.
func (f *file) usable() error {
	switch {
	case f.epoch != f.disk.epoch:
		return ErrCrashed
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

// do counts an operation on the file and has it done, unless a fault comes first; then spoil, if
// there is one, makes the mess that the fault leaves. io.EOF is returned as it is.
func (f *file) do(op Operation, effect func(*fileState) error, spoil func(*fileState, error)) error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	op.Name = f.name
	if op.Err = f.usable(); op.Err != nil {
		return op.wrap()
	}
	s := &d.state.inodes[f.inode].file
	switch fault := d.faults.next(&d.options, &op); {
	case fault == nil:
		op.Err = effect(s)
	case d.faults.stopped:
		if d.faults.cuts(&op) && op.Kind.halfDone() {
			_ = effect(s) // what it came to does not matter: nobody is told
		}
		op.Err = fault
	default:
		if spoil != nil {
			spoil(s, fault)
		}
		op.Err = fault
	}
	d.faults.done(&op)
	if op.Err == io.EOF {
		return io.EOF
	}
	return op.wrap()
}
