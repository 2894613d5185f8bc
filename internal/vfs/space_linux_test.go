package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestReserveTakesUpRoom(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "reserve")
	const bytes = 3 << 20
	if err := (OS{}).Reserve(name, bytes); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Blocks*512 < bytes {
		t.Errorf("%d bytes are taken up", s.Blocks*512)
	}
	if err := (OS{}).Reserve(name, bytes); !errors.Is(err, fs.ErrExist) {
		t.Errorf("it is there already: got %v", err)
	}
	other := filepath.Join(dir, "other")
	if err := (OS{}).Reserve(other, 1<<60); err == nil {
		t.Error("there was room for 2^60 bytes")
	}
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left of it: %v", err)
	}
	free, total, err := OS{}.Room(dir)
	if err != nil || free < 0 || total <= 0 || free > total {
		t.Errorf("%d bytes of %d are free: %v", free, total, err)
	}
	if _, _, err := (OS{}).Room(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("room nowhere: got %v", err)
	}
}
