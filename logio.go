package quorate

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
)

// logWriter is the only one who writes to the log. While it syncs, what all groups want to write
// gathers, and becomes the next frame: one sync serves everybody who waits.
type logWriter struct {
	host *Host
	mu   sync.Mutex // guards waiting
	// waiting is bounded by what the replicas propose while a write is under way.
	waiting []groupWrites
	signal  chan struct{} // holds one: waiting is not empty
	full    chan struct{} // holds one: a segment was begun, prepare the next

	io sync.Mutex // held by who appends and syncs

	lacksRoom bool // for the next segment; prepare's own
}

type groupWrites struct {
	group  *Group
	writes []replica.Write
}

// sealAfter is how long after the last write the log is sealed: then its end is known to be synced, and
// damage there can be told from a torn write.
const sealAfter = 50 * time.Millisecond

func newLogWriter(h *Host) *logWriter {
	return &logWriter{host: h, signal: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

func (l *logWriter) put(g *Group, writes []replica.Write) {
	l.mu.Lock()
	l.waiting = append(l.waiting, groupWrites{g, writes})
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

func (l *logWriter) run() {
	idle := time.NewTimer(sealAfter)
	defer idle.Stop()
	for {
		var err error
		select {
		case <-l.signal:
			err = l.writeAll()
			idle.Reset(sealAfter)
		case <-idle.C:
			err = l.seal()
		case <-l.host.context.Done():
			return
		}
		if err != nil {
			// What is on the disk now is not known. Whoever goes on would promise what it cannot keep.
			l.host.fatal(fmt.Errorf("write to the log: %w", err))
			return
		}
	}
}

// writeAll makes everything that waits durable by one sync, and reports it.
func (l *logWriter) writeAll() error {
	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	var writes []wal.Write
	for _, b := range batch {
		for i := range b.writes {
			writes = append(writes, forLog(b.group.id, &b.writes[i]))
		}
	}
	if err := l.write(writes); err != nil {
		return err
	}
	for _, b := range batch {
		b.group.put(replica.Persisted{Ticket: lastTicket(b.writes)})
	}
	return nil
}

// forLog puts a replica's write as the log takes it.
func forLog(id GroupID, w *replica.Write) wal.Write {
	write := wal.Write{
		Group: id, CompactTo: w.CompactTo, HardState: w.HardState, TruncateFrom: w.TruncateFrom, First: w.First, Records: w.Records,
	}
	if p := w.Base; p != nil {
		write.Base = &wal.Base{EntryID: p.EntryID, Hash: p.Hash, Configuration: p.Configuration}
	}
	return write
}

func lastTicket(writes []replica.Write) raft.Ticket { return writes[len(writes)-1].Ticket }

func (l *logWriter) write(writes []wal.Write) error {
	l.io.Lock()
	defer l.io.Unlock()
	if err := l.host.log.Append(writes); err != nil {
		return err
	}
	if err := l.host.log.Sync(); err != nil {
		return err
	}
	l.host.logSyncs.Add(1)
	select {
	case l.full <- struct{}{}:
	default:
	}
	return nil
}

func (l *logWriter) seal() error {
	l.io.Lock()
	defer l.io.Unlock()
	return l.host.log.Seal()
}

// begin begins the log of a new group.
func (l *logWriter) begin(id GroupID, base wal.Base) error {
	return l.write([]wal.Write{{Group: id, Base: &base}})
}

// prepare makes the next segment ready ahead of use, beside the writer. If the disk has no room for it, the one that is open may have
// some still: it is tried again. Who needs the next segment, and finds neither it nor room, has reached the end: see run.
func (l *logWriter) prepare() {
	for {
		again := (<-chan time.Time)(nil)
		if err := l.host.log.Prepare(); isFull(err) && !errors.Is(err, wal.ErrBroken) {
			l.noRoom(err)
			again = time.After(triesEvery)
		} else if err != nil {
			l.host.fatal(fmt.Errorf("prepare the log's next segment: %w", err))
			return
		} else {
			l.hasRoom()
		}
		if err := l.host.log.Release(); err != nil {
			l.host.fatal(fmt.Errorf("give back a segment of the log: %w", err))
			return
		}
		select {
		case <-again:
		case <-l.full:
		case <-l.host.context.Done():
			return
		}
	}
}

// noRoom gives up the ballast, and says so once until there is room.
func (l *logWriter) noRoom(err error) {
	l.host.GiveUpBallast()
	if !l.lacksRoom {
		l.host.logger.Error("the disk has no room for the log's next segment: what the open one holds is all that can still be written", "err", err)
	}
	l.lacksRoom = true
}

func (l *logWriter) hasRoom() {
	if l.lacksRoom {
		l.host.logger.Info("the disk has room for the log's next segment again")
	}
	l.lacksRoom = false
}

// logReader reads records that are no longer in memory: for peers that lag, and for state machines that
// have to catch up.
type logReader struct {
	host *Host
	mu   sync.Mutex // guards queue
	// queue has at most one request for each peer and one for the state machine of each group.
	queue  []fetchWork
	signal chan struct{} // holds one: queue is not empty
}

type fetchWork struct {
	group *Group
	fetch replica.Fetch
}

func newLogReader(h *Host) *logReader { return &logReader{host: h, signal: make(chan struct{}, 1)} }

func (l *logReader) put(g *Group, fetches []replica.Fetch) {
	l.mu.Lock()
	for _, f := range fetches {
		l.queue = append(l.queue, fetchWork{g, f})
	}
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

func (l *logReader) run() {
	for {
		select {
		case <-l.signal:
		case <-l.host.context.Done():
			return
		}
		l.mu.Lock()
		work := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, w := range work {
			records, err := l.host.log.Read(w.group.id, w.fetch.First, w.fetch.Last, w.fetch.LimitBytes)
			w.group.put(replica.Fetched{ID: w.fetch.ID, Records: records, Err: err, Compacted: errors.Is(err, wal.ErrCompacted)})
		}
	}
}
