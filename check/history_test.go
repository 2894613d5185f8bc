package check

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

func TestEntriesAppliedOutOfOrderAreFound(t *testing.T) {
	for name, wrong := range map[string]func(*bench, []wire.Raw){
		"again":           func(b *bench, e []wire.Raw) { b.apply(1, e[1], answerTo(2, 0), 2) },
		"with a gap":      func(b *bench, e []wire.Raw) { b.apply(3, e[1], answerTo(2, 0), 2) },
		"not committed":   func(b *bench, e []wire.Raw) { b.apply(3, e[0], nil, 1) },
		"flushed, and no": func(b *bench, e []wire.Raw) { b.Server(3).Flushed(1) },
	} {
		b, _, entries := right(t)
		wrong(b, entries)
		if v := b.Violation(); v == nil || v.Check != "C10" {
			t.Errorf("%s: found %v, want C10", name, v)
		}
	}
}

func TestEntryAppliedOtherThanCommittedIsFound(t *testing.T) {
	for name, change := range map[string]func(*replica.Entry){
		"term":    func(e *replica.Entry) { e.Term = 9 },
		"request": func(e *replica.Entry) { e.Command.Request = []byte("get") },
		"user":    func(e *replica.Entry) { e.Command.User = UserOf(9) },
		"kind":    func(e *replica.Entry) { e.Command.Kind = 2 },
		"nothing": func(e *replica.Entry) { e.Command = wire.Command{} },
	} {
		b := newBench(t, 3)
		b.elect(1, 1, 2)
		op := b.call(1)
		r := b.append(1, op, 2)
		b.commit(1, 1)
		e := replica.Entry{Index: 1, Term: 1, Command: *b.command(op)}
		change(&e)
		b.wantRight()
		b.Server(1).Applied([]replica.Entry{e}, [][]byte{answerTo(2, 0)}, [16]byte{})
		if v := b.Violation(); v == nil || v.Check != "C6" {
			t.Errorf("%s: found %v, want C6 (the record has %d bytes)", name, v, len(r))
		}
	}
}

func TestCommandAppliedTwiceIsFound(t *testing.T) {
	for name, again := range map[string]func(*Op) *Op{
		"the same command":                  func(op *Op) *Op { return op },
		"the same request as a new command": func(op *Op) *Op { return &Op{ID: op.ID, Server: 2} },
	} {
		b, op, _ := right(t)
		r := b.append(1, again(op), 2)
		b.commit(1, 3)
		b.wantRight()
		b.apply(1, r, answerTo(3, 0), 3)
		if v := b.Violation(); v == nil || v.Check != "S1" {
			t.Errorf("%s: found %v, want S1", name, v)
		}
	}
}

func TestTwoCommandsOfOneNumberAreFound(t *testing.T) {
	b, op, entries := right(t)
	other := b.call(1)
	payload := wire.AppendCommand(nil, &wire.Command{
		Kind: 1, Origin: wire.Origin{Server: op.Server, Boot: 1, Sequence: op.ID}, User: UserOf(other.ID), Request: []byte("put"),
	})
	r := wire.Record{Kind: wire.RecordCommand, Group: benchGroup, Index: 3, Term: 1, Payload: payload}
	r.Hash = wire.EntryHash(entries[1].Hash(), &r)
	record := wire.Raw(wire.AppendRecord(nil, &r))
	b.sync(1, b.step(1, nil, record)...)
	b.take(2, 1, record)
	b.commit(1, 3)
	b.wantRight()
	b.apply(1, record, answerTo(3, 0), 3)
	b.wantWrong("S1")
}

func TestEntryThatIsNoCommandIsFound(t *testing.T) {
	b, _, entries := right(t)
	r := wire.Record{Kind: wire.RecordCommand, Group: benchGroup, Index: 3, Term: 1, Payload: []byte("?")}
	r.Hash = wire.EntryHash(entries[1].Hash(), &r)
	b.step(1, nil, wire.AppendRecord(nil, &r))
	b.wantWrong("C6")
}

func TestAnswerThatNobodyCanReadIsFound(t *testing.T) {
	b, _, _ := right(t)
	op := b.call(1)
	r := b.append(1, op, 2)
	b.commit(1, 3)
	b.apply(1, r, []byte("?"), 3)
	b.wantWrong("K1")

	b, _, _ = right(t)
	b.Read(b.read(1, false), 2, 2, []byte("?"))
	b.wantWrong("K1")
}

func TestOutcomeThatIsNotTrueIsFound(t *testing.T) {
	for name, wrong := range map[string]func(*bench, *Op){
		"never, and was applied": func(b *bench, op *Op) { b.Ended(op, Never) },
		"done at another index":  func(b *bench, op *Op) { b.Wrote(op, 1, answerTo(2, 0)) },
		"done beyond everything": func(b *bench, op *Op) { b.Wrote(op, 9, answerTo(2, 0)) },
		"another answer":         func(b *bench, op *Op) { b.Wrote(op, 2, answerTo(2, 1)) },
		"never, and is applied":  func(b *bench, _ *Op) { later(b, func(op *Op) { b.Ended(op, Never) }) },
		"nobody's request":       func(b *bench, _ *Op) { b.append(1, &Op{ID: 77, Server: 1}) },
	} {
		b, op, _ := right(t)
		wrong(b, op)
		if v := b.Violation(); v == nil || v.Check != "S2" {
			t.Errorf("%s: found %v, want S2", name, v)
		}
	}
}

// later lets something happen to a request that is in the log, and then applies it.
func later(b *bench, meanwhile func(*Op)) {
	op := b.call(1)
	r := b.append(1, op, 2)
	b.commit(1, 3)
	meanwhile(op)
	b.apply(1, r, answerTo(3, 0), 3)
}

func TestUnknownOutcomeAllowsBoth(t *testing.T) {
	b, _, _ := right(t)
	later(b, func(op *Op) { b.Ended(op, Unknown) })
	b.Ended(b.call(2), Unknown)
	b.wantRight()
}

func TestWriteThatIsOlderThanWhatWasAcknowledgedIsFound(t *testing.T) {
	b, op, _ := right(t)
	op.floor = 2
	b.Wrote(op, 2, answerTo(2, 0))
	b.wantWrong("L1")
}

// read calls a read at a server.
func (b *bench) read(id raft.ServerID, serializable bool) *Op {
	b.lastOp++
	op := &Op{ID: b.lastOp, Server: id, Request: Range{Key: "b"}, Serializable: serializable}
	b.Called(op)
	return op
}

func TestReadsAreHeldToWhatWasAcknowledged(t *testing.T) {
	empty := answerTo(2, 0)
	for name, c := range map[string]struct {
		want  string
		serve func(b *bench)
	}{
		"right":                  {"", func(b *bench) { b.Read(b.read(2, false), 2, 2, empty) }},
		"index too low":          {"L1", func(b *bench) { b.Read(b.read(2, false), 1, 2, empty) }},
		"state behind the index": {"L1", func(b *bench) { b.Read(b.read(2, false), 2, 1, answerTo(1, 0)) }},
		"serializable, in the past": {"", func(b *bench) {
			b.Read(b.read(2, true), 0, 1, answerTo(1, 0))
		}},
		"serializable, of another state": {"K1", func(b *bench) { b.Read(b.read(2, true), 0, 1, empty) }},
		"beyond everything applied":      {"C10", func(b *bench) { b.Read(b.read(2, false), 2, 5, empty) }},
		"another answer":                 {"K1", func(b *bench) { b.Read(b.read(2, false), 2, 2, answerTo(2, 4)) }},
	} {
		b, _, _ := right(t)
		c.serve(b)
		got := ""
		if v := b.Violation(); v != nil {
			got = v.Check
		}
		if got != c.want {
			t.Errorf("%s: found %v, want %q", name, b.Violation(), c.want)
		}
	}
}

func TestWhatAReadHasSeenNoLaterReadMayMiss(t *testing.T) {
	b, _, _ := right(t)
	op := b.call(1) // never answered
	r := b.append(1, op, 2)
	b.commit(1, 3)
	b.apply(1, r, answerTo(3, 0), 3)
	b.Read(b.read(1, false), 3, 3, answerTo(3, 0))
	b.wantRight()
	b.Read(b.read(2, false), 2, 2, answerTo(2, 0))
	b.wantWrong("L1")
}

func TestAnswersThatDifferAreFound(t *testing.T) {
	b, _, entries := right(t)
	b.vote(3, 1, 0)
	for _, r := range entries {
		b.take(3, 1, r)
	}
	b.commit(3, 2)
	b.apply(3, entries[0], nil, 1)
	b.wantRight()
	b.apply(3, entries[1], answerTo(7, 0), 2)
	b.wantWrong("K1")
}

func TestAnswerThatASequentialStoreWouldNotGiveIsFound(t *testing.T) {
	b, _, _ := right(t)
	op := b.call(1)
	r := b.append(1, op, 2)
	b.commit(1, 3)
	b.wantRight()
	b.apply(1, r, answerTo(2, 0), 3) // the revision did not go up
	b.wantWrong("K1")
}

func TestDigestsThatDifferAreFound(t *testing.T) {
	b, _, entries := right(t)
	b.vote(3, 1, 0)
	b.take(3, 1, entries[0])
	b.commit(3, 1)
	b.wantRight()
	b.apply(3, entries[0], nil, 9)
	b.wantWrong("K2")
}

func TestMissingAnswerIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.Server(1).Applied([]replica.Entry{{Index: 3}}, nil, [16]byte{})
	b.wantWrong("C6")
}

func TestFirstViolationIsKept(t *testing.T) {
	b, _, _ := right(t)
	b.Fail("X", "first %d", 1)
	b.Fail("Y", "second")
	if got := b.Violation().Error(); got != "X: first 1" {
		t.Errorf("got %q", got)
	}
}
