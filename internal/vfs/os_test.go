package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
)

// lockHelper tells the test binary, started anew, to try this lock and say what came of it.
const lockHelper = "QUORATE_TEST_LOCK"

func TestMain(m *testing.M) {
	if name := os.Getenv(lockHelper); name != "" {
		if _, err := (vfs.OS{}).Lock(name); err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// create makes a file that holds text.
func create(t *testing.T, name, text string) vfs.File {
	t.Helper()
	f, err := vfs.OS{}.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

// wantError checks what an error is, and that it names the file.
func wantError(t *testing.T, err, want error, name string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	} else if !strings.Contains(err.Error(), name) {
		t.Errorf("the error %q does not name %s", err, name)
	}
}

func TestFileHoldsWhatWasWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f := create(t, name, "hello")
	if _, err := f.WriteAt([]byte("world"), 7); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Size(); size != 12 || err != nil {
		t.Errorf("got size %d, %v; want 12", size, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := vfs.OS{}.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	got := make([]byte, 20)
	n, err := again.ReadAt(got, 0)
	if err != io.EOF || !bytes.Equal(got[:n], []byte("hello\x00\x00world")) {
		t.Errorf("got %q, %v", got[:n], err)
	}
}

func TestTruncateCutsAndFillsWithZeros(t *testing.T) {
	f := create(t, filepath.Join(t.TempDir(), "a"), "hello")
	for _, size := range []int64{2, 4} {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 4)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, []byte("he\x00\x00")) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCreateRefusesATakenName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	create(t, name, "hello")
	f, err := vfs.OS{}.Create(name)
	wantError(t, err, fs.ErrExist, name)
	if f != nil {
		t.Errorf("got a file besides the error: %v", f)
	}
}

func TestWhatIsMissingIsNotExist(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f, err := vfs.OS{}.Open(name)
	wantError(t, err, fs.ErrNotExist, name)
	if f != nil {
		t.Errorf("got a file besides the error: %v", f)
	}
	wantError(t, vfs.OS{}.Remove(name), fs.ErrNotExist, name)
	wantError(t, vfs.OS{}.Rename(name, name+"2"), fs.ErrNotExist, name)
	wantError(t, vfs.OS{}.SyncDir(name), fs.ErrNotExist, name)
	_, err = vfs.OS{}.List(name)
	wantError(t, err, fs.ErrNotExist, name)
	_, err = vfs.OS{}.Lock(filepath.Join(name, "LOCK"))
	wantError(t, err, fs.ErrNotExist, name)
}

func TestRenameReplacesItsTarget(t *testing.T) {
	dir := t.TempDir()
	create(t, filepath.Join(dir, "new"), "new")
	create(t, filepath.Join(dir, "old"), "old")
	if err := (vfs.OS{}).Rename(filepath.Join(dir, "new"), filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "old"))
	if err != nil || string(got) != "new" {
		t.Errorf("got %q, %v", got, err)
	}
	if names, err := (vfs.OS{}).List(dir); err != nil || !slices.Equal(names, []string{"old"}) {
		t.Errorf("got %v, %v", names, err)
	}
}

func TestRemoveTakesFilesAndNotDirectories(t *testing.T) {
	dir := t.TempDir()
	create(t, filepath.Join(dir, "a"), "")
	if err := (vfs.OS{}).Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(dir, "inner")
	if err := (vfs.OS{}).MkdirAll(inner); err != nil {
		t.Fatal(err)
	}
	wantError(t, vfs.OS{}.Remove(inner), syscall.EISDIR, inner)
	if names, err := (vfs.OS{}).List(dir); err != nil || !slices.Equal(names, []string{"inner"}) {
		t.Errorf("got %v, %v; want the directory", names, err)
	}
}

func TestListIsSorted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"c", "a", "10", "b", "9"} {
		create(t, filepath.Join(dir, name), "")
	}
	names, err := vfs.OS{}.List(dir)
	if want := []string{"10", "9", "a", "b", "c"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %v, %v; want %v", names, err, want)
	}
}

func TestMkdirAllMakesParentsAndMayBeRepeated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := (vfs.OS{}).MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := (vfs.OS{}).SyncDir(dir); err != nil {
		t.Fatal(err)
	}
}

func TestSyncDirRefusesAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	create(t, name, "")
	wantError(t, vfs.OS{}.SyncDir(name), syscall.ENOTDIR, name)
}

func TestWhatIsMadeIsForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if err := (vfs.OS{}).MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	create(t, filepath.Join(dir, "f"), "")
	lock, err := vfs.OS{}.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, name := range []string{dir, filepath.Join(dir, "f"), filepath.Join(dir, "LOCK")} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if others := info.Mode().Perm() & 0o077; others != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestClosedFileRefusesEverything(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f := create(t, name, "hello")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, readErr := f.ReadAt(make([]byte, 1), 0)
	_, writeErr := f.WriteAt(make([]byte, 1), 0)
	_, sizeErr := f.Size()
	for what, err := range map[string]error{
		"read": readErr, "write": writeErr, "size": sizeErr,
		"truncate": f.Truncate(0), "sync": f.Sync(), "close": f.Close(),
	} {
		t.Run(what, func(t *testing.T) { wantError(t, err, fs.ErrClosed, name) })
	}
}

func TestLockIsRefusedToASecondHolder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := vfs.OS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = vfs.OS{}.Lock(name)
	wantError(t, err, vfs.ErrLocked, name)
	if err == nil || !strings.Contains(err.Error(), "another process uses this directory") {
		t.Errorf("the error %v does not tell an operator what is wrong", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := vfs.OS{}.Lock(name)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	again.Close()
}

func TestLockIsRefusedToAnotherProcessAndEndsWithIts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	other := func() (output string, exit int) {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), lockHelper+"="+name)
		out, _ := command.CombinedOutput()
		return string(out), command.ProcessState.ExitCode()
	}
	lock, err := vfs.OS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if output, exit := other(); exit != 3 || !strings.Contains(output, vfs.ErrLocked.Error()) {
		t.Errorf("while held: the other process ended with %d: %q", exit, output)
	}
	lock.Close()
	if output, exit := other(); exit != 0 {
		t.Errorf("after Close: the other process ended with %d: %q", exit, output)
	}
	// That process never closed its lock: it only ended.
	again, err := vfs.OS{}.Lock(name)
	if err != nil {
		t.Fatalf("after the other process ended: %v", err)
	}
	again.Close()
}

func TestReadOnlyChangesNothing(t *testing.T) {
	dir := t.TempDir()
	name, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	create(t, name, "hello")
	var files vfs.ReadOnly
	f, err := files.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 5)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	_, writing := f.WriteAt([]byte("x"), 0)
	_, creating := files.Create(other)
	for what, err := range map[string]error{
		"write": writing, "truncate": f.Truncate(1), "create": creating, "make a directory": files.MkdirAll(other),
		"remove": files.Remove(name), "rename": files.Rename(name, other),
	} {
		if !errors.Is(err, vfs.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := files.Lock(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock what is not there: %v", err)
	}
	lock, err := files.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (vfs.OS{}).Lock(name); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := files.List(dir); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("names %v, %v", names, err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "hello" {
		t.Errorf("the file has %q, %v", b, err)
	}
}
