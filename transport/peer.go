package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/raft"
)

// peer is another server as its sender's goroutine sees it: the queue, and a record for operators.
// Whether it is trusted, and which links it has, is the roster's.
type peer struct {
	id    raft.ServerID
	queue *queue
	// hint gets a token when the peer has connected to us: then it can probably be reached too.
	hint chan struct{}

	ctx    context.Context // ends when the peer is removed, or with Close
	cancel context.CancelFunc

	messagesSent, messagesReceived atomic.Uint64
	bytesSent, bytesReceived       atomic.Uint64
	roundTrip                      atomic.Int64 // smoothed, in nanoseconds; 0 before the first

	record record
}

func newPeer(ctx context.Context, id raft.ServerID, o *Options) *peer {
	p := &peer{
		id:     id,
		queue:  newQueue(o.QueueMessages, o.QueueBytes),
		hint:   make(chan struct{}, 1),
		record: record{downSince: time.Now(), receivingDownSince: time.Now()},
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// giveHint makes the peer's sender try at once.
func (p *peer) giveHint() {
	select {
	case p.hint <- struct{}{}:
	default: // It has one already.
	}
}

// measured takes a round trip into the smoothed one, with a weight of one eighth.
func (p *peer) measured(roundTrip time.Duration) {
	smoothed := time.Duration(p.roundTrip.Load())
	if smoothed > 0 {
		roundTrip = smoothed + (roundTrip-smoothed)/8
	}
	p.roundTrip.Store(int64(max(roundTrip, 1)))
}

// record is what an operator may know of a peer's links.
type record struct {
	mu             sync.Mutex
	address        string
	connectedSince time.Time
	downSince      time.Time
	lastErr        error
	lastErrAt      time.Time
	// Of the last link that it had to us and that was not replaced by another; of use while there is
	// none, which the roster knows.
	receivingDownSince time.Time
	receivingErr       error

	refused   string
	refusedAt time.Time
	boot      uint64
	features  uint32
}

func (r *record) dialling(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.address = address
}

// linkUp notes a link that is up, and what the peer said of itself.
func (r *record) linkUp(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.boot, r.features = l.theirs.Boot, l.theirs.Features
	if l.dialled {
		r.connectedSince, r.downSince = time.Now(), time.Time{}
		r.lastErr, r.lastErrAt = nil, time.Time{}
	}
}

// sendingDown notes that the link that we dialled is gone, or could not be made.
func (r *record) sendingDown(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.downSince.IsZero() {
		r.downSince = now
	}
	r.connectedSince = time.Time{}
	r.lastErr, r.lastErrAt = err, now
}

// receivingDown notes that the link from the peer is gone.
func (r *record) receivingDown(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receivingDownSince, r.receivingErr = time.Now(), err
}

// refusedOne notes that a connection was refused that the peer's own key had made.
func (r *record) refusedOne(why *Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused, r.refusedAt = why.Text, time.Now()
}
