package pebblekv

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// hangingFS is a disk on which tables are never made durable, until it is let go.
type hangingFS struct {
	vfs.FS
	goOn chan struct{}
}

func (h hangingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, category)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	return hangingFile{f, h.goOn}, nil
}

type hangingFile struct {
	vfs.File
	goOn chan struct{}
}

func (h hangingFile) SyncData() error { <-h.goOn; return h.File.SyncData() }
func (h hangingFile) Sync() error     { <-h.goOn; return h.File.Sync() }

func TestDiskThatHangsIsTold(t *testing.T) {
	t.Parallel()
	disk := hangingFS{vfs.NewMem(), make(chan struct{})}
	stuck := make(chan error, 10)
	e, err := Open("state", Options{FS: disk, Stuck: func(err error) { stuck <- err }, StuckAfter: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	b.Set([]byte("k"), []byte("v"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan error, 1)
	go func() { flushed <- e.Flush() }()
	if err := <-stuck; !strings.HasPrefix(err.Error(), "the disk hangs: sync") || !strings.Contains(err.Error(), ".sst has been under way for ") {
		t.Errorf("it was told that %v", err)
	}
	close(disk.goOn)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhoWasStoppedIsNotStuck(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		what  string
		later time.Duration // than the first look
		lasts time.Duration
		told  int
	}{
		{"sync of a", 2 * time.Second, 42 * time.Second, 1}, // it is the same one
		{"sync of a", 2 * time.Second, time.Second, 0},      // another one
		{"sync of b", 2 * time.Second, 42 * time.Second, 0}, // of another file
	} {
		told := 0
		s := stuck{tell: func(error) { told++ }, found: map[string]time.Time{}}
		s.look("sync of a", 40*time.Second, now)
		if told != 0 {
			t.Error("it was told at the first look")
		}
		s.look(c.what, c.lasts, now.Add(c.later))
		if told != c.told {
			t.Errorf("%+v: told %d times", c, told)
		}
	}
	// However much is found, little is kept.
	s := stuck{tell: func(error) {}, found: map[string]time.Time{}}
	for i := range 1000 {
		s.look(strings.Repeat("x", i), time.Minute, now)
	}
	if len(s.found) > 101 {
		t.Errorf("%d are kept", len(s.found))
	}
}
