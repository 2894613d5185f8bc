package transport

import "sync"

// queue holds the messages that wait for one peer's sender. It is bounded in messages and in bytes,
// counting those that are being written; what does not fit is dropped, the newest first, and the
// owner is told. While there is no link nothing waits at all: what it would say on the day the link
// comes up is out of date.
type queue struct {
	maxMessages, maxBytes int
	// ready gets a token when the sender has something to look at.
	ready chan struct{}

	mu             sync.Mutex
	open           bool
	waiting        [][]byte
	messages       int // waiting or being written
	bytes          int // of those
	dropped        uint64
	droppedTooLong uint64 // of those dropped, for being longer than MaxMessageBytes
}

func newQueue(maxMessages, maxBytes int) *queue {
	return &queue{maxMessages: maxMessages, maxBytes: maxBytes, ready: make(chan struct{}, 1)}
}

// put adds a message unless there is no link or no room. One message always has room if it is
// alone, however small the bound is.
func (q *queue) put(m []byte) bool {
	q.mu.Lock()
	fits := q.open && len(m) <= MaxMessageBytes && q.messages < q.maxMessages &&
		(q.messages == 0 || q.bytes+len(m) <= q.maxBytes)
	if !fits {
		q.dropped++
		if len(m) > MaxMessageBytes {
			q.droppedTooLong++
		}
		q.mu.Unlock()
		return false
	}
	wake := len(q.waiting) == 0
	q.waiting = append(q.waiting, m)
	q.messages++
	q.bytes += len(m)
	q.mu.Unlock()
	if wake {
		q.poke()
	}
	return true
}

// poke makes the sender look.
func (q *queue) poke() {
	select {
	case q.ready <- struct{}{}:
	default: // A token is there already; the sender has yet to look.
	}
}

// take returns all that waits, and keeps the memory of spare, an earlier batch, for what comes.
func (q *queue) take(spare [][]byte) [][]byte {
	clear(spare) // The messages are not ours to keep alive.
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting = spare[:0]
	return batch
}

// written gives back the room of messages that were taken.
func (q *queue) written(messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages -= messages
	q.bytes -= bytes
}

// setOpen opens the queue when a link comes up, and closes it when the link is gone: what waits, and
// what was taken and not written, counts as dropped.
func (q *queue) setOpen(open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(q.messages)
	q.open, q.waiting, q.messages, q.bytes = open, nil, 0, 0
}

type queueStatus struct {
	messages, bytes         int
	dropped, droppedTooLong uint64
}

func (q *queue) status() queueStatus {
	q.mu.Lock()
	defer q.mu.Unlock()
	return queueStatus{q.messages, q.bytes, q.dropped, q.droppedTooLong}
}
