package sim

import (
	"errors"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
)

// storage is the log writer of a server: the writes that wait, and those under way. While a sync is
// under way, what is to be written gathers, and goes out with the next one, as in the host.
type storage struct {
	waiting []replica.Write
	writing []replica.Write // appended, and not synced yet
	writes  uint64          // how many batches were written
	due     bool            // the sync would be done, if the disk did not stand still
	age     age
}

// sealAfter is how long after the last write the host seals its log.
const sealAfter = 50 * 1_000_000

// write hands writes to the log writer.
func (s *server) write(writes []replica.Write) {
	s.storage.waiting = append(s.storage.waiting, writes...)
	s.writeNext()
}

// writeNext appends everything that waits, unless a sync is under way.
func (s *server) writeNext() {
	w, t := s.world, &s.storage
	if len(t.writing) > 0 || len(t.waiting) == 0 {
		return
	}
	t.writing, t.waiting = t.waiting, nil
	t.age.writing, t.age.waiting = t.age.waiting, 0
	t.writes++
	s.checks.Appended(t.writing)
	if err := s.log.Append(forLog(t.writing)); err != nil {
		s.fail(err)
		return
	}
	delay := w.dice.spread(s.labels.sync, w.plan.syncTime)
	if s.slow > 0 {
		delay *= s.slow
	}
	s.after(evSynced, delay)
}

// forLog puts writes as the log takes them.
func forLog(writes []replica.Write) []wal.Write {
	batch := make([]wal.Write, len(writes))
	for i := range writes {
		r := &writes[i]
		batch[i] = wal.Write{Group: group, CompactTo: r.CompactTo, HardState: r.HardState, TruncateFrom: r.TruncateFrom, First: r.First, Records: r.Records}
		if p := r.Base; p != nil {
			batch[i].Base = &wal.Base{EntryID: p.EntryID, Hash: p.Hash, Configuration: p.Configuration}
		}
	}
	return batch
}

// synced makes what was appended durable, and reports it.
func (s *server) synced() {
	w, t := s.world, &s.storage
	if s.stalled {
		t.due = true
		return
	}
	if err := s.log.Sync(); err != nil {
		s.fail(err)
		return
	}
	s.checks.Synced()
	s.put(replica.Persisted{Ticket: t.writing[len(t.writing)-1].Ticket})
	t.writing, t.age.writing = nil, 0
	s.after(evPrepare, w.dice.spread(s.labels.prepare, 4*w.plan.syncTime))
	s.writeNext()
	if s.up && len(t.writing) == 0 {
		w.queue.add(event{at: w.now + sealAfter, kind: evSeal, server: s.index, life: s.life, number: t.writes})
	}
}

// seal seals a log that has been idle.
func (s *server) seal(writes uint64) {
	t := &s.storage
	if t.writes != writes || len(t.writing) > 0 {
		return
	}
	if err := s.log.Seal(); err != nil {
		s.fail(err)
	}
}

// prepare makes the log's next segment.
func (s *server) prepare() {
	before := s.disk.Operation()
	if err := s.log.Prepare(); err != nil {
		s.fail(err)
		return
	}
	if s.disk.Operation() > before {
		s.world.counts.Segments++
		s.witness.segmentAt = s.replica.Core().LastIndex()
	}
	before = s.disk.Operation()
	if err := s.log.Release(); err != nil {
		s.fail(err)
		return
	}
	if s.disk.Operation() > before {
		s.world.counts.SegmentsReleased++
	}
}

// fetch reads from the log, a while later.
func (s *server) fetch(f replica.Fetch) {
	w := s.world
	if f.ID&1 == 1 {
		w.counts.PeerFetches++
	} else {
		w.counts.ApplyFetches++
	}
	w.queue.add(event{at: w.now + w.dice.spread(s.labels.read, w.plan.readTime), kind: evFetched, server: s.index, life: s.life, data: f})
}

func (s *server) fetched(f replica.Fetch) {
	records, err := s.log.Read(group, f.First, f.Last, f.LimitBytes)
	s.put(replica.Fetched{ID: f.ID, Records: records, Err: err, Compacted: errors.Is(err, wal.ErrCompacted)})
}

// apply hands entries to the state machine, which takes a while.
func (s *server) apply(a *replica.Apply) {
	w := s.world
	if s.machine.underWay != nil {
		w.check.Fail("C10", "server %d was given entries to apply while others are being applied", s.id)
		return
	}
	s.machine.underWay = a
	s.informer.applies()
	s.after(evApplied, w.dice.spread(s.labels.apply, w.plan.applyTime))
}

// applied applies them.
func (s *server) applied() {
	w := s.world
	a := s.machine.underWay
	s.machine.underWay = nil
	told := s.informer.collects()
	answers, err := s.machine.apply(a.Entries, told)
	if err != nil {
		s.stateFails("K1", err, "it cannot apply entries from %d on", a.Entries[0].Index)
		return
	}
	w.counts.Applies += len(a.Entries)
	s.witnessApplied(a.Entries)
	digest := s.machine.digest()
	w.trace.addBytes(digest[:])
	s.checks.Applied(a.Entries, answers, digest)
	w.watching.learn(w.check.Model())
	s.informer.applied(told)
	s.put(replica.Applied{Answers: answers})
	s.tellSums()
}

// flush makes the state machine durable.
func (s *server) flush() {
	w := s.world
	s.after(evFlush, w.dice.spread(s.labels.flush, w.plan.flushEvery))
	index, err := s.machine.flush()
	if err != nil {
		s.stateFails("K1", err, "it cannot flush")
		return
	}
	w.counts.Flushes++
	s.checks.Flushed(index)
	s.flushedTo(index)
}

// remove lets the state machine remove some of what is compacted.
func (s *server) remove() {
	w := s.world
	s.after(evRemove, w.dice.spread(s.labels.remove, w.plan.removeEvery))
	if _, err := s.machine.store.CompactStep(16); err != nil {
		s.stateFails("K1", err, "it cannot remove what is compacted")
	}
}

// lastApplied returns how far the state machine is.
func (s *server) lastApplied() raft.Index { return raft.Index(s.machine.store.AppliedIndex()) }
