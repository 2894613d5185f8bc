package sim

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/quorate/quorate/raft"
)

// fault is something that goes wrong now and then.
type fault struct {
	kind  faultKind
	every int64
	// number counts those of the kind.
	number int
	// Of one that is under way:
	links  []*link
	server *server
	life   int // of the server, for a fault that ends with it
}

type faultKind uint8

const (
	crashFault faultKind = iota
	pauseFault
	cutFault
	clogFault
	slowFault
	errorFault
	driftFault
	leapFault
	stallFault
)

var faultNames = [...]string{"crash", "pause", "cut", "clog", "slow", "error", "drift", "leap", "stall"}

func (k faultKind) String() string { return faultNames[k] }

// planFaults plans the first fault of each kind.
func (w *world) planFaults() {
	p := &w.plan
	for kind, every := range [...]int64{
		crashFault: p.crashEvery, pauseFault: p.pauseEvery, cutFault: p.cutEvery, clogFault: p.clogEvery,
		slowFault: p.slowEvery, errorFault: p.errorEvery, driftFault: p.driftEvery, leapFault: p.leap.every,
		stallFault: p.stallEvery,
	} {
		if every > 0 {
			w.faultLater(&fault{kind: faultKind(kind), every: every})
		}
	}
}

func (w *world) faultLater(f *fault) {
	w.queue.add(event{at: w.now + w.dice.spread("fault.wait "+f.kind.String(), f.every), kind: evFault, server: none, life: anyLife, data: f})
}

// strikeShare is how many of a million faults do strike. Nearly all: it is asked so that whoever shrinks
// a world can leave one out.
const strikeShare = 990_000

// strike lets a fault begin, and plans the next of its kind.
func (w *world) strike(f *fault) {
	if w.ending {
		return
	}
	w.faultLater(f)
	f.number++
	if !w.dice.chance("fault.strikes "+f.kind.String(), strikeShare) {
		return
	}
	defer w.within(fmt.Sprintf(" of %v %d", f.kind, f.number))()
	victim := w.victim(f.kind)
	switch f.kind {
	case crashFault:
		w.strikeCrash(victim)
	case pauseFault:
		w.strikePause(victim)
	case cutFault:
		w.strikeCut(victim)
	case clogFault:
		w.strikeClog(victim)
	case slowFault:
		if victim.slow == 0 {
			victim.slow = slowDisk
			victim.strikes++
			w.counts.SlowDisks++
			w.tell(victim, "its disk becomes slow")
			w.reliefAfter(&fault{kind: slowFault, server: victim}, w.plan.slow)
		}
	case errorFault:
		w.strikeError(victim)
	case leapFault:
		w.strikeLeap(victim)
	case stallFault:
		w.strikeStall(victim)
	case driftFault:
		victim.drawRate()
		w.counts.ClockChanges++
		w.tell(victim, "its clock changes: a second takes %.3f s", float64(victim.rate)/million)
	}
}

// within draws from streams of their own, until the function that it returns is called.
func (w *world) within(scope string) (leave func()) {
	before := w.dice.scope
	w.dice.scope = before + scope
	return func() { w.dice.scope = before }
}

// victim chooses whom a fault hits: the leader in half of the cases, because there most is at stake.
func (w *world) victim(kind faultKind) *server {
	label := "fault.victim " + kind.String()
	if w.leader != none && w.dice.either(label) {
		return w.servers[w.leader]
	}
	return w.servers[w.dice.below(label, len(w.servers))]
}

func (w *world) reliefAfter(f *fault, mean int64) {
	least := mean / 4
	w.queue.add(event{at: w.now + least + w.dice.spread("fault.length "+f.kind.String(), mean-least), kind: evRelief, server: none, life: anyLife, data: f})
}

// relieve lets a fault end.
func (w *world) relieve(f *fault) {
	if w.ending {
		return
	}
	switch f.kind {
	case cutFault:
		for _, l := range f.links {
			l.cuts--
			l.strikes++
		}
		w.tell(nil, "the links heal: %s", linkNames(f.links))
	case slowFault:
		f.server.slow = 0
		w.tell(f.server, "its disk is well again")
	case leapFault:
		f.server.goOn()
	case stallFault:
		if f.life == f.server.life {
			f.server.unstall()
		}
	}
}

// strikeCrash lets one server crash, or a few, or all; now, or in the middle of what its disk does next.
func (w *world) strikeCrash(victim *server) {
	victims := []*server{victim}
	switch w.dice.below("fault.crash.who", 8) {
	case 0:
		victims = w.servers
		w.tell(nil, "the power goes everywhere")
	case 1:
		victims = nil
		for _, s := range w.servers {
			if w.dice.either("fault.crash.which") {
				victims = append(victims, s)
			}
		}
	}
	for _, s := range victims {
		switch {
		case !s.up:
		case w.dice.chance(s.labels.kill, w.plan.killShare):
			w.tell(s, "its process is killed")
			s.crash(true)
		case w.dice.chance(s.labels.atOperation, w.plan.crashAtOperation):
			s.failing = true
			s.disk.StopAt(s.disk.Operation() + 1 + w.dice.below(s.labels.operation, 8))
		default:
			w.tell(s, "crashes")
			s.crash(false)
		}
	}
}

// slowDisk is how many times slower than usual a slow disk is.
const slowDisk = 50

// strikePause stops a server's process, which then goes on as if nothing had happened.
func (w *world) strikePause(s *server) {
	if !s.up || s.paused {
		return
	}
	w.counts.Pauses++
	w.tell(s, "is paused")
	s.paused = true
	s.strikes++
	least := w.plan.pause / 4
	s.after(evResume, least+w.dice.spread("fault.length pause", w.plan.pause-least))
}

// maxHeld bounds what waits for a paused server; messages beyond it are lost.
const maxHeld = 4096

// hold keeps an event until the server goes on.
func (s *server) hold(e *event) {
	if e.kind == evDeliver && len(s.held) >= maxHeld {
		s.world.wedges.onTheWay--
		s.world.counts.Lost++
		return
	}
	s.held = append(s.held, *e)
}

// resume lets a paused server go on: with everything at once.
func (s *server) resume() {
	if !s.paused || s.frozen {
		return
	}
	s.world.tell(s, "goes on")
	s.paused = false
	s.strikes++
	s.witness.woke = s.seen.role == raft.Leader
	held := s.held
	s.held = nil
	life := s.life
	for i := range held {
		if s.life != life { // it crashed over one of them
			return
		}
		s.handle(&held[i])
	}
}

// strikeError makes an operation of the disk fail soon. The process then ends, and the machine with
// it: what a failed sync has left in memory must not be taken for what is on the disk.
func (w *world) strikeError(s *server) {
	if !s.up || s.failing {
		return
	}
	w.counts.DiskErrors++
	s.failing = true
	s.disk.FailAt(s.disk.Operation()+1+w.dice.below(s.labels.operation, 8), syscall.EIO)
}

// drawRate sets how fast a server's clock runs.
func (s *server) drawRate() {
	w := s.world
	rate := int64(million)
	if w.plan.drift > 0 {
		rate += int64(w.dice.between(s.labels.rate, -w.plan.drift, w.plan.drift))
	}
	if w.plan.afterLeases && w.plan.drift > 0 { // as wrong as may be, in one way or the other
		rate = million + int64(w.plan.drift*(2*w.dice.below(s.labels.rate, 2)-1))
	}
	s.setRate(rate)
}

// strikeCut cuts links, and so parts servers from each other.
func (w *world) strikeCut(victim *server) {
	links, what := w.drawCut(victim)
	if len(links) == 0 {
		return
	}
	w.counts.Partitions++
	for _, l := range links {
		l.cuts++
		l.strikes++
	}
	w.tell(nil, "%s: %s", what, linkNames(links))
	w.reliefAfter(&fault{kind: cutFault, links: links}, w.plan.cut)
}

// drawCut chooses the links to cut. Most failures need one isolated server only, so that is half.
func (w *world) drawCut(victim *server) (links []*link, what string) {
	n := len(w.servers)
	direction := w.dice.below("fault.cut.direction", 4) // both ways twice as often as each one
	switch kind := w.dice.below("fault.cut.kind", 10); {
	case kind < 5:
		what = []string{"is cut off", "is cut off", "cannot send", "cannot receive"}[direction]
		what = fmt.Sprintf("server %d %s", victim.id, what)
		links = w.linksWhere(func(from, to int) bool {
			return from == victim.index && direction != 3 || to == victim.index && direction != 2
		})
	case kind < 7:
		side := make([]bool, n)
		for i := range side {
			side[i] = w.dice.either("fault.cut.side")
		}
		what = "two sides part"
		links = w.linksWhere(func(from, to int) bool {
			return side[from] != side[to] && (direction < 2 || side[from] == (direction == 2))
		})
	case kind < 8 && n > 2: // everybody is on one of two sides, but for the victim, who is on both
		what = fmt.Sprintf("two sides part, server %d between them", victim.id)
		side := make([]bool, n)
		for i := range side {
			side[i] = w.dice.either("fault.cut.side")
		}
		links = w.linksWhere(func(from, to int) bool {
			return from != victim.index && to != victim.index && side[from] != side[to]
		})
	case kind < 9 && n > 3:
		what = "only a ring of links is left"
		links = w.linksWhere(func(from, to int) bool { return (from+1)%n != to && (to+1)%n != from })
	case n > 1:
		what = "one link breaks in one direction"
		from := victim.index
		to := (from + 1 + w.dice.below("fault.cut.link", n-1)) % n
		links = []*link{w.link(from, to)}
		direction = 2
	}
	if direction >= 2 && len(links) > 0 {
		w.counts.OneWay++
	}
	return links, what
}

func (w *world) linksWhere(cut func(from, to int) bool) (links []*link) {
	for _, l := range w.links {
		if l.from != l.to && cut(l.from, l.to) {
			links = append(links, l)
		}
	}
	return links
}

func linkNames(links []*link) string {
	var names []string
	for _, l := range links {
		names = append(names, fmt.Sprintf("%d>%d", l.from+1, l.to+1))
	}
	return strings.Join(names, " ")
}

// strikeClog holds up everything on the links of a server, in one direction or in both.
func (w *world) strikeClog(victim *server) {
	w.counts.Clogs++
	direction := w.dice.below("fault.clog.direction", 3)
	until := w.now + w.dice.spread("fault.length clog", w.plan.clog)
	for _, l := range w.linksWhere(func(from, to int) bool {
		return from == victim.index && direction != 1 || to == victim.index && direction != 2
	}) {
		l.clogged = max(l.clogged, until)
		l.strikes++
	}
	w.tell(victim, "its links are clogged until %.6fs", float64(until)/1e9)
}
