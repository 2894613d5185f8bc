package quorate

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// Snapshots is what a StateMachine may implement besides, if it keeps its state on a disk: then the log drops what
// the state has, and a server whom the log cannot bring up to date any more gets what it lacks of another's state.
// Of the methods, InstallSnapshot is called while no Apply is; the others beside Apply, from one goroutine at a time.
//
// A state comes by a dialogue between two state machines, of which the host understands nothing: a request says what
// one has, a chunk brings a piece of what it lacks, and so on. Requests and chunks come from other servers' state
// machines, maybe of another version, and maybe damaged.
type Snapshots interface {
	// SnapshotRequest returns the request with which the dialogue begins, or goes on after a restart.
	SnapshotRequest() (request []byte, err error)
	// ServeSnapshot answers a request with a piece of about maxBytes, of the state as of an index that is applied.
	ServeSnapshot(request []byte, maxBytes int) (chunk []byte, index Index, err error)
	// StageSnapshot takes a piece in, beside the state, and returns the next request, or that it was the last.
	// After an error the dialogue begins again.
	StageSnapshot(chunk []byte) (next []byte, complete bool, err error)
	// DropStaged forgets what is staged: nobody can go on from there.
	DropStaged() error
	// InstallSnapshot makes what is staged the state, in one step that a crash cannot divide, durably. position is
	// stored with it. An error ends this server.
	InstallSnapshot(position []byte) error
	// InstalledPosition returns the position stored by the last InstallSnapshot; nil if there was none.
	InstalledPosition() []byte
	// LogTime returns the time of the last command that the state has.
	LogTime() uint64
	// ReleaseSnapshots gives back what is kept for others who have not asked for a while. It is called every now and then.
	ReleaseSnapshots()
}

const (
	// flushedEvery is how often the replicas are told how far their states are durable.
	flushedEvery = time.Second
	// releaseEvery is how often state machines give back what nobody asks for any more.
	releaseEvery = 10 * time.Second
)

// snapshotter does what the groups' state machines have to do for states that are sent and received.
type snapshotter struct {
	host *Host
	mu   sync.Mutex // guards queue
	// queue has at most one SnapshotWork of each group, and one Serve for each peer and group.
	queue  []snapshotWork
	signal chan struct{} // holds one: queue is not empty
}

// snapshotWork is one of both.
type snapshotWork struct {
	group *Group
	step  *replica.SnapshotWork
	serve *replica.Serve
}

func newSnapshotter(h *Host) *snapshotter {
	return &snapshotter{host: h, signal: make(chan struct{}, 1)}
}

func (s *snapshotter) put(work snapshotWork) {
	s.mu.Lock()
	s.queue = append(s.queue, work)
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

func (s *snapshotter) run() {
	flushed, release := time.NewTicker(flushedEvery), time.NewTicker(releaseEvery)
	defer flushed.Stop()
	defer release.Stop()
	for {
		select {
		case <-s.signal:
			s.doAll()
		case <-flushed.C:
			for _, g := range s.host.allGroups() {
				g.tellFlushed()
			}
		case <-release.C:
			for _, g := range s.host.allGroups() {
				if g.snapshots != nil {
					g.snapshots.ReleaseSnapshots()
				}
			}
		case <-s.host.context.Done():
			return
		}
	}
}

func (s *snapshotter) doAll() {
	s.mu.Lock()
	queue := s.queue
	s.queue = nil
	s.mu.Unlock()
	for _, w := range queue {
		if w.serve != nil {
			w.group.put(w.group.serve(w.serve))
		} else {
			w.group.put(w.group.stepSnapshot(w.step))
		}
	}
}

var errNoSnapshots = errors.New("the state machine of this group has no snapshots")

// stepSnapshot does one step towards another server's state.
func (g *Group) stepSnapshot(w *replica.SnapshotWork) (done replica.SnapshotWorked) {
	switch {
	case g.snapshots == nil:
		done.Err = errNoSnapshots
	case w.Begin:
		if w.Drop {
			done.Err = g.snapshots.DropStaged()
		}
		if done.Err == nil {
			done.Request, done.Err = g.snapshots.SnapshotRequest()
		}
	case w.Install != nil:
		done.Err = g.snapshots.InstallSnapshot(wire.AppendPosition(nil, w.Install))
		done.Time = g.snapshots.LogTime()
	default:
		done.Request, done.Complete, done.Err = g.snapshots.StageSnapshot(w.Chunk)
	}
	return done
}

// serve gets a piece of this server's state, and finds out where in the log it is.
func (g *Group) serve(w *replica.Serve) replica.Served {
	done := replica.Served{To: w.To, Boot: w.Boot, Number: w.Number}
	if g.snapshots == nil {
		done.Err = errNoSnapshots
		return done
	}
	var index Index
	if done.Chunk, index, done.Err = g.snapshots.ServeSnapshot(w.Request, w.LimitBytes); done.Err == nil {
		done.Position, done.Err = g.positionOf(index)
	}
	if at := g.machine.DurableIndex(); done.Err != nil && at > 0 {
		done.Position, _ = g.positionOf(at) // if it is known
	}
	return done
}

// positionOf returns what a log has to know that is to begin after an entry. The log may have been compacted beyond it
// since the state was pinned there: then it is still known from the first time.
func (g *Group) positionOf(index Index) (*wire.Position, error) {
	for _, p := range g.positions {
		if p.Index == index {
			return p, nil
		}
	}
	p, err := g.host.log.Position(g.id, index)
	if err != nil {
		return nil, err
	}
	g.positions = append(g.positions, p)
	if len(g.positions) > maxPositions {
		g.positions = g.positions[1:]
	}
	return p, nil
}

// maxPositions is how many places are remembered at which states are pinned.
const maxPositions = 64

// tellFlushed tells the replica what the log need not keep, and what the state has become.
func (g *Group) tellFlushed() {
	if sums, ok := g.machine.(Sums); ok {
		g.put(replica.Sums{Sums: sums.Sums()})
	}
	if g.snapshots == nil {
		return
	}
	o := &g.host.options
	g.put(replica.Flushed{
		Index:  g.machine.DurableIndex(),
		Keep:   g.host.log.Behind(g.id, o.KeepLogBytes),
		Compel: g.host.log.Behind(g.id, o.MaxLogBytes),
	})
}

// dropHoles drops the entries that a log has lost, as far as the state has what they did, durably.
func (h *Host) dropHoles(id GroupID, found *wal.Group, applied Index, snapshots Snapshots) error {
	if snapshots == nil {
		return nil
	}
	found, err := h.takeUp(id, found, snapshots)
	if err != nil {
		return err
	}
	if to := found.Droppable(applied); to != 0 {
		if err := h.writer.write([]wal.Write{{Group: id, CompactTo: to}}); err != nil {
			return err
		}
		h.logger.Warn("entries of the log are lost to damage, and the state has what they did: the log begins later; suspect the disk",
			"group", uint64(id), "first", uint64(found.Holes[0].Index), "base", uint64(to))
	}
	now, err := h.logOf(id)
	h.recovered[id] = &now
	return err
}

// Regains tells whether what a group's state lacks, which ends at an entry, could be had: from the log, or, where that
// begins later, from another member. The error says what is missing. It is for the time between Open and Start.
func (h *Host) Regains(id GroupID, applied Index) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.regains(h.recovered[id], applied)
}

func (h *Host) regains(g *wal.Group, applied Index) error {
	if g == nil || g.Base.Index <= applied {
		return nil
	}
	newest := g.Configurations[0] // the newest that is known: later ones may be lost
	for _, at := range g.Configurations {
		if at.Bytes != nil {
			newest = at
		}
	}
	c, err := wire.DecodeConfiguration(newest.Bytes)
	if err != nil {
		return fmt.Errorf("configuration of entry %d: %w", newest.Index, err)
	}
	for i := range c.Members {
		if c.Members[i].ID != h.id {
			return nil
		}
	}
	return fmt.Errorf("%w: it ends at entry %d, the log begins after %d, and no other server belongs to the group that could have what is between", ErrStateLost, applied, g.Base.Index)
}

// takeUp lets the log begin after the state that the state machine has installed, if a crash came between the two.
func (h *Host) takeUp(id GroupID, found *wal.Group, snapshots Snapshots) (*wal.Group, error) {
	w, err := replica.TakeUp(found, snapshots.InstalledPosition())
	if w == nil || err != nil {
		return found, err
	}
	if err := h.writer.write([]wal.Write{*w}); err != nil {
		return nil, err
	}
	now, err := h.logOf(id)
	return &now, err
}
