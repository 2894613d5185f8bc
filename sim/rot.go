package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// In some worlds, logs rot while their servers are down. What is hit is never lost on two servers at once, so that each
// piece survives somewhere, or was never anywhere else.

// drawRot draws whether logs rot. Whoever heals may need any other, so then everything heals in the end.
func (p *plan) drawRot(d dice) {
	if p.servers < 3 || p.churn.spares > 0 || !d.chance("plan.has.rot", 120_000) {
		return
	}
	p.rot = d.between("plan.rot", 200_000, 900_000)
	p.ending = everythingHeals
	if p.crashEvery == 0 {
		p.crashEvery = d.scale("plan.rotCrash", second/2, 8*second)
	}
}

// rotten are the entries that a server has lost, or may have, since its disk was damaged; empty once it is whole.
type rotten map[raft.EntryID]bool

// place is a part of a log that may rot.
type place struct {
	file     string
	from, to int64
	frame    uint64
	entry    raft.EntryID // whose payload it is, or no entry's
	// header is the entry whose header it is: mended, unless what is beside it is lost, too.
	header raft.EntryID
	// lost are the entries of a frame that may be lost as a whole; then nothing else is said of it.
	lost []raft.EntryID
}

// isOwn reports whether a record is a hard state or a base, which no peer could send again.
func isOwn(r *wire.Record) bool { return r.Kind == wire.RecordHardState || r.Kind == wire.RecordBase }

// rot damages the log of a server that is about to start.
func (s *server) rot() {
	w := s.world
	label := fmt.Sprintf("server.rot %d", s.id)
	if w.plan.rot == 0 || w.ending || s.failing || !s.kept || !w.dice.chance(label, w.plan.rot) {
		return
	}
	places := s.rottable()
	last := w.dice.below(label, 12)
	hit := map[uint64]bool{}
	for range last + 1 {
		if len(places) == 0 {
			return
		}
		p := places[w.dice.below(label, len(places))]
		if w.dice.chance(label, 150_000) { // one of those that are lost as a whole, which are the last
			p = places[len(places)-1]
		}
		if hit[p.frame] {
			continue // two places in one frame may be more than its copies can mend
		}
		hit[p.frame] = true
		if len(p.lost) > 0 {
			if hit[p.frame-1] || hit[p.frame+1] {
				continue // what is lost is told by what is around it
			}
			hit[p.frame-1], hit[p.frame+1] = true, true
			for _, id := range p.lost {
				s.rotten[id] = true
			}
			w.counts.RottenFrames++
			w.tell(s, "frame %d of %s is lost, at %d, with entries %v", p.frame, p.file, p.from, p.lost)
			if w.dice.either(s.labels.unread) {
				s.unread(p.file, p.from)
			} else {
				s.flip(p.file, p.from, 4096)
			}
			continue
		}
		if p.header.Index != 0 {
			s.rotten[p.header] = true
		}
		bytes := 1 // of a header; more of it would be refused, and rightly
		if p.entry.Index != 0 {
			bytes = 1 + w.dice.below(label, int(min(p.to-p.from, 64)))
			s.rotten[p.entry] = true
		}
		from := p.from + int64(w.dice.below(label, int(p.to-p.from)-bytes+1))
		s.flip(p.file, from, bytes)
		w.counts.RottenBytes += bytes
	}
	w.counts.Rots++
	w.tell(s, "its log rots: %d entries are hit", len(s.rotten))
}

// unread lets the disk refuse to read a block of a file.
func (s *server) unread(file string, at int64) {
	w := s.world
	w.counts.UnreadBlocks++
	w.tell(s, "the disk does not read %s at %d", file, at)
	if err := s.disk.Unread(file, at); err != nil {
		w.check.Fail("T1", "rot: %v", err)
	}
}

// flip damages some bytes of a file.
func (s *server) flip(file string, from int64, bytes int) {
	w := s.world
	w.tell(s, "rot: %d bytes of %s at %d", bytes, file, from)
	for k := range int64(bytes) {
		if err := s.disk.Flip(file, from+k, byte(1+w.dice.below("server.flip", 255))); err != nil {
			w.check.Fail("T1", "rot: %v", err)
		}
	}
}

// frameSeen is a sound frame in a log.
type frameSeen struct {
	file    string
	offset  int64
	number  uint64
	entries []raft.EntryID
	others  int // records that are neither entries nor hard states
}

// losable returns the frames that may be lost as a whole. They have entries and hard states only, and so has the one behind
// them: a truncation is told by nothing else, and then the damage is rightly refused, or never comes to an end.
// Of several entries in one frame that were not committed, others may have the first and lack the last: which ones they were is not
// known then, and the server waits for ever.
func losable(frames []frameSeen, isLost, isCommitted func(raft.EntryID) bool) (places []place) {
	for k := 1; k+1 < len(frames); k++ {
		before, f, after := &frames[k-1], &frames[k], &frames[k+1]
		if before.file != f.file || after.file != f.file || before.number+1 != f.number || f.number+1 != after.number {
			continue
		}
		if f.others+after.others > 0 || len(f.entries) == 0 || len(after.entries) == 0 || slices.ContainsFunc(f.entries, isLost) || len(f.entries) > 1 && !isCommitted(f.entries[len(f.entries)-1]) {
			continue
		}
		places = append(places, place{file: f.file, from: f.offset, to: f.offset + 4096, frame: f.number, lost: f.entries})
	}
	return places
}

// rottable returns what may rot on a server's disk: the headers of frames, hard states and bases, and headers and payloads of entries, of all
// that is known to be durable. Damage behind that is taken for a torn tail, which is a published exception.
func (s *server) rottable() []place {
	var places []place
	var frames []frameSeen
	var frame uint64
	synced := map[uint64]uint64{} // what each frame calls durable, unless it is void: of a segment before one that begins with its number, or a lower one
	firsts := map[string]uint64{}
	err := wal.Scan(s.disk, walDir, func(i wal.Item) error {
		switch {
		case i.Segment != nil:
			firsts[i.File] = i.Segment.FirstFrame
			for n := range synced { //tidy:ordered each is dropped or not by itself
				if !i.Segment.Blank && n >= i.Segment.FirstFrame {
					delete(synced, n)
				}
			}
		case i.Frame != nil && i.Wrong == "":
			frame = i.Frame.Sequence
			synced[frame] = i.Frame.Synced
			if !s.world.plan.snapshot.compacts { // or what is in it may not be known any more: see below
				places = append(places, place{file: i.File, from: i.Offset, to: i.Offset + 72, frame: frame})
			}
			frames = append(frames, frameSeen{file: i.File, offset: i.Offset, number: frame})
		case i.Frame != nil:
			frame = 0
		case i.Record != nil && frame > 0 && i.Wrong == "" && isOwn(i.Record):
			places = append(places, place{file: i.File, from: i.Offset, to: i.Offset + wire.RecordHeaderBytes + int64(len(i.Record.Payload)), frame: frame})
			if i.Record.Kind == wire.RecordBase { // hard states the next frame has, too
				frames[len(frames)-1].others++
			}
		case i.Record != nil && frame > 0 && (i.Wrong != "" || !i.Record.IsEntry() || i.Record.Flags != 0):
			frames[len(frames)-1].others++
		case i.Record != nil && frame > 0:
			id := raft.EntryID{Index: i.Record.Index, Term: i.Record.Term}
			frames[len(frames)-1].entries = append(frames[len(frames)-1].entries, id)
			payload := i.Offset + wire.RecordHeaderBytes
			if s.world.isLostElsewhere(s, id) {
				return nil
			}
			places = append(places, place{file: i.File, from: i.Offset, to: payload, frame: frame, header: id})
			if n := int64(len(i.Record.Payload)); n > 0 {
				places = append(places, place{file: i.File, from: payload, to: payload + n, frame: frame, entry: id})
			}
		}
		return nil
	})
	if err != nil {
		s.world.check.Fail("T1", "rot: %v", err)
	}
	places = append(places, losable(frames, func(id raft.EntryID) bool { return s.world.isLostElsewhere(s, id) }, s.world.check.IsCommitted)...)
	sound := map[string]bool{}
	for _, f := range frames {
		sound[fmt.Sprint(f.file, f.number)] = true
	}
	mark := uint64(0)
	for _, n := range synced { //tidy:ordered the highest is the highest
		mark = max(mark, n)
	}
	kept := places[:0]
	for _, p := range places {
		if !sound[fmt.Sprint(p.file, p.frame-1)] && p.frame != firsts[p.file] {
			continue // what follows a frame that was lost before proves what that was
		}
		if p.frame <= mark && p.frame > 0 && (len(p.lost) == 0 || p.frame < mark) {
			kept = append(kept, p)
		}
	}
	return kept
}

// isLostElsewhere reports whether another server has lost an entry.
func (w *world) isLostElsewhere(s *server, id raft.EntryID) bool {
	for _, other := range w.servers {
		if other != s && other.rotten[id] {
			return true
		}
	}
	return false
}

// endsAreLost reports whether two servers heal that have both lost what was never committed: at their ends they may wait for each
// other's terms for ever (ADR 18), and nobody can be elected without them.
func (w *world) endsAreLost() bool {
	n := 0
	for _, s := range w.servers {
		if s.healing == nil || s.healing.Status().Healing.Missing == 0 {
			continue
		}
		for id := range s.rotten { //tidy:ordered any is enough
			if !w.check.IsCommitted(id) {
				n++
				break
			}
		}
	}
	return n >= 2 && n >= len(w.servers)-len(w.servers)/2
}

// beginHealing lets a server heal whose log has holes. It is down for all others until it has.
// image is what was found in the log.
func (s *server) beginHealing(found *wal.Group, image check.Image) error {
	w := s.world
	var err error
	if s.healing, err = replica.NewHealing(s.replicaOptions(), *found, s.machine.durable()); err != nil {
		return err
	}
	for _, h := range found.Holes {
		if h.Known() && !s.rotten[h.EntryID] {
			w.check.Fail("R1", "server %d has lost entry %d of term %d, which was not hit", s.id, h.Index, h.Term)
		}
	}
	w.counts.Healings++
	w.counts.Holes += len(found.Holes)
	s.checks.Heals(image, s.machine.durable())
	return nil
}

// handleHealing lets an event happen to a server that heals.
func (s *server) handleHealing(e *event) {
	w := s.world
	switch e.kind {
	case evTick:
		s.after(evTick, w.plan.tick*s.rate/million)
		s.put(s.nextTick())
	case evDeliver:
		w.deliverHealing(s, e)
	case evSynced:
		if err := s.log.Sync(); err != nil {
			s.failHealing(err)
			return
		}
		s.checks.Synced()
		s.put(replica.Persisted{Ticket: raft.Ticket(e.number)})
	case evFetched:
		s.fetched(e.data.(replica.Fetch))
	case evSnapshot:
		s.stepSnapshot()
	case evServe:
		s.serve(e.data.(*replica.Serve))
	case evKeyKnown:
		s.put(replica.KeyKnown{ID: raft.ServerID(e.number), Key: keyOf(raft.ServerID(e.number))})
	}
	if s.healing != nil && len(s.inbox) > 0 {
		s.turnHealing()
	}
}

// deliverHealing hands a message to a server that heals.
func (w *world) deliverHealing(s *server, e *event) {
	w.wedges.onTheWay--
	m, err := wire.DecodeMessage(e.bytes)
	if w.link(int(e.number), s.index).cuts > 0 || err != nil {
		w.counts.Lost++
		return
	}
	s.put(replica.Receive{From: raft.ServerID(e.number + 1), Message: m})
}

func (s *server) turnHealing() {
	w := s.world
	inputs := s.inbox
	s.inbox, s.spare = s.spare[:0], inputs
	work := s.healing.Step(inputs)
	clear(inputs)
	if work.Fatal != nil {
		w.check.Fail("R2", "server %d must not go on healing: %v", s.id, work.Fatal)
		return
	}
	for _, e := range work.Events {
		w.tell(s, "%s", e)
		switch e := e.(type) {
		case replica.Filled:
			w.counts.HolesFilled++
		case replica.Cut:
			w.counts.HolesCut++
		case replica.Misfit:
			w.check.Fail("C4", "server %d: %v", s.id, e)
		}
	}
	if len(work.Writes) > 0 && !s.writeHealing(work.Writes) {
		return
	}
	for i := range work.Send {
		m := &work.Send[i]
		decoded, err := wire.DecodeMessage(m.Message)
		if err != nil {
			w.check.Fail("N2", "server %d sends what nobody can read: %v", s.id, err)
			return
		}
		s.checks.Asked(m.To, &decoded)
		w.send(s.index, *m)
	}
	for _, f := range work.Fetch {
		s.fetch(f)
	}
	s.snapshotWork(&work)
	if s.healing.Healed() {
		s.becomeWhole()
	}
}

// writeHealing appends what a server that heals writes; false if its disk has failed, or it crashes over it.
func (s *server) writeHealing(writes []replica.Write) bool {
	w := s.world
	if err := s.log.Append(forLog(writes)); err != nil {
		s.failHealing(err)
		return false
	}
	for i := range writes {
		if from := writes[i].TruncateFrom; from != 0 {
			s.checks.Cuts(from)
		}
		if writes[i].Base != nil {
			w.counts.HolesPassed++
			s.checks.BeginsAfter(&writes[i])
		}
	}
	if !w.ending && w.dice.chance(fmt.Sprintf("server.crashHealing %d", s.id), 50_000) {
		w.tell(s, "crashes while it heals")
		s.crash(w.dice.chance(s.labels.kill, w.plan.killShare))
		return false
	}
	w.queue.add(event{at: w.now + w.dice.spread(s.labels.sync, w.plan.syncTime), kind: evSynced, server: s.index, life: s.life,
		number: uint64(writes[len(writes)-1].Ticket)})
	return true
}

// failHealing is fail for a server that heals.
func (s *server) failHealing(err error) {
	if !s.failing || !errors.Is(err, crashdisk.ErrCrashed) {
		s.world.check.Fail("R2", "server %d must not go on healing: %v", s.id, err)
		return
	}
	s.crash(false)
}

// becomeWhole lets a server go on whose log has no holes any more.
func (s *server) becomeWhole() {
	w := s.world
	if err := s.log.Seal(); err != nil {
		s.failHealing(err)
		return
	}
	held := s.healing.Held()
	s.healing = nil
	s.life++ // what was planned for its healing does not happen
	found, _ := s.log.State(group)
	if len(found.Holes) > 0 {
		w.check.Fail("R1", "server %d is healed, and its log has holes: %v", s.id, found.Holes)
		return
	}
	if found.LastHash == (wire.Hash{}) {
		records, err := s.log.Read(group, found.Last, found.Last, 1)
		if err != nil {
			w.check.Fail("R1", "server %d is healed, and cannot read its log: %v", s.id, err)
			return
		}
		found.LastHash = wire.Raw(records[0]).Hash()
	}
	w.counts.Healed++
	if err := s.begin(&found, imageOf(&found), false); err != nil {
		w.check.Fail("R1", "server %d does not start after it has healed: %v", s.id, err)
		return
	}
	s.inbox = append(s.inbox, held...)
	s.run()
}
