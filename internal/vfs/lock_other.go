//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package vfs

import (
	"errors"
	"os"
)

// lockFile refuses: to go on without a lock would let two processes write one log.
func lockFile(*os.File) error {
	return errors.ErrUnsupported
}
