package raft_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// explorer is a depth-first search through the states of a group, by as many goroutines as there are
// processors. They share the set of states, and who has nothing to do gets a state from another.
type explorer struct {
	bounds  bounds
	limit   int // of the visits
	printer *printer
	visited *visited
	tell    func(format string, args ...any) // how far it is
	// plain: no reduction. Every state is one of its own that differs in anything at all.
	plain bool
	// each, if there is one, is called with every state that was not there before.
	each func(w *worker, p *place)

	work    chan *place  // for whoever has nothing to do; full: nobody waits
	pending atomic.Int64 // states that were put there and are not done
	stopped atomic.Bool
	steps   atomic.Int64
	began   float64
	toldAt  atomic.Int64 // in nanoseconds

	mu         sync.Mutex // guards what follows
	deepest    int
	cpuSeconds float64
	cut        bool // there were more states than the limit
	// path is how the broken state was reached, broken what is wrong with it.
	path   []string
	broken string
}

// place is a state on the way of the search.
type place struct {
	cluster *rafttest.Cluster
	left    bounds
	way     *way
}

// way is how a state was reached, the last step first.
type way struct {
	before *way
	next   choice
	length int
}

func (y *way) and(next choice) *way {
	if y == nil {
		return &way{next: next, length: 1}
	}
	return &way{before: y, next: next, length: y.length + 1}
}

func (y *way) choices() []choice {
	if y == nil {
		return nil
	}
	return append(y.before.choices(), y.next)
}

func newExplorer(b bounds) *explorer {
	return &explorer{
		bounds: b, limit: 1 << 30, printer: newPrinter(b), visited: newVisited(b),
		tell: func(string, ...any) {}, work: make(chan *place, runtime.GOMAXPROCS(0)),
	}
}

func (x *explorer) String() string {
	rate := float64(x.visited.states()) / max(x.cpuSeconds, 0.001)
	more := ""
	if x.cut {
		more = ", and there are more"
	}
	return fmt.Sprintf("%d states, %d visits, %d steps, %.0f states per second of CPU, at most %d steps deep%s",
		x.visited.states(), x.visited.visits(), x.steps.Load(), rate, x.deepest, more)
}

// run visits everything that can be reached.
func (x *explorer) run() {
	x.began = cpuSeconds()
	x.toldAt.Store(time.Now().UnixNano())
	var running sync.WaitGroup
	x.pending.Store(1)
	start := &place{cluster: x.start(x.bounds), left: x.bounds}
	first := &worker{explorer: x, eye: x.printer.eye()}
	first.isNew(start.cluster, &start.left)
	if x.each != nil {
		x.each(first, start)
	}
	x.work <- start
	workers := cap(x.work)
	if x.plain {
		workers = 1
	}
	for range workers {
		running.Go(func() {
			w := &worker{explorer: x, eye: x.printer.eye()}
			for p := range x.work {
				w.visit(p)
				if x.pending.Add(-1) == 0 {
					close(x.work)
				}
			}
			x.steps.Add(w.steps)
			x.mu.Lock()
			defer x.mu.Unlock()
			x.deepest = max(x.deepest, w.deepest)
		})
	}
	running.Wait()
	x.cpuSeconds = cpuSeconds() - x.began // of the whole process: stories are told one after the other
}

// worker is one goroutine of the search.
type worker struct {
	*explorer
	eye     *eye
	steps   int64
	deepest int
}

// visit looks at everything that can happen next. Forks share what did not change.
//
// What costs nothing of the bounds comes first: then most states are met with as much left of the
// bounds as there can be, and those that are met once more with less need not be gone through again.
func (w *worker) visit(p *place) {
	var costly []outcome
	for _, next := range w.choices(p.cluster, &p.left) {
		for _, o := range next.outcomes(p.cluster, p.left) {
			if o.choice.costs() {
				costly = append(costly, o)
			} else {
				w.meet(p, o)
			}
		}
	}
	for _, o := range costly {
		w.meet(p, o)
	}
}

// meet looks at one outcome of what happened in a state.
func (w *worker) meet(p *place, o outcome) {
	if w.stopped.Load() {
		return
	}
	w.steps++
	d, left := o.cluster, o.left
	w.forget(d, &left)
	if left.inFlight > 0 && len(d.Network) > left.inFlight && d.Broken == "" {
		return
	}
	if d.Broken != "" {
		w.failed(p.way.and(o.choice), d.Broken)
		return
	}
	if !w.isNew(d, &left) {
		return
	}
	q := &place{d, left, p.way.and(o.choice)}
	w.deepest = max(w.deepest, q.way.length)
	if w.each != nil {
		w.each(w, q)
	}
	if !w.handOver(q) {
		w.visit(q)
	}
}

// forget removes messages that make no difference any more.
func (x *explorer) forget(c *rafttest.Cluster, left *bounds) {
	left.forgetTheCut(c)
	if !x.plain && c.Broken == "" {
		x.printer.forgetTheDead(c, left)
	}
}

// isNew adds a state to those that were visited.
func (w *worker) isNew(c *rafttest.Cluster, left *bounds) bool {
	if w.plain {
		return w.count(w.visited.add(w.eye.plainPrint(c, left), 0))
	}
	return w.count(w.visited.add(w.eye.print(c, left), w.visited.code(left)))
}

// tellEvery is how many states lie between two looks at the clock, and tellAfter how long it is silent.
const (
	tellEvery = 100_000
	tellAfter = 30 * time.Second
)

// count tells now and then how far a long exploration is, and ends it at the limit.
func (x *explorer) count(visits int, isNew bool) bool {
	if !isNew {
		return false
	}
	if visits > x.limit {
		x.stopped.Store(true)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.cut = true
		return false
	}
	if visits%tellEvery == 0 {
		told, now := x.toldAt.Load(), time.Now().UnixNano()
		if now-told > int64(tellAfter) && x.toldAt.CompareAndSwap(told, now) {
			x.tell("%d states so far, %d visits, %.0f seconds of CPU", x.visited.states(), visits, cpuSeconds()-x.began)
		}
	}
	return true
}

// handOver gives a state to somebody who has nothing to do, if there is anybody.
func (x *explorer) handOver(p *place) bool {
	if len(x.work) == cap(x.work) {
		return false
	}
	x.pending.Add(1)
	select {
	case x.work <- p:
		return true
	default: // somebody else was faster
		x.pending.Add(-1)
		return false
	}
}

// failed notes the first broken invariant, and ends the search.
func (x *explorer) failed(y *way, broken string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.broken == "" {
		x.broken = broken
		x.path = x.tellPath(x.bounds, y.choices())
	}
	x.stopped.Store(true)
}

func (x *explorer) start(b bounds) *rafttest.Cluster {
	var spare []raft.ServerID
	for i := range b.spares {
		spare = append(spare, raft.ServerID(b.servers-b.spares+1+i))
	}
	c := rafttest.New(raft.Options{
		ElectionTicks: max(2, b.promise), HeartbeatTicks: 1, PromiseTicks: b.promise, LeaseReads: b.promise > 0,
	}, rafttest.Voters(b.servers-b.spares), spare...)
	for i, terms := range b.logs {
		c.Install(c.Servers[i], 0, terms...)
	}
	if b.halfWay {
		installHalfWay(c, &b)
	}
	if b.shortProbes {
		c.Fewer = func(int) int { return 1 }
	}
	if b.promise > 0 {
		c.Pass(uint64(b.promise) + 1) // what they have promised before they started is over
	}
	if b.led {
		campaign(c, c.Server(1), b.preVotes)
		c.Settle()
	}
	return c
}

func installHalfWay(c *rafttest.Cluster, b *bounds) {
	joint := b.towards(c.Server(1), []raft.ServerID{1, 2, 3})
	joint.Term = 1
	for _, s := range c.Servers {
		s.Disk.Hard.CurrentTerm, s.Disk.Log = 1, []raft.Entry{joint}
		c.Restart(s)
	}
	c.History.Committed, c.History.CommittedIn = []raft.Entry{joint}, []raft.Term{1}
	knows, last := c.Server(1), c.Server(3)
	completed := b.towards(last, nil)
	completed.Term = 1
	knows.Disk.Hard.Commit = 1
	c.Restart(knows)
	last.Disk.Log = append(last.Disk.Log, completed)
	c.Restart(last)
}

// tellPath goes the path once more and says what happens on it.
func (x *explorer) tellPath(b bounds, path []choice) []string {
	var lines []string
	tell := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	c := x.start(b)
	for _, next := range path {
		line := fmt.Sprintf("-- %d %s", next.server, next.what)
		if next.what <= isLost {
			m := &c.Network[next.message].Envelope
			line = fmt.Sprintf("-- %s: %d -> %d: %s", next.what, m.From, m.To, rafttest.SayMessage(m))
		}
		if next.slow {
			line += ", and the disk is slow"
		}
		lines = append(lines, line)
		c.Tell = tell
		c, b = next.happen(c, b)
		x.forget(c, &b)
	}
	return lines
}
