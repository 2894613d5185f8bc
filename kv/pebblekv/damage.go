package pebblekv

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/kv"
)

// ErrDamaged: the files of an engine are not what was written to them, or some of them are missing.
var ErrDamaged = errors.New("the files of the state are damaged")

// IsDamage tells whether an error of an engine, or of a store on it, says that what is on the disk is not what was
// written. The same bytes will be met again: nothing but another copy helps. A disk that is full, or does not answer,
// is another matter.
func IsDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, kv.ErrCorrupt) || pebble.IsCorruptionError(err)
}

// Unreadable returns the file that the disk has refused to read, if that is what an error of an engine, or of a store on it,
// says. It may be a sector that is gone, or pass.
func Unreadable(err error) (path string, ok bool) {
	var failed *fs.PathError
	if errors.As(err, &failed) && failed.Op == "read" && errors.Is(failed.Err, syscall.EIO) {
		return failed.Path, true
	}
	return "", false
}

// unopened says why Pebble could not open a directory. It reads files without checksums too, and reports what it does
// not understand in all kinds of words: so whatever is not the machine's doing, nor a newer version's, is damage.
func unopened(dir string, err error) error {
	err = fmt.Errorf("open pebble in %s: %w", dir, err)
	switch {
	case isMachine(err):
		return err
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("%w: %w", kv.ErrNewerFormat, err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// isMachine tells whether the operating system has refused something, which says nothing of what is on the disk.
func isMachine(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && slices.Contains([]syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM,
		syscall.EROFS, syscall.EAGAIN, syscall.EBUSY, syscall.EINTR, syscall.EIO,
	}, number)
}
