package vfs

import (
	"io/fs"
	"os"
	"syscall"
)

// syncContents makes the contents of a file durable, and of what else is known about it only what it
// takes to find them again (the size): time stamps would cost a second write.
func syncContents(f *os.File) error {
	descriptor, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var synced error
	err = descriptor.Control(func(fd uintptr) {
		// A signal only interrupts the waiting (and the Go runtime sends itself signals): it says
		// nothing about the writes, so this is no retry of a sync that failed.
		for synced = syscall.EINTR; synced == syscall.EINTR; {
			synced = syscall.Fdatasync(int(fd))
		}
	})
	if err != nil {
		synced = fs.ErrClosed // the only reason why Control does not get to call; its own error is not exported
	}
	if synced != nil {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: synced}
	}
	return nil
}

// syncNames makes the entries of a directory durable.
func syncNames(dir *os.File) error { return dir.Sync() }
