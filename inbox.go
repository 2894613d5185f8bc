package quorate

import (
	"sync"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// inbox is what has happened to a group and its replica has not taken in yet. It is bounded: clients'
// requests by maxRequests, and then they are refused; peers' messages by count and bytes, and then they
// are dropped; reports of work done by the work that was asked for; ticks by one.
type inbox struct {
	mu           sync.Mutex // guards everything below
	inputs       []replica.Input
	requests     int
	messages     int
	messageBytes int
	hasTick      bool
	elapsed      time.Duration // since the last tick that was put in, up to maxElapsed
	passed       time.Duration // the same, however long
	spare        []replica.Input

	maxRequests int // set before use
}

const (
	maxInboxMessages     = 4096
	maxInboxMessageBytes = 64 << 20

	// maxElapsed is the most that a tick adds to the log time. After a longer pause of the process clients
	// have had no chance to renew their leases, so for these it has not been.
	maxElapsed = 500 * time.Millisecond
)

// put adds a report, and wakes the worker.
func (g *Group) put(input replica.Input) {
	b := &g.inbox
	b.mu.Lock()
	b.inputs = append(b.inputs, input)
	first := len(b.inputs) == 1
	b.mu.Unlock()
	if first {
		g.worker.wake(g)
	}
}

// putRequest adds a client's request; false if too many are waiting.
func (g *Group) putRequest(input replica.Input) bool {
	b := &g.inbox
	b.mu.Lock()
	if b.requests >= b.maxRequests {
		b.mu.Unlock()
		return false
	}
	b.requests++
	b.inputs = append(b.inputs, input)
	first := len(b.inputs) == 1
	b.mu.Unlock()
	if first {
		g.worker.wake(g)
	}
	return true
}

// receive adds a peer's message, or drops it if there are too many.
func (g *Group) receive(from raft.ServerID, m wire.Message, bytes int) {
	b := &g.inbox
	b.mu.Lock()
	if b.messages >= maxInboxMessages || b.messageBytes+bytes > maxInboxMessageBytes && b.messages > 0 {
		b.mu.Unlock()
		return
	}
	b.messages++
	b.messageBytes += bytes
	b.inputs = append(b.inputs, replica.Receive{From: from, Message: m})
	first := len(b.inputs) == 1
	b.mu.Unlock()
	if first {
		g.worker.wake(g)
	}
}

// putTick adds a tick, unless the last one has not been taken in yet: after a pause of the process,
// time that passed unseen must not look like a leader's silence. Log time goes on all the same: the next
// tick brings what has elapsed since the last.
func (g *Group) putTick(random uint64, elapsed, roundTrip time.Duration) {
	b := &g.inbox
	b.mu.Lock()
	b.elapsed, b.passed = min(b.elapsed+elapsed, maxElapsed), b.passed+elapsed
	if b.hasTick {
		b.mu.Unlock()
		return
	}
	b.hasTick = true
	b.inputs = append(b.inputs, replica.Tick{
		Random: random, Elapsed: uint64(b.elapsed), Passed: uint64(b.passed), RoundTrip: uint64(roundTrip),
	})
	b.elapsed, b.passed = 0, 0
	first := len(b.inputs) == 1
	b.mu.Unlock()
	if first {
		g.worker.wake(g)
	}
}

// take empties the inbox. The slice is valid until the next call.
func (b *inbox) take() []replica.Input {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.inputs
	clear(b.spare)
	b.inputs, b.spare = b.spare[:0], taken
	b.requests, b.messages, b.messageBytes, b.hasTick = 0, 0, 0, false
	return taken
}
