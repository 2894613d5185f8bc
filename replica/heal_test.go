package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// healer is a server whose log is on a disk of its own, and rots.
type healer struct {
	t       *testing.T
	id      raft.ServerID
	disk    *crashdisk.Disk
	boot    uint64
	log     *wal.Log
	healing *Healing
	replica *Replica // once it is healed
	writes  []Write  // not durable
	slow    bool     // nothing gets durable
	events  []string
	applied raft.Index // its state has the entries up to there, durably
	// installed are the places of states that it has taken over, sent the kinds of messages.
	installed []raft.Index
	sent      map[string]int
	drops     int // of what was staged
}

// healers are servers with equal logs.
type healers struct {
	t       *testing.T
	all     []*healer
	network []letter
	entries [][]byte
}

const healCluster = 0x51

// newHealers makes servers with n entries in their logs, committed up to commit. term says of which term an entry is.
func newHealers(t *testing.T, servers, n int, commit raft.Index, term func(i raft.Index) raft.Term) *healers {
	t.Helper()
	return newHealersThatChange(t, servers, n, commit, term, nil)
}

// ofVoters encodes a configuration.
func ofVoters(ids ...raft.ServerID) []byte {
	c := &wire.Configuration{}
	for _, id := range ids {
		c.Members = append(c.Members, wire.Member{ID: id, Roles: wire.RoleVoter})
	}
	return wire.AppendConfiguration(nil, c)
}

// newHealersThatChange does the same; some of the entries are configurations.
func newHealersThatChange(t *testing.T, servers, n int, commit raft.Index, term func(i raft.Index) raft.Term, configurations map[raft.Index][]byte) *healers {
	t.Helper()
	c := &healers{t: t}
	var ids []raft.ServerID
	for id := range servers {
		ids = append(ids, raft.ServerID(id+1))
	}
	hash := wire.GenesisHash(healCluster, testGroup)
	for i := raft.Index(1); i <= raft.Index(n); i++ {
		r := wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: i, Term: term(i), Payload: fmt.Appendf(nil, "entry %d, as it was written, in bytes", i)}
		if b := configurations[i]; b != nil {
			r.Kind, r.Payload = wire.RecordConfiguration, b
		}
		r.Hash = wire.EntryHash(hash, &r)
		hash = r.Hash
		c.entries = append(c.entries, wire.AppendRecord(nil, &r))
	}
	for id := range servers {
		s := &healer{t: t, id: raft.ServerID(id + 1), disk: crashdisk.New(crashdisk.Options{})}
		c.all = append(c.all, s)
		s.open()
		must(t, s.log.Append([]wal.Write{{Group: testGroup, Base: &wal.Base{Configuration: ofVoters(ids...)}}}))
		state := raft.HardState{CurrentTerm: term(raft.Index(n)), Commit: commit}
		must(t, s.log.Append([]wal.Write{{Group: testGroup, HardState: &state, First: 1, Records: c.entries}}))
		must(t, s.log.Seal())
		must(t, s.log.Close())
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *healer) open() wal.Recovered {
	s.t.Helper()
	s.boot++
	log, recovered, err := wal.Open(wal.Options{
		FS: s.disk, Dir: "wal", SegmentBytes: 1 << 16, Cluster: healCluster, Server: uint64(s.id), Boot: s.boot, KeepHoles: true,
	})
	must(s.t, err)
	s.log = log
	return recovered
}

// rot damages the payload of an entry, beyond what a checksum can mend.
func (s *healer) rot(i raft.Index) {
	s.t.Helper()
	done := false
	must(s.t, wal.Scan(s.disk, "wal", func(at wal.Item) error {
		if at.Record != nil && at.Record.IsEntry() && at.Record.Index == i && !done {
			done = true
			for k := range int64(5) {
				must(s.t, s.disk.Flip(at.File, at.Offset+wire.RecordHeaderBytes+k, 0xff))
			}
		}
		return nil
	}))
	if !done {
		s.t.Fatalf("server %d has no entry %d", s.id, i)
	}
}

// start opens the log, and begins to heal, or is a replica at once.
func (s *healer) start() {
	s.t.Helper()
	recovered := s.open()
	g := recovered.Groups[0]
	options := Options{Group: testGroup, Boot: s.boot, Member: wire.Member{ID: s.id, Roles: wire.RoleVoter}}
	healing, err := NewHealing(options, g, s.applied)
	must(s.t, err)
	s.healing, s.writes, s.replica = healing, nil, nil
	s.goOn(options)
}

// goOn makes a replica of the server once its log is whole.
func (s *healer) goOn(options Options) {
	s.t.Helper()
	if s.healing == nil || !s.healing.Healed() {
		return
	}
	g, _ := s.log.State(testGroup)
	if len(g.Holes) > 0 {
		s.t.Fatalf("server %d is healed, and its log has holes: %v", s.id, g.Holes)
	}
	state, err := Restart(s.log, g, s.applied)
	must(s.t, err)
	s.replica, err = New(options, state)
	must(s.t, err)
	s.healing = nil
}

// step runs a server once.
func (c *healers) step(s *healer, inputs ...Input) {
	c.t.Helper()
	for len(inputs) > 0 {
		var work Work
		if s.healing != nil {
			work = s.healing.Step(inputs)
		} else {
			work = s.replica.Step(0, inputs)
		}
		must(c.t, work.Fatal)
		inputs = nil
		for _, w := range work.Writes {
			must(c.t, s.log.Append([]wal.Write{{
				Group: testGroup, Base: baseOf(w.Base), HardState: w.HardState, TruncateFrom: w.TruncateFrom, First: w.First, Records: w.Records,
			}}))
			s.writes = append(s.writes, w)
		}
		if w := work.Snapshot; w != nil {
			inputs = append(inputs, s.stepState(w))
		}
		for i := range work.Serve {
			inputs = append(inputs, s.serveState(&work.Serve[i]))
		}
		for _, m := range work.Send {
			s.note(m.Message)
			c.network = append(c.network, letter{s.id, m.To, m.Message})
		}
		for _, f := range work.Fetch {
			records, err := s.log.Read(testGroup, f.First, f.Last, f.LimitBytes)
			inputs = append(inputs, Fetched{ID: f.ID, Records: records, Err: err})
		}
		for _, e := range work.Events {
			s.events = append(s.events, e.String())
		}
		if len(s.writes) > 0 && !s.slow {
			must(c.t, s.log.Sync())
			inputs = append(inputs, Persisted{Ticket: s.writes[len(s.writes)-1].Ticket})
			s.writes = nil
		}
	}
	s.goOn(Options{Group: testGroup, Boot: s.boot, Member: wire.Member{ID: s.id, Roles: wire.RoleVoter}})
}

func baseOf(p *wire.Position) *wal.Base {
	if p == nil {
		return nil
	}
	return &wal.Base{EntryID: p.EntryID, Hash: p.Hash, Configuration: p.Configuration}
}

// note counts what is sent while the server heals.
func (s *healer) note(message []byte) {
	m, err := wire.DecodeMessage(slices.Clone(message))
	must(s.t, err)
	if s.healing != nil {
		if s.sent == nil {
			s.sent = map[string]int{}
		}
		s.sent[fmt.Sprintf("%T", m.Body)]++
	}
}

// stepState does what a state machine does, whose state is one piece.
func (s *healer) stepState(w *SnapshotWork) (done SnapshotWorked) {
	switch {
	case w.Begin:
		if w.Drop {
			s.drops++
		}
		done.Request = []byte("all")
	case w.Install != nil:
		if w.Install.Index <= s.applied {
			s.t.Fatalf("server %d installs a state of entry %d, and is at %d", s.id, w.Install.Index, s.applied)
		}
		s.applied = w.Install.Index
		s.installed = append(s.installed, s.applied)
	default:
		done.Complete = true
	}
	return done
}

func (s *healer) serveState(w *Serve) Served {
	p, err := s.log.Position(testGroup, s.applied)
	return Served{To: w.To, Boot: w.Boot, Number: w.Number, Position: p, Chunk: []byte("a state"), Err: err}
}

// compact lets a log that is closed begin after an entry, where a state has that.
func (s *healer) compact(to, applied raft.Index) {
	s.t.Helper()
	s.open()
	must(s.t, s.log.Append([]wal.Write{{Group: testGroup, CompactTo: to}}))
	must(s.t, s.log.Seal())
	must(s.t, s.log.Close())
	s.applied = applied
}

// run lets time pass, and delivers what is sent among the servers that are started.
func (c *healers) run(ticks int) {
	c.t.Helper()
	for range ticks {
		for _, s := range c.all {
			if s.log != nil && (s.healing != nil || s.replica != nil) {
				c.step(s, Tick{Random: uint64(s.id) * 77})
			}
		}
		for len(c.network) > 0 {
			l := c.network[0]
			c.network = c.network[1:]
			s := c.all[l.to-1]
			m, err := wire.DecodeMessage(slices.Clone(l.bytes))
			must(c.t, err)
			if s.healing != nil || s.replica != nil {
				c.step(s, Receive{From: l.from, Message: m})
			}
		}
	}
}

// hasAll checks that a server has all entries up to one.
func (c *healers) hasAll(s *healer, last int) {
	c.t.Helper()
	if s.healing != nil {
		c.t.Fatalf("server %d has not healed: %s", s.id, s.healing.status().Text)
	}
	for i := 1; i <= last; i++ {
		records, err := s.log.Read(testGroup, raft.Index(i), raft.Index(i), 1)
		must(c.t, err)
		want := slices.Clone(c.entries[i-1])
		if wire.Raw(records[0]).Hash() != wire.Raw(want).Hash() {
			c.t.Fatalf("server %d has another entry %d", s.id, i)
		}
	}
}

func ofTerm(term raft.Term) func(raft.Index) raft.Term {
	return func(raft.Index) raft.Term { return term }
}

func TestDisjointHolesOfAllServersHealWithoutALeader(t *testing.T) {
	c := newHealers(t, 3, 300, 300, ofTerm(2))
	for _, s := range c.all {
		for i := raft.Index(s.id); i <= 300; i += 3 {
			s.rot(i)
		}
		s.start()
		if s.healing == nil {
			t.Fatalf("server %d has no holes", s.id)
		}
	}
	c.run(30)
	for _, s := range c.all {
		c.hasAll(s, 300)
		must(t, s.log.Close())
		if g := s.open().Groups[0]; len(g.Holes) > 0 || g.Last < 300 {
			t.Fatalf("server %d, started again, has holes %v, and entries to %d", s.id, g.Holes, g.Last)
		}
	}
}

func TestWhatAllHaveLostIsWaitedForAndNamed(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	for _, s := range c.all {
		s.rot(7)
		s.start()
	}
	c.run(2 * healTellTicks)
	for _, s := range c.all {
		if s.healing == nil {
			t.Fatalf("server %d goes on without entry 7", s.id)
		}
		text := s.healing.status().Text
		if !strings.Contains(text, "entries of the log are lost, between 7 and 7") || strings.Count(text, "has lost it, too") != 2 || !slices.Contains(s.events, text) {
			t.Errorf("server %d says %q, and has said %q", s.id, text, s.events)
		}
	}
}

// A committed entry is never cut, whoever says that it is lacking.
func TestHoleBelowTheCommitIndexIsNeverCut(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[0]
	s.rot(20)
	s.start()
	c.lack(s, 20, 9, 2, 3)
	if s.healing == nil || s.healing.cutting != 0 {
		t.Error("it is cut")
	}
}

// lack lets servers say, in a term, that they lack an entry.
func (c *healers) lack(s *healer, i raft.Index, term raft.Term, from ...raft.ServerID) {
	c.t.Helper()
	for _, id := range from {
		m := &wire.EntryReply{Found: []wire.FoundEntry{{Index: i, Term: wire.Raw(c.entries[i-1]).Term(), State: wire.EntryLacking}}}
		c.step(s, Receive{From: id, Message: wire.Message{Group: testGroup, Term: term, Body: m}})
	}
}

// TestHoleIsCutOnlyWithAQuorumOfLaterTerms: entries 1 to 10 are of term 2, 11 to 20 of term 3, and 8 is lost.
func TestHoleIsCutOnlyWithAQuorumOfLaterTerms(t *testing.T) {
	for name, test := range map[string]struct {
		servers int
		term    raft.Term
		from    []raft.ServerID
		cut     bool
	}{
		"both others of three":                       {3, 4, []raft.ServerID{2, 3}, true},
		"one other of three":                         {3, 4, []raft.ServerID{2}, false},
		"one other of three, twice":                  {3, 4, []raft.ServerID{2, 2}, false},
		"its own answer does not count":              {3, 4, []raft.ServerID{1, 2}, false},
		"the term of the last entry":                 {3, 3, []raft.ServerID{2, 3}, false},
		"the term of the entry":                      {3, 2, []raft.ServerID{2, 3}, false},
		"three of five":                              {5, 4, []raft.ServerID{2, 4, 5}, true},
		"two of five":                                {5, 4, []raft.ServerID{2, 4}, false},
		"a server that does not belong to the group": {3, 4, []raft.ServerID{2, 9}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newHealers(t, test.servers, 20, 6, func(i raft.Index) raft.Term { return 2 + raft.Term(i-1)/10 })
			s := c.all[0]
			s.rot(8)
			s.slow = true
			s.start()
			c.lack(s, 8, test.term, test.from...)
			if cut := s.healing.cutting != 0; cut != test.cut {
				t.Fatalf("cut: %v, want %v", cut, test.cut)
			}
			if !test.cut {
				return
			}
			if s.healing.Healed() {
				t.Error("it counts as healed before the cut is durable")
			}
			if state, _, read := s.healing.look(&wire.WantedEntry{Index: 9, Term: 2}); state != 0 || read {
				t.Errorf("before that it says of entry 9 %v, %t", state, read)
			}
			must(t, s.log.Sync())
			s.slow = false
			c.step(s, Persisted{Ticket: 1})
			c.hasAll(s, 7)
			if g, _ := s.log.State(testGroup); g.Last != 7 {
				t.Errorf("the log ends at %d", g.Last)
			}
		})
	}
}

// Of which terms entries are is not known in a gap at the end of the log: none is above the server's.
func TestGapAtTheEndIsCutOnlyWithALaterTermThanTheServers(t *testing.T) {
	c := newHealers(t, 3, 20, 6, ofTerm(2))
	s := c.all[0]
	s.rot(20)
	s.start()
	g, _ := s.log.State(testGroup)
	g.HardState.CurrentTerm = 5
	g.Holes[0].Term, g.Holes[0].Hash = 0, wire.Hash{}
	g.Gaps = []wal.Gap{{First: 20, Last: 20, Before: g.Holes[0].Before, Hash: g.LastHash}}
	var err error
	s.healing, err = NewHealing(s.healing.options, g, 0)
	must(t, err)
	s.slow = true
	for term := raft.Term(3); term <= 6; term++ {
		c.lack(s, 20, term, 2, 3)
		if cut := s.healing.cutting != 0; cut != (term == 6) {
			t.Fatalf("the others lack it in term %d, and this server is in term 5: cut %t", term, cut)
		}
	}
}

func TestHoleCountsAsFilledOnlyWhenItIsDurable(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[0]
	s.rot(5)
	s.slow = true
	s.start()
	c.all[1].start()
	c.run(30)
	if len(s.writes) != 1 || s.healing == nil {
		t.Fatalf("%d writes are under way, and healed is %v", len(s.writes), s.healing == nil)
	}
	s.slow = false
	c.run(1)
	c.hasAll(s, 20)
}

func TestOnlyTheVeryEntryFillsItsHole(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[0]
	s.rot(5)
	s.start()
	sound, _, err := wire.DecodeRecord(c.entries[4])
	must(t, err)
	before := wire.Raw(c.entries[3]).Hash()
	for name, change := range map[string]func(r *wire.Record){
		"another term":            func(r *wire.Record) { r.Term = 1; r.Hash = wire.EntryHash(before, r) },
		"another payload":         func(r *wire.Record) { r.Payload = []byte("x"); r.Hash = wire.EntryHash(before, r) },
		"another payload, hidden": func(r *wire.Record) { r.Payload = []byte("x") },
		"another kind":            func(r *wire.Record) { r.Kind = wire.RecordCommand; r.Hash = wire.EntryHash(before, r) },
		"another hash":            func(r *wire.Record) { r.Hash[0]++ },
	} {
		r := sound
		change(&r)
		m := &wire.EntryReply{Found: []wire.FoundEntry{{Index: 5, Term: 2, State: wire.EntryThere, Record: wire.AppendRecord(nil, &r)}}}
		c.step(s, Receive{From: 2, Message: wire.Message{Group: testGroup, Term: 2, Body: m}})
		if s.healing == nil || s.healing.ticket != 0 {
			t.Fatalf("%s: it is taken", name)
		}
	}
}

// TestWhoHealsTakesNoPart: whatever the others ask, a server that heals sends nothing but questions and answers about
// lost entries.
func TestWhoHealsTakesNoPart(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[0]
	s.rot(5)
	s.start()
	for _, body := range []any{
		&raft.RequestVote{LastLogIndex: 99, LastLogTerm: 9}, &raft.RequestPreVote{LastLogIndex: 99, LastLogTerm: 9}, &raft.TimeoutNow{},
		&raft.AppendEntries{PrevLogIndex: 20, PrevLogTerm: 2, Last: 20, LeaderCommit: 20}, &wire.ReadRequest{Boot: 1, Number: 1},
	} {
		c.step(s, Receive{From: 2, Message: wire.Message{Group: testGroup, Term: 9, Body: body}})
	}
	for range 1000 {
		c.step(s, Tick{Random: 1})
	}
	c.step(s, Propose{Handle: 1}, Read{Handle: 2}, Cancel{Handle: 1})
	for _, l := range c.network {
		m, err := wire.DecodeMessage(l.bytes)
		must(t, err)
		if _, ok := m.Body.(*wire.EntryRequest); !ok || m.Term != 2 {
			t.Fatalf("it sent %T in term %d", m.Body, m.Term)
		}
	}
	if len(s.writes) > 0 || len(s.healing.Held()) != 1 {
		t.Errorf("%d writes, %d requests held", len(s.writes), len(s.healing.Held()))
	}
}

func TestWhoIsAloneCannotHeal(t *testing.T) {
	c := newHealers(t, 1, 20, 20, ofTerm(2))
	s := c.all[0]
	s.rot(5)
	g := s.open().Groups[0]
	_, err := NewHealing(Options{Group: testGroup, Member: wire.Member{ID: 1}}, g, 0)
	if err == nil || !strings.Contains(err.Error(), "there is nobody else to ask") {
		t.Errorf("got %v", err)
	}
}

// loseFrame loses the whole frame in which an entry is.
func (s *healer) loseFrame(i raft.Index) {
	s.t.Helper()
	frame := wal.Item{}
	lost := false
	must(s.t, wal.Scan(s.disk, "wal", func(at wal.Item) error {
		if at.Frame != nil {
			frame = at
		}
		if at.Record != nil && at.Record.IsEntry() && at.Record.Index == i && !lost {
			lost = true
			for k := range int64(4096) {
				must(s.t, s.disk.Flip(frame.File, frame.Offset+k, 0x55))
			}
		}
		return nil
	}))
}

// inFrames writes the entries of all logs in frames of three, where they are in one.
func inFrames(t *testing.T, c *healers, commit raft.Index) {
	t.Helper()
	for _, s := range c.all {
		s.disk = crashdisk.New(crashdisk.Options{})
		s.boot = 0
		s.open()
		var ids []raft.ServerID
		for _, s := range c.all {
			ids = append(ids, s.id)
		}
		state := raft.HardState{CurrentTerm: wire.Raw(c.entries[len(c.entries)-1]).Term(), Commit: commit}
		must(t, s.log.Append([]wal.Write{{Group: testGroup, Base: &wal.Base{Configuration: ofVoters(ids...)}, HardState: &state}}))
		must(t, s.log.Sync())
		for i := 0; i < len(c.entries); i += 3 {
			must(t, s.log.Append([]wal.Write{{Group: testGroup, First: raft.Index(i + 1), Records: c.entries[i:min(i+3, len(c.entries))]}}))
			must(t, s.log.Sync())
		}
		must(t, s.log.Seal())
		must(t, s.log.Close())
	}
}

// A frame that is lost may have replaced entries before it, so they are lost with it. Where nobody else has them, they are still of use: to
// those who have lost the very same, and to this server, if what others have in the frame follows from them.
func TestWhatALostFrameMayHaveReplacedIsOfUse(t *testing.T) {
	c := newHealers(t, 3, 12, 3, func(i raft.Index) raft.Term { return raft.Term(2 + i/7) })
	inFrames(t, c, 3)
	c.all[0].loseFrame(7) // 7 to 9 are of a later term than 6
	c.all[1].rot(5)
	c.all[2].rot(5)
	for _, s := range c.all {
		s.start()
	}
	if p := c.all[0].healing.gapAt(5); p == nil || len(p.candidates[5]) != 1 {
		t.Fatalf("entry 5 is in the gap %+v", p)
	}
	c.run(20)
	for _, s := range c.all {
		c.hasAll(s, 12)
	}
}

// An entry that may have been replaced is said to be there only to those who have lost that very entry: whoever has a gap would hear that
// there is another one, or the right one, and neither is certain. They get it as what it is.
func TestWhatMayHaveBeenReplacedIsNotVouchedFor(t *testing.T) {
	c := newHealers(t, 3, 12, 3, func(i raft.Index) raft.Term { return raft.Term(2 + i/7) })
	inFrames(t, c, 3)
	s := c.all[0]
	s.loseFrame(7)
	s.start()
	is := wire.Raw(c.entries[4])
	for _, test := range []struct {
		wanted wire.WantedEntry
		want   wire.EntryState
	}{
		{wire.WantedEntry{Index: 5, Term: 2, Hash: is.Hash()}, wire.EntryThere},
		{wire.WantedEntry{Index: 5, Term: 2, Hash: wire.Hash{1}}, wire.EntryLost},
		{wire.WantedEntry{Index: 5, Term: 3, Hash: is.Hash()}, wire.EntryLost},
		{wire.WantedEntry{Index: 5, Term: 2}, wire.EntryLost},
		{wire.WantedEntry{Index: 5}, wire.EntryLost},
		{wire.WantedEntry{Index: 8, Term: 3, Hash: is.Hash()}, wire.EntryLost},
	} {
		if state, record, read := s.healing.look(&test.wanted); state != test.want || read || (record != nil) != (state == wire.EntryThere) {
			t.Errorf("of %+v it says %v, %t, with %d bytes, want %v", test.wanted, state, read, len(record), test.want)
		}
	}
}

// If what is doubted is all of the gap, and what comes after it follows from that, nobody is needed.
func TestWhatIsDoubtedMayFillTheGap(t *testing.T) {
	c := newHealers(t, 3, 12, 3, func(i raft.Index) raft.Term { return raft.Term(2 + i/7) })
	inFrames(t, c, 3)
	s := c.all[0]
	s.loseFrame(7)
	g := s.open().Groups[0]
	g.Gaps = slices.Clone(g.Gaps)
	p := &g.Gaps[0]
	p.Doubted = c.entries[p.First-1 : p.Last]
	h, err := NewHealing(Options{Group: testGroup, Boot: s.boot, Member: wire.Member{ID: s.id, Roles: wire.RoleVoter}}, g, 0)
	must(t, err)
	if w := h.Step([]Input{Tick{}}).Writes; len(w) != 1 || w[0].First != p.First || len(w[0].Records) != len(p.Doubted) {
		t.Errorf("it writes %+v, want entries %d to %d", w, p.First, p.Last)
	}
}

// Two servers have lost frames one after the other, and each doubts, or lacks, what the other has: what is doubted by one, and proved by what
// the other has behind it, is good enough.
func TestWhatOneDoubtsFillsTheGapOfAnother(t *testing.T) {
	c := newHealers(t, 3, 12, 3, func(i raft.Index) raft.Term { return raft.Term(2 + i/7) })
	inFrames(t, c, 3)
	c.all[0].loseFrame(7) // 7 to 9, of a later term than 4 to 6, which may have been others
	c.all[1].loseFrame(4) // 4 to 6
	for _, s := range c.all[:2] {
		s.start()
	}
	c.run(40)
	for _, s := range c.all[:2] {
		c.hasAll(s, 12)
	}
}

// Of several entries that may be the one, each is given in turn.
func TestEachCandidateIsGivenToWhoDoesNotKnowWhichItWas(t *testing.T) {
	p := &gap{Gap: wal.Gap{First: 7, Last: 9}, candidates: map[raft.Index][]wire.Raw{}}
	if p.doubted(7) != nil || (*gap)(nil).doubted(7) != nil {
		t.Error("there is none")
	}
	seen := map[wire.Hash]int{}
	for is := byte(1); is <= 3; is++ {
		p.add(wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: 7, Term: 2, Hash: wire.Hash{is}}))
	}
	for range 6 {
		seen[p.doubted(7).Hash()]++
		p.doubted(8)
	}
	if len(seen) != 3 || seen[wire.Hash{1}] != 2 || seen[wire.Hash{2}] != 2 {
		t.Errorf("of 3 are given %v", seen)
	}
}

// What somebody doubts is no word about its log: it is kept, and nothing is cut for it. It is taken from members only, and for gaps only.
func TestWhatIsDoubtedElsewhereIsNotLackingThere(t *testing.T) {
	c := newHealers(t, 3, 24, 6, ofTerm(2))
	inFrames(t, c, 6)
	s := c.all[0]
	s.loseFrame(7) // 7 to 9
	s.rot(20)
	s.start()
	another := func(i raft.Index) []byte {
		return wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: i, Term: 5, Payload: []byte("another"), Hash: wire.Hash{5}})
	}
	for _, from := range []raft.ServerID{2, 3, 9} {
		c.step(s, Receive{From: from, Message: wire.Message{Group: testGroup, Term: 9, Body: &wire.EntryDoubts{
			Records: [][]byte{another(9), another(20), another(21), another(99)},
		}}})
		if n := len(s.healing.gapAt(9).candidates[9]); n != 1 {
			t.Errorf("after a word of server %d it has %d candidates", from, n)
		}
	}
	if s.healing == nil || s.healing.cutting != 0 || len(s.healing.lost(9).answers) > 0 || len(s.healing.lost(20).answers) > 0 {
		t.Errorf("it is cut, or believed that others lack it: %+v", s.healing)
	}
	s = c.all[1]
	s.loseFrame(7)
	s.start()
	c.step(s, Receive{From: 9, Message: wire.Message{Group: testGroup, Term: 9, Body: &wire.EntryDoubts{Records: [][]byte{another(9)}}}})
	if n := len(s.healing.gapAt(9).candidates[9]); n != 0 {
		t.Errorf("a stranger is believed: %d candidates", n)
	}
}

// Only who does not know which entry it has lost gets what may be another, so many bytes at a time.
func TestWhatIsDoubtedIsGivenToWhoDoesNotKnowWhichItWas(t *testing.T) {
	c := newHealers(t, 3, 12, 3, func(i raft.Index) raft.Term { return raft.Term(2 + i/7) })
	inFrames(t, c, 3)
	s := c.all[0]
	s.loseFrame(7) // 4 to 9 are in the gap, of which 4 to 6 are there
	s.start()
	given := func(wanted ...wire.WantedEntry) (indexes []raft.Index) {
		t.Helper()
		for _, o := range s.healing.Step([]Input{Receive{From: 2, Message: wire.Message{Group: testGroup, Term: 3, Body: &wire.EntryRequest{Wanted: wanted}}}}).Send {
			m, err := wire.DecodeMessage(o.Message)
			must(t, err)
			if doubts, is := m.Body.(*wire.EntryDoubts); is && o.To == 2 {
				for _, b := range doubts.Records {
					indexes = append(indexes, wire.Raw(b).Index())
				}
			}
		}
		return indexes
	}
	if got := given(wire.WantedEntry{Index: 3}, wire.WantedEntry{Index: 4}, wire.WantedEntry{Index: 5, Term: 2}, wire.WantedEntry{Index: 6}, wire.WantedEntry{Index: 8},
		wire.WantedEntry{Index: 10}, wire.WantedEntry{Index: 99}); !slices.Equal(got, []raft.Index{4, 6}) {
		t.Errorf("given are %v", got)
	}
	if got := given(wire.WantedEntry{Index: 5, Term: 2}, wire.WantedEntry{Index: 8}); len(got) > 0 {
		t.Errorf("given are %v", got)
	}
	p := s.healing.gapAt(4)
	large := func(i raft.Index) wire.Raw {
		return wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: i, Term: 2, Payload: make([]byte, 2*maxLibraryBytes/3)})
	}
	p.candidates = map[raft.Index][]wire.Raw{4: {large(4)}, 5: {large(5)}}
	if got := given(wire.WantedEntry{Index: 4}, wire.WantedEntry{Index: 5}); !slices.Equal(got, []raft.Index{4}) {
		t.Errorf("given are %v", got)
	}
}

// TestWholeFramesThatAreLostHeal: nobody knows which entries were in them, but for what is around them.
func TestWholeFramesThatAreLostHeal(t *testing.T) {
	c := newHealers(t, 3, 60, 60, ofTerm(2))
	inFrames(t, c, 60)
	c.all[0].loseFrame(7) // 7 to 9
	c.all[0].rot(10)      // beside it
	c.all[0].loseFrame(20)
	c.all[1].loseFrame(13)
	c.all[1].rot(7) // what server 1 lacks comes from both
	c.all[2].rot(8)
	c.all[2].loseFrame(40)
	for _, s := range c.all[:2] {
		s.start()
	}
	c.run(40)
	if s := c.all[0]; s.healing == nil || s.healing.status().Missing != 4 || len(s.healing.gaps) != 1 {
		t.Fatalf("server 1 should wait for what no other has so far: %+v", s.healing)
	}
	c.all[2].start()
	c.run(40)
	for _, s := range c.all {
		c.hasAll(s, 60)
		must(t, s.log.Close())
		if g := s.open().Groups[0]; len(g.Holes) > 0 || g.Last < 60 {
			t.Fatalf("server %d, started again, has holes %v, and entries to %d", s.id, g.Holes, g.Last)
		}
	}
}

// TestAnotherBranchFillsNoGap: a peer that has other entries in the place of those that are lost does not fill it with them. They are of a
// later term, so it lacks what is lost, and with a quorum of such that is cut.
func TestAnotherBranchFillsNoGap(t *testing.T) {
	c := newHealers(t, 3, 60, 30, ofTerm(2))
	inFrames(t, c, 30)
	s := c.all[0]
	s.loseFrame(49) // 49 to 51
	s.start()
	before := wire.Raw(c.entries[47]).Hash()
	branch := &wire.EntryReply{}
	for i := raft.Index(49); i <= 51; i++ {
		r := wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: i, Term: 5, Payload: []byte("another")}
		r.Hash = wire.EntryHash(before, &r)
		before = r.Hash
		branch.Found = append(branch.Found, wire.FoundEntry{Index: i, Term: 5, State: wire.EntryThere, Record: wire.AppendRecord(nil, &r)})
	}
	c.step(s, Receive{From: 2, Message: wire.Message{Group: testGroup, Term: 5, Body: branch}})
	if s.healing == nil || s.healing.ticket != 0 {
		t.Fatal("it is taken")
	}
	c.step(s, Receive{From: 3, Message: wire.Message{Group: testGroup, Term: 5, Body: branch}})
	c.hasAll(s, 48)
	if g, _ := s.log.State(testGroup); g.Last != 48 {
		t.Errorf("the log ends at %d", g.Last)
	}
}

// An entry from which the one behind a gap does not follow is another one, though it is of the same term: who has it lacks what is lost.
func TestWhoHasWhatDoesNotLeadOnLacksTheLastOfAGap(t *testing.T) {
	c := newHealers(t, 3, 24, 6, ofTerm(2))
	inFrames(t, c, 6)
	s := c.all[0]
	s.loseFrame(7) // 7 to 9
	s.start()
	for i, want := range map[raft.Index]int{8: 0, 9: 1} { // of the one before the last nothing is known
		r := wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: i, Term: 2, Payload: []byte("another"), Hash: wire.Hash{5}}
		c.step(s, Receive{From: 2, Message: wire.Message{Group: testGroup, Term: 9, Body: &wire.EntryReply{
			Found: []wire.FoundEntry{{Index: i, Term: 2, State: wire.EntryThere, Record: wire.AppendRecord(nil, &r)}},
		}}})
		if x := s.healing.lost(i); len(x.answers) != want || want > 0 && x.answers[0].state != wire.EntryLacking {
			t.Errorf("entry %d: it is known of others that %+v", i, x.answers)
		}
	}
}

// What others send for a gap is bounded, in number for each place, and in bytes.
func TestCandidatesAreBounded(t *testing.T) {
	p := &gap{Gap: wal.Gap{First: 7, Last: 9}, candidates: map[raft.Index][]wire.Raw{}}
	add := func(i raft.Index, is byte) bool {
		return p.add(wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: i, Term: 2, Hash: wire.Hash{is}}))
	}
	for is := byte(1); is <= maxCandidates; is++ {
		if !add(7, is) || add(7, is) {
			t.Fatalf("candidate %d is not kept, or kept twice", is)
		}
	}
	if add(7, maxCandidates+1) || len(p.candidates[7]) != maxCandidates {
		t.Errorf("%d are kept", len(p.candidates[7]))
	}
	p.bytes = maxGapBytes
	if !add(8, 1) || len(p.candidates) != 1 || len(p.candidates[8]) != 1 || p.bytes != len(p.candidates[8][0]) {
		t.Errorf("of too many bytes %d places are kept, and %d bytes", len(p.candidates), p.bytes)
	}
}

// give lets a server send entries that another one has lost.
func (c *healers) give(s *healer, from raft.ServerID, first, last raft.Index) {
	c.t.Helper()
	m := &wire.EntryReply{}
	for i := first; i <= last; i++ {
		b := c.entries[i-1]
		m.Found = append(m.Found, wire.FoundEntry{Index: i, Term: wire.Raw(b).Term(), State: wire.EntryThere, Record: b})
	}
	c.step(s, Receive{From: from, Message: wire.Message{Group: testGroup, Term: 9, Body: m}})
}

// A configuration that comes back says at once who must lack what else is lost: no start is needed for that.
func TestConfigurationThatComesBackIsInForce(t *testing.T) {
	c := newHealersThatChange(t, 3, 20, 4, ofTerm(2), map[raft.Index][]byte{5: ofVoters(1, 2, 3)})
	s := c.all[0]
	s.rot(5)
	s.rot(10)
	s.start()
	c.lack(s, 10, 9, 2, 3)
	if s.healing == nil || s.healing.cutting != 0 {
		t.Fatal("it is cut, though it is not known who votes")
	}
	c.give(s, 2, 5, 5)
	c.hasAll(s, 9)
	if g, _ := s.log.State(testGroup); g.Last != 9 {
		t.Errorf("the log ends at %d", g.Last)
	}
}

// What fills a gap may be a configuration that nobody knew of here. Those who voted before it say nothing of what comes after it.
func TestConfigurationThatFillsAGapIsInForce(t *testing.T) {
	c := newHealersThatChange(t, 3, 24, 6, ofTerm(2), map[raft.Index][]byte{8: ofVoters(1, 4, 5)})
	inFrames(t, c, 6)
	s := c.all[0]
	s.loseFrame(7) // 7 to 9
	s.rot(20)
	s.start()
	s.slow = true
	c.lack(s, 20, 9, 2, 3)
	if s.healing.cutting != 0 {
		t.Fatal("it is cut, and who votes may have been lost before it")
	}
	c.give(s, 2, 7, 9)
	c.lack(s, 20, 9, 2, 3, 4)
	if s.healing == nil || s.healing.cutting != 0 {
		t.Fatal("it is cut by the word of servers that do not vote any more")
	}
	if got, _ := s.healing.Configuration(); len(got.Members) != 3 || got.Members[1].ID != 4 {
		t.Errorf("the latest configuration is %v", got.Members)
	}
	c.lack(s, 20, 9, 5)
	if s.healing.cutting == 0 {
		t.Error("it is not cut, though all who vote lack it")
	}
}

// What has filled a gap is of the term that it is of, whatever was thought before: who says that it lacks an entry that it has lets another
// one cut what is committed.
func TestEntryThatFillsAGapIsNotLacking(t *testing.T) {
	c := newHealers(t, 3, 24, 6, func(i raft.Index) raft.Term { return 2 + raft.Term(i)/8 })
	inFrames(t, c, 6)
	s := c.all[0]
	s.loseFrame(7) // 7 is of term 2, 8 and 9 are of term 3
	s.rot(20)
	s.start()
	c.give(s, 2, 7, 9)
	for i, want := range map[raft.Index]raft.Term{7: 2, 8: 3, 9: 3, 10: 3} {
		if state, _, read := s.healing.look(&wire.WantedEntry{Index: i, Term: want}); !read {
			t.Errorf("asked for entry %d of term %d, it says %v", i, want, state)
		}
		if state, _, _ := s.healing.look(&wire.WantedEntry{Index: i, Term: want + 1}); state != wire.EntryLacking {
			t.Errorf("asked for entry %d of term %d, it says %v", i, want+1, state)
		}
	}
}
