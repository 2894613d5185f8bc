package crashdisk

import (
	"fmt"
	"io/fs"
	"slices"
	"syscall"
)

// Kind is what an operation does.
type Kind uint8

// The operations. Closing is none: it cannot fail in a way that matters.
const (
	Mkdir Kind = iota + 1
	Create
	Open
	Remove
	Rename
	List
	SyncDir
	Lock
	Read
	Write
	Truncate
	Size
	Sync
)

var kindNames = [...]string{
	Mkdir: "mkdir", Create: "create", Open: "open", Remove: "remove", Rename: "rename", List: "list", SyncDir: "syncdir",
	Lock: "lock", Read: "read", Write: "write", Truncate: "truncate", Size: "size", Sync: "sync",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Changes reports whether such an operation changes what a crash may leave: the others are no
// interesting moments for one.
func (k Kind) Changes() bool {
	switch k {
	case Open, List, Read, Size:
		return false
	}
	return true
}

// halfDone reports whether the operation at which the power goes may have happened: it is then
// pending, and the crash decides. A sync at that moment has not made anything durable for certain,
// and what it may have made durable is what a crash may keep anyway.
func (k Kind) halfDone() bool { return k.Changes() && k != Sync && k != SyncDir }

// Operation is one call of a method of the file system or of a file.
type Operation struct {
	Number int    // counted from 1 since the disk was made
	Kind   Kind   //
	Name   string // of the file or directory, as the caller wrote it
	To     string // the new name, of a Rename
	Offset int64  // where, of a Read and a Write; the new length, of a Truncate
	Bytes  int64  // how many, of a Read and a Write
	Err    error  // what it came to, without the wrapping
}

// String writes an operation as "17 write wal/3 4096+512".
func (op Operation) String() string {
	text := fmt.Sprintf("%d %s %s", op.Number, op.Kind, op.Name)
	switch op.Kind {
	case Rename:
		text += " " + op.To
	case Read, Write:
		text += fmt.Sprintf(" %d+%d", op.Offset, op.Bytes)
	case Truncate:
		text += fmt.Sprintf(" %d", op.Offset)
	}
	if op.Err != nil {
		text += ": " + op.Err.Error()
	}
	return text
}

// faults counts operations and decides which of them fail.
type faults struct {
	count   int
	stopAt  int  // the power goes at this operation; 0: never
	stopped bool // it has gone
	fails   map[int]error
	latest  []Operation // up to twice as many as are kept
}

// next counts an operation and returns the error that it must come to, or nil.
func (f *faults) next(options *Options, op *Operation) error {
	if f.stopped {
		return ErrCrashed
	}
	f.count++
	op.Number = f.count
	if len(f.latest) == 2*options.KeepOperations {
		f.latest = append(f.latest[:0], f.latest[options.KeepOperations:]...)
	}
	f.latest = append(f.latest, *op)
	if f.count == f.stopAt {
		f.stopped = true
		return ErrCrashed
	}
	return f.fails[f.count]
}

// cuts reports whether op is the operation at which the power goes.
func (f *faults) cuts(op *Operation) bool { return f.stopped && op.Number != 0 }

// done notes what an operation came to.
func (f *faults) done(op *Operation) {
	if op.Number != 0 {
		f.latest[len(f.latest)-1] = *op
	}
}

// Operation returns how many operations there were, which is the number of the latest one. Operations
// after the power went are not counted.
func (d *Disk) Operation() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults.count
}

// Operations returns the latest operations, oldest first.
func (d *Disk) Operations() []Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	latest := d.faults.latest
	return slices.Clone(latest[max(0, len(latest)-d.options.KeepOperations):])
}

// StopAt cuts the power at operation number n, and never if n is 0: that operation and all after it
// fail with ErrCrashed, until Crash. What operation n was to change is pending, so a crash keeps all,
// some or none of it. If there were n operations already, the power is cut now.
func (d *Disk) StopAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.stopAt = n
	d.faults.stopped = n > 0 && n <= d.faults.count
}

// Stopped reports whether the power is cut.
func (d *Disk) Stopped() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults.stopped
}

// FailAt makes operation number n fail with err; a nil err takes that back. It may be called for
// several operations. What a failing operation leaves behind:
//
//	Write     with io.ErrShortWrite half of its bytes, otherwise nothing
//	Sync      what was not durable is unknown, and no later Sync makes it durable (the kernel calls
//	          pages clean whose write failed); reads still see it, a crash may keep or lose it
//	SyncDir   the same for the names of the directory
//	others    nothing
func (d *Disk) FailAt(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults.fails == nil {
		d.faults.fails = make(map[int]error)
	}
	d.faults.fails[n] = err
}

// Flip inverts the bits of mask in the byte at offset of a file, on the disk and in what reads see,
// as rot does. What is written there and not synced stays as it was written.
func (d *Disk) Flip(name string, offset int64, mask byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.state.fileWith("flip", name, offset)
	if err == nil {
		f.flip(offset, mask)
	}
	return err
}

// fileWith returns a file that has a byte at an offset.
func (s *state) fileWith(op, name string, offset int64) (*fileState, error) {
	inode, err := s.open(name)
	if err == nil && (offset < 0 || offset >= s.inodes[inode].file.current.size) {
		err = syscall.EINVAL
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return &s.inodes[inode].file, nil
}

// unreadBytes is the size of a block that Unread makes unreadable.
const unreadBytes = 4096

// Unread lets the disk refuse to read a block of 4 KiB of a file, the one with an offset, until something is written there. It says EIO.
func (d *Disk) Unread(name string, offset int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.state.fileWith("make unreadable", name, offset)
	if err == nil {
		f.unread = append(slices.Clip(f.unread), offset-offset%unreadBytes)
	}
	return err
}

// ReadAgain ends what Unread has begun, everywhere: it was not the disk, but what it is connected by.
func (d *Disk) ReadAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.state.inodes {
		d.state.inodes[i].file.unread = nil
	}
}

// readable returns how many of n bytes at an offset can be read.
func (f *fileState) readable(offset int64, n int) int {
	for _, at := range f.unread {
		if at < offset+int64(n) && offset < at+unreadBytes {
			n = int(max(0, at-offset))
		}
	}
	return n
}

// written lets what is written be read.
func (f *fileState) written(offset, n int64) {
	if len(f.unread) > 0 {
		f.unread = slices.DeleteFunc(slices.Clone(f.unread), func(at int64) bool { return at < offset+n && offset < at+unreadBytes })
	}
}

func (f *fileState) flip(offset int64, mask byte) {
	covered, coveredForGood := false, false
	for i := range f.writes {
		w := &f.writes[i]
		if w.offset <= offset && (w.truncate || offset < w.offset+w.bytes) {
			covered = true
			coveredForGood = coveredForGood || w.state == synced
		}
	}
	if !covered {
		f.current = f.current.flip(offset, mask)
	}
	if !coveredForGood && offset < f.durable.size {
		f.durable = f.durable.flip(offset, mask)
	}
	if offset < f.base.size {
		f.base = f.base.flip(offset, mask)
	}
}
