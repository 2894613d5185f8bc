package sim

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// server is one server: what survives a crash, and, while it runs, what does not.
type server struct {
	world  *world
	index  int // in world.servers
	id     raft.ServerID
	checks *check.Server
	labels serverLabels

	// What survives.
	disk    *crashdisk.Disk
	machine machine // its engine keeps what was flushed
	boot    uint64
	kept    bool // the group's log was begun: it must be there from now on

	rotten rotten

	// What does not. A life ends with a crash; what was planned for it does not happen.
	life    int
	up      bool
	replica *replica.Replica
	healing *replica.Healing // instead of a replica, while its log has holes; then it is not up
	log     *wal.Log
	inbox   []replica.Input
	spare   []replica.Input
	peers   []raft.PeerStatus // kept for its room
	turning bool              // a turn is planned
	hasTick bool              // a tick is in the inbox
	storage storage
	// leases and sessions end those that are due; without a loop in a world without them.
	leases, sessions ender
	// informer tells those who watch; nil in a world without them.
	informer *informer
	// gotReply: the replica is about to see an acknowledgement.
	gotReply bool

	// A paused server lets everything wait in held.
	paused bool
	held   []event
	rate   int64 // how long its second takes, per million
	still  bool  // its clock stands still
	ahead  int64 // by how much its clock has leapt since the last tick
	clock  clock
	// delay is its campaign delay, until delayUntil, where that is drawn.
	delay      int
	delayUntil int64
	slow       int64 // how many times slower than usual its disk is; 0: as usual
	// stalled: its disk stands still.
	stalled bool
	// frozen: it stays down, or paused, for ever.
	frozen  bool
	strikes int // how many faults it has had
	// failing: an operation of its disk was made to fail, or to be its last.
	failing bool

	seen    seen
	window  window
	promise promise
	witness witness
	// arriving is whose piece of a state is about to be staged, and staged whose was last.
	arriving, staged piece
	sumsAt           uint64     // which multiple of an index was told last
	hashed           *kv.KVHash // all that it holds; nil: it has not looked
	// tookOverAt is when it took over another's state last.
	tookOverAt int64
	// stuckAt is when it ended last because its disk stood still.
	stuckAt int64
	// moments counts what has happened after which a crash is worth its while.
	moments int
}

type serverLabels struct {
	tick, rate, turn, sync, prepare, apply, read, flush, remove, known, sample, down, keep, kill, recovery, atOperation, operation, cutNow, crashNow, tear, mistaken, atOnce, news, feed, lessor, delay, delayFor, lie, unlinked, sessions, clock, snapshot, serve, release, unread string
}

func newServer(w *world, index int) *server {
	s := &server{world: w, index: index, id: raft.ServerID(index + 1), rate: million}
	label := func(what string) string { return fmt.Sprintf("server.%s %d", what, s.id) }
	s.labels = serverLabels{
		tick: label("tick"), rate: label("rate"), turn: label("turn"), sync: label("sync"), prepare: label("prepare"),
		apply: label("apply"), read: label("read"), flush: label("flush"), remove: label("remove"), known: label("known"),
		sample: label("sample"), down: label("down"), keep: label("keep"), kill: label("kill"), recovery: label("recovery"),
		atOperation: label("atOperation"), operation: label("operation"), cutNow: label("cutNow"), crashNow: label("crashNow"), tear: label("tear"), mistaken: label("mistaken"), atOnce: label("atOnce"),
		delay: label("delay"), delayFor: label("delayFor"), lie: label("lie"), unlinked: label("unlinked"),
		news: label("news"), feed: label("feed"), lessor: label("lessor"), sessions: label("sessions"), clock: label("clock"),
		snapshot: label("snapshot"), serve: label("serve"), release: label("release"), unread: label("unread"),
	}
	s.clock.showed = 1 + int64(w.dice.below(s.labels.clock, int(1000*second)))
	s.checks = w.check.Server(s.id)
	s.disk = crashdisk.New(w.plan.disk)
	s.machine.start()
	return s
}

// start starts a server from what it has. It does what Host.Open and Host.Start do.
func (s *server) start() {
	w := s.world
	s.strikes++
	s.boot++
	s.life++
	if w.dice.chance(s.labels.recovery, w.plan.crashInRecovery) && !w.ending {
		s.failing = true
		s.disk.StopAt(s.disk.Operation() + 1 + w.dice.below(s.labels.operation, 40))
	}
	if s.kept && !s.failing && w.dice.chance(s.labels.mistaken, mistakes) {
		s.startsAsAnother()
	}
	s.rot()
	if err := s.open(); err != nil {
		if s.failing && errors.Is(err, crashdisk.ErrCrashed) {
			w.counts.CrashesInRecovery++
			w.tell(s, "the power goes while it starts")
			s.crash(false)
			return
		}
		w.check.Fail("R1", "server %d does not start again: %v", s.id, err)
		return
	}
	if s.healing != nil {
		w.tell(s, "starts, and must heal first: boot %d", s.boot)
		s.after(evTick, int64(w.dice.below(s.labels.rate, int(w.plan.tick))))
		return
	}
	s.run()
}

// run lets a server run whose log is whole.
func (s *server) run() {
	w := s.world
	s.rotten = rotten{}
	s.up = true
	s.storage = storage{}
	s.startWatching()
	s.startEnders()
	w.tell(s, "starts: boot %d, term %d, log to %d, state to %d", s.boot, s.replica.Core().CurrentTerm(),
		s.replica.Core().LastIndex(), s.machine.durable())
	s.planLife()
	if len(w.servers) == 1 {
		s.put(replica.Campaign{}) // alone, there is nobody to wait for
	}
	s.mayTurn()
}

func (s *server) open() error {
	w := s.world
	log, recovered, err := wal.Open(wal.Options{
		FS: s.disk, Dir: walDir, SegmentBytes: w.plan.segmentBytes, Cluster: cluster, Server: uint64(s.id), Boot: s.boot, KeepHoles: true,
	})
	if err != nil {
		return err
	}
	s.log = log
	w.counts.Mended += len(recovered.Healed)
	if t := recovered.TornTail; t != nil {
		w.counts.TornTails++
		w.tell(s, "cuts a torn write off its log: %d bytes at %d of %s", t.Bytes, t.Offset, t.File)
	}
	found, err := s.group(&recovered)
	if err != nil {
		return err
	}
	if err := s.machine.open(&w.plan); err != nil {
		return err
	}
	image := imageOf(&found)
	if image.TakenUp, err = s.takeUp(&found); err != nil {
		return err
	}
	if image.TakenUp != 0 {
		found, _ = log.State(group)
	}
	if len(found.Holes) > 0 && w.plan.snapshot.compacts { // see drawPlan
		if found, err = s.dropHoles(found); err != nil {
			return err
		}
	}
	if len(found.Holes) > 0 {
		return s.beginHealing(&found, image)
	}
	return s.begin(&found, image, recovered.TornTail != nil)
}

// begin makes the replica of a server whose log is whole. The image is what was found in it.
func (s *server) begin(found *wal.Group, image check.Image, torn bool) error {
	state, err := replica.Restart(s.log, *found, s.machine.durable())
	if err != nil {
		return err
	}
	state.LogTime = max(state.LogTime, s.machine.store.Time())
	if s.replica, err = replica.New(s.replicaOptions(), state); err != nil {
		return err
	}
	s.checks.Restored(image, check.ViewOf(s.replica.Core()), s.machine.durable())
	s.checks.Reopened(s.machine.digest())
	s.witnessStart(found, torn)
	return nil
}

func (s *server) replicaOptions() replica.Options {
	options := s.world.plan.replica
	options.Boot = s.boot
	options.Member = wire.Member{ID: s.id, Roles: wire.RoleVoter, Key: keyOf(s.id), Name: fmt.Sprintf("s%d", s.id)}
	return options
}

// group returns what the log has of the group, after beginning its log if this is a new server.
func (s *server) group(recovered *wal.Recovered) (wal.Group, error) {
	for i := range recovered.Groups {
		if recovered.Groups[i].ID == group {
			s.kept = true
			return recovered.Groups[i], nil
		}
	}
	if s.kept {
		return wal.Group{}, errors.New("the group's log is gone")
	}
	base := wal.Base{Configuration: wire.AppendConfiguration(nil, s.world.initial)}
	if err := s.log.Append([]wal.Write{{Group: group, Base: &base}}); err != nil {
		return wal.Group{}, err
	}
	if err := s.log.Sync(); err != nil {
		return wal.Group{}, err
	}
	s.kept = true
	begun, _ := s.log.State(group)
	return begun, nil
}

// imageOf says what was found in the log, to the checker.
func imageOf(g *wal.Group) check.Image {
	image := check.Image{HardState: g.HardState, Last: g.Last, LastHash: g.LastHash, LastTerm: g.Base.Term}
	if n := len(g.Runs); n > 0 {
		image.LastTerm = g.Runs[n-1].Term
	}
	return image
}

// planLife plans what happens in every life of a server.
func (s *server) planLife() {
	w := s.world
	s.ahead = 0
	s.after(evTick, int64(w.dice.below(s.labels.rate, int(w.plan.tick))))
	s.after(evPrepare, w.dice.spread(s.labels.prepare, w.plan.syncTime))
	s.after(evFlush, w.dice.spread(s.labels.flush, w.plan.flushEvery))
	s.after(evRemove, w.dice.spread(s.labels.remove, w.plan.removeEvery))
	s.planSnapshots()
	s.after(evSample, w.dice.spread(s.labels.sample, 10*second))
	for _, other := range w.servers {
		if other != s {
			w.queue.add(event{at: w.now + w.dice.spread(s.labels.known, second), kind: evKeyKnown, server: s.index, life: s.life,
				number: uint64(other.id)})
		}
	}
}

// after plans an event of this life.
func (s *server) after(kind eventKind, delay int64) {
	s.world.queue.add(event{at: s.world.now + delay, kind: kind, server: s.index, life: s.life})
}

// handle lets an event happen.
func (s *server) handle(e *event) {
	w := s.world
	if s.healing != nil {
		s.handleHealing(e)
		return
	}
	switch e.kind {
	case evTick:
		s.tick()
	case evTurn:
		s.turning = false
		s.turn()
		return
	case evDeliver:
		w.deliver(s, e)
	case evSynced:
		s.synced()
	case evSeal:
		s.seal(e.number)
	case evPrepare:
		s.prepare()
	case evApplied:
		s.applied()
	case evFetched:
		s.fetched(e.data.(replica.Fetch))
	case evFlush:
		s.flush()
	case evRemove:
		s.remove()
	case evKeyKnown:
		s.put(replica.KeyKnown{ID: raft.ServerID(e.number), Key: keyOf(raft.ServerID(e.number))})
	case evUnlinked:
		s.unlinked(e.number)
	case evSample:
		s.sample()
	case evSnapshot:
		s.stepSnapshot()
	case evServe:
		s.serve(e.data.(*replica.Serve))
	case evRelease:
		s.release()
	case evScrub:
		s.scrub()
	case evStateLost:
		s.loseState(e.data.(error))
		return
	case evDeadline:
		s.put(replica.Cancel{Handle: e.number})
	case evLessor:
		s.look(&s.leases)
	case evSessions:
		s.look(&s.sessions)
	default:
		s.handleWatch(e)
	}
	s.mayTurn()
}

// tick lets the clock of a server tick. A tick that was not taken in yet is enough.
func (s *server) tick() {
	w := s.world
	s.after(evTick, w.plan.tick*s.rate/million)
	if s.hasTick || s.still {
		return
	}
	s.hasTick = true
	s.put(s.nextTick())
}

// put hands something that happened to the replica.
func (s *server) put(in replica.Input) { s.inbox = append(s.inbox, in) }

// mayTurn lets the replica take in what has gathered, now or soon.
func (s *server) mayTurn() {
	w := s.world
	if len(s.inbox) == 0 || s.turning || !s.up {
		return
	}
	if w.plan.turnDelay == 0 {
		s.turn()
		return
	}
	s.turning = true
	s.after(evTurn, w.dice.spread(s.labels.turn, w.plan.turnDelay))
}

// crash ends a life: the process only, or the machine with it. The server starts again later. With a
// disk that is about to fail it is always the machine.
func (s *server) crash(processOnly bool) {
	w := s.world
	w.counts.Crashes++
	s.witnessCrash(processOnly)
	if w.dice.scope == "" {
		defer w.within(fmt.Sprintf(" of life %d", s.life))()
	}
	if processOnly && !s.failing {
		w.counts.Kills++
		s.disk.Kill()
	} else {
		if s.disk.Pending() > 0 {
			w.counts.CrashesWithLoss++
		}
		s.disk.Crash(w.dice, w.plan.personality)
	}
	s.end()
	down := w.plan.down
	if w.dice.chance(s.labels.atOnce, 250_000) { // so soon that what was on its way to this life meets the next
		down = w.plan.meanDelay
	}
	w.queue.add(event{at: w.now + 1 + w.dice.spread(s.labels.down, down), kind: evRestart, server: s.index, life: s.life})
}

// end forgets everything that a crash takes away.
func (s *server) end() {
	w := s.world
	s.strikes++
	s.countSums()
	s.machine.crash(func(batches int) int { return w.dice.below(s.labels.keep, batches+1) })
	s.checks.Stopped()
	w.endRequests(s)
	s.endWatching()
	w.unlink(s)
	s.life++
	s.up, s.turning, s.hasTick, s.failing, s.gotReply = false, false, false, false, false
	s.replica, s.healing, s.log, s.inbox, s.spare, s.held = nil, nil, nil, nil, nil, nil
	s.paused, s.stalled, s.sumsAt, s.hashed = false, false, 0, nil
	s.leases, s.sessions = ender{}, ender{}
	s.storage = storage{}
	s.seen, s.window, s.promise = seen{}, window{}, promise{}
}

// fail is what the host's OnFatal does: the process ends. Only a disk that was made to fail excuses it.
func (s *server) fail(err error) {
	w := s.world
	if s.isStuck(err) {
		w.counts.Stuck++
		s.stuckAt = w.now
		w.tell(s, "gives up: %v", err)
		s.crash(false)
		return
	}
	if !s.failing {
		w.check.Fail("R2", "server %d must not go on: %v", s.id, err)
		return
	}
	w.mark(diskEndsServer)
	w.tell(s, "its disk fails: %v", err)
	s.crash(false)
}

// sample looks at the disk as a crash would leave it now, and opens the log that would be there.
func (s *server) sample() {
	w := s.world
	s.after(evSample, w.dice.spread(s.labels.sample, 10*second))
	w.counts.Samples++
	_, recovered, err := wal.Open(wal.Options{
		FS: s.disk.CrashNow(), Dir: walDir, SegmentBytes: w.plan.segmentBytes, Cluster: cluster, Server: uint64(s.id), Boot: s.boot, KeepHoles: true,
	})
	if err != nil {
		w.check.Fail("R1", "after a crash now server %d would not start again: %v", s.id, err)
		return
	}
	for i := range recovered.Groups {
		s.checks.WouldRestore(imageOf(&recovered.Groups[i]))
	}
	if len(recovered.Groups) == 0 {
		w.check.Fail("R1", "after a crash now the log of server %d would be empty", s.id)
	}
}

// keyOf returns a server's public key, which is none: nobody signs anything here.
func keyOf(id raft.ServerID) []byte {
	key := make([]byte, 32)
	key[0] = byte(id)
	return key
}
