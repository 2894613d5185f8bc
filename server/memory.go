package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go lets its heap grow to twice what is alive. Under a load of large requests that is much: what is allocated while the
// collector is busy counts as alive, so that twice that becomes the next goal, and it is not given back afterwards. So
// the process has a limit, which keeps to what has really been alive lately, with room to work in. It is a soft one: Go
// collects more often near it, and exceeds it rather than stand still.
const (
	// leastMemoryLimit is what a small server may use anyway.
	leastMemoryLimit = 64 << 20
	// mostMemoryRoom is what may be allocated between two collections, besides a quarter of what is alive: it bounds how
	// often the collector has to run however much is alive. Who allocates little gets less, down to leastMemoryRoom: what
	// comes to so much in roomSeconds.
	mostMemoryRoom  = 128 << 20
	leastMemoryRoom = 16 << 20
	roomSeconds     = 4
	// memoryInterval is how often it is looked how much is alive, and the least of memoryWindow looks counts.
	memoryInterval = time.Second
	memoryWindow   = 10
)

// memoryLimit is how much memory Go may use for a heap of which so many bytes are alive, and to which so many are added in
// a second.
func memoryLimit(live, added uint64) int64 {
	const most = 1 << 50 // lest a sum overflows
	live, added = min(live, most), min(added, most)
	room := min(max(roomSeconds*added, leastMemoryRoom), mostMemoryRoom)
	return max(leastMemoryLimit, int64(live+live/4+room))
}

// memoryLook is how much was alive, and how much was added since the look before.
type memoryLook struct{ live, added uint64 }

// memoryPace remembers the latest looks.
type memoryPace struct {
	lately    [memoryWindow]memoryLook
	looks     int
	allocated uint64
	limit     int64
}

// look takes in how much is alive, and how much was ever allocated, and returns the limit, and whether it has changed by
// enough to be worth setting.
func (p *memoryPace) look(live, allocated uint64) (limit int64, changed bool) {
	p.lately[p.looks%memoryWindow] = memoryLook{live, allocated - p.allocated}
	p.looks, p.allocated = p.looks+1, allocated
	least, added := live, uint64(0)
	for _, l := range p.lately[:min(p.looks, memoryWindow)] {
		least, added = min(least, l.live), max(added, l.added)
	}
	limit = memoryLimit(least, added)
	if diff := limit - p.limit; max(diff, -diff) <= p.limit/16 {
		return p.limit, false
	}
	p.limit = limit
	return limit, true
}

// paceMemory sets the process's limit until ctx ends. Whoever has set one himself (GOMEMLIMIT) is left alone.
func (s *Server) paceMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	pace := memoryPace{}
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	for {
		metrics.Read(heap)
		if heap[0].Value.Kind() == metrics.KindUint64 && heap[1].Value.Kind() == metrics.KindUint64 {
			if limit, changed := pace.look(heap[0].Value.Uint64(), heap[1].Value.Uint64()); changed {
				debug.SetMemoryLimit(limit)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
