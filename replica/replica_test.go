package replica

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

func TestCommandIsAnsweredWhereItWasBrought(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	atLeader, atFollower := c.leader(), c.follower()
	a := c.propose(atLeader, "a")
	b := c.propose(atFollower, "b")
	c.settle(5)
	c.wantDone(atLeader, a)
	c.wantDone(atFollower, b)
	for _, s := range c.servers {
		c.wantApplied(s, atLeader.state...)
		if len(s.state) != 2 {
			t.Errorf("server %d applied %v, want both commands", s.id, s.state)
		}
	}
}

func TestAloneInTheGroup(t *testing.T) {
	c := newCluster(t, 1, 1)
	s := c.servers[0]
	s.inputs = append(s.inputs, Campaign{})
	c.step(s)
	a := c.propose(s, "a")
	c.drain()
	c.wantDone(s, a)
	r := c.read(s)
	c.wantDone(s, r)
}

func TestForwardedCommandOutlivesItsLeader(t *testing.T) {
	c := newCluster(t, 3, 3)
	c.settle(40)
	old, s := c.leader(), c.follower()
	lost := false
	c.drop = func(from, to raft.ServerID) bool { return lost && to == old.id }
	lost = true // the forwarded batch never arrives
	h := c.propose(s, "a")
	c.crash(old)
	c.settle(60)
	c.wantDone(s, h)
	c.wantApplied(s, "a")
	c.start(old)
	lost = false
	c.settle(20)
	c.wantApplied(old, "a")
}

func TestForwardedCommandThatTheDeadLeaderReplicatedIsAppliedOnce(t *testing.T) {
	c := newCluster(t, 3, 3)
	c.settle(40)
	old, s := c.leader(), c.follower()
	h := c.propose(s, "a")
	// Deliver until the leader has sent the entry out, then lose everything that it would say next.
	for i := 0; i < len(c.network); {
		if c.network[i].to == old.id {
			c.deliver(i)
		} else {
			i++
		}
	}
	c.sync(old)
	c.step(old)
	c.crash(old)
	c.drop = func(from, to raft.ServerID) bool { return from == old.id }
	c.settle(60)
	c.wantDone(s, h)
	c.wantApplied(s, "a")
}

func TestCommandOfDeposedLeaderIsHandedToTheNext(t *testing.T) {
	c := newCluster(t, 5, 3)
	c.settle(40)
	old := c.leader()
	c.drop = func(from, to raft.ServerID) bool { return from == old.id || to == old.id }
	h := c.propose(old, "a")
	c.settle(60) // the others elect somebody; the old leader steps down
	if c.leader() == old || c.leader() == nil {
		t.Fatal("no other leader")
	}
	if a, answered := old.answers[h]; answered {
		t.Fatalf("answered while cut off: %+v", a)
	}
	c.drop = nil
	c.settle(40)
	c.wantDone(old, h)
	for _, s := range c.servers {
		c.wantApplied(s, "a")
	}
}

func TestRepeatedForwardIsTakenOnce(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	s := c.follower()
	h := c.propose(s, "a")
	c.network = append(c.network, c.network...) // every letter twice
	c.settle(5)
	c.wantDone(s, h)
	c.wantApplied(s, "a")
}

func TestLeaderThatIsBackInReachTakesWhatIsForwarded(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	leader, s := c.leader(), c.follower()
	term := leader.replica.core.CurrentTerm()
	c.wantDoneSoon(s, c.propose(s, "a"))
	c.drop = func(from, to raft.ServerID) bool { return from == s.id || to == s.id }
	b := c.propose(s, "b") // its batch is lost
	c.settle(40)
	if s.replica.leader != 0 {
		t.Fatalf("server %d still follows %d", s.id, s.replica.leader)
	}
	c.drop = nil
	c.settle(40)
	h := c.propose(s, "c")
	c.settle(40)
	if now := s.replica.core.CurrentTerm(); now != term || s.replica.leader != leader.id {
		t.Fatalf("server %d follows %d in term %d, want %d in term %d", s.id, s.replica.leader, now, leader.id, term)
	}
	c.wantDone(s, b)
	c.wantDone(s, h)
	c.wantApplied(s, "a", "b", "c")
}

func TestLostForwardComesAgainUnderItsNumber(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	s := c.follower()
	h := c.propose(s, "a")
	c.network = nil
	c.settle(30)
	c.wantDone(s, h)
	c.wantApplied(s, "a")
}

func TestForwardOfAnotherTermIsNotTaken(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l, s := c.leader(), c.follower()
	m := wire.Message{Group: testGroup, Term: l.replica.term - 1, Body: &wire.Forward{
		Boot: s.boot, Batch: 1, Commands: [][]byte{wire.AppendCommand(nil, &wire.Command{Kind: 1, Request: []byte("late")})},
	}}
	l.inputs = append(l.inputs, Receive{From: s.id, Message: m})
	c.step(l)
	c.settle(5)
	c.wantApplied(l)
}

func TestCanceledBeforeAnyLeaderHadItNeverHappens(t *testing.T) {
	c := newCluster(t, 1, 3)
	s := c.servers[0]
	h := c.propose(s, "a") // nobody leads yet
	s.inputs = append(s.inputs, Cancel{Handle: h})
	c.step(s)
	if a := s.answers[h]; a.Outcome != Canceled {
		t.Fatalf("outcome %v, want canceled", a.Outcome)
	}
	c.settle(60)
	c.wantApplied(s)
}

func TestCanceledWhileALeaderHasItIsUnknown(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l := c.leader()
	h := c.propose(l, "a")
	l.inputs = append(l.inputs, Cancel{Handle: h})
	c.step(l)
	if a := l.answers[h]; a.Outcome != Unknown {
		t.Fatalf("outcome %v, want unknown", a.Outcome)
	}
	c.settle(5)
	c.wantApplied(l, "a")
}

func TestReadWaitsForTheStateMachine(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l, s := c.leader(), c.follower()
	c.propose(l, "a")
	for len(l.state) == 0 { // the leader applies; the follower's state machine does not
		for len(c.network) > 0 {
			c.deliver(0)
		}
		for _, x := range c.servers {
			c.sync(x)
			if x != s {
				c.applyNow(x)
			}
			c.step(x)
		}
		c.tick(l)
	}
	r := c.read(s)
	for len(c.network) > 0 {
		c.deliver(0)
	}
	if len(s.state) != 0 {
		t.Fatal("the follower has applied already: the test shows nothing")
	}
	if a, answered := s.answers[r]; answered {
		t.Fatalf("read answered before the state machine was there: %+v", a)
	}
	c.settle(5)
	c.wantDone(s, r)
	c.wantApplied(s, "a")
}

func TestReadOutlivesItsLeader(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	old, s := c.leader(), c.follower()
	c.crash(old)
	r := c.read(s)
	c.settle(60)
	c.wantDone(s, r)
}

func TestReadsWaitWhileTheCoreIsBusy(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.maxWaitingReads = 1
	for _, s := range c.servers {
		c.start(s)
	}
	c.settle(40)
	s := c.leader()
	var handles []uint64
	for range 5 { // one is being confirmed, one waits in the core, and for the others there is no room
		handles = append(handles, c.read(s))
	}
	c.settle(5)
	for _, h := range handles {
		c.wantDone(s, h)
	}
}

func TestKeysAndNamesGetIntoTheConfiguration(t *testing.T) {
	c := newCluster(t, 1, 3)
	for _, s := range c.servers {
		for _, peer := range c.servers {
			if peer != s {
				key := make([]byte, 32)
				key[0] = byte(peer.id)
				s.inputs = append(s.inputs, KeyKnown{ID: peer.id, Key: key})
			}
		}
	}
	c.settle(200)
	for _, s := range c.servers {
		for _, m := range s.replica.configuration.Members {
			if len(m.Key) != 32 || m.Key[0] != byte(m.ID) || m.Name != fmt.Sprint("n", m.ID) {
				t.Errorf("server %d knows server %d as %q with key %x", s.id, m.ID, m.Name, m.Key)
			}
		}
	}
}

func TestEntriesThatDoNotFollowAreNotTaken(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l, s := c.leader(), c.follower()
	last := s.replica.core.LastIndex()
	term, _ := s.replica.core.TermAt(last)
	forged := wire.AppendRecord(nil, &wire.Record{
		Kind: wire.RecordCommand, Group: testGroup, Index: last + 1, Term: l.replica.term,
		Payload: wire.AppendCommand(nil, &wire.Command{Kind: 1, Request: []byte("forged")}),
	})
	b := wire.AppendMessage(nil, &wire.Message{Group: testGroup, Term: l.replica.term, Body: &raft.AppendEntries{
		PrevLogIndex: last, PrevLogTerm: term, LeaderCommit: last + 1, Round: 1000,
	}}, forged)
	m, err := wire.DecodeMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	work := s.replica.Step(0, []Input{Receive{From: l.id, Message: m}})
	if !slices.ContainsFunc(work.Events, func(e fmt.Stringer) bool { _, ok := e.(Diverged); return ok }) {
		t.Error("no event tells of it")
	}
	if len(work.Writes) > 0 || s.replica.core.LastIndex() != last {
		t.Error("the entry was taken")
	}
}

// TestRandomFaults runs random crashes, losses, duplicates and reorderings, and checks that every
// server applies the same commands in the same order, each at most once, and none that was answered
// is missing.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(150) {
		runRandomFaults(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func runRandomFaults(t *testing.T, seed uint64) {
	c := newCluster(t, seed, []int{3, 3, 5}[seed%3])
	type asked struct {
		server  *server
		handle  uint64
		command string
	}
	var requests []asked
	for i := range 3000 {
		s := c.servers[c.random.IntN(len(c.servers))]
		switch n := c.random.IntN(100); {
		case !s.alive:
			if n < 5 {
				c.start(s)
			}
		case n < 20:
			c.tick(s)
		case n < 60 && len(c.network) > 0:
			k := c.random.IntN(min(len(c.network), 4))
			switch c.random.IntN(20) {
			case 0:
				c.network = slices.Delete(c.network, k, k+1)
			case 1:
				c.network = append(c.network, c.network[k])
			}
			if k < len(c.network) {
				c.deliver(k)
			}
		case n < 80:
			c.sync(s)
			c.step(s)
		case n < 90:
			c.applyNow(s)
			c.step(s)
		case n < 95 && len(requests) < 60:
			command := fmt.Sprint("c", i)
			requests = append(requests, asked{s, c.propose(s, command), command})
		case n == 99 && i%4 == 0:
			c.crash(s)
		}
	}
	for _, s := range c.servers {
		if !s.alive {
			c.start(s)
		}
	}
	c.settle(150)
	want := c.servers[0].state
	for _, s := range c.servers {
		if s.fatal != nil {
			t.Errorf("server %d: %v", s.id, s.fatal)
		}
		c.wantApplied(s, want...)
	}
	sorted := slices.Clone(want)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(want) {
		t.Errorf("a command was applied twice: %v", want)
	}
	for _, r := range requests {
		a, answered := r.server.answers[r.handle]
		if answered && a.Outcome == Done && !slices.Contains(want, r.command) {
			t.Errorf("%s was answered and is lost", r.command)
		}
		if !answered && r.server.boot == 1 {
			t.Errorf("%s at server %d, which never crashed, is not answered", r.command, r.server.id)
		}
	}
}

func TestForwardedCommandThatIsNotItsSendersOwnIsNotTaken(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l, s := c.leader(), c.follower()
	good := wire.Origin{Server: s.id, Boot: s.boot, Sequence: 1}
	for batch, command := range []wire.Command{
		{Kind: 1, Origin: wire.Origin{Server: l.id, Boot: s.boot, Sequence: 1}},
		{Kind: 1, Origin: wire.Origin{Server: s.id, Boot: s.boot + 1, Sequence: 1}},
		{Kind: 1, Origin: good, Level: FeatureLevel + 1},
		{Kind: 0, Origin: good},
		{Kind: 1, Origin: good, Request: []byte("good")},
	} {
		l.inputs = append(l.inputs, Receive{From: s.id, Message: wire.Message{Group: testGroup, Term: l.replica.term, Body: &wire.Forward{
			Boot: s.boot, Batch: uint64(batch + 1), Commands: [][]byte{wire.AppendCommand(nil, &command)},
		}}})
	}
	c.step(l)
	c.settle(5)
	c.wantApplied(l, "good")
}

func TestCommandThatNobodyCouldReadIsRefused(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l := c.leader()
	l.inputs = append(l.inputs,
		Propose{Handle: 1001, Command: wire.Command{Kind: 1, User: make([]byte, wire.MaxUserBytes+1)}},
		Propose{Handle: 1002, Command: wire.Command{Kind: 1, Request: make([]byte, wire.MaxPayloadBytes)}})
	c.step(l)
	for _, handle := range []uint64{1001, 1002} {
		if a := l.answers[handle]; a.Outcome != TooLarge {
			t.Errorf("request %d is %q, want too large", handle, a.Outcome)
		}
	}
	c.settle(5)
	c.wantApplied(l)
}

func TestClaimThatDoesNotFitChangesNothing(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l, s := c.leader(), c.follower()
	l.inputs = append(l.inputs, Receive{From: s.id, Message: wire.Message{Group: testGroup, Term: l.replica.term,
		Body: &wire.Claim{Member: wire.Member{ID: s.id, Name: "n", ClientURLs: []string{string(make([]byte, wire.MaxMemberBytes-20))}}}}})
	c.settle(120)
	if l.fatal != nil {
		t.Fatal(l.fatal)
	}
	if urls := l.replica.configuration.Member(s.id).ClientURLs; len(urls) != 0 {
		t.Errorf("the configuration has %d bytes of addresses", len(urls[0]))
	}
}

// What a peer lacks has left the leader's memory. It is read from the log, and goes out in order: a
// request that overtook another would be refused, and everything be sent again.
func TestLaggingPeerIsBroughtUpToDateInOrder(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.settle(40)
	l, s := c.leader(), c.follower()
	c.drop = func(from, to raft.ServerID) bool { return from == s.id || to == s.id }
	for i := range 400 {
		c.propose(l, fmt.Sprint("command ", i))
		c.drain()
	}
	c.drop = nil
	s.refusals = 0
	for ticks := 0; len(s.state) < 400; ticks++ {
		if ticks > 20 {
			t.Fatalf("applied %d of 400 after %d ticks, and refused %d appends", len(s.state), ticks, s.refusals)
		}
		c.settle(1)
		c.propose(l, fmt.Sprint("more ", ticks)) // the log goes on meanwhile
	}
	if s.refusals > 2 {
		t.Errorf("refused %d appends, want one for the first probe", s.refusals)
	}
}

// Time is that of the leader's entries. What a follower's own clock has made of it since the last one
// must not add up: it would jump when the follower comes to lead.
func TestLogTimeDoesNotJumpWhenTheLeaderChanges(t *testing.T) {
	c := newCluster(t, 3, 3)
	c.settle(40)
	old := c.leader()
	fast := c.follower() // its clock is twice as fast as the others'
	for range 100 {
		c.propose(old, "a")
		c.settle(5)
		fast.replica.logTime += 5 * fast.replica.options.TickNanoseconds
	}
	tick := old.replica.options.TickNanoseconds
	if ahead := int64(fast.replica.logTime - old.replica.logTime); ahead < 0 || ahead > 10*int64(tick) {
		t.Errorf("after a hundred entries of its leader the follower is %d ticks ahead", ahead/int64(tick))
	}
	before := old.replica.logTime
	c.crash(old)
	c.settle(60)
	h := c.propose(c.leader(), "b")
	c.settle(5)
	c.wantDone(c.leader(), h)
	record := wire.Raw(c.leader().records[len(c.leader().records)-1])
	after, _ := EntryTime(record)
	if passed := int64(after-before) / int64(tick); passed < 20 || passed > 80 {
		t.Errorf("%d ticks of log time have passed in 65 ticks", passed)
	}
}

func TestTickBringsWhatHasElapsed(t *testing.T) {
	c := newCluster(t, 3, 1)
	s := c.servers[0]
	before := s.replica.Status().LogTime
	s.inputs = append(s.inputs, Tick{Elapsed: 123}, Tick{})
	c.step(s)
	if passed := s.replica.Status().LogTime - before; passed != 123+s.replica.options.TickNanoseconds {
		t.Errorf("%d ns have passed", passed)
	}
}
