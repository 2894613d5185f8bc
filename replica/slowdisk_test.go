package replica

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// slowTicks is after how long a write is slow in these clusters: as long as anybody waits for a leader at least.
const slowTicks = 10

func TestALeaderWithASlowDiskHandsOver(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader, term := c.leader(), c.leader().replica.core.CurrentTerm()
	leader.slow = true
	write := c.propose(leader, "a")
	c.settle(slowTicks - 1)
	if c.leader() != leader {
		t.Fatal("it has handed over too early")
	}
	c.settle(2)
	if next := c.leader(); next == leader || next == nil || next.replica.core.CurrentTerm() != term+1 {
		t.Fatal("it has not handed over, or somebody was elected over its head")
	}
	if s := leader.replica.Status(); s.SlowDisk.Count != 1 || s.SlowDisk.Longest != slowTicks*10_000_000 {
		t.Errorf("it counts %+v", s.SlowDisk)
	}
	meanwhile := c.propose(c.leader(), "b")
	c.wantDoneSoon(c.leader(), meanwhile) // the others go on
	leader.slow = false
	c.wantDoneSoon(leader, write)
	if s := leader.replica.Status(); s.Writing != 0 {
		t.Errorf("a write is still under way, for %d ns", s.Writing)
	}
}

// A disk on which each write takes some ticks, too few to be slow, holds up a leader if those of the others are faster.
func TestALeaderHandsOverIfItsDiskIsSlowerThanOthersForAWhile(t *testing.T) {
	for _, test := range []struct {
		name   string
		others int // ticks that a write takes on the first of the others, and on the second
		other  int
		ticks  int
		prefer bool
		leads  bool // still, in the end
	}{
		{"not long enough", 1, 1, preferTicks, false, true},
		{"long enough", 1, 1, 2 * preferTicks, false, false},
		{"one of the others is as slow, and would have to vote", 8, 1, 2 * preferTicks, false, true},
		{"all are as slow", 8, 8, 2 * preferTicks, false, true},
		{"it is preferred", 1, 1, 2 * preferTicks, true, true},
	} {
		c := newCluster(t, 1, 3)
		c.settle(anyElection)
		leader := c.leader()
		if test.prefer {
			c.prefer(leader, leader.id)
		}
		first, second := c.followers()
		c.load(test.ticks, map[*server]int{leader: 8, first: test.others, second: test.other})
		if (c.leader() == leader) != test.leads {
			t.Errorf("%s: it leads: %v", test.name, !test.leads)
		}
	}
}

func TestALeaderWithASlowDiskHandsOverToNobodyWhoseDiskIsSlowToo(t *testing.T) {
	c := newCluster(t, 1, 5)
	c.settle(anyElection)
	leader := c.leader()
	leader.slow = true
	slow := c.server(leader.id%5 + 1) // would be asked, if it was well
	slow.slow = true
	c.propose(leader, "a")
	c.settle(slowTicks + 2)
	if next := c.leader(); next == nil || next == leader || next == slow {
		t.Errorf("%v leads", next)
	}
}

func TestALeaderWithASlowDiskGoesOnIfNobodyElseCanBeElected(t *testing.T) {
	for _, many := range []int{1, 2} { // of the others, whose disks are slow as well: their votes would come late
		c := newCluster(t, 1, 3)
		c.settle(anyElection)
		leader := c.leader()
		first, second := c.followers()
		leader.slow, first.slow, second.slow = true, true, many == 2
		write := c.propose(leader, "a")
		c.settle(5 * slowTicks)
		if c.leader() != leader {
			t.Errorf("it has handed over, though %d others are slow", many)
		}
		c.wantDoneSoon(leader, c.read(leader)) // which needs no disk
		leader.slow, first.slow, second.slow = false, false, false
		c.wantDoneSoon(leader, write)
	}
}

func TestASlowDiskIsForgottenWhenNothingIsWritten(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	c.load(preferTicks/2, map[*server]int{leader: 8})
	c.settle(3 * preferTicks)
	if c.leader() != leader {
		t.Error("it has handed over, though nothing was written for long")
	}
}

// A handover that comes to nothing holds up all writes for as long as it takes. It is not tried again at once.
func TestAHandoverFromASlowDiskThatComesToNothingIsNotTriedAgainSoon(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	c.loses = func(m *wire.Message) bool { // nobody is told to take over
		_, is := m.Body.(*raft.TimeoutNow)
		return is
	}
	leader.slow = true
	c.propose(leader, "a")
	begun := 0
	for range slowTicks + preferTicks {
		before := leader.replica.handover.underWay
		c.settle(1)
		if !before && leader.replica.handover.underWay {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("it was tried %d times", begun)
	}
}

func TestAServerWithASlowDiskLetsOthersStandFirst(t *testing.T) {
	for seed := range uint64(20) {
		c := newCluster(t, seed, 5)
		c.settle(anyElection)
		leader := c.leader()
		slow := c.server(leader.id%5 + 1)
		slow.slow = true
		c.propose(leader, "a")
		c.settle(slowTicks - 3) // some more, and the leader would not be missed any more by those who are well
		c.crash(leader)
		for range 100 {
			c.settle(1)
			if slow.replica.role == raft.PreCandidate || slow.replica.role == raft.Candidate {
				t.Fatalf("seed %d: it stands, though others are well", seed)
			}
		}
		if c.leader() == nil {
			t.Fatalf("seed %d: nobody leads", seed)
		}
	}
}

func TestIfAllDisksAreSlowSomebodyLeads(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	c.crash(c.leader())
	c.load(400, map[*server]int{c.servers[0]: 2 * slowTicks, c.servers[1]: 2*slowTicks - 1, c.servers[2]: 2*slowTicks + 1})
	if c.leader() == nil {
		c.settle(anyElection)
	}
	if c.leader() == nil {
		t.Error("nobody leads")
	}
}

func TestAWriteThatIsNeverDoneEndsAnyServer(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	stuck, _ := c.followers()
	stuck.slow = true
	c.propose(leader, "a")
	c.drain()
	c.settle(stuck.replica.options.StuckTicks - 1)
	if stuck.fatal != nil {
		t.Fatalf("it ends too early: %v", stuck.fatal)
	}
	c.settle(1)
	var e *StuckError
	if !errors.As(stuck.fatal, &e) || e.Lasted != stuckNanoseconds || e.Error() != "the disk hangs: a write to the log has been under way for 30.0 s" {
		t.Errorf("it goes on, or says %v", stuck.fatal)
	}
	if leader.fatal != nil {
		t.Errorf("the other ends as well: %v", leader.fatal)
	}
}

// A server that gets no processor has slow writes as well; what it would wait for a leader itself is the measure.
func TestWhatIsSlowFollowsWhatElseIsMeasured(t *testing.T) {
	o := Options{TickNanoseconds: 10_000_000, Pace: PaceOptions{MinTicks: 15, MaxTicks: 200}, Raft: raft.Options{HeartbeatTicks: 5}}
	for _, test := range []struct {
		silence, stall, sync, want uint64 // milliseconds
	}{
		{0, 0, 0, 150},
		{0, 0, 900, 150}, // the disk itself does not count
		{200, 0, 0, 400},
		{0, 110, 0, 320},
		{3000, 0, 0, 2000},
	} {
		var p pace
		p.silence.note(test.silence * 1e6)
		p.stall.note(test.stall * 1e6)
		p.sync.note(test.sync * 1e6)
		if got := p.withoutDisk(&o) / 1e6; got != test.want {
			t.Errorf("%+v: a write is slow after %d ms", test, got)
		}
	}
	o.Pace, o.Raft.ElectionTicks = PaceOptions{}, 100
	var p pace
	p.silence.note(3e9)
	if got := p.withoutDisk(&o); got != 1e9 {
		t.Errorf("where the timeout is fixed, a write is slow after %d ns", got)
	}
}
