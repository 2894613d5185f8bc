package crashdisk_test

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
)

// must stops the test at an error that the test is not about.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a file that holds text, with nothing synced.
func create(t *testing.T, d vfs.FS, name, text string) vfs.File {
	t.Helper()
	f, err := d.Create(name)
	must(t, err)
	write(t, f, 0, text)
	return f
}

func write(t *testing.T, f vfs.File, offset int64, text string) {
	t.Helper()
	_, err := f.WriteAt([]byte(text), offset)
	must(t, err)
}

// createDurable makes a file that holds text, and syncs it and the root directory.
func createDurable(t *testing.T, d vfs.FS, name, text string) vfs.File {
	t.Helper()
	f := create(t, d, name, text)
	must(t, f.Sync())
	must(t, d.SyncDir("."))
	return f
}

// read returns what a file holds, and "absent" if there is none.
func read(t *testing.T, d vfs.FS, name string) string {
	t.Helper()
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	p := make([]byte, size)
	if _, err := f.ReadAt(p, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(p)
}

func TestUnsyncedWriteMayBeLostAndSyncedMayNot(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{})
	f := createDurable(t, d, "f", "synced")
	write(t, f, 6, " lost")
	if got := read(t, d, "f"); got != "synced lost" {
		t.Errorf("before the crash: got %q", got)
	}
	d.Crash(nil, crashdisk.Strict)
	if got := read(t, d, "f"); got != "synced" {
		t.Errorf("after the crash: got %q", got)
	}
}

func TestNameIsLostWithoutSyncDir(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{})
	f := create(t, d, "f", "text")
	must(t, f.Sync())
	d.Crash(nil, crashdisk.Strict)
	if got := read(t, d, "f"); got != "absent" {
		t.Errorf("got %q", got)
	}
}

func TestSameSeedGivesSameImage(t *testing.T) {
	image := func(seed uint64) string {
		d := crashdisk.New(crashdisk.Options{})
		f := createDurable(t, d, "f", "old")
		write(t, f, 0, string(make([]byte, 5000)))
		write(t, f, 100, "new")
		d.Crash(choice.FromSeed(seed), crashdisk.Weak)
		return read(t, d, "f")
	}
	if first, second := image(1), image(1); first != second {
		t.Error("one seed gave two images")
	}
}
