package quorate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/wal"
)

// smallDisk is a disk that says how much room it has, and may have none for new files.
type smallDisk struct {
	*crashdisk.Disk
	mu          sync.Mutex // guards what follows
	free, total int64
	full        bool // there is no room for new segments
	helps       bool // what the ballast gives back is room for one
}

func newSmallDisk(free, total int64) *smallDisk {
	return &smallDisk{Disk: crashdisk.New(crashdisk.Options{}), free: free, total: total}
}

func (d *smallDisk) Room(string) (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, d.total, nil
}

func (d *smallDisk) Reserve(name string, bytes int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bytes > d.free {
		return &fs.PathError{Op: "reserve", Path: name, Err: syscall.ENOSPC}
	}
	f, err := d.Disk.Create(name)
	if err != nil {
		return err
	}
	d.free -= bytes
	return errors.Join(f.Truncate(bytes), f.Close())
}

func (d *smallDisk) Remove(name string) error {
	err := d.Disk.Remove(name)
	if err == nil && filepath.Base(name) == ballastName {
		d.setFree(100)
		d.mu.Lock()
		d.full = d.full && !d.helps
		d.mu.Unlock()
	}
	return err
}

func (d *smallDisk) Create(name string) (vfs.File, error) {
	d.mu.Lock()
	full := d.full
	d.mu.Unlock()
	if full && strings.HasSuffix(name, ".tmp") {
		return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.ENOSPC}
	}
	return d.Disk.Create(name)
}

// setFree changes how much is free, by so much more.
func (d *smallDisk) setFree(more int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free += more
}

func (d *smallDisk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *smallDisk) has(t *testing.T, name string) bool {
	t.Helper()
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.Close() == nil
}

func (d *smallDisk) size(t *testing.T, name string) int64 {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return size
}

func TestBallastIsSetAsideAndGivenUpAndSetAsideAgain(t *testing.T) {
	disk := newSmallDisk(1000, 1600)
	if err := disk.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	d := &directory{files: disk, path: "data"}
	s := openSpace(disk, d, 100, 4)
	want := func(when string, low, full, held bool) {
		t.Helper()
		if n := s.now(); n.Low != low || n.Full != full || n.Held != held || n.Held != disk.has(t, d.name(ballastName)) {
			t.Errorf("%s: %+v", when, n)
		}
	}
	want("at first", false, false, true)
	disk.setFree(-801) // 99 of 100
	s.look()
	want("nearly full", true, false, true)
	disk.setFree(1)
	s.look()
	want("just enough", false, false, true)
	disk.setFree(-100)
	if !s.foundNoRoom() {
		t.Error("it has given nothing up")
	}
	s.look()
	want("full", true, true, false)
	disk.setFree(100)
	s.look()
	want("there is room, but a write has only just found none", true, true, false)
	disk.setFree(-100)
	if s.foundNoRoom() {
		t.Error("it has given up what was gone")
	}
	s.fullAt = s.fullAt.Add(-fullFor)
	s.look()
	want("what was given up is free, and counts for nothing", true, false, false)
	disk.setFree(99)
	s.look()
	want("a little more", true, false, false)
	disk.setFree(1)
	s.look()
	want("there is room for it again", false, false, true)
	if n := s.now(); n.Free != 100 {
		t.Errorf("100 bytes are free beside the ballast: %+v", n)
	}

	if s = openSpace(disk, d, 100, 4); !s.now().Held {
		t.Error("the ballast of an earlier start is not known")
	}
	if s = openSpace(disk, d, 50, 4); !s.now().Held || s.now().Ballast != 50 || disk.size(t, d.name(ballastName)) != 50 {
		t.Errorf("another size is wanted: %+v", s.now())
	}
	if s = openSpace(disk, d, 5000, 4); s.now().Ballast != 1600/ballastShare {
		t.Errorf("too much is wanted: %+v", s.now())
	}
	if s = openSpace(disk, d, 0, 4); s.now().Low {
		t.Errorf("nothing is wanted: %+v", s.now())
	}
	roomToStart(disk, d)
	if disk.has(t, d.name(ballastName)) {
		t.Error("a server on a full disk cannot start, though there is a ballast")
	}
}

func TestAServerOnAFullDiskStartsIfThereIsABallast(t *testing.T) {
	const total = 1 << 30
	disk := newSmallDisk(total, total)
	disk.helps = true
	o := diskOptions(func(err error) { t.Error(err) })
	o.BallastBytes = 1 << 20
	for _, full := range []bool{false, true} {
		disk.setFull(full)
		h, g := alone(t, disk, o)
		if err := proposeUnless(t, g, "an entry", nil); err != nil {
			t.Fatal(err)
		}
		if held := h.Space().Held; held == full {
			t.Errorf("the disk is full: %v; the ballast is held: %v", full, held)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		disk.mu.Lock()
		disk.free = leastToStart - 1
		disk.mu.Unlock()
	}
}

func TestServersDoNotFindTheirDisksFullInOneMoment(t *testing.T) {
	marks := map[int64]bool{}
	for id := range ServerID(4) {
		disk := newSmallDisk(1<<40, 1<<40)
		if err := disk.MkdirAll("data"); err != nil {
			t.Fatal(err)
		}
		marks[openSpace(disk, &directory{files: disk, path: "data"}, 64<<20, id).low] = true
	}
	if len(marks) != 4 {
		t.Errorf("four servers have the marks %v", marks)
	}
}

// alone is a server without others, on a disk of the test's.
func alone(t *testing.T, files vfs.FS, o Options) (*Host, *Group) {
	t.Helper()
	h, err := openOn(files, o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Start(1, silent{})
	if err != nil {
		t.Fatal(err)
	}
	return h, g
}

// silent is a state machine that answers nothing and remembers nothing.
type silent struct{}

func (silent) DurableIndex() Index            { return 0 }
func (silent) Apply(entries []Entry) [][]byte { return make([][]byte, len(entries)) }

func TestAFullDiskEndsAServerOnlyWhenTheOpenSegmentIsFull(t *testing.T) {
	disk := newSmallDisk(1<<30, 1<<30)
	fatal := make(chan error, 1)
	o := diskOptions(func(err error) { fatal <- err })
	o.SegmentBytes, o.BallastBytes = 1<<20, 1<<20
	h, g := alone(t, disk, o)
	defer h.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	propose := func() error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		done := make(chan error, 1)
		go func() { _, err := g.Propose(ctx, make([]byte, 4<<10)); done <- err }()
		select {
		case err := <-done:
			return err
		case err := <-fatal:
			fatal <- err
			return err
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(propose())
	disk.setFull(true)
	for !isFull(h.log.Prepare()) { // what is prepared is used up, and the next is not there
		must(propose())
	}
	must(propose())
	select {
	case <-h.SpaceChanged():
	case err := <-fatal:
		t.Fatal(err)
	}
	if s := h.Space(); !s.Full || !s.Low || s.Held {
		t.Errorf("a full disk is not seen: %+v", s)
	}
	disk.setFull(false)
	for range 600 { // two segments
		must(propose())
	}
	disk.setFull(true)
	for i := 0; ; i++ {
		if err := propose(); err != nil {
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, wal.ErrBroken) || !strings.Contains(fmt.Sprint(err), "segment") {
				t.Errorf("it ends with %v", err)
			}
			break
		}
		if i > 600 {
			t.Fatal("it writes on, to where there is no room")
		}
	}
}
