package quorate

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/quorate/quorate/replica"
)

// appliers run the state machines, each by one of them at a time.
type appliers struct {
	host *Host
	mu   sync.Mutex // guards queue
	// queue has at most one Apply of each group: a replica asks for the next when one is done.
	queue  []applyWork
	signal chan struct{} // holds one for each applier: queue may not be empty
}

type applyWork struct {
	group *Group
	apply *replica.Apply
}

func newAppliers(h *Host) *appliers {
	return &appliers{host: h, signal: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

func (a *appliers) start(running *sync.WaitGroup) {
	for range cap(a.signal) {
		running.Go(a.run)
	}
}

func (a *appliers) put(g *Group, work *replica.Apply) {
	a.mu.Lock()
	a.queue = append(a.queue, applyWork{g, work})
	a.mu.Unlock()
	select {
	case a.signal <- struct{}{}:
	default: // every applier has been told to look already
	}
}

func (a *appliers) run() {
	for {
		select {
		case <-a.signal:
		case <-a.host.context.Done():
			return
		}
		for {
			a.mu.Lock()
			if len(a.queue) == 0 {
				a.mu.Unlock()
				break
			}
			work := a.queue[0]
			a.queue = a.queue[1:]
			a.mu.Unlock()
			a.apply(work)
		}
	}
}

func (a *appliers) apply(work applyWork) {
	answers := work.group.machine.Apply(work.apply.Entries)
	if len(answers) != len(work.apply.Entries) {
		a.host.fatal(fmt.Errorf("state machine of group %d gave %d answers to %d entries",
			work.group.id, len(answers), len(work.apply.Entries)))
		return
	}
	work.group.put(replica.Applied{Answers: answers})
}
