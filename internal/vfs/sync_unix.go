//go:build unix && !linux

package vfs

import "os"

// syncContents makes the contents of a file durable. On Apple's systems Go asks the device to empty
// its cache as well, without which an fsync promises little.
func syncContents(f *os.File) error { return f.Sync() }

// syncNames makes the entries of a directory durable.
func syncNames(dir *os.File) error { return dir.Sync() }
