package crashdisk

import (
	"errors"
	"syscall"
	"testing"
)

// A block that cannot be read says so to whoever reads any of it, survives a crash, and can be read when it is written, or when the disk is
// itself again.
func TestUnreadBlocksAreNotRead(t *testing.T) {
	d := New(Options{})
	f, err := d.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 3*unreadBytes), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), d.SyncDir("."), d.Unread("a", unreadBytes+5)); err != nil {
		t.Fatal(err)
	}
	sound := d.Clone()
	sound.ReadAgain()
	read := func(d *Disk, at, n int64) (int, error) {
		t.Helper()
		f, err := d.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return f.ReadAt(make([]byte, n), at)
	}
	for _, test := range []struct {
		at, n int64
		want  int
		err   error
	}{
		{0, unreadBytes, unreadBytes, nil}, {0, unreadBytes + 1, unreadBytes, syscall.EIO}, {0, 3 * unreadBytes, unreadBytes, syscall.EIO},
		{unreadBytes + 7, 1, 0, syscall.EIO}, {2*unreadBytes - 1, 2, 0, syscall.EIO}, {2 * unreadBytes, unreadBytes, unreadBytes, nil},
	} {
		for name, d := range map[string]*Disk{"the disk": d, "after a crash": d.CrashNow(), "a clone": d.Clone()} {
			if n, err := read(d, test.at, test.n); n != test.want || !errors.Is(err, test.err) {
				t.Errorf("%s, %d bytes at %d: %d, %v", name, test.n, test.at, n, err)
			}
		}
	}
	if n, err := read(sound, 0, 3*unreadBytes); n != 3*unreadBytes || err != nil {
		t.Errorf("read again: %d, %v", n, err)
	}
	other := d.Clone()
	g, err := other.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt([]byte("x"), 2*unreadBytes-1); err != nil {
		t.Fatal(err)
	}
	if n, err := read(other, 0, 3*unreadBytes); n != 3*unreadBytes || err != nil {
		t.Errorf("written: %d, %v", n, err)
	}
	if _, err := read(d, unreadBytes, 1); !errors.Is(err, syscall.EIO) {
		t.Errorf("what was written to a clone is read: %v", err)
	}
	for range 2 { // so that there is room behind the list
		if err := d.Unread("a", unreadBytes); err != nil {
			t.Fatal(err)
		}
	}
	first, second := d.Clone(), d.Clone()
	if err := errors.Join(first.Unread("a", 0), second.Unread("a", 2*unreadBytes)); err != nil {
		t.Fatal(err)
	}
	if _, err := read(first, 0, 1); !errors.Is(err, syscall.EIO) {
		t.Errorf("a block of one clone is read after another was made unreadable in a second one: %v", err)
	}
	if d.Unread("b", 0) == nil || d.Unread("a", 3*unreadBytes) == nil || d.Unread("a", -1) == nil {
		t.Error("what is not there is made unreadable")
	}
}
