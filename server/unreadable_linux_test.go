package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate"
)

// unreadableLink lets a name of the state be a file whose beginning the kernel refuses to read, as a disk would.
func unreadableLink(t *testing.T, dir, name string) {
	t.Helper()
	link := filepath.Join(dir, stateDir, name)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self/mem", link); err != nil {
		t.Fatal(err)
	}
	if err := readWhole(link); !errors.Is(err, syscall.EIO) {
		t.Fatalf("it reads: %v", err)
	}
}

// notRead is the error with which a table of a state is not read.
func notRead(dir, name string) error {
	return fmt.Errorf("iterate: %w", &fs.PathError{Op: "read", Path: filepath.Join(dir, stateDir, name), Err: syscall.EIO})
}

func TestWhatTheDiskDoesNotReadIsNotedAndNothingElse(t *testing.T) {
	s := &Server{options: Options{DataDir: t.TempDir()}, logger: slog.New(slog.DiscardHandler)}
	d := damage{s.options.DataDir}
	in := func(name string) string { return filepath.Join(d.dir, stateDir, name) }
	for _, err := range []error{
		&fs.PathError{Op: "write", Path: in("000001.sst"), Err: syscall.EIO},
		&fs.PathError{Op: "read", Path: in("000001.sst"), Err: syscall.ENOMEM},
		&fs.PathError{Op: "read", Path: filepath.Join(d.dir, stateDir, "stage", "000001.sst"), Err: syscall.EIO},
		&fs.PathError{Op: "read", Path: filepath.Join(d.dir, "log", "1"), Err: syscall.EIO}, syscall.EIO,
	} {
		s.noteDamage(err)
		if entries, _ := os.ReadDir(d.dir); len(entries) > 0 {
			t.Fatalf("of %v it notes %v", err, entries)
		}
	}
	s.noteDamage(notRead(d.dir, "000001.sst"))
	if noted, err := d.reason(unreadableFile); err != nil || !strings.HasPrefix(noted, "000001.sst iterate: read ") {
		t.Errorf("it says %q, %v", noted, err)
	}
	if marked, err := d.exists(damageFile); marked || err != nil {
		t.Errorf("the state is given up at once: %v", err)
	}
}

// If it passes, the state stays; if not, the others have it.
func TestWhatTheDiskDoesNotReadIsTriedAgainByTheNextStart(t *testing.T) {
	options := clusterOptions(t, 2)
	for i := range options {
		options[i].KeepLogBytes, options[i].MaxLogBytes = 1, 1
	}
	servers := startAll(t, options)
	client := connect(t, servers...)
	want := map[string]string{}
	for i := range 20 {
		key := fmt.Sprintf("key%02d", i)
		if _, err := client.Put(testContext(t), key, "v"); err != nil {
			t.Fatal(err)
		}
		want[key] = "v"
	}
	o := options[0]
	d := damage{o.DataDir}
	again := func() {
		t.Helper()
		if err := servers[0].Close(); err != nil {
			t.Fatal(err)
		}
	}
	note := func() {
		t.Helper()
		if err := d.note(unreadableFile, "999999.sst it could not be read"); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(name string) {
		t.Helper()
		if found, err := d.exists(name); found || err != nil {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	again()
	note() // and the file is not there
	servers[0] = start(t, o)
	expectAll(t, servers[0], want)
	gone(unreadableFile)
	gone(healingFile)

	again()
	note()
	unreadableLink(t, o.DataDir, "999999.sst")
	servers[0] = start(t, o)
	expectAll(t, servers[0], want)
	gone(damageFile)
	gone(unreadableFile)
	if b, err := os.ReadFile(filepath.Join(o.DataDir, healingFile)); err == nil && !strings.Contains(string(b), "now and when this server ran last") {
		t.Errorf("it says %q", b)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(o.DataDir, stateDir, "999999.sst")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it goes on with the state that cannot be read: %v", err)
	}
}

// Where nobody else has the state, what can be read of it is worth more than nothing.
func TestWhatNobodyElseHasIsServedAsFarAsItCanBeRead(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.KeepLogBytes, o.MaxLogBytes = 1, 1
	want := fillAlone(t, o, 1)
	compactAlone(t, o)
	want["key"] = strings.Repeat("x", 10_000)
	s := start(t, o)
	if s.group.Status().Raft.Base.Index == 0 {
		t.Fatal("the log has everything")
	}
	if s.unread(notRead(o.DataDir, "000001.sst")) {
		t.Error("the only server ends")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (damage{o.DataDir}).note(unreadableFile, "999999.sst it could not be read"); err != nil {
		t.Fatal(err)
	}
	unreadableLink(t, o.DataDir, "999999.sst")
	expectAll(t, start(t, o), want)
}

// Read by a client, or by the scrubber, it ends a server that is not alone.
func TestWhatTheDiskDoesNotReadEndsTheServer(t *testing.T) {
	options := clusterOptions(t, 2)
	fatal := make(chan error, 1)
	options[0].OnFatal = func(err error) { fatal <- err }
	servers := startAll(t, options)
	if _, err := connect(t, servers...).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, harmless := range []error{errors.New("x"), quorate.ErrBusy, syscall.EIO} {
		if servers[0].unread(harmless) || servers[0].scrubFailed(harmless) {
			t.Errorf("%v ends it", harmless)
		}
	}
	if !servers[0].scrubFailed(notRead(options[0].DataDir, "000001.sst")) {
		t.Error("it goes on")
	}
	if err := <-fatal; !strings.Contains(err.Error(), "the disk does not read "+filepath.Join(options[0].DataDir, stateDir, "000001.sst")) {
		t.Errorf("it ends with %v", err)
	}
	if noted, err := (damage{options[0].DataDir}).reason(unreadableFile); err != nil || !strings.HasPrefix(noted, "000001.sst the disk does not read ") {
		t.Errorf("it notes %q, %v", noted, err)
	}
}
