package replica

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// preferTicks is Options.PreferTicks of the servers of a cluster.
const preferTicks = 20 * 10

// prefer makes these servers the preferred ones.
func (c *cluster) prefer(asked *server, preferred ...raft.ServerID) {
	c.t.Helper()
	var edits []Edit
	for _, s := range c.servers {
		e := Edit{Member: wire.Member{ID: s.id}, Existing: true, SetTraits: true}
		for _, id := range preferred {
			if id == s.id {
				e.Member.Traits = wire.TraitPreferred
			}
		}
		edits = append(edits, e)
	}
	h := c.reconfigure(asked, edits...)
	c.wantDoneSoon(asked, h)
}

// load lets time pass under load; each follower in lags makes entries durable in every so many ticks only.
func (c *cluster) load(ticks int, lags map[*server]int) {
	for i := range ticks {
		for s, every := range lags {
			s.slow = i%every != 0
		}
		if leader := c.leader(); leader != nil {
			c.propose(leader, fmt.Sprint(i))
		}
		c.settle(1)
	}
	for s := range lags {
		s.slow = false
	}
	c.drain()
}

// followers returns the two that do not lead, of three.
func (c *cluster) followers() (first, second *server) {
	leader := c.leader()
	first, second = c.server(leader.id%3+1), c.server((leader.id+1)%3+1)
	if first.id > second.id {
		return second, first
	}
	return first, second
}

func TestOfTwoThatAreEquallyFarTheOneWithTheFasterDiskTakesOver(t *testing.T) {
	for _, slowIsFirst := range []bool{true, false} {
		c := newCluster(t, 1, 3)
		c.settle(anyElection)
		slow, fast := c.followers()
		if !slowIsFirst {
			slow, fast = fast, slow
		}
		leader := c.leader()
		c.load(100, map[*server]int{slow: 4})
		h := c.transfer(leader, 0)
		c.drain()
		c.wantDone(leader, h)
		if c.leader() != fast {
			t.Errorf("server %d does not lead", fast.id)
		}
	}
}

// Whose disk is slow is told by what it has not made durable yet, too; and after a while of idleness it is forgotten.
func TestHowLongAPeerTakes(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	slow, fast := c.followers()
	tick := leader.replica.options.TickNanoseconds
	slow.slow = true
	c.propose(leader, "x")
	c.settle(7)
	p := &leader.replica.promptness
	if got := p.takes(slow.id); got < 7*tick || got > 8*tick {
		t.Errorf("after 7 ticks without an answer: %d ns", got)
	}
	if got := p.takes(fast.id); got > tick/10 {
		t.Errorf("the other takes %d ns", got)
	}
	slow.slow = false
	c.load(200, map[*server]int{slow: 4})
	if got := p.takes(slow.id); got < 2*tick || got > 4*tick {
		t.Errorf("of four ticks: %d ns", got)
	}
	if list := leader.replica.Status().Promptness; len(list) != 2 || list[0].ID != slow.id || list[0].Takes < 2*tick {
		t.Errorf("the status says %+v", list)
	}
	c.settle(1000)
	if got := p.takes(slow.id); got > tick/10 {
		t.Errorf("long after: %d ns", got)
	}
	c.settle(1)
	slow.slow = true
	c.propose(leader, "y")
	c.settle(5000)
	if got := p.takes(slow.id); got != maxAppendNanoseconds {
		t.Errorf("after 50 s without an answer: %d ns", got)
	}
}

func TestLeadershipGoesToWhoIsPreferred(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	first, preferred := c.followers()
	c.prefer(first, preferred.id)
	for i := range preferTicks - 10 {
		if c.settle(1); c.leader() != leader {
			t.Fatalf("it hands over after %d ticks", i)
		}
	}
	term := leader.replica.term
	c.settle(20)
	if c.leader() != preferred || preferred.replica.term != term+1 {
		t.Fatalf("server %d does not lead, or there were elections", preferred.id)
	}
	for range 10 * preferTicks {
		if c.settle(1); c.leader() != preferred {
			t.Fatal("leadership goes on")
		}
	}
	// It survives restarts, and whoever leads then.
	for _, s := range c.servers {
		c.crash(s)
		c.start(s)
	}
	c.settle(anyElection + 2*preferTicks + 20)
	if c.leader() != preferred {
		t.Error("the preferred one does not lead after a restart")
	}
	// And it can be taken back.
	c.prefer(c.leader())
	c.transfer(c.leader(), first.id)
	c.settle(4 * preferTicks)
	if c.leader() != first {
		t.Error("somebody is preferred still")
	}
}

// Who is preferred and not well is not handed to.
func TestNobodyHandsOverToWhoIsNotWell(t *testing.T) {
	for name, ail := range map[string]func(c *cluster, preferred *server){
		"its disk is slow": func(c *cluster, preferred *server) { c.load(4*preferTicks, map[*server]int{preferred: 8}) },
		"its disk hangs": func(c *cluster, preferred *server) {
			preferred.slow = true
			c.propose(c.leader(), "x")
			c.settle(2 * preferTicks)
		},
		"it is down": func(c *cluster, preferred *server) {
			c.crash(preferred)
			c.settle(2 * preferTicks)
		},
		"it answers now and then": func(c *cluster, preferred *server) {
			for i := range 4 * preferTicks {
				c.drop = nil
				if i%20 > 8 {
					c.drop = func(from, _ raft.ServerID) bool { return from == preferred.id }
				}
				c.settle(1)
			}
		},
	} {
		c := newCluster(t, 1, 3)
		c.settle(anyElection)
		leader := c.leader()
		_, preferred := c.followers()
		c.prefer(leader, preferred.id)
		ail(c, preferred)
		if c.leader() != leader || leader.replica.handover.failures > 0 {
			t.Errorf("%s, and server %d leads, after %d failures", name, c.leader().id, leader.replica.handover.failures)
		}
		// As soon as it is well, it is handed to.
		c.drop = nil
		if !preferred.alive {
			c.start(preferred)
		}
		preferred.slow = false
		c.settle(2 * preferTicks)
		if c.leader() != preferred {
			t.Errorf("%s no longer, and it does not lead", name)
		}
	}
}

// A handover that fails is tried again, and later each time.
func TestAHandoverThatFailsIsNotTriedAgainSoon(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	_, preferred := c.followers()
	c.prefer(leader, preferred.id)
	var at []int
	for i := range 20 * preferTicks {
		before := leader.replica.handover.underWay
		for _, s := range c.servers {
			c.tick(s)
		}
		for len(c.network) > 0 {
			if c.lose(wire.KindTimeoutNow); len(c.network) > 0 {
				c.deliver(0)
			}
			for _, s := range c.servers {
				c.sync(s)
				c.step(s)
			}
		}
		if !before && leader.replica.handover.underWay {
			at = append(at, i)
		}
	}
	if len(at) < 4 || len(at) > 6 {
		t.Fatalf("it was tried at %v", at)
	}
	for i := 2; i < len(at); i++ {
		if before, now := at[i-1]-at[i-2], at[i]-at[i-1]; now < before+preferTicks/2 {
			t.Errorf("it was tried at %v", at)
		}
	}
}

// Who has lost leadership again and again must be well for longer before it gets it again.
func TestWhoLosesLeadershipWaitsLongerForIt(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	_, preferred := c.followers()
	c.prefer(c.leader(), preferred.id)
	var waited []int
	for range 4 {
		n := 0
		for ; c.leader() != preferred && n < 100*preferTicks; n++ {
			c.settle(1)
		}
		waited = append(waited, n)
		c.transfer(preferred, 0)
		c.drain()
		if c.leader() == preferred {
			t.Fatal("it leads still")
		}
	}
	for i, least := range []int{preferTicks / 2, 2 * preferTicks, 4 * preferTicks, 8 * preferTicks} {
		if waited[i] < least || waited[i] > 2*least+preferTicks {
			t.Errorf("it got leadership after %v ticks", waited)
		}
	}
	c.settle(forgetAfter*preferTicks + 10)
	if c.leader() != preferred {
		t.Fatal("it does not lead")
	}
	c.settle(forgetAfter * preferTicks)
	c.transfer(preferred, 0)
	c.settle(2*preferTicks + 60) // which is one reign
	if c.leader() != preferred {
		t.Error("what is long ago counts still")
	}
}

// Whom nobody else hears is well as far as the leader knows, and cannot win. That is found out by an election, so it is
// not tried again and again.
func TestWhoCannotWinIsTriedRarely(t *testing.T) {
	c := newCluster(t, 1, 5)
	c.settle(anyElection)
	_, preferred := c.followers()
	c.prefer(c.leader(), preferred.id)
	tried := 0
	c.drop = func(from, to raft.ServerID) bool {
		leader := c.leader()
		if leader == nil || from != preferred.id && to != preferred.id {
			return from == preferred.id || to == preferred.id
		}
		return from != leader.id && to != leader.id
	}
	last := raft.Term(0)
	for range 40 * preferTicks {
		c.settle(1)
		if s := c.leader(); s != nil && s.replica.handover.underWay && s.replica.term != last {
			last = s.replica.term
			tried++
		}
		if term := preferred.replica.term; preferred.replica.role == raft.Candidate && term != last {
			last = term
			tried++
		}
	}
	if c.leader() == preferred || tried < 3 || tried > 20 {
		t.Errorf("it was tried %d times", tried)
	}
}

// A preference is nobody's right: a learner, and who is to lose its vote, does not get leadership.
func TestOnlyAVoterIsHandedTo(t *testing.T) {
	c := newClusterWith(t, 1, 3, 1)
	c.settle(anyElection)
	leader := c.leader()
	c.reconfigure(leader, add(4, wire.RoleLearner))
	c.settle(anyElection)
	c.prefer(leader, 4)
	c.settle(2 * preferTicks)
	if c.leader() != leader || leader.replica.handover.failures > 0 {
		t.Error("it hands over, or tries to")
	}
	c.wantMembers(leader, "1v 2v 3v 4l")
	h := c.reconfigure(leader, add(4, wire.RoleVoter)) // keeps its traits
	c.wantDoneSoon(leader, h)
	c.settle(2 * preferTicks)
	if next := c.leader(); next != c.server(4) {
		t.Errorf("server %d leads", next.id)
	}
}

// Of two that are preferred one leads, and it stays so.
func TestWhoIsPreferredHandsOverToNobody(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	leader := c.leader()
	other := c.follower()
	c.prefer(leader, leader.id, other.id)
	term := leader.replica.term
	c.settle(3 * preferTicks)
	if c.leader() != leader || leader.replica.term != term {
		t.Error("it hands over")
	}
}

// What becomes of a change is not to be made unknown for a preference.
func TestNobodyHandsOverWhileMembersChange(t *testing.T) {
	c := newClusterWith(t, 1, 3, 2)
	c.settle(anyElection)
	leader := c.leader()
	third, preferred := c.followers()
	c.reconfigure(leader, add(4, wire.RoleLearner), add(5, wire.RoleLearner))
	c.settle(anyElection)
	c.prefer(leader, preferred.id)
	third.slow, c.server(4).slow, c.server(5).slow = true, true, true
	h := c.reconfigure(leader, add(4, wire.RoleVoter), add(5, wire.RoleVoter)) // is appended, and cannot be committed
	c.settle(3 * preferTicks)
	c.wantOutcome(leader, h, 0)
	if c.leader() != leader {
		t.Error("it hands over")
	}
	third.slow, c.server(4).slow, c.server(5).slow = false, false, false
	c.settle(2 * preferTicks)
	c.wantDone(leader, h)
	if c.leader() != preferred {
		t.Error("it does not hand over")
	}
}

func TestWhoIsWell(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(anyElection)
	r := c.leader().replica
	for name, ail := range map[string]func(p *raft.PeerStatus){
		"":                                func(*raft.PeerStatus) {},
		"it has not answered for a while": func(p *raft.PeerStatus) { p.SilentTicks = 6 },
		"it is not known what it has":     func(p *raft.PeerStatus) { p.Probing = true },
		"what it lacks is not on its way": func(p *raft.PeerStatus) { p.NextIndex-- },
		"so much is on its way":           func(p *raft.PeerStatus) { p.InflightBytes = r.options.MaxBatchBytes + 1 },
	} {
		p := r.core.AppendPeers(nil)[0]
		p.SilentTicks = 5 // half an election timeout
		ail(&p)
		if r.isWell(&p) != (name == "") {
			t.Errorf("%s: it is the other way round", name)
		}
	}
}

// Of traits only those are set that are known, whoever asks.
func TestUnknownTraitsAreKept(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.initial.Members[0].Traits = 0x80 // before anybody starts again
	for _, s := range c.servers {
		c.crash(s)
		c.start(s)
	}
	c.settle(anyElection)
	c.prefer(c.leader(), 1)
	if got := c.leader().replica.configuration.Member(1).Traits; got != 0x81 {
		t.Errorf("traits are %#x", got)
	}
	h := c.reconfigure(c.leader(), Edit{Member: wire.Member{ID: 1, PeerURLs: []string{"http://a:1"}}})
	c.wantDoneSoon(c.leader(), h)
	c.prefer(c.leader())
	if got := c.leader().replica.configuration.Member(1).Traits; got != 0x80 {
		t.Errorf("traits are %#x", got)
	}
}
