//go:build !unix

package vfs

import "os"

// syncContents makes the contents of a file durable.
func syncContents(f *os.File) error { return f.Sync() }

// syncNames does nothing: such systems (Windows) cannot sync a directory, and log changes of names.
func syncNames(*os.File) error { return nil }
