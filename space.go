package quorate

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/quorate/quorate/internal/vfs"
)

// Space is how much room there is on the disk of a data directory.
type Space struct {
	// Free is how many bytes are free, as of a few seconds ago; negative: not known, and all else means nothing.
	Free int64
	// LowBytes is below how much free space the disk is nearly full.
	LowBytes int64
	// Ballast is how many bytes are set aside in a file that is given up when the disk is full, and Held whether they are still.
	Ballast int64
	Held    bool
	// Low: free space is below LowBytes, without what the ballast has given back. Full: a write has found no room lately.
	Low, Full bool
}

// space looks after the room on the disk. A server without any cannot even forget: to delete and to compact it has to write. So
// some is set aside when it starts, and given up when a write finds none.
type space struct {
	files   vfs.FS
	room    vfs.Space // nil: the file system does not know
	dir     string
	ballast int64
	low     int64
	changed chan struct{} // holds one: room was found missing

	mu     sync.Mutex // guards what follows
	free   int64      // negative: not known
	held   bool
	fullAt time.Time // when a write last found no room; zero: never
}

const (
	// spaceEvery is how often it is looked how much is free, and triesEvery how often what has found no room is tried again.
	spaceEvery = 2 * time.Second
	triesEvery = time.Second
	// fullFor is for how long a disk counts as full after a write has found no room.
	fullFor = 5 * time.Second
	// ballastShare is the largest part of the disk that is set aside.
	ballastShare = 16
	ballastName  = "ballast"
	// leastToStart is what a start may write: small files, each beside the one that it replaces.
	leastToStart = 1 << 20
)

// openSpace looks at the disk, and sets the ballast aside. What is left of an earlier one counts.
func openSpace(files vfs.FS, d *directory, wanted int64, id ServerID) *space {
	s := &space{files: files, dir: d.path, changed: make(chan struct{}, 1), free: -1}
	s.room, _ = files.(vfs.Space)
	if s.room == nil || wanted <= 0 {
		s.room = nil
		return s
	}
	_, total, err := s.room.Room(s.dir)
	if err != nil {
		s.room = nil
		return s
	}
	s.ballast = min(wanted, total/ballastShare)
	// Servers whose disks fill alike shall not run full in one moment: some give the alarm sooner than others.
	s.low = s.ballast + s.ballast/8*int64(id%4)
	if f, err := files.Open(d.name(ballastName)); err == nil {
		size, err := f.Size()
		s.held = err == nil && size == s.ballast
		if f.Close() != nil || !s.held {
			_ = files.Remove(d.name(ballastName)) // of another size: it is set aside anew, or nothing is lost but room
		}
	}
	s.look()
	return s
}

func (s *space) name() string { return filepath.Join(s.dir, ballastName) }

// roomToStart gives the ballast up before anything is written, if the disk is so full that the start would fail.
func roomToStart(files vfs.FS, d *directory) {
	room, ok := files.(vfs.Space)
	if !ok {
		return
	}
	if free, _, err := room.Room(d.path); err == nil && free < leastToStart {
		_ = files.Remove(d.name(ballastName)) // if there is one
	}
}

// look notes how much is free, and sets the ballast aside again if there is room enough for it.
func (s *space) look() {
	if s.room == nil {
		return
	}
	free, _, err := s.room.Room(s.dir)
	if err != nil {
		return // what was known is all that is known
	}
	s.mu.Lock()
	s.free = free
	again := !s.held && free-s.ballast >= s.low && time.Since(s.fullAt) >= fullFor
	s.mu.Unlock()
	if !again {
		return
	}
	if s.room.Reserve(s.name(), s.ballast) == nil {
		s.mu.Lock()
		s.held, s.free = true, free-s.ballast
		s.mu.Unlock()
	}
}

// foundNoRoom gives the ballast up, because a write has found the disk full. It reports whether that has given room.
func (s *space) foundNoRoom() (given bool) {
	s.mu.Lock()
	given, s.held, s.fullAt = s.held, false, time.Now()
	s.mu.Unlock()
	if given {
		err := s.files.Remove(s.name())
		given = err == nil || errors.Is(err, fs.ErrNotExist)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return given
}

func (s *space) now() Space {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Space{Free: s.free, LowBytes: s.low, Ballast: s.ballast, Held: s.held, Full: !s.fullAt.IsZero() && time.Since(s.fullAt) < fullFor}
	missing := s.ballast
	if s.held {
		missing = 0
	}
	n.Low = n.Full || s.room != nil && s.free >= 0 && s.free-missing < s.low
	return n
}

// isFull reports whether an error says that the disk is full, and nothing worse.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// keepSpace is the loop of who looks at the disk.
func (h *Host) keepSpace() {
	t := time.NewTicker(spaceEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			h.space.look()
		case <-h.context.Done():
			return
		}
	}
}

// Space returns how much room there is on the disk.
func (h *Host) Space() Space { return h.space.now() }

// SpaceChanged yields something when a write has found the disk full.
func (h *Host) SpaceChanged() <-chan struct{} { return h.space.changed }

// GiveUpBallast gives back what was set aside, because somebody who writes to the same disk has found it full. It may be called at any
// time, waits for nobody, and is harmless if there is none.
func (h *Host) GiveUpBallast() {
	if h.space.foundNoRoom() {
		h.logger.Warn("the disk is full: what was set aside for that is given up", "bytes", h.space.ballast)
	}
}
