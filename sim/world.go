package sim

import (
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// What every world has in common.
const (
	group   = wire.GroupID(7)
	cluster = uint64(0x51)
	walDir  = "wal"
	second  = int64(time.Second)
)

// world is one run: servers, network, clients, faults and time, all of it from one seed.
type world struct {
	options Options
	dice    dice
	plan    plan
	now     int64 // nanoseconds since the beginning
	queue   queue
	trace   trace
	counts  Counts
	check   *check.Checker
	story   io.Writer

	initial *wire.Configuration
	servers []*server
	links   []*link // from*len(servers)+to
	clients []*client

	requests         map[uint64]*request // those that wait, by id; looked up, never walked
	lastID, oldestID uint64

	// The latest leader, none if there never was one.
	leader     int
	leaderTerm raft.Term
	ledSince   int64
	// highestTerm is the highest in which there was a leader.
	highestTerm raft.Term

	// For marks: what leaders left behind that stepped down; the requests of unknown outcome; and how
	// much was committed when the last server went down, until somebody leads again.
	deposed   []deposed
	abandoned map[uint64]struct{} // looked up, never walked
	dark      raft.Index
	ending    bool
	end       ending
	over      bool
	wedges    wedges
	operator  operator

	watching watching
	leasing  leasing
	leaps    []leap // in the order of time
	calling  calling
}

// Run runs the world of a seed, until its end or the first thing that is wrong: then the error is a
// *Failure. Any other error is about the options.
func Run(options Options) (Result, error) {
	if err := options.Validate(); err != nil {
		return Result{}, fmt.Errorf("simulate: %w", err)
	}
	w := newWorld(options.withDefaults())
	f := w.failure(w.run())
	for _, s := range w.servers {
		s.countSums()
	}
	if w.counts.Faults() >= struckBy {
		w.counts.Struck = 1
	}
	r := Result{Seed: options.Seed, Trace: w.trace.sum(), Simulated: time.Duration(w.now), Counts: w.counts}
	if f != nil {
		w.tell(nil, "WRONG: %s", f.Violation)
		return r, f
	}
	return r, nil
}

// failure returns what was wrong in a world that is over, or nil.
func (w *world) failure(stack string) *Failure {
	v := w.check.Violation()
	if v == nil {
		return nil
	}
	return &Failure{Seed: w.options.Seed, Simulated: w.options.Simulated, Ruled: len(w.options.Rules) > 0,
		At: time.Duration(w.now), Violation: v, Stack: stack}
}

// sourceOf returns what decides in the world of some options.
func sourceOf(options Options) choice.Source {
	if len(options.Rules) == 0 {
		return choice.FromSeed(options.Seed)
	}
	return choice.Override(choice.FromSeed(options.Seed), options.Rules)
}

func newWorld(options Options) *world { return newWorldOf(options, sourceOf(options)) }

// newWorldOf makes the world in which source decides.
func newWorldOf(options Options, source choice.Source) *world {
	d := dice{source: source}
	return newPlannedWorld(options, d, drawPlan(d))
}

// newPlannedWorld makes the world of a plan.
func newPlannedWorld(options Options, d dice, p plan) *world {
	w := &world{
		options: options, dice: d, plan: p, story: options.Story,
		initial: &wire.Configuration{}, requests: map[uint64]*request{}, abandoned: map[uint64]struct{}{}, oldestID: 1, leader: none,
	}
	var voters []raft.ServerID
	for i := range w.plan.servers {
		voters = append(voters, raft.ServerID(i+1))
		w.initial.Members = append(w.initial.Members, wire.Member{ID: raft.ServerID(i + 1), Roles: wire.RoleVoter, Traits: w.plan.prefer.traitsOf(i)})
	}
	w.check = check.New(check.Options{
		Group: group, Genesis: wire.GenesisHash(cluster, group), Voters: voters, Configuration: wire.AppendConfiguration(nil, w.initial),
		Decode: decode, Applied: w.leaseApplied,
		Model: w.plan.churn.spares == 0 && w.plan.rot == 0,
	})
	for i := range w.plan.servers + w.plan.churn.spares {
		w.servers = append(w.servers, newServer(w, i))
	}
	for from := range w.servers {
		for to := range w.servers {
			w.links = append(w.links, newLink(from, to))
		}
	}
	for i := range w.plan.clients {
		w.clients = append(w.clients, newClient(i))
	}
	return w
}

// run lets everything happen. A panic of the code under test is a violation like any other.
func (w *world) run() (stack string) {
	defer func() {
		if p := recover(); p != nil {
			stack = string(debug.Stack())
			if v, ok := p.(*invariant.Violation); ok {
				w.check.Fail("I1", "%s", v.Text)
				return
			}
			w.check.Fail("I2", "panic: %v", p)
		}
	}()
	w.begin()
	for !w.over && w.check.Violation() == nil {
		e, ok := w.queue.next()
		if !ok {
			w.check.Fail("V1", "nothing is left to happen")
			return ""
		}
		w.now = e.at
		w.happen(&e)
		if w.options.wrong != nil {
			if text := w.options.wrong(w); text != "" {
				w.check.Fail("T1", "%s", text)
			}
		}
	}
	return ""
}

// begin starts everything.
func (w *world) begin() {
	w.counts.Worlds = 1
	if w.plan.calm {
		w.counts.Calm = 1
	}
	switch w.plan.pace.kind {
	case paceDrawn:
		w.counts.Drawn++
	case paceTuned:
		w.counts.Tuned++
	}
	if w.plan.snapshot.compacts {
		w.counts.Compacting++
	}
	if w.plan.replica.Raft.PromiseTicks > 0 {
		w.counts.Promising++
	}
	if w.plan.replica.Raft.LeaseReads {
		w.counts.ReadLeased++
	}
	w.tell(nil, "seed %d: %s", w.options.Seed, &w.plan)
	for _, s := range w.servers {
		s.drawRate()
		s.start()
	}
	for _, c := range w.clients {
		w.clientLater(c)
	}
	w.planFaults()
	w.termsLater()
	w.beginWatching()
	w.beginLeasing()
	w.beginCalling()
	if w.plan.prefer.preferred != nil {
		w.counts.Preferring++
	}
	if w.plan.churn.spares > 0 {
		w.counts.Churning++
		w.operateLater()
	}
	w.queue.add(event{at: int64(w.options.Simulated), kind: evEnd, server: none, life: anyLife})
}

// happen lets one event happen.
func (w *world) happen(e *event) {
	if e.server != none {
		s := w.servers[e.server]
		if e.life != anyLife && e.life != s.life {
			return // of an earlier life
		}
		w.counted(e)
		switch {
		case e.kind == evRestart:
			s.start()
		case e.kind == evResume:
			s.resume()
		case s.paused:
			s.hold(e)
		default:
			s.handle(e)
		}
		return
	}
	w.counted(e)
	switch e.kind {
	case evClient:
		w.act(w.clients[e.number])
	case evFault:
		w.strike(e.data.(*fault))
	case evRelief:
		w.relieve(e.data.(*fault))
	case evEnd:
		w.lookAtEnd()
	case evOperator:
		w.operate()
	case evStorm:
		w.stormNext()
	case evLossEnds:
		w.links[e.number].loss = 0
	case evLoad:
		w.loadNext(int(e.number))
	case evTerms:
		w.lookAtTerms()
	case evWatchOpen:
		w.watching.clients[e.number].openStream()
	case evWatchAct:
		w.watching.clients[e.number].act()
	case evLease:
		w.leasing.clients[e.number].act()
	case evSession:
		w.calling.clients[e.number].act()
	}
}

// counted counts an event and adds it to the trace.
func (w *world) counted(e *event) {
	w.counts.Events++
	w.trace.add(uint64(e.at))
	w.trace.add(uint64(e.kind)<<56 ^ uint64(uint8(e.server))<<48 ^ e.number)
	if len(e.bytes) > 0 {
		w.trace.addBytes(e.bytes)
	}
}
