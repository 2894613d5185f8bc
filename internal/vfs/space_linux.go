package vfs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"syscall"
)

var _ Space = OS{}

// Room implements Space.
func (OS) Room(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Statfs(dir, &s)
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := uint64(s.Bsize)
	return bytesOf(s.Bavail, block), bytesOf(s.Blocks, block), nil
}

// bytesOf multiplies, and takes too much for as much as there can be.
func bytesOf(blocks, block uint64) int64 {
	if block > 0 && blocks > math.MaxInt64/block {
		return math.MaxInt64
	}
	return int64(blocks * block)
}

// Reserve implements Space.
func (o OS) Reserve(name string, bytes int64) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	if err = allocate(f, bytes); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, o.Remove(name))
	}
	return nil
}

// allocate asks for blocks. Where that is not known, something is written that does not compress to nothing.
func allocate(f *os.File, bytes int64) error {
	err := error(syscall.EINTR)
	for err == syscall.EINTR {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, bytes)
	}
	if !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	chunk := make([]byte, 1<<20)
	x := uint32(1)
	for at := int64(0); at < bytes; at += int64(len(chunk)) {
		for i := range chunk {
			x = x*1664525 + 1013904223
			chunk[i] = byte(x >> 24)
		}
		if _, err := f.WriteAt(chunk[:min(int64(len(chunk)), bytes-at)], at); err != nil {
			return err
		}
	}
	return nil
}
