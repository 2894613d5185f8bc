package pebblekv

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// defaultStuckAfter is what the server gives the writes of its log, too (docs/adr/0020).
const defaultStuckAfter = 30 * time.Second

// sameOperation is how far the beginnings of an operation may be apart, as two looks have it, to be those of one.
const sameOperation = 500 * time.Millisecond

// stuck finds operations on the disk that are not done for long. Pebble looks every two seconds, and each says so that it finds. One look is
// not enough: if the process or the machine was stopped meanwhile, everything that was under way seems to take as long.
type stuck struct {
	tell func(error)

	mu    sync.Mutex
	found map[string]time.Time // what was found at the last looks, and when it began
}

// watch makes a file system of which it is told. The returned function ends that.
func (s *stuck) watch(fs vfs.FS, after time.Duration) (vfs.FS, func() error) {
	watched, closer := vfs.WithDiskHealthChecks(fs, after, nil, func(info vfs.DiskSlowInfo) {
		if info.OpType == vfs.OpTypeRemoveAll {
			return // that is many operations, and may take long
		}
		s.look(fmt.Sprintf("%s of %s", info.OpType, info.Path), info.Duration, time.Now())
	})
	return watched, closer.Close
}

// look takes in that something has been under way for long.
func (s *stuck) look(what string, lasts time.Duration, now time.Time) {
	began := now.Add(-lasts)
	s.mu.Lock()
	before, ok := s.found[what]
	if len(s.found) > 100 {
		clear(s.found) // it is enough to find the next ones
	}
	s.found[what] = began
	s.mu.Unlock()
	if ok && began.Sub(before).Abs() < sameOperation {
		s.tell(fmt.Errorf("the disk hangs: %s has been under way for %.1f s", what, lasts.Seconds()))
	}
}
