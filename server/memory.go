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
	leastMemoryLimit = 160 << 20
	// memoryRoom is what may be allocated between two collections, besides a quarter of what is alive: it bounds how
	// often the collector has to run however much is alive.
	memoryRoom = 64 << 20
	// memoryInterval is how often it is looked how much is alive, and the least of memoryWindow looks counts.
	memoryInterval = time.Second
	memoryWindow   = 10
)

// memoryLimit is how much memory Go may use for a heap of which so many bytes are alive.
func memoryLimit(live uint64) int64 {
	const most = 1 << 50 // lest a sum overflows
	live = min(live, most)
	return max(leastMemoryLimit, int64(live+live/4)+memoryRoom)
}

// memoryPace remembers how much was alive lately.
type memoryPace struct {
	lately [memoryWindow]uint64
	looks  int
	limit  int64
}

// look takes in how much is alive, and returns the limit, and whether it has changed by enough to be worth setting.
func (p *memoryPace) look(live uint64) (limit int64, changed bool) {
	p.lately[p.looks%memoryWindow] = live
	p.looks++
	least := live
	for _, l := range p.lately[:min(p.looks, memoryWindow)] {
		least = min(least, l)
	}
	limit = memoryLimit(least)
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
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	pace := memoryPace{}
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	for {
		metrics.Read(live)
		if live[0].Value.Kind() == metrics.KindUint64 {
			if limit, changed := pace.look(live[0].Value.Uint64()); changed {
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
