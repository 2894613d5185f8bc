package session_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

const second = uint64(1_000_000_000)

// rows is a table with its rows, as their owner keeps them.
type rows struct {
	t       *testing.T
	table   session.Table
	session map[string][]byte
	answers map[string][]byte
}

func newRows(t *testing.T) *rows {
	return &rows{t: t, session: map[string][]byte{}, answers: map[string][]byte{}}
}

func (r *rows) set(s session.Session) {
	r.session[string(session.AppendKey(nil, s.ID))] = session.AppendRow(nil, &s)
}

func (r *rows) forget(id uint64, sequences []uint64) {
	for _, sequence := range sequences {
		key := string(session.AppendAnswerKey(nil, id, sequence))
		if r.answers[key] == nil {
			r.t.Fatalf("answer %d of session %d is to be forgotten, and is not there", sequence, id)
		}
		delete(r.answers, key)
	}
}

func (r *rows) open(id, ttl, now uint64) bool {
	s, ok := r.table.Open(id, ttl, now)
	if ok {
		r.set(s)
	}
	return ok
}

func (r *rows) renew(id, now uint64) {
	if s, changed := r.table.Renew(id, now); changed {
		r.set(s)
	}
}

// ask decides on a request, and executes it if it is fresh: the answer is what execute returns.
func (r *rows) ask(n wire.Session, check uint32, execute func() []byte) (session.Verdict, string) {
	verdict := r.table.Decide(n, check)
	key := string(session.AppendAnswerKey(nil, n.ID, n.Sequence))
	switch verdict {
	case session.Fresh:
		answer := execute()
		row, pruned := r.table.Record(n, check, len(answer))
		r.forget(n.ID, pruned)
		r.answers[key] = session.AppendAnswer(nil, &row, answer)
		return verdict, string(answer)
	case session.Repeated:
		_, _, _, answer, err := session.ParseAnswer([]byte(key), r.answers[key])
		if err != nil {
			r.t.Fatal(err)
		}
		return verdict, string(answer)
	}
	return verdict, ""
}

func (r *rows) acknowledge(id, upTo uint64) {
	s, changed, pruned := r.table.Acknowledge(id, upTo)
	r.forget(id, pruned)
	if changed {
		r.set(s)
	}
}

func (r *rows) remove(id uint64) bool {
	pruned, found := r.table.Remove(id)
	r.forget(id, pruned)
	delete(r.session, string(session.AppendKey(nil, id)))
	return found
}

// restart makes the table anew from its rows.
func (r *rows) restart() {
	r.t.Helper()
	var loaded session.Table
	for _, key := range slices.Sorted(maps.Keys(r.session)) {
		s, err := session.ParseRow([]byte(key), r.session[key])
		if err != nil {
			r.t.Fatal(err)
		}
		loaded.Load(s)
	}
	for _, key := range slices.Sorted(maps.Keys(r.answers)) {
		id, sequence, row, answer, err := session.ParseAnswer([]byte(key), r.answers[key])
		if err != nil {
			r.t.Fatal(err)
		}
		if !loaded.LoadAnswer(id, sequence, row, len(answer)) {
			r.t.Fatalf("answer %d of session %d is not taken", sequence, id)
		}
	}
	if loaded.Len() != r.table.Len() || loaded.Bytes() != r.table.Bytes() {
		r.t.Fatalf("loaded %d sessions with %d bytes, there were %d with %d",
			loaded.Len(), loaded.Bytes(), r.table.Len(), r.table.Bytes())
	}
	for key := range r.session {
		s, _ := session.ParseRow([]byte(key), r.session[key])
		before, _ := r.table.Get(s.ID)
		after, found := loaded.Get(s.ID)
		if !found || before != after {
			r.t.Fatalf("loaded %+v, there was %+v", after, before)
		}
	}
	r.table = loaded
}

func answer(text string) func() []byte { return func() []byte { return []byte(text) } }

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func number(id, sequence, acknowledged uint64) wire.Session {
	return wire.Session{ID: id, Sequence: sequence, Acknowledged: acknowledged}
}

func TestRequestIsExecutedOnceAndAnsweredAlike(t *testing.T) {
	r := newRows(t)
	ask := func(what string, n wire.Session, check uint32, want session.Verdict, text string) {
		t.Helper()
		verdict, got := r.ask(n, check, answer(fmt.Sprintf("answer of %d", n.Sequence)))
		equal(t, what, fmt.Sprint(verdict, " ", got), fmt.Sprint(want, " ", text))
	}
	ask("no session", number(7, 1, 0), 1, session.Unknown, "")
	r.open(7, 60, 0)
	ask("first", number(7, 1, 0), 1, session.Fresh, "answer of 1")
	ask("again", number(7, 1, 0), 1, session.Repeated, "answer of 1")
	ask("another request with its number", number(7, 1, 0), 2, session.Mismatch, "")
	ask("one after the next", number(7, 3, 0), 3, session.Fresh, "answer of 3")
	ask("the one before, late", number(7, 2, 0), 2, session.Fresh, "answer of 2")
	ask("with an acknowledgement", number(7, 4, 2), 4, session.Fresh, "answer of 4")
	r.restart()
	ask("acknowledged", number(7, 2, 0), 2, session.Stale, "")
	ask("acknowledged by itself", number(7, 9, 9), 2, session.Stale, "")
	ask("not acknowledged", number(7, 3, 0), 3, session.Repeated, "answer of 3")
	ask("in another session", number(8, 3, 0), 3, session.Unknown, "")
	r.acknowledge(7, 3)
	r.acknowledge(7, 1) // late
	r.restart()
	ask("acknowledged without a request", number(7, 3, 0), 3, session.Stale, "")
	ask("the last", number(7, 4, 3), 4, session.Repeated, "answer of 4")
	equal(t, "removed", fmt.Sprint(r.remove(7), r.remove(7)), "true false")
	ask("ended", number(7, 4, 3), 4, session.Unknown, "")
	equal(t, "what is left", fmt.Sprint(len(r.answers), len(r.session), r.table.Bytes()), "0 0 0")
}

// What a session says is the same after each restart: a request that was acknowledged must not become
// fresh again, whichever of the rows is gone by then.
func TestAcknowledgedNumbersStayRefusedAfterEveryRestart(t *testing.T) {
	r := newRows(t)
	r.open(1, 60, 0)
	for sequence := uint64(1); sequence <= 50; sequence++ {
		n := number(1, sequence, sequence-1)
		if sequence%3 == 0 {
			n.Acknowledged = 0 // sent before the one before it was answered
		}
		if verdict, _ := r.ask(n, 0, answer("x")); verdict != session.Fresh {
			t.Fatalf("number %d: verdict %d", sequence, verdict)
		}
		r.restart()
		for before := uint64(1); before < sequence; before++ {
			if verdict, _ := r.ask(number(1, before, 0), 0, answer("x")); verdict != session.Stale && verdict != session.Repeated {
				t.Fatalf("number %d after number %d: verdict %d", before, sequence, verdict)
			}
		}
	}
}

func TestWindowIsBoundedInNumbers(t *testing.T) {
	r := newRows(t)
	r.open(1, 60, 0)
	verdict := func(n wire.Session) session.Verdict { v, _ := r.ask(n, 0, answer("x")); return v }
	equal(t, "the last of the window", verdict(number(1, session.Window, 0)), session.Fresh)
	equal(t, "one more", verdict(number(1, session.Window+1, 0)), session.Full)
	equal(t, "one more, refused before", verdict(number(1, session.Window+1, 1)), session.Fresh)
	equal(t, "what the refused one acknowledged", verdict(number(1, 1, 0)), session.Stale)
	equal(t, "far away", verdict(number(1, math.MaxUint64, 0)), session.Full)
	equal(t, "far away with all acknowledged", verdict(number(1, math.MaxUint64, math.MaxUint64-1)), session.Fresh)
}

func TestWindowIsBoundedInBytes(t *testing.T) {
	r := newRows(t)
	large := func() []byte { return make([]byte, session.MaxAnswerBytes) }
	r.open(1, 60, 0)
	sequence := uint64(0)
	ask := func(acknowledged uint64, execute func() []byte) session.Verdict {
		v, _ := r.ask(number(1, sequence+1, acknowledged), 0, execute)
		if v == session.Fresh {
			sequence++
		}
		return v
	}
	for ask(0, large) == session.Fresh {
	}
	equal(t, "how many large answers are kept", sequence, session.MaxSessionBytes/session.MaxAnswerBytes)
	equal(t, "a small one more", ask(0, answer("x")), session.Full)
	if r.table.Bytes() >= session.MaxSessionBytes+session.MaxAnswerBytes {
		t.Errorf("%d bytes are kept", r.table.Bytes())
	}
	equal(t, "a small one that makes room", ask(1, answer("x")), session.Fresh)

	r.open(2, 60, 0)
	v, _ := r.ask(number(2, 1, 0), 0, func() []byte { return make([]byte, session.MaxAnswerBytes+1) })
	equal(t, "one that is too large", v, session.Fresh)
	v, _ = r.ask(number(2, 1, 0), 0, large)
	equal(t, "the same again", v, session.Dropped)
	r.restart()
	v, _ = r.ask(number(2, 1, 0), 0, large)
	equal(t, "after a restart", v, session.Dropped)
	v, _ = r.ask(number(2, 1, 0), 1, large)
	equal(t, "another", v, session.Mismatch)
}

func TestAllSessionsTogetherAreBoundedInBytes(t *testing.T) {
	r := newRows(t)
	shared := make([]byte, session.MaxAnswerBytes)
	id := uint64(0)
	for v := session.Fresh; v == session.Fresh; {
		id++
		if !r.open(id, 60, 0) {
			t.Fatal("no more sessions")
		}
		for sequence := uint64(1); v == session.Fresh && sequence <= session.MaxSessionBytes/session.MaxAnswerBytes; sequence++ {
			n := number(id, sequence, 0)
			if v = r.table.Decide(n, 0); v == session.Fresh {
				r.table.Record(n, 0, len(shared))
			}
		}
	}
	equal(t, "sessions until all were full", id-1, session.MaxBytes/session.MaxSessionBytes)
	if r.table.Bytes() >= session.MaxBytes+session.MaxAnswerBytes {
		t.Errorf("%d bytes are kept", r.table.Bytes())
	}
	equal(t, "one that makes room", r.table.Decide(number(1, 5, 1), 0), session.Fresh)
}

func TestNumberOfSessionsIsBounded(t *testing.T) {
	var table session.Table
	for id := range uint64(session.MaxSessions) {
		if _, ok := table.Open(id+1, 60, 0); !ok {
			t.Fatalf("session %d is refused", id)
		}
	}
	if _, ok := table.Open(session.MaxSessions+1, 60, 0); ok {
		t.Error("one too many")
	}
	table.Remove(1)
	if _, ok := table.Open(session.MaxSessions+1, 60, 0); !ok {
		t.Error("one less, and none more")
	}
}

func TestSessionLivesForItsTimeAfterEachCommand(t *testing.T) {
	r := newRows(t)
	r.open(1, 0, 0)
	r.open(2, session.MaxTTL+1, 0)
	s1, _ := r.table.Get(1)
	s2, _ := r.table.Get(2)
	equal(t, "bounds", fmt.Sprint(s1.TTL, s2.TTL), fmt.Sprint(session.MinTTL, session.MaxTTL))
	r.open(3, 60, 10*second)
	written := 0
	for now := 10 * second; now < 1000*second; now += second {
		if row, changed := r.table.Renew(3, now); changed {
			r.set(row)
			written++
		}
		s, _ := r.table.Get(3)
		if s.Deadline < now+60*second || s.Deadline > now+75*second {
			t.Fatalf("at %d it is due at %d", now, s.Deadline)
		}
	}
	if written < 50 || written > 70 {
		t.Errorf("its row was written %d times in 990 seconds", written)
	}
	r.restart()
	s, _ := r.table.Get(3)
	equal(t, "due just before it is", r.table.DueBy(s.Deadline-1, 10), "[1]")
	equal(t, "due", r.table.DueBy(s.Deadline, 10), "[1 3]")
	equal(t, "due, and still there", r.table.DueBy(math.MaxUint64, 2), "[1 3]")
	r.renew(1, s.Deadline)
	equal(t, "renewed after it was due", r.table.DueBy(s.Deadline, 10), "[3]")
	r.remove(3)
	equal(t, "due after one has ended", r.table.DueBy(math.MaxUint64, 10), "[1 2]")
	r.open(4, 60, math.MaxUint64-1)
	r.renew(4, math.MaxUint64)
	s, _ = r.table.Get(4)
	equal(t, "the end of time", s.Deadline, uint64(math.MaxUint64))
	r.renew(99, 0)
}

// TestTableAgreesWithAModel: the model is a map from numbers to what was done.
func TestTableAgreesWithAModel(t *testing.T) {
	seen := map[session.Verdict]int{}
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRows(t)
		type key struct{ id, sequence uint64 }
		done, executions := map[key]string{}, 0
		acknowledged, newest := map[uint64]uint64{}, map[uint64]uint64{}
		for step := range 2000 {
			id := rng.Uint64N(4) + 1
			switch rng.IntN(40) {
			case 0:
				if _, open := acknowledged[id]; !open {
					r.open(id, 60, 0)
					acknowledged[id], newest[id] = 0, 0
				}
			case 1:
				if _, open := acknowledged[id]; open && rng.IntN(4) == 0 {
					r.remove(id)
					delete(acknowledged, id)
					maps.DeleteFunc(done, func(k key, _ string) bool { return k.id == id })
				}
			case 2:
				r.restart()
			case 3:
				if upTo, open := acknowledged[id]; open {
					acknowledged[id] = max(upTo, newest[id]-min(newest[id], rng.Uint64N(30)))
					r.acknowledge(id, acknowledged[id])
				}
			default:
				n := number(id, newest[id]+1-min(newest[id], rng.Uint64N(20)), newest[id]-min(newest[id], rng.Uint64N(40)))
				text := fmt.Sprint(step)
				v, got := r.ask(n, uint32(n.Sequence), func() []byte { executions++; return []byte(text) })
				seen[v]++
				upTo, open := acknowledged[id]
				before, repeated := done[key{id, n.Sequence}]
				switch {
				case !open:
					equal(t, "verdict without a session", v, session.Unknown)
				case n.Sequence <= max(upTo, n.Acknowledged):
					equal(t, "verdict on what is acknowledged", v, session.Stale)
				case repeated:
					equal(t, "again", fmt.Sprint(v, " ", got), fmt.Sprint(session.Repeated, " ", before))
				default:
					equal(t, "verdict on a new one", v, session.Fresh)
					done[key{id, n.Sequence}] = text
					newest[id] = max(newest[id], n.Sequence)
					acknowledged[id] = max(upTo, n.Acknowledged)
				}
			}
		}
		if executions == 0 {
			t.Fatal("nothing was executed")
		}
	}
	for _, v := range []session.Verdict{session.Fresh, session.Repeated, session.Stale, session.Unknown} {
		if seen[v] < 100 {
			t.Errorf("verdict %d was met %d times: the histories do not try it", v, seen[v])
		}
	}
}

func TestRowsThatCannotBeAreNotLoaded(t *testing.T) {
	var table session.Table
	equal(t, "of no session", table.LoadAnswer(1, 1, session.Answer{}, 1), false)
	table.Load(session.Session{ID: 1, TTL: 60})
	equal(t, "acknowledged by itself", table.LoadAnswer(1, 1, session.Answer{Acknowledged: 1}, 1), false)
	equal(t, "too large", table.LoadAnswer(1, 1, session.Answer{}, session.MaxAnswerBytes+1), false)
	equal(t, "sound", table.LoadAnswer(1, 1, session.Answer{}, 1), true)
	equal(t, "twice", table.LoadAnswer(1, 1, session.Answer{}, 1), false)
}
