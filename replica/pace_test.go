package replica

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

const testTick = 10_000_000

// tuned is how the servers of these tests are: a window of 10 ticks, a heartbeat every 5.
func tuned() *Options {
	return &Options{
		TickNanoseconds: testTick, Raft: raft.Options{ElectionTicks: 50, WindowTicks: 10, HeartbeatTicks: 5},
		Pace: PaceOptions{MinTicks: 15, MaxTicks: 200},
	}
}

func TestDelayIsTwiceTheWorstOfLateWithinBounds(t *testing.T) {
	const ms = 1_000_000
	fixed := tuned()
	fixed.Pace = PaceOptions{}
	for _, test := range []struct {
		name          string
		options       *Options
		pace          pace
		delay, wanted int
		why           Measure
	}{
		{"nothing", tuned(), pace{}, 15, 15, AtRest},
		{"a silence of a heartbeat", tuned(), pace{silence: peak{now: 50 * ms}}, 15, 15, AtRest},
		{"a silence", tuned(), pace{silence: peak{now: 101 * ms}}, 21, 21, BySilence},
		{"a silence before", tuned(), pace{silence: peak{before: 200 * ms, now: 100 * ms}}, 40, 40, BySilence},
		{"a late tick, which makes a heartbeat late", tuned(), pace{stall: peak{now: 40 * ms}}, 18, 18, ByStall},
		{"a sync", tuned(), pace{sync: peak{now: 100 * ms}}, 20, 20, ByBroadcast},
		{"round trips", tuned(), pace{roundTrip: 20 * ms}, 20, 20, ByBroadcast},
		{"both", tuned(), pace{roundTrip: 20 * ms, sync: peak{now: 100 * ms}}, 40, 40, ByBroadcast},
		{"more than the bound", tuned(), pace{silence: peak{now: 3000 * ms}}, 200, 600, BySilence},
		{"the first two elections", tuned(), pace{attempts: 2}, 15, 15, AtRest},
		{"the third election", tuned(), pace{attempts: 3}, 30, 30, ByAttempts},
		{"the fifth election, at a slow disk", tuned(), pace{attempts: 5, sync: peak{now: 100 * ms}}, 160, 160, ByAttempts},
		{"the hundredth election", tuned(), pace{attempts: 100}, 200, 200, ByAttempts},
		{"the hundredth election beyond the bound", tuned(), pace{attempts: 100, silence: peak{now: 3000 * ms}}, 200, 600, ByAttempts},
		{"nothing, and a fixed delay", fixed, pace{}, 50, 10, ByStall}, // a tick may always be late
		{"a silence, and a fixed delay", fixed, pace{silence: peak{now: 300 * ms}}, 50, 60, BySilence},
		{"elections, and a fixed delay", fixed, pace{attempts: 100}, 50, 10, ByStall},
	} {
		f := test.pace.find(test.options)
		if f.Delay != test.delay || f.Wanted != test.wanted || f.Why != test.why {
			t.Errorf("%s: %d ticks, wants %d because of %v; want %d, %d, %v",
				test.name, f.Delay, f.Wanted, f.Why, test.delay, test.wanted, test.why)
		}
		if f.Hurried() != (test.wanted > 2*test.delay) || f.Tuned != (test.options != fixed) {
			t.Errorf("%s: hurried %t, tuned %t", test.name, f.Hurried(), f.Tuned)
		}
	}
}

// pacedCluster returns three servers that tune their delays, the leader first.
func pacedCluster(t *testing.T) (c *cluster, leader, a, b *server) {
	t.Helper()
	c = newCluster(t, 1, 3)
	c.settle(anyElection)
	for _, s := range c.servers {
		s.replica.options.Pace = PaceOptions{MinTicks: 10, MaxTicks: 200}
	}
	leader = c.leader()
	c.settle(100)
	a, b = c.server(leader.id%3+1), c.server((leader.id+1)%3+1)
	for _, s := range c.servers {
		if d := s.replica.Status().Pace.Delay; d != 10 {
			t.Fatalf("server %d waits for %d ticks though nothing was slow", s.id, d)
		}
	}
	return c, leader, a, b
}

// silenced runs everything for some ticks in which nothing gets from one server to another, and then a
// little longer.
func (c *cluster) silenced(ticks int, from, to *server) {
	c.drop = func(f, t raft.ServerID) bool { return f == from.id && t == to.id }
	c.settle(ticks)
	c.drop = nil
	c.settle(3)
}

func TestSilenceOfTheLeaderCountsOnceItIsOver(t *testing.T) {
	c, leader, a, b := pacedCluster(t)
	c.drop = func(f, t raft.ServerID) bool { return f == leader.id && t == a.id }
	c.settle(8)
	if d := a.replica.Status().Pace.Delay; d != 10 {
		t.Errorf("while the leader is silent, the delay is %d: it would grow faster than time goes by", d)
	}
	c.drop = nil
	c.settle(3)
	for s, want := range map[*server][2]int{a: {14, 20}, b: {10, 10}, leader: {10, 10}} {
		if d := s.replica.Status().Pace.Delay; d < want[0] || d > want[1] {
			t.Errorf("after 8 ticks of silence server %d waits for %d ticks, want %d to %d", s.id, d, want[0], want[1])
		}
	}
}

func TestSilenceThatIsSleptThroughDoesNotCount(t *testing.T) {
	c, leader, a, b := pacedCluster(t)
	for range 50 {
		c.tick(leader)
		c.tick(b)
		for i := 0; i < len(c.network); {
			if c.network[i].to == a.id {
				i++ // it sleeps
				continue
			}
			c.deliver(i)
		}
		c.sync(b)
	}
	c.settle(3)
	if p := a.replica.Status().Pace; p.Delay != 10 {
		t.Errorf("after its sleep it waits for %d ticks because of %v", p.Delay, p.Why)
	}
	if c.leader() != leader {
		t.Error("the leader was deposed")
	}
}

func TestTicksThatComeLateCount(t *testing.T) {
	c, leader, a, _ := pacedCluster(t)
	for _, s := range []*server{leader, a} {
		s.inputs = append(s.inputs, Tick{Elapsed: 9*testTick + 1})
		c.step(s)
		if p := s.replica.Status().Pace; p.Stall != 8*testTick+1 || p.Delay != 2*(2+8)+1 || p.Why != ByStall {
			t.Errorf("server %d: %+v", s.id, p)
		}
	}
}

func TestSilenceOfTheMajorityCountsAtTheLeaderOnceItIsOver(t *testing.T) {
	c, leader, a, b := pacedCluster(t)
	c.silenced(8, a, leader) // the other one answers
	if d := leader.replica.Status().Pace.Delay; d != 10 {
		t.Errorf("with a majority that answers the delay is %d", d)
	}
	c.drop = func(_, to raft.ServerID) bool { return to == leader.id }
	c.settle(8)
	c.drop = nil
	c.settle(3)
	if p := leader.replica.Status().Pace; p.Delay < 14 || p.Delay > 22 || p.Why != BySilence {
		t.Errorf("after 8 ticks without an answer: %+v", p)
	}
	c.drop = func(_, to raft.ServerID) bool { return to == leader.id }
	c.settle(30)
	if leader.replica.leads() {
		t.Errorf("it leads still, though nobody has answered for 30 ticks: %+v", leader.replica.Status().Pace)
	}
	_ = b
}

func TestWritesThatTakeLongCountWhileTheyDo(t *testing.T) {
	c, leader, a, b := pacedCluster(t)
	a.slow = true
	c.propose(leader, "a")
	c.settle(20)
	for s, want := range map[*server]Measure{a: ByBroadcast, b: AtRest, leader: AtRest} {
		if p := s.replica.Status().Pace; p.Why != want || (s == a) != (p.Delay >= 36) {
			t.Errorf("server %d: %+v", s.id, p)
		}
	}
	a.slow = false
	c.settle(1)
	if p := a.replica.Status().Pace; p.Delay < 36 || p.Delay > 42 {
		t.Errorf("once it is durable: %+v", p)
	}
	c.settle(50)
	if p := a.replica.Status().Pace; p.Delay > 42 {
		t.Errorf("a disk that rests counts: %+v", p)
	}
}

func TestWhatWasSlowIsForgotten(t *testing.T) {
	c, leader, a, _ := pacedCluster(t)
	c.silenced(8, leader, a)
	high := a.replica.Status().Pace.Delay
	least := int(peakNanoseconds / testTick)
	c.settle(least - 20)
	if d := a.replica.Status().Pace.Delay; d != high {
		t.Errorf("it is forgotten too early: %d ticks, were %d", d, high)
	}
	c.settle(least + 40)
	if d := a.replica.Status().Pace.Delay; d != 10 {
		t.Errorf("it is never forgotten: %d ticks", d)
	}
}

func TestElectionsThatElectNobodyAreCountedUntilThereIsALeader(t *testing.T) {
	var p pace
	for i, at := range []struct {
		role   raft.Role
		leader raft.ServerID
		want   int
	}{
		{raft.PreCandidate, 0, 0}, {raft.Candidate, 0, 1}, {raft.PreCandidate, 0, 1}, {raft.Candidate, 0, 2},
		{raft.Follower, 0, 2}, {raft.PreCandidate, 0, 2}, {raft.Candidate, 0, 3}, {raft.Leader, 1, 0}, {raft.Follower, 0, 0},
		{raft.Candidate, 0, 1}, {raft.Follower, 2, 0},
	} {
		p.leadershipChanged(&Replica{role: at.role, leader: at.leader})
		if p.attempts != at.want {
			t.Errorf("%d: as %v, with leader %d: %d attempts, want %d", i, at.role, at.leader, p.attempts, at.want)
		}
	}
}

// An election that nobody has died for must have a reason that can be found: what could have been taken for
// a death is told, and counted, however long it was.
func TestStallsThatLookLikeDeathAreTold(t *testing.T) {
	_, leader, _, _ := pacedCluster(t)
	leader.replica.options.Raft.HeartbeatTicks = 4 // of a delay of 10 ticks at least
	told := func(in ...Input) (events []Stalled) {
		for _, e := range leader.replica.Step(0, in).Events {
			if s, ok := e.(Stalled); ok {
				events = append(events, s)
			}
		}
		return events
	}
	for _, test := range []struct {
		passed, late uint64 // in ticks
	}{{7, 6}, {5, 0}, {1, 0}, {3000, 2999}, {6, 0}, {8, 7}} {
		got := told(Tick{Elapsed: testTick, Passed: test.passed * testTick})
		if (test.late > 0) != (len(got) == 1) || test.late > 0 && got[0] != (Stalled{Lasted: test.late * testTick}) {
			t.Errorf("after %d ticks: told %v, want %d", test.passed, got, test.late)
		}
	}
	if p := leader.replica.Status().Pace; p.Stalls != (Slow{3, 2999 * testTick}) || p.Stall != 7*testTick {
		t.Errorf("%+v", p)
	}
	command := Propose{Handle: 99, Command: wire.Command{Kind: 1, Request: []byte("a")}}
	work := leader.replica.Step(0, []Input{command})
	told(Tick{}, Tick{}, Tick{}, Tick{}, Tick{}, Tick{}, Tick{}, Tick{}, Tick{})
	ticket := work.Writes[0].Ticket
	if got := told(Tick{}, Persisted{ticket}); len(got) != 1 || got[0] != (Stalled{Sync: true, Lasted: 10 * testTick}) {
		t.Errorf("a write of 10 ticks: told %v", got)
	}
	work = leader.replica.Step(0, []Input{Propose{Handle: 100, Command: command.Command}})
	told(Tick{}, Tick{}, Tick{})
	if got := told(Persisted{work.Writes[0].Ticket}); len(got) > 0 {
		t.Errorf("a write of 3 ticks: told %v", got)
	}
	if p := leader.replica.Status().Pace; p.SlowSyncs != (Slow{1, 10 * testTick}) {
		t.Errorf("%+v", p)
	}
}

// The driver may say what the delay is; the simulator does.
func TestTickMayBringADelay(t *testing.T) {
	_, _, a, _ := pacedCluster(t)
	a.replica.Step(0, []Input{Tick{Delay: 77}})
	if d := a.replica.Status().Pace.Delay; d != 77 {
		t.Errorf("the delay is %d", d)
	}
	a.replica.Step(0, []Input{Tick{}})
	if d := a.replica.Status().Pace.Delay; d != 10 {
		t.Errorf("the delay is %d", d)
	}
}

func TestDelayThatIsTooShortIsToldNowAndThen(t *testing.T) {
	c, leader, a, _ := pacedCluster(t)
	a.replica.options.Pace = PaceOptions{}
	told := func(ticks int) (n int) {
		for range ticks {
			work := a.replica.Step(0, []Input{Tick{Elapsed: 12 * testTick}})
			for _, e := range work.Events {
				if h, ok := e.(Hurried); ok {
					n++
					if h.Delay != 10*testTick || h.Wanted != 2*(2+11)*testTick || h.Why != ByStall {
						t.Errorf("%+v", h)
					}
				}
			}
			c.silencedStep(leader, a)
		}
		return n
	}
	if n := told(100); n != 1 {
		t.Errorf("told %d times in 100 ticks", n)
	}
	if n := told(int(3 * peakNanoseconds / testTick)); n != 3 {
		t.Errorf("told %d times in three half minutes", n)
	}
}

// silencedStep lets a follower hear its leader.
func (c *cluster) silencedStep(leader, follower *server) {
	c.tick(leader)
	for len(c.network) > 0 {
		c.deliver(0)
	}
	c.sync(leader)
	c.sync(follower)
}

func TestWhatIsInForceIsToldBeforeTheFirstTick(t *testing.T) {
	o := *tuned()
	o.Member.ID = 1
	initial := wire.Configuration{Members: []wire.Member{{ID: 1, Roles: wire.RoleVoter}}}
	r, err := New(o, State{Raft: raft.State{Configurations: []raft.ConfigurationAt{{Configuration: initial.Raft()}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Status().Pace; !got.Tuned || got.Delay != 15 {
		t.Errorf("it is told %+v", got)
	}
}
