package pebblekv

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// scheduler says when Pebble may compact: up to so many at once as it asks for, like its own, but none while it is held. A
// start replays its log, and whoever waits for it should not wait for compactions that the last run has left, too.
//
// Pebble holds locks of its own when it calls TrySchedule and UpdateGetAllowedWithoutPermission, which therefore call
// nothing of it but GetAllowedWithoutPermission. What waits is begun by one goroutine.
type scheduler struct {
	db   pebble.DBForCompaction
	poke chan struct{} // holds one: something may begin
	stop chan struct{} // closed by Unregister
	gone chan struct{} // closed when the goroutine is

	mu      sync.Mutex // guards what follows
	running int
	held    bool
	closed  bool
}

// schedulerTick is how often it is looked whether Pebble allows more than before: it does not always tell.
const schedulerTick = 100 * time.Millisecond

func newScheduler(held bool) *scheduler {
	return &scheduler{held: held, poke: make(chan struct{}, 1), stop: make(chan struct{}), gone: make(chan struct{})}
}

// release lets compactions begin. It is called by Pebble with its locks held, too, where commits wait for one.
func (s *scheduler) release() {
	s.mu.Lock()
	s.held = false
	s.mu.Unlock()
	s.look()
}

// Register is called once, when the engine is open.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) {
	s.db = db
	go s.run()
}

// Unregister returns when nothing will be begun any more.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	<-s.gone
}

// TrySchedule begins a compaction that Pebble has found.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mayBegin() {
		return false, nil
	}
	s.running++
	return true, s
}

// mayBegin needs mu.
func (s *scheduler) mayBegin() bool {
	return !s.held && !s.closed && s.running < s.db.GetAllowedWithoutPermission()
}

// UpdateGetAllowedWithoutPermission is called when more may be allowed.
func (s *scheduler) UpdateGetAllowedWithoutPermission() { s.look() }

func (s *scheduler) look() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// run begins what waits, until Unregister.
func (s *scheduler) run() {
	defer close(s.gone)
	tick := time.NewTicker(schedulerTick)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.poke:
		case <-tick.C:
		}
		for s.begin() {
		}
	}
}

// begin begins one of those that wait. Pebble may begin another meanwhile: one more than it asks for does no harm.
func (s *scheduler) begin() bool {
	s.mu.Lock()
	may := s.mayBegin()
	s.mu.Unlock()
	if !may {
		return false
	}
	if waiting, _ := s.db.GetWaitingCompaction(); !waiting || !s.db.Schedule(s) {
		return false
	}
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
	return true
}

// Done is called by each compaction that ends.
func (s *scheduler) Done() {
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	s.look()
}

// Started is of no matter here, nor are the two that follow.
func (s *scheduler) Started() {}

// MeasureCPU is not needed.
func (s *scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats is not needed.
func (s *scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}
