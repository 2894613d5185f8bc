package raft

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
)

// A request that has other entries than those committed here comes from no leader. It used to be
// acknowledged as far as the committed entries went, or to panic behind them.
func TestRequestThatDeniesTheCommittedIsDropped(t *testing.T) {
	for _, m := range []*AppendEntries{
		{PrevLogIndex: 2, PrevLogTerm: 1, Round: 1},                                                    // heartbeat
		{PrevLogIndex: 1, PrevLogTerm: 1, Entries: []Entry{{Term: 1, Kind: KindCommand}}, Round: 1},    // within
		{PrevLogIndex: 2, PrevLogTerm: 1, Entries: []Entry{{Term: 1}, {Term: 2}, {Term: 2}}, Round: 1}, // across
		{PrevLogIndex: 3, PrevLogTerm: 1, Entries: []Entry{{Term: 1}}, Round: 1},                       // behind
	} {
		core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 2, Commit: 3}, 1, 2, 2)
		out := core.Step([]Input{from(2, 2, m)})
		if len(out.Send) > 0 || out.Persist.Ticket != 0 || core.LastIndex() != 3 {
			t.Errorf("%s: answered %v, log ends at %d", m, out.Send, core.LastIndex())
		}
	}
}

// A term that nobody could follow with another one would end all elections for good.
func TestTermThatLeavesNoRoomIsDropped(t *testing.T) {
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 2})
	core.Step([]Input{from(2, maxTerm+1, &RequestVote{})})
	if core.CurrentTerm() != 2 {
		t.Errorf("current term is %d, want 2", core.CurrentTerm())
	}
}

// FuzzHostileMessages feeds a core what no server would send. Whatever comes, it must not panic, with
// one exception: a second leader in one term means that a vote was lost or given twice, and to go on
// then could lose data.
func FuzzHostileMessages(f *testing.F) {
	for _, seed := range []string{
		"",
		"\x05\x02\x02\x05\x01\x05\x02\x01\x01\x00\x00",             // entries behind the committed ones, of a lower term
		"\x01\x02\xff\x05\x05\x08\x00\x00\x00\x00\x08",             // the highest term there is
		"\x05\x02\x02\x02\x01\x03\x03\x02\x02\x02\x00\x08\x07\x00", // something committed is to be replaced
		"\x07\x02\x02\x01\x09\xff\x03\x05\xff\x01\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		defer func() {
			p := recover()
			v, ok := p.(*invariant.Violation)
			if p != nil && !(ok && strings.Contains(v.Text, " in term") && strings.Contains(v.Text, "lead")) {
				panic(p)
			}
		}()
		first := votersOf(3)
		core, err := New(Options{ID: 1, PromiseTicks: 2, LeaseReads: true}, State{
			HardState:      HardState{CurrentTerm: 2, Commit: 3},
			Base:           EntryID{1, 1},
			Last:           5,
			Runs:           []TermRun{{1, 2}, {2, 3}},
			Configurations: []ConfigurationAt{{0, first}},
			Applied:        1,
		})
		if err != nil {
			t.Fatal(err)
		}
		core.Step([]Input{Clock{1}, Clock{9}}) // what it promised before it started is over
		h := hostile{script}
		for len(h.script) > 0 {
			out := core.Step([]Input{h.input()})
			if out.Persist.Ticket != 0 && h.next()%2 == 0 {
				core.Step([]Input{Persisted{out.Persist.Ticket}})
			}
		}
	})
}

// hostile reads messages from bytes: mostly small numbers, sometimes huge ones.
type hostile struct{ script []byte }

func (h *hostile) next() uint64 {
	if len(h.script) == 0 {
		return 0
	}
	b := h.script[0]
	h.script = h.script[1:]
	switch {
	case b >= 0xf8:
		return ^uint64(0) - uint64(0xff-b)
	case b >= 0xf0:
		return uint64(maxIndex) - 4 + uint64(b-0xf0)
	}
	return uint64(b % 16)
}

func (h *hostile) input() Input {
	var m Message
	kind := h.next() % 11
	from, term := ServerID(h.next()), Term(h.next())
	switch kind {
	case 1:
		m = &RequestVote{Index(h.next()), Term(h.next()), h.next()%2 == 0}
	case 2:
		m = &RequestVoteReply{h.next()%2 == 0}
	case 3:
		m = &RequestPreVote{Index(h.next()), Term(h.next())}
	case 4:
		m = &RequestPreVoteReply{h.next()%2 == 0}
	case 10:
		m = &TimeoutNow{}
	case 5:
		a := &AppendEntries{PrevLogIndex: Index(h.next()), PrevLogTerm: Term(h.next()), LeaderCommit: Index(h.next()), Round: Round(h.next())}
		for range h.next() % 8 {
			e := Entry{Term: Term(h.next()), Kind: EntryKind(h.next() % 4)}
			if e.Kind == KindConfiguration {
				e.Configuration = votersOf(int(h.next() % 4))
			}
			a.Entries = append(a.Entries, e)
		}
		m = a
	case 6:
		round := h.next()
		m = &AppendEntriesReply{Round(round), Index(h.next()), round%2 == 0}
	case 7:
		r := &AppendEntriesRefusal{Round: Round(h.next()), Commit: Index(h.next()), LastLogIndex: Index(h.next())}
		for range h.next() % 4 {
			r.Runs = append(r.Runs, TermRun{Term(h.next()), Index(h.next())})
		}
		m = r
	case 8:
		if h.next()%2 == 0 {
			return Unlinked{from}
		}
		return Campaign{}
	case 9:
		return Clock{h.next()}
	default:
		return Tick{Random: h.next(), Delay: int(h.next() % 64)}
	}
	return Receive{Envelope{From: from, To: 1, Term: term, Message: m}}
}
