package main

import (
	"errors"
	"sync"
	"time"

	"github.com/quorate/quorate/bench/internal/proc"
)

// memoryInterval is how often memory is looked at while its peak is wanted.
const memoryInterval = 50 * time.Millisecond

// anonBytes is what the servers together hold in memory of their own.
func (b *bed) anonBytes() (int64, error) {
	var sum int64
	var wrong error
	for _, server := range b.cluster.Servers {
		memory, err := proc.ReadMemory(server.PID)
		wrong = errors.Join(wrong, err)
		sum += memory.Anon
	}
	return sum, wrong
}

// memoryPeak follows what the servers hold.
type memoryPeak struct {
	running sync.WaitGroup
	done    chan struct{}
	bytes   int64 // the follower's until done is closed
	err     error
}

// followMemory begins to follow. The caller must call stop.
func (b *bed) followMemory() *memoryPeak {
	p := &memoryPeak{done: make(chan struct{})}
	p.running.Go(func() {
		ticker := time.NewTicker(memoryInterval)
		defer ticker.Stop()
		for {
			now, err := b.anonBytes()
			p.bytes, p.err = max(p.bytes, now), errors.Join(p.err, err)
			select {
			case <-ticker.C:
			case <-p.done:
				return
			}
			if p.err != nil {
				return
			}
		}
	})
	return p
}

// stop returns the most that was seen.
func (p *memoryPeak) stop() (int64, error) {
	close(p.done)
	p.running.Wait()
	return p.bytes, p.err
}
