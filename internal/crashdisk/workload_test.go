package crashdisk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
)

// kinds are the errors that a caller may tell apart.
var kinds = []error{
	fs.ErrNotExist, fs.ErrExist, fs.ErrClosed, vfs.ErrLocked, io.EOF, crashdisk.ErrCrashed,
	syscall.EISDIR, syscall.ENOTDIR, syscall.EINVAL, syscall.ENOSPC, syscall.EIO,
}

// kind says what an error is to a caller.
func kind(err error) string {
	if err == nil {
		return "ok"
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	return "other: " + err.Error()
}

// user does random operations below a directory of a file system.
type user struct {
	source choice.Source
	fs     vfs.FS
	dir    string
	open   []vfs.File
	locks  []io.Closer
}

var someNames = []string{"a", "b", "c", "d", "d/a", "d/b", "e", "e/f", "e/f/a", "a/a"}

func (u *user) choose(what string, n int) int { return u.source.Choose(what, n) }

func (u *user) name() string {
	return filepath.Join(u.dir, someNames[u.choose("name", len(someNames))])
}

// names is how a name is shown: without the directory.
func (u *user) show(name string) string {
	short, err := filepath.Rel(u.dir, name)
	if err != nil {
		return name
	}
	return short
}

// step does one operation, and returns what it was and what came of it.
func (u *user) step() string {
	if what := u.choose("what", 20); what < 12 && len(u.open) > 0 {
		return u.fileStep(what)
	} else if what >= 12 || len(u.open) == 0 {
		return u.nameStep(u.choose("what name", 16))
	}
	return ""
}

func (u *user) fileStep(what int) string {
	number := u.choose("file", len(u.open))
	f := u.open[number]
	offset, length := int64(u.choose("offset", 9000)), u.choose("length", 6000)
	switch {
	case what < 5:
		data := make([]byte, length)
		for i := range data {
			data[i] = byte(u.choose("fill", 2) * (i + length))
		}
		n, err := f.WriteAt(data, offset)
		return fmt.Sprintf("write %d: %d+%d: %d %s", number, offset, length, n, kind(err))
	case what < 7:
		p := make([]byte, length)
		n, err := f.ReadAt(p, offset)
		return fmt.Sprintf("read %d: %d+%d: %d %s %x", number, offset, length, n, kind(err), p[:n])
	case what < 8:
		size, err := f.Size()
		return fmt.Sprintf("size %d: %d %s", number, size, kind(err))
	case what < 9:
		return fmt.Sprintf("truncate %d: %d: %s", number, offset, kind(f.Truncate(offset)))
	case what < 11:
		return fmt.Sprintf("sync %d: %s", number, kind(f.Sync()))
	default:
		return fmt.Sprintf("close %d: %s", number, kind(f.Close()))
	}
}

func (u *user) nameStep(what int) string {
	name := u.name()
	switch {
	case what < 5:
		f, err := u.fs.Create(name)
		if err == nil {
			u.open = append(u.open, f)
		}
		return fmt.Sprintf("create %s: %s", u.show(name), kind(err))
	case what < 7:
		f, err := u.fs.Open(name)
		if err == nil {
			u.open = append(u.open, f)
		}
		return fmt.Sprintf("open %s: %s", u.show(name), kind(err))
	case what < 8:
		return fmt.Sprintf("remove %s: %s", u.show(name), kind(u.fs.Remove(name)))
	case what < 11:
		to := u.name()
		return fmt.Sprintf("rename %s %s: %s", u.show(name), u.show(to), kind(u.fs.Rename(name, to)))
	case what < 12:
		list, err := u.fs.List(name)
		return fmt.Sprintf("list %s: %s %s", u.show(name), list, kind(err))
	case what < 13:
		return fmt.Sprintf("mkdirall %s: %s", u.show(name), kind(u.fs.MkdirAll(name)))
	case what < 15:
		if u.choose("top", 2) == 0 {
			name = u.dir
		}
		return fmt.Sprintf("syncdir %s: %s", u.show(name), kind(u.fs.SyncDir(name)))
	default:
		lock, err := u.fs.Lock(name)
		if err == nil {
			u.locks = append(u.locks, lock)
		}
		return fmt.Sprintf("lock %s: %s", u.show(name), kind(err))
	}
}

func (u *user) close() {
	for _, f := range u.open {
		f.Close()
	}
	for _, l := range u.locks {
		l.Close()
	}
}

// tree shows all that is below a directory: names, and what is in the files.
func tree(t *testing.T, d vfs.FS, dir string) string {
	t.Helper()
	var shown strings.Builder
	names, err := d.List(dir)
	must(t, err)
	for _, name := range names {
		full := filepath.Join(dir, name)
		if _, err := d.List(full); err == nil {
			fmt.Fprintf(&shown, "%s{ %s} ", name, tree(t, d, full))
		} else {
			fmt.Fprintf(&shown, "%s=%q ", name, read(t, d, full))
		}
	}
	return shown.String()
}

func TestDiskAnswersAsTheOperatingSystemDoes(t *testing.T) {
	for seed := range uint64(60) {
		real := &user{source: choice.FromSeed(seed), fs: vfs.OS{}, dir: t.TempDir()}
		disk := crashdisk.New(crashdisk.Options{})
		ours := &user{source: choice.FromSeed(seed), fs: disk, dir: "/"}
		for i := range 80 {
			if want, got := real.step(), ours.step(); got != want {
				t.Fatalf("seed %d, step %d: got\n%.300s\nwant\n%.300s", seed, i, got, want)
			}
		}
		if want, got := tree(t, vfs.OS{}, real.dir), tree(t, disk, "/"); got != want {
			t.Errorf("seed %d: got\n%.1000s\nwant\n%.1000s", seed, got, want)
		}
		real.close()
	}
}
