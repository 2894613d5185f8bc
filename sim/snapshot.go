package sim

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// In most worlds logs are compacted, and in some so soon that servers are stranded which only were away for a moment:
// then they get another server's state. The steps are those of the host's snapshotter, each a while after it was asked
// for.

// snapshotPlan says how much of the log's end is kept, in bytes of its files.
type snapshotPlan struct {
	compacts     bool
	keep, compel int64
	// chunk bounds the pieces of a state.
	chunk int
	// releaseEvery is how often views are given back that nobody asks for.
	releaseEvery int64
}

// compacting is how many of a million worlds compact their logs.
const compacting = 700_000

func (p *plan) drawSnapshots(d dice) {
	if p.snapshot.compacts = d.chance("plan.compacts", compacting); !p.snapshot.compacts {
		return
	}
	p.snapshot.keep = d.scale("plan.snapshot.keep", 1, 1<<17)
	p.snapshot.compel = p.snapshot.keep + d.scale("plan.snapshot.compel", 1, 1<<20)
	if p.calm {
		p.snapshot.compel += 1 << 20 // nobody is away, so nobody is left behind
	}
	p.snapshot.chunk = int(d.scale("plan.snapshot.chunk", 64, 1<<14))
	p.snapshot.releaseEvery = d.scale("plan.snapshot.release", 100*1_000_000, 10*second)
}

func (p *snapshotPlan) String() string {
	return fmt.Sprintf("logs keep %d bytes, and at most %d; states come in pieces of %d", p.keep, p.compel, p.chunk)
}

// planSnapshots begins what happens in every life.
func (s *server) planSnapshots() {
	if p := &s.world.plan.snapshot; p.compacts {
		s.after(evRelease, s.world.dice.spread(s.labels.release, p.releaseEvery))
	}
}

func (s *server) release() {
	s.planSnapshots()
	s.machine.store.ReleaseSnapshots()
}

// flushedTo tells the replica how far the state is durable.
func (s *server) flushedTo(index raft.Index) {
	if p := &s.world.plan.snapshot; p.compacts {
		s.put(replica.Flushed{Index: index, Keep: s.log.Behind(group, p.keep), Compel: s.log.Behind(group, p.compel)})
	}
}

// snapshotWork plans one step towards another server's state, and what others lack of this one's.
func (s *server) snapshotWork(work *replica.Work) {
	w := s.world
	if work.Snapshot != nil {
		if s.machine.step != nil {
			w.check.Fail("C15", "server %d was given a second step towards a state while one is under way", s.id)
			return
		}
		if work.Snapshot.Install != nil && s.machine.underWay != nil {
			w.check.Fail("C15", "server %d is to take over a state while entries are being applied", s.id)
			return
		}
		s.machine.step = work.Snapshot
		s.after(evSnapshot, w.dice.spread(s.labels.snapshot, w.plan.applyTime))
	}
	for i := range work.Serve {
		w.queue.add(event{at: w.now + w.dice.spread(s.labels.serve, w.plan.readTime), kind: evServe, server: s.index, life: s.life, data: &work.Serve[i]})
	}
}

// stepSnapshot carries out a step towards another server's state.
func (s *server) stepSnapshot() {
	w, m := s.world, &s.machine
	step := m.step
	m.step = nil
	var done replica.SnapshotWorked
	switch {
	case step.Begin:
		if step.Drop {
			w.counts.StagesDropped++
			if err := m.store.DropStaged(); err != nil {
				w.check.Fail("C15", "server %d cannot drop what is staged: %v", s.id, err)
			}
		}
		done.Request, done.Err = m.store.SnapshotRequest()
		w.counts.SnapshotsBegun++
	case step.Install != nil:
		if done.Err = m.store.InstallSnapshot(wire.AppendPosition(nil, step.Install)); done.Err != nil {
			w.check.Fail("C15", "server %d cannot take over the state of entry %d: %v", s.id, step.Install.Index, done.Err)
			return
		}
		done.Time = m.store.Time()
		s.tookOver(step.Install.Index)
	default:
		done.Request, done.Complete, done.Err = m.store.StageSnapshot(step.Chunk)
		w.counts.SnapshotPieces++
		if done.Err == nil {
			s.witnessPiece(step.Chunk)
		}
		if done.Err != nil && !errors.Is(done.Err, kv.ErrSnapshotChunk) {
			w.check.Fail("C15", "server %d cannot stage a piece of a state: %v", s.id, done.Err)
		}
	}
	s.put(done)
}

// piece is what is remembered of the latest piece of a state that was staged.
type piece struct {
	from                     raft.ServerID
	lifeOfSender, ofReceiver int
}

// pieceArrives notes whose piece the state machine is about to stage.
func (s *server) pieceArrives(inputs []replica.Input, work *replica.Work) {
	if work.Snapshot == nil || work.Snapshot.Chunk == nil {
		return
	}
	for _, in := range inputs {
		if r, ok := in.(replica.Receive); ok {
			if m, ok := r.Message.Body.(*wire.SnapshotChunk); ok && bytes.Equal(m.Chunk, work.Snapshot.Chunk) {
				s.arriving = piece{r.From, s.world.servers[r.From-1].life, s.life}
			}
		}
	}
}

// witnessPiece looks at a piece that was staged. Its first byte behind layout and checksum says what it is: package kv
// draws it.
func (s *server) witnessPiece(chunk []byte) {
	const at, begins, full = 5, 1, 2
	w, last, now := s.world, s.staged, s.arriving
	s.staged = now
	switch flags := chunk[at]; {
	case flags&begins != 0 && flags&full != 0:
		w.mark(stateInFull)
	case flags&begins != 0:
		w.mark(stateByDelta)
	case last.ofReceiver != now.ofReceiver:
		w.mark(stateOutlivesReceiver)
	case last.from != now.from:
		w.mark(stateOfTwoSources)
	case last.lifeOfSender != now.lifeOfSender:
		w.mark(stateOutlivesSender)
	}
}

// tookOver notes that the state is another's now.
func (s *server) tookOver(index raft.Index) {
	w := s.world
	w.counts.SnapshotsInstalled++
	w.tell(s, "has taken over a state of entry %d", index)
	if got := s.lastApplied(); got != index {
		w.check.Fail("C15", "server %d has taken over a state of entry %d, and its store is at %d", s.id, index, got)
		return
	}
	s.tookOverAt = w.now
	if s.informer != nil && s.informer.wanted {
		w.mark(stateUnderWatchers)
	}
	s.checks.Installed(index, s.machine.digest())
	s.compareState()
	s.informer.applied(nil)
}

// compareState compares the content of a state that was taken over with those of all servers of which the same can be
// asked.
func (s *server) compareState() {
	w, store := s.world, s.machine.store
	for _, other := range w.servers {
		if other == s || !other.up || other.machine.store.Revision() < store.Revision() || other.machine.store.CompactRevision() != store.CompactRevision() {
			continue
		}
		for _, revision := range []int64{store.Revision(), max(store.CompactRevision(), store.Revision()/2, 1)} {
			ours, code, err := store.HashKV(revision)
			theirs, otherCode, otherErr := other.machine.store.HashKV(revision)
			if ours != theirs || code != otherCode || err != nil || otherErr != nil {
				w.check.Fail("C15", "at revision %d the state that server %d has taken over differs from that of %d: %v, %v, %v, and %v, %v, %v",
					revision, s.id, other.id, ours, code, err, theirs, otherCode, otherErr)
			}
		}
	}
}

// serve gives another server a piece of this one's state.
func (s *server) serve(work *replica.Serve) {
	w := s.world
	done := replica.Served{To: work.To, Boot: work.Boot, Number: work.Number}
	var index uint64
	done.Chunk, index, done.Err = s.machine.store.ServeSnapshot(work.Request, min(work.LimitBytes, w.plan.snapshot.chunk))
	if done.Err == nil {
		done.Position, done.Err = s.positionOf(raft.Index(index))
	}
	if done.Err == nil {
		w.counts.SnapshotPiecesServed++
	} else if at := s.machine.durable(); at > 0 {
		done.Position, _ = s.positionOf(at)
	}
	s.put(done)
}

// positionOf returns where a state is in the log, as the host does.
func (s *server) positionOf(index raft.Index) (*wire.Position, error) {
	if p := s.machine.positions[index]; p != nil {
		return p, nil
	}
	p, err := s.log.Position(group, index)
	if err == nil {
		if s.machine.positions == nil {
			s.machine.positions = map[raft.Index]*wire.Position{}
		}
		s.machine.positions[index] = p
	}
	return p, err
}

// takeUp lets the log begin after a state that was found beside it, as Host.Start does. It returns where that is, or 0.
func (s *server) takeUp(found *wal.Group) (raft.Index, error) {
	w, err := replica.TakeUp(found, s.machine.store.InstalledPosition())
	if w == nil || err != nil {
		return 0, err
	}
	if err := s.log.Append([]wal.Write{*w}); err != nil {
		return 0, err
	}
	s.world.mark(stateTakenUp)
	return w.Base.Index, s.log.Sync()
}

// dropHoles drops the entries that the log has lost, as far as the state has what they did, as Host.Start does.
func (s *server) dropHoles(found wal.Group) (wal.Group, error) {
	to := found.Droppable(s.machine.durable())
	if to == 0 {
		return found, nil
	}
	if err := s.log.Append([]wal.Write{{Group: group, CompactTo: to}}); err != nil {
		return found, err
	}
	if err := s.log.Sync(); err != nil {
		return found, err
	}
	s.world.counts.HolesDropped++
	now, _ := s.log.State(group)
	return now, nil
}
