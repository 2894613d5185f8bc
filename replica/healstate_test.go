package replica

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// stranded is a group of three whose first server has holes that the others have compacted up to base; their states are
// at applied.
func stranded(t *testing.T, holes []raft.Index, base, applied raft.Index) (*healers, *healer) {
	t.Helper()
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	for _, s := range c.all[1:] {
		s.compact(base, applied)
	}
	for _, i := range holes {
		c.all[0].rot(i)
	}
	for _, s := range c.all {
		s.start()
	}
	return c, c.all[0]
}

// beginsAfter checks that a server is whole, that its log begins after an entry, and goes on to the last as it was.
func (c *healers) beginsAfter(s *healer, base, last raft.Index) {
	c.t.Helper()
	if s.healing != nil {
		c.t.Fatalf("server %d has not healed: %s; %q", s.id, s.healing.status().Text, s.events)
	}
	g, _ := s.log.State(testGroup)
	if g.Base.Index != base || g.Last < last || len(g.Holes) > 0 {
		c.t.Fatalf("the log of server %d begins after %d, and ends at %d, with holes %v, want %d, %d at least, and none", s.id, g.Base.Index, g.Last, g.Holes, base, last)
	}
	for i := base + 1; i <= last; i++ {
		records, err := s.log.Read(testGroup, i, i, 1)
		must(c.t, err)
		if wire.Raw(records[0]).Hash() != wire.Raw(c.entries[i-1]).Hash() {
			c.t.Fatalf("server %d has another entry %d", s.id, i)
		}
	}
}

// Holes that the others have compacted are gone with a state; later ones are filled; what follows the state is kept, also if
// the entry at which it is is a hole. Then all that was is there when the log is opened again.
func TestWhatOthersHaveCompactedComesWithAState(t *testing.T) {
	for name, x := range map[string]struct {
		holes         []raft.Index
		base, applied raft.Index
	}{
		"before and after": {[]raft.Index{3, 7, 15}, 10, 12},
		"at its place":     {[]raft.Index{7, 8, 9}, 8, 8},
		"at the end":       {[]raft.Index{20}, 20, 20},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := stranded(t, x.holes, x.base, x.applied)
			if s.healing == nil {
				t.Fatal("it has no holes")
			}
			c.run(60)
			c.beginsAfter(s, x.applied, 20)
			if len(s.installed) != 1 || s.installed[0] != x.applied {
				t.Errorf("it has taken over states of entries %d, want one of %d", s.installed, x.applied)
			}
			for kind := range s.sent {
				switch kind {
				case "*wire.EntryRequest", "*wire.EntryReply", "*wire.SnapshotRequest", "*wire.SnapshotChunk":
				default:
					t.Errorf("it has sent %s while it healed", kind)
				}
			}
			must(t, s.log.Close())
			if g := s.open().Groups[0]; len(g.Holes) > 0 || g.Base.Index != x.applied || g.Last < 20 {
				t.Errorf("started again, it has holes %v, and a log from %d to %d", g.Holes, g.Base.Index, g.Last)
			}
		})
	}
}

// A server whose own state is as far needs no other: its log begins after that.
func TestLogBeginsAfterItsOwnStateIfThatIsAsFar(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[0]
	for _, other := range c.all[1:] {
		other.compact(12, 12)
	}
	s.applied = 14
	s.rot(7)
	for _, s := range c.all {
		s.start()
	}
	c.run(60)
	c.beginsAfter(s, 12, 20)
	if len(s.installed) > 0 {
		t.Errorf("it has taken over states of entries %d", s.installed)
	}
}

// Nobody is asked for a state while somebody may still have the entry; who is down is not waited for for ever.
func TestStateIsAskedForWhenNobodyElseCanHaveTheEntry(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[0]
	c.all[1].compact(10, 12)
	s.rot(7)
	s.start()
	c.all[1].start()
	c.run(50)
	if n := s.sent["*wire.SnapshotRequest"]; n > 0 || s.healing == nil || s.healing.needsState() != 0 {
		t.Errorf("it has asked for a state %d times, while server 3 has not answered", n)
	}
	c.run(200)
	c.beginsAfter(s, 12, 20)

	c = newHealers(t, 3, 20, 20, ofTerm(2))
	s = c.all[0]
	c.all[1].compact(10, 12)
	s.rot(7)
	for _, s := range c.all {
		s.start()
	}
	c.run(60)
	c.hasAll(s, 20)
	if n := s.sent["*wire.SnapshotRequest"]; n > 0 {
		t.Errorf("it has asked for a state %d times, and server 3 has the entry", n)
	}
}

// chunk is the last piece of a state at an entry of a term, as an answer to what a server has asked.
func (c *healers) chunk(s *healer, index raft.Index, term raft.Term) {
	c.t.Helper()
	g, _ := s.log.State(testGroup)
	p := &wire.Position{EntryID: raft.EntryID{Index: index, Term: term}, Configuration: g.Configurations[0].Bytes}
	p.Hash = wire.Hash{9}
	if int(index) <= len(c.entries) && wire.Raw(c.entries[index-1]).Term() == term {
		p.Hash = wire.Raw(c.entries[index-1]).Hash()
	}
	c.step(s, Receive{From: s.healing.state.source, Message: wire.Message{Group: testGroup, Term: term, Body: &wire.SnapshotChunk{
		Boot: s.boot, Number: s.healing.state.number, Outcome: wire.SnapshotServed, Position: p, Chunk: []byte("a state"),
	}}})
}

// inNeed is a server that has asked for a state, above its hole 7.
func inNeed(t *testing.T, commit raft.Index) (*healers, *healer) {
	t.Helper()
	c := newHealers(t, 3, 20, commit, ofTerm(2))
	s := c.all[0]
	s.rot(7)
	s.start()
	c.compactedElsewhere(s, 7)
	return c, s
}

// compactedElsewhere says that the others have compacted an entry, until the server asks for a state.
func (c *healers) compactedElsewhere(s *healer, i raft.Index) {
	t := c.t
	t.Helper()
	for k := 0; !s.healing.state.asked; k++ {
		if k > 100 {
			t.Fatal("it does not ask for a state")
		}
		c.step(s, Tick{})
		for _, from := range []raft.ServerID{2, 3} {
			c.step(s, Receive{From: from, Message: wire.Message{Group: testGroup, Term: 2, Body: &wire.EntryReply{
				Found: []wire.FoundEntry{{Index: i, Term: wire.Raw(c.entries[i-1]).Term(), State: wire.EntryCompacted}},
			}}})
		}
	}
}

// A gap that has been filled, or cut, is none any more: the log may begin after a state there.
func TestLogBeginsInAGapThatHasClosed(t *testing.T) {
	for _, how := range []string{"filled", "cut", "open"} {
		c := newHealers(t, 3, 24, 6, ofTerm(2))
		inFrames(t, c, 6)
		s := c.all[0]
		s.loseFrame(7) // 7 to 9
		s.rot(3)
		s.start()
		last := raft.Index(24)
		switch how {
		case "filled":
			c.give(s, 2, 7, 9)
		case "cut":
			for _, from := range []raft.ServerID{2, 3} {
				c.step(s, Receive{From: from, Message: wire.Message{Group: testGroup, Term: 9, Body: &wire.EntryReply{
					Found: []wire.FoundEntry{{Index: 7, State: wire.EntryLacking}},
				}}})
			}
			last = 8
		}
		c.compactedElsewhere(s, 3)
		c.chunk(s, 8, 2)
		g, _ := s.log.State(testGroup)
		if begun := s.replica != nil && g.Base.Index == 8 && g.Last == last; begun != (how != "open") {
			t.Errorf("%s: the log begins after %d, ends at %d, and has holes %v: %q", how, g.Base.Index, g.Last, g.Holes, s.events)
		}
	}
}

// Figure 13, rules 6 and 7: what follows is dropped if the log has another entry at the state's place, or none. The term of
// the state is adopted, without a vote.
func TestLogOfAnotherTermIsDroppedForAState(t *testing.T) {
	for _, index := range []raft.Index{10, 30} {
		c, s := inNeed(t, 5)
		c.chunk(s, index, 4)
		if s.replica == nil {
			t.Fatalf("it has not healed: %q", s.events)
		}
		g, _ := s.log.State(testGroup)
		if g.Last != index || g.Base != (raft.EntryID{Index: index, Term: 4}) || g.HardState.CurrentTerm != 4 || g.HardState.VotedFor != 0 {
			t.Errorf("a state at %d: the log has %+v", index, g)
		}
	}
}

// A state that is ahead is taken over though it is below the hole, and the next one is asked for from there; one that is neither is
// not used.
func TestStateBelowTheHoleIsProgress(t *testing.T) {
	c, s := inNeed(t, 5)
	c.chunk(s, 6, 2)
	g, _ := s.log.State(testGroup)
	if s.replica != nil || len(s.installed) != 1 || g.Base.Index != 6 || g.Last != 20 || len(g.Holes) != 1 {
		t.Fatalf("it has taken over %d, and its log is %+v", s.installed, g)
	}
	if commit := s.healing.group.HardState.Commit; commit != 6 {
		t.Errorf("it takes %d for committed, and has a state of 6", commit)
	}
	if state, _, read := s.healing.look(&wire.WantedEntry{Index: 6, Term: 2}); state != wire.EntryCompacted || read {
		t.Errorf("asked for the entry after which its log begins, it says %v, %t", state, read)
	}
	for !s.healing.state.asked {
		c.step(s, Tick{})
	}
	c.chunk(s, 5, 2)
	if s.replica != nil || len(s.installed) != 1 {
		t.Errorf("it has taken over %d", s.installed)
	}
	for !s.healing.state.asked {
		c.step(s, Tick{})
	}
	c.chunk(s, 9, 2)
	if s.replica == nil || len(s.installed) != 2 {
		t.Errorf("it has not healed: %q", s.events)
	}
}

// A state is not used that contradicts what is committed here; what its log begins after is not believed
// before it is durable.
func TestStateThatDoesNotFitIsNotUsed(t *testing.T) {
	for name, x := range map[string]struct {
		index raft.Index
		term  raft.Term
		why   string
	}{
		"committed": {12, 1, "what is committed here is another entry"},
		"term":      {30, 1 << 60, "its term cannot be"},
	} {
		c, s := inNeed(t, 15)
		c.chunk(s, x.index, x.term)
		if s.replica != nil || len(s.installed) > 0 || !strings.Contains(strings.Join(s.events, "\n"), x.why) {
			t.Errorf("%s: taken over %d, and said %q", name, s.installed, s.events)
		}
	}
	c, s := inNeed(t, 5)
	s.slow = true
	c.chunk(s, 10, 2)
	if s.replica != nil || len(s.installed) != 1 {
		t.Error("it goes on before its log begins after the state, durably")
	}
	if state, _, read := s.healing.look(&wire.WantedEntry{Index: 15, Term: 2}); state != 0 || read {
		t.Errorf("meanwhile it says of entry 15 %v, %t", state, read)
	}
}

// Whoever heals gives of its state, or says that it cannot: two that heal may need each other.
func TestWhoHealsGivesItsState(t *testing.T) {
	c, s := inNeed(t, 5)
	ask := func(number uint64) *wire.SnapshotChunk {
		c.network = nil
		c.step(s, Receive{From: 2, Message: wire.Message{Group: testGroup, Term: 2, Body: &wire.SnapshotRequest{Boot: 4, Number: number, Request: []byte("all")}}})
		if len(c.network) != 1 {
			t.Fatalf("%d answers", len(c.network))
		}
		m, err := wire.DecodeMessage(c.network[0].bytes)
		must(t, err)
		a, ok := m.Body.(*wire.SnapshotChunk)
		if !ok || a.Boot != 4 || a.Number != number {
			t.Fatalf("it says %+v", m.Body)
		}
		return a
	}
	s.applied = 30 // which its log does not have
	if a := ask(3); a.Outcome != wire.SnapshotUnavailable {
		t.Errorf("it gives %+v", a)
	}
	s.applied = 7 // which is lost
	if a := ask(4); a.Outcome != wire.SnapshotServed || a.Position.Index != 7 || a.Position.Hash != wire.Raw(c.entries[6]).Hash() {
		t.Errorf("it gives %+v", a)
	}
	request := func(from raft.ServerID) Receive {
		return Receive{From: from, Message: wire.Message{Group: testGroup, Term: 2, Body: &wire.SnapshotRequest{Boot: 4, Number: 5, Request: []byte("all")}}}
	}
	if work := s.healing.Step([]Input{request(9)}); len(work.Serve) > 0 {
		t.Error("it gives to a server that does not belong to the group")
	}
	if work := s.healing.Step([]Input{request(2), request(3), request(2)}); len(work.Serve) != 2 {
		t.Errorf("it gives %d pieces at a time to two", len(work.Serve))
	}
}

func TestWhoHealsGivesItsStateNoFasterThanIsAllowed(t *testing.T) {
	_, s := inNeed(t, 5)
	s.applied = 7
	s.healing.options.CatchUp.States = 100
	request := func(from raft.ServerID, number uint64) Receive {
		return Receive{From: from, Message: wire.Message{Group: testGroup, Term: 2, Body: &wire.SnapshotRequest{Boot: 4, Number: number, Request: []byte("all")}}}
	}
	at := &wire.Position{EntryID: raft.EntryID{Index: 7, Term: 2}}
	sent, number := 0, uint64(1)
	serve := s.healing.Step([]Input{request(2, 1), request(2, 1)}).Serve
	const ticks = 200
	for range ticks {
		serve = append(serve, s.healing.Step([]Input{Tick{}}).Serve...)
		for len(serve) > 0 {
			now := serve[0]
			serve = serve[1:]
			if now.LimitBytes != 1600 || now.Number != number || sent > 200*ticks {
				t.Fatalf("it is to give %+v, want question %d in 1600 bytes; %d bytes are sent", now, number, sent)
			}
			sent += 1700
			number++
			serve = append(serve, s.healing.Step([]Input{
				Served{To: 2, Boot: 4, Number: now.Number, Position: at, Chunk: make([]byte, 1700)}, request(2, number),
			}).Serve...)
		}
	}
	if least, most := 100*ticks-1700, 100*ticks+1700; sent < least || sent > most {
		t.Errorf("%d bytes in %d ticks, want %d to %d", sent, ticks, least, most)
	}
}

// A state at the end of a gap is proved to be at the very entry, of whatever term: what follows is kept, and what is lost there is still
// to be filled.
func TestWhatFollowsAStateAtTheEndOfAGapIsKept(t *testing.T) {
	c := newHealers(t, 3, 24, 6, func(i raft.Index) raft.Term { return 2 + raft.Term(i)/8 })
	inFrames(t, c, 6)
	s := c.all[0]
	s.loseFrame(7) // 7 is of term 2, 8 and 9 are of term 3
	s.rot(20)
	s.start()
	c.compactedElsewhere(s, 20)
	c.chunk(s, 9, 3)
	g, _ := s.log.State(testGroup)
	if s.healing == nil || g.Base.Index != 9 || g.Last != 24 || len(g.Holes) != 1 {
		t.Fatalf("it has healed: %v; its log begins after %d, ends at %d, and has holes %v", s.healing == nil, g.Base.Index, g.Last, g.Holes)
	}
	c.give(s, 2, 20, 20)
	c.beginsAfter(s, 9, 24)
}

// Whose state is as far as the others' gets none; their word where they are is enough for its log, if it has that, and the hole is before.
func TestLogBeginsWhereOthersAreIfItsOwnStateIsAsFar(t *testing.T) {
	for name, x := range map[string]struct {
		applied, index raft.Index
		begins         bool
	}{"as far": {12, 12, true}, "further": {14, 12, true}, "less far": {8, 12, false}, "below the hole": {12, 6, false}} {
		c, s := inNeed(t, 5)
		s.healing.applied, s.applied = x.applied, x.applied
		g, _ := s.log.State(testGroup)
		p := &wire.Position{EntryID: raft.EntryID{Index: x.index, Term: 2}, Hash: wire.Raw(c.entries[x.index-1]).Hash(), Configuration: g.Configurations[0].Bytes}
		c.step(s, Receive{From: s.healing.state.source, Message: wire.Message{Group: testGroup, Term: 2, Body: &wire.SnapshotChunk{
			Boot: s.boot, Number: s.healing.state.number, Outcome: wire.SnapshotServed, Position: p,
		}}})
		now, _ := s.log.State(testGroup)
		if begins := s.healing == nil && now.Base.Index == x.index && now.Last >= 20 && len(s.installed) == 0; begins != x.begins {
			t.Errorf("%s: it has begun after %d: %q", name, now.Base.Index, s.events)
		}
	}
}

// Who has lost another entry at that place lacks the one that is asked for: two whose ends differ may need to hear that.
func TestWhoHasLostAnotherEntryLacksTheOneAskedFor(t *testing.T) {
	c := newHealers(t, 3, 20, 5, ofTerm(2))
	s := c.all[0]
	s.rot(20)
	s.start()
	for term, want := range map[raft.Term]wire.EntryState{2: wire.EntryLost, 1: wire.EntryLacking, 0: wire.EntryLost} {
		if got, _, read := s.healing.look(&wire.WantedEntry{Index: 20, Term: term}); got != want || read {
			t.Errorf("of term %d: %v, %t, want %v", term, got, read, want)
		}
	}
}

// What is staged is dropped after a while in which nobody could go on from there, and only then.
func TestStageThatNobodyGoesOnFromIsDropped(t *testing.T) {
	c, s := inNeed(t, 5)
	refuse := func() {
		c.step(s, Tick{})
		if d := &s.healing.state; d.asked {
			c.step(s, Receive{From: d.source, Message: wire.Message{Group: testGroup, Term: 2, Body: &wire.SnapshotChunk{
				Boot: s.boot, Number: d.number, Outcome: wire.SnapshotUnavailable,
			}}})
		}
	}
	for range stageTicks {
		refuse()
	}
	if s.drops > 0 {
		t.Fatal("it is dropped too early")
	}
	for range 2 * snapshotPause {
		refuse()
	}
	if s.drops != 1 {
		t.Fatalf("it is dropped %d times", s.drops)
	}
	for range 2 * snapshotPause {
		c.step(s, Tick{})
	}
	if !s.healing.state.asked {
		t.Error("it does not ask again")
	}
}

// What was lost in a gap may never have been committed, and be replaced elsewhere, but for its beginning: then nobody can fill it, nor is it
// certain that a majority lacks all of it. After a while the server asks for a state, and one from behind the gap makes it whole. It
// waits for that as long as there is none: a state from before the gap has nothing of it.
func TestGapThatNobodyFillsIsMadeGoodByAState(t *testing.T) {
	for _, commit := range []raft.Index{6, 0} {
		c := newHealers(t, 3, 9, commit, ofTerm(2))
		inFrames(t, c, commit)
		s := c.all[0]
		s.loseFrame(4) // 4 to 6
		s.start()
		for k := range gapPatience {
			if s.healing.state.asked {
				t.Fatalf("after %d ticks it asks for a state", k)
			}
			c.step(s, Tick{})
		}
		asks := func() {
			for k := 0; !s.healing.state.asked; k++ {
				if k > gapPatience {
					t.Fatal("it does not ask for a state")
				}
				c.step(s, Tick{})
			}
		}
		asks()
		c.chunk(s, 3, 2)
		if s.healing == nil || s.healing.changing() {
			t.Fatalf("it goes on from a state before the gap: %q", s.events)
		}
		asks()
		c.chunk(s, 12, 3)
		g, _ := s.log.State(testGroup)
		if s.replica == nil || g.Base.Index != 12 || g.Last != 12 {
			t.Fatalf("its log begins after %d, and ends at %d: %q", g.Base.Index, g.Last, s.events)
		}
	}
}
