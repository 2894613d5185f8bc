package scenario

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// server is one of servers. What survives a crash is its disk, with the log; the store's state does not, so each start
// applies the whole log again.
type server struct {
	servers *servers
	id      raft.ServerID
	checks  *check.Server
	disk    *crashdisk.Disk
	boot    uint64
	slow    bool // what is written to its disk is not synced

	// While it is up:
	log     *wal.Log         // nil: it is down
	replica *replica.Replica // nil while the log has holes:
	healing *replica.Healing
	store   *store
	inbox   []replica.Input
	waiting []replica.Write // for the log
	writing []replica.Write // appended, and not synced
	hard    raft.HardState  // of the latest write
	full    bool            // there is no room for the log's next segment
}

func (s *server) isUp() bool { return s.log != nil }

// put hands in something that has happened; turn lets the server take it in.
func (s *server) put(in replica.Input) { s.inbox = append(s.inbox, in) }

// tick lets time pass, if the server is up. What has found no room on the disk is tried again.
func (s *server) tick(random uint64) {
	if !s.isUp() {
		return
	}
	s.put(replica.Tick{Random: random})
	s.prepare()
	s.turn()
}

// start starts a server from what is on its disk.
func (s *server) start() {
	s.boot++
	if err := s.open(); err != nil {
		s.servers.tell("%d: does not start: %v", s.id, err)
		s.stop()
		return
	}
	s.prepare()
	s.turn()
}

func (s *server) open() error {
	c := s.servers
	log, recovered, err := wal.Open(wal.Options{
		FS: s.disk, Dir: logDir, SegmentBytes: c.segment, Cluster: cluster, Server: uint64(s.id), Boot: s.boot, KeepHoles: true,
	})
	if err != nil {
		return err
	}
	s.log = log
	if t := recovered.TornTail; t != nil {
		c.tell("%d: the last write was not finished: the log is cut at byte %d of %s", s.id, t.Offset, t.File)
	}
	for _, h := range recovered.Healed {
		c.tell("%d: %s is damaged at byte %d, and was made good: suspect the disk", s.id, h.File, h.Offset)
	}
	found, err := s.group(&recovered)
	if err != nil {
		return err
	}
	opened, err := kv.Open(treekv.New(), kv.Options{Cluster: cluster})
	if err != nil {
		return err
	}
	s.store = &store{Store: opened}
	if len(found.Holes) == 0 {
		return s.begin(&found)
	}
	for i := range found.Holes {
		c.tell("%d: %v", s.id, &wal.HoleError{Hole: found.Holes[i]})
	}
	s.checks.Heals(imageOf(&found), 0)
	s.healing, err = replica.NewHealing(s.replicaOptions(), found, 0)
	return err
}

// group returns what the log has of the group, which is begun in an empty one.
func (s *server) group(recovered *wal.Recovered) (wal.Group, error) {
	if len(recovered.Groups) > 0 {
		return recovered.Groups[0], nil
	}
	base := wal.Base{Configuration: wire.AppendConfiguration(nil, s.servers.first)}
	err := errors.Join(s.log.Append([]wal.Write{{Group: group, Base: &base}}), s.log.Sync())
	found, _ := s.log.State(group)
	return found, err
}

// begin makes the replica of a server whose log is whole.
func (s *server) begin(found *wal.Group) error {
	state, err := replica.Restart(s.log, *found, 0)
	if err != nil {
		return err
	}
	if s.replica, err = replica.New(s.replicaOptions(), state); err != nil {
		return err
	}
	s.hard = found.HardState
	s.checks.Restored(imageOf(found), check.ViewOf(s.replica.Core()), 0)
	return nil
}

func (s *server) replicaOptions() replica.Options {
	options := s.servers.options
	options.Boot, options.Member = s.boot, *s.servers.first.Member(s.id)
	return options
}

// imageOf says to the checker what was found in the log.
func imageOf(g *wal.Group) check.Image {
	image := check.Image{HardState: g.HardState, Last: g.Last, LastHash: g.LastHash, LastTerm: g.Base.Term}
	if n := len(g.Runs); n > 0 {
		image.LastTerm = g.Runs[n-1].Term
	}
	return image
}

// turn lets the server take in what has happened, and carries out what is then to be done, until there is nothing. An
// invariant of the code that breaks is a violation like those that package check finds.
func (s *server) turn() {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *invariant.Violation:
			s.servers.check.Fail("I1", "server %d: %s", s.id, p.Text)
		default:
			panic(p)
		}
	}()
	for s.isUp() && len(s.inbox) > 0 && s.servers.check.Violation() == nil {
		inputs := s.inbox
		s.inbox = nil
		if s.healing != nil {
			s.turnHealing(inputs)
			continue
		}
		work := s.replica.Step(0, inputs)
		s.checks.Stepped(inputs, work.Writes, check.ViewOf(s.replica.Core()))
		s.carryOut(&work)
	}
}

// carryOut does what a replica wants to be done.
func (s *server) carryOut(work *replica.Work) {
	for _, e := range work.Events {
		s.servers.tell("%d: %s", s.id, e)
	}
	switch {
	case work.Fatal != nil:
		s.end(work.Fatal)
		return
	case work.Snapshot != nil || len(work.Serve) > 0:
		s.servers.check.Fail("T1", "server %d asks for another's state, or is asked for its own: that is not on this stage", s.id)
		return
	}
	s.waiting = append(s.waiting, work.Writes...)
	s.tellWrites(work.Writes)
	s.writeNext()
	if !s.isUp() { // the disk is full
		return
	}
	for _, m := range work.Send {
		s.send(m)
	}
	if work.Apply != nil {
		s.apply(work.Apply)
	}
	for _, f := range work.Fetch {
		records, err := s.log.Read(group, f.First, f.Last, f.LimitBytes)
		s.put(replica.Fetched{ID: f.ID, Records: records, Err: err})
	}
	for i := range work.Answers {
		s.answered(&work.Answers[i])
	}
}

// send lets a message leave.
func (s *server) send(m replica.Outgoing) {
	decoded, err := wire.DecodeMessage(m.Message)
	if err != nil {
		s.servers.check.Fail("N2", "server %d sends what nobody can read: %v", s.id, err)
		return
	}
	if s.healing != nil {
		s.checks.Asked(m.To, &decoded)
	} else {
		s.checks.Sent(m.To, &decoded)
	}
	s.servers.tell("%d -> %d: %s", s.id, m.To, s.servers.sayMessage(&decoded))
	s.servers.network = append(s.servers.network, letter{s.id, m.To, m.Message})
}

// apply hands committed entries to the store.
func (s *server) apply(a *replica.Apply) {
	c := s.servers
	answers := make([][]byte, len(a.Entries))
	var applied, refused []string
	for i := range a.Entries {
		e := &a.Entries[i]
		text := c.sayCommand(&e.Command)
		command := kv.Command{Index: uint64(e.Index), Time: e.Command.Time, Kind: kv.Kind(e.Command.Kind), Request: e.Command.Request}
		answer, err := s.store.execute(text, command)
		if err != nil {
			s.end(err)
			return
		}
		answers[i] = answer.Append(nil)
		applied = append(applied, sayEntry(e.Index, text, e.Term))
		if answer.Err != kv.CodeOK {
			refused = append(refused, fmt.Sprintf("%d: store: %d:%s is refused: %s", s.id, e.Index, text, answer.Err))
		}
	}
	c.tellApplied(s.id, applied, refused)
	digest, _ := s.store.Digest()
	s.checks.Applied(a.Entries, answers, digest)
	s.put(replica.Applied{Answers: answers})
}

// end ends a server that must not go on, as the host does: the process, and not the machine.
func (s *server) end(why error) {
	s.servers.tell("%d: ends: %v", s.id, why)
	s.disk.Kill()
	s.stop()
}

// stop forgets all that a server has in memory.
func (s *server) stop() {
	s.checks.Stopped()
	s.log, s.replica, s.healing, s.store, s.inbox, s.waiting, s.writing, s.full = nil, nil, nil, nil, nil, nil, nil, false
}

// turnHealing is turn while the log has holes: the server is down for all others.
func (s *server) turnHealing(inputs []replica.Input) {
	work := s.healing.Step(inputs)
	s.carryOut(&work)
	if s.healing == nil || !s.healing.Healed() {
		return
	}
	held := s.healing.Held()
	if err := s.becomeWhole(); err != nil {
		s.end(err)
		return
	}
	s.inbox = append(held, s.inbox...)
}

// becomeWhole lets the replica begin from a log that has no holes any more.
func (s *server) becomeWhole() error {
	if err := s.log.Seal(); err != nil { // or damage to what was fetched could be taken for a torn tail
		return err
	}
	s.healing = nil
	found, _ := s.log.State(group)
	if found.LastHash == (wire.Hash{}) {
		records, err := s.log.Read(group, found.Last, found.Last, 1)
		if err != nil {
			return err
		}
		found.LastHash = wire.Raw(records[0]).Hash()
	}
	return s.begin(&found)
}

// writeNext appends what waits, unless a write is under way, and syncs it, unless the disk is slow.
func (s *server) writeNext() {
	for s.isUp() && len(s.writing)+len(s.waiting) > 0 {
		if len(s.writing) == 0 {
			s.writing, s.waiting = s.waiting, nil
			if err := s.append(); err != nil {
				s.end(fmt.Errorf("write to the log: %w", err))
				return
			}
		}
		if s.slow {
			return
		}
		if err := s.log.Sync(); err != nil {
			s.end(fmt.Errorf("write to the log: %w", err))
			return
		}
		s.checks.Synced()
		s.put(replica.Persisted{Ticket: s.writing[len(s.writing)-1].Ticket})
		s.writing = nil
		s.prepare()
	}
}

func (s *server) append() error {
	batch := make([]wal.Write, len(s.writing))
	for i := range s.writing {
		w := &s.writing[i]
		batch[i] = wal.Write{Group: group, HardState: w.HardState, TruncateFrom: w.TruncateFrom, First: w.First, Records: w.Records}
	}
	if s.healing == nil {
		s.checks.Appended(s.writing)
	}
	for i := range s.writing {
		if from := s.writing[i].TruncateFrom; s.healing != nil && from != 0 {
			s.checks.Cuts(from)
		}
	}
	return s.log.Append(batch)
}

// prepare makes the log's next segment. If there is no room for it, the server goes on as long as the open one has some,
// as with the host.
func (s *server) prepare() {
	if !s.isUp() {
		return
	}
	err := s.log.Prepare()
	switch {
	case err == nil:
		if s.full {
			s.servers.tell("%d: the disk has room for the log's next segment again", s.id)
		}
		s.full = false
	case errors.Is(err, syscall.ENOSPC) && !errors.Is(err, wal.ErrBroken):
		if !s.full {
			s.servers.tell("%d: the disk has no room for the log's next segment: %v", s.id, err)
		}
		s.full = true
	default:
		s.end(fmt.Errorf("prepare the log's next segment: %w", err))
	}
}

// seal seals a log that is idle, as the host does after a moment.
func (s *server) seal() {
	if !s.isUp() || len(s.writing) > 0 || len(s.waiting) > 0 {
		return
	}
	if err := s.log.Seal(); err != nil {
		s.end(fmt.Errorf("write to the log: %w", err))
	}
	s.prepare()
}
