package crashdisk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/quorate/quorate/internal/vfs"
)

// ErrCrashed is what every operation returns once the power is out (StopAt), and what operations on
// files and locks from before a crash return for ever.
var ErrCrashed = errors.New("the machine has crashed")

// Options say what kind of disk it is. The zero value is a disk without limits.
type Options struct {
	// SectorBytes is what the device writes as one; a crash decides for each sector by itself.
	// Zero means 512.
	SectorBytes int
	// DamageNeighbours lets a crash ruin the whole of a sector that was being written, and not only
	// those bytes of it that the write meant: the device has no power-safe overwrite.
	DamageNeighbours bool
	// CapacityBytes is what all files together may hold; more gives ENOSPC. Zero means no limit.
	CapacityBytes int64
	// KeepOperations is how many of the latest operations are kept for Operations. Zero means 1024.
	KeepOperations int
}

const (
	defaultSectorBytes    = 512
	defaultKeepOperations = 1024
)

// Disk is a file system in memory that can crash.
type Disk struct {
	options Options // after New never changed

	mu     sync.Mutex // guards the rest
	state  state
	epoch  int               // how often handles and locks have died
	locks  map[int]*heldLock // by inode
	faults faults
}

var _ vfs.FS = (*Disk)(nil)

// New returns an empty disk: a durable root directory, named "/" as well as ".".
func New(options Options) *Disk {
	if options.SectorBytes <= 0 {
		options.SectorBytes = defaultSectorBytes
	}
	if options.KeepOperations <= 0 {
		options.KeepOperations = defaultKeepOperations
	}
	return with(options, newState())
}

// with returns a disk with that state, and the power on.
func with(options Options, s state) *Disk {
	return &Disk{options: options, state: s, locks: make(map[int]*heldLock)}
}

// MkdirAll implements vfs.FS.
func (d *Disk) MkdirAll(dir string) error {
	return d.do(Operation{Kind: Mkdir, Name: dir}, func() error { return d.state.mkdirAll(dir) })
}

// Create implements vfs.FS.
func (d *Disk) Create(name string) (vfs.File, error) {
	return d.openWith(Operation{Kind: Create, Name: name}, func() (int, error) { return d.state.create(name, false) })
}

// Open implements vfs.FS.
func (d *Disk) Open(name string) (vfs.File, error) {
	return d.openWith(Operation{Kind: Open, Name: name}, func() (int, error) { return d.state.open(name) })
}

func (d *Disk) openWith(op Operation, find func() (int, error)) (vfs.File, error) {
	var f *file
	err := d.do(op, func() error {
		inode, err := find()
		if err == nil {
			f = &file{disk: d, inode: inode, epoch: d.epoch, name: op.Name}
			d.state.inodes[inode].handles++
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Remove implements vfs.FS.
func (d *Disk) Remove(name string) error {
	return d.do(Operation{Kind: Remove, Name: name}, func() error { return d.state.remove(name) })
}

// Rename implements vfs.FS.
func (d *Disk) Rename(oldName, newName string) error {
	return d.do(Operation{Kind: Rename, Name: oldName, To: newName}, func() error {
		return d.state.rename(oldName, newName)
	})
}

// List implements vfs.FS.
func (d *Disk) List(dir string) ([]string, error) {
	var list []string
	err := d.do(Operation{Kind: List, Name: dir}, func() error {
		inode, err := d.state.directory(dir)
		if err == nil {
			list = listed(d.state.inodes[inode].current)
		}
		return err
	})
	return list, err
}

// listed returns the names alone.
func listed(entries names) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.name
	}
	return list
}

// SyncDir implements vfs.FS.
func (d *Disk) SyncDir(dir string) error {
	return d.doOrSpoil(Operation{Kind: SyncDir, Name: dir}, func() error {
		inode, err := d.state.directory(dir)
		if err == nil {
			d.state.syncDir(inode)
		}
		return err
	}, func() {
		if inode, err := d.state.directory(dir); err == nil {
			d.state.abandonNames(inode)
		}
	})
}

// heldLock is a lock that somebody has, on a file whatever its name is now.
type heldLock struct {
	disk  *Disk
	inode int
	epoch int
	name  string
}

// Lock implements vfs.FS. Like the real one it makes a file.
func (d *Disk) Lock(name string) (io.Closer, error) {
	var lock *heldLock
	err := d.do(Operation{Kind: Lock, Name: name}, func() error {
		inode, err := d.state.open(name)
		if errors.Is(err, fs.ErrNotExist) {
			inode, err = d.state.create(name, false)
		}
		if err != nil {
			return err
		}
		if d.locks[inode] != nil {
			return vfs.ErrLocked
		}
		lock = &heldLock{disk: d, inode: inode, epoch: d.epoch, name: name}
		d.locks[inode] = lock
		d.state.inodes[inode].handles++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lock, nil
}

// Close implements io.Closer.
func (l *heldLock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	switch {
	case l.epoch != l.disk.epoch:
		return &fs.PathError{Op: "unlock", Path: l.name, Err: ErrCrashed}
	case l.disk.locks[l.inode] != l:
		return &fs.PathError{Op: "unlock", Path: l.name, Err: fs.ErrClosed}
	}
	delete(l.disk.locks, l.inode)
	l.disk.state.inodes[l.inode].handles--
	return nil
}

// do counts an operation on names and has it done, unless a fault comes first.
func (d *Disk) do(op Operation, effect func() error) error {
	return d.doOrSpoil(op, effect, func() {})
}

// doOrSpoil is do of an operation that leaves a mess when a fault hits it.
func (d *Disk) doOrSpoil(op Operation, effect func() error, spoil func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch fault := d.faults.next(&d.options, &op); {
	case fault == nil:
		op.Err = effect()
	case d.faults.stopped:
		if d.faults.cuts(&op) && op.Kind.halfDone() {
			_ = effect() // what it came to does not matter: nobody is told
		}
		op.Err = fault
	default:
		spoil()
		op.Err = fault
	}
	d.faults.done(&op)
	return op.wrap()
}

// wrap returns the error of an operation, with what was being done and to what.
func (op *Operation) wrap() error {
	switch {
	case op.Err == nil:
		return nil
	case op.Kind == Rename:
		return &os.LinkError{Op: op.Kind.String(), Old: op.Name, New: op.To, Err: op.Err}
	default:
		return &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: op.Err}
	}
}
