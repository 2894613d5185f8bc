package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestFailedSyncSaysWhyAndOfWhat(t *testing.T) {
	r, w, err := os.Pipe() // which cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var failed *fs.PathError
	if err := (&osFile{w}).Sync(); !errors.As(err, &failed) || failed.Err != syscall.EINVAL || failed.Path != w.Name() {
		t.Errorf("got %v, want a sync of %s that is invalid", err, w.Name())
	}
}
