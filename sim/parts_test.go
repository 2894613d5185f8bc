package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

func TestQueueGivesEventsInOrderOfTimeThenOfPlanning(t *testing.T) {
	var q queue
	d := dice{source: choice.FromSeed(1)}
	for i := range 500 {
		q.add(event{at: int64(d.below("at", 50)), number: uint64(i)})
	}
	var got []event
	for {
		e, ok := q.next()
		if !ok {
			break
		}
		got = append(got, e)
	}
	if len(got) != 500 || !slices.IsSortedFunc(got, func(a, b event) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.number) - int(b.number)
	}) {
		t.Errorf("%d events, or not in order", len(got))
	}
}

func TestSpreadHasItsMean(t *testing.T) {
	d := dice{source: choice.FromSeed(1)}
	sum, much, little := int64(0), 0, 0
	const mean, times = 1000, 100_000
	for range times {
		v := d.spread("x", mean)
		sum += v
		if v > 4*mean {
			much++
		}
		if v < mean/4 {
			little++
		}
	}
	if got := sum / times; got < mean*97/100 || got > mean*103/100 {
		t.Errorf("mean is %d, want about %d", got, mean)
	}
	if much < times/200 || little < times/10 {
		t.Errorf("%d of %d were more than four times the mean, %d less than a quarter of it", much, times, little)
	}
	if d.spread("x", 0) != 0 {
		t.Error("a spread around 0 is not 0")
	}
}

func TestScaleReachesBothEnds(t *testing.T) {
	d := dice{source: choice.FromSeed(1)}
	low, high := int64(1000), int64(0)
	for range 1000 {
		v := d.scale("x", 3, 800)
		if v < 3 || v > 800 {
			t.Fatalf("got %d, want 3 to 800", v)
		}
		low, high = min(low, v), max(high, v)
	}
	if low != 3 || high < 700 {
		t.Errorf("got %d to %d, want 3 to about 800", low, high)
	}
}

func TestTraceTellsEverythingApart(t *testing.T) {
	traceOf := func(f func(*trace)) [16]byte {
		var tr trace
		f(&tr)
		return tr.sum()
	}
	seen := map[[16]byte]int{}
	for i, f := range []func(*trace){
		func(*trace) {},
		func(tr *trace) { tr.add(0) },
		func(tr *trace) { tr.add(1) },
		func(tr *trace) { tr.add(1); tr.add(2) },
		func(tr *trace) { tr.add(2); tr.add(1) },
		func(tr *trace) { tr.addBytes(nil) },
		func(tr *trace) { tr.addBytes([]byte{0}) },
		func(tr *trace) { tr.addBytes([]byte{0, 0}) },
		func(tr *trace) { tr.addBytes([]byte("12345678")) },
		func(tr *trace) { tr.addBytes([]byte("123456789")) },
		func(tr *trace) { tr.addBytes([]byte("123456780")) },
	} {
		s := traceOf(f)
		if other, ok := seen[s]; ok {
			t.Errorf("%d and %d have the same hash", other, i)
		}
		seen[s] = i
	}
}

// numberDrawer makes requests of sessions, and about them, of others.
type numberDrawer struct {
	opened []uint64
	newest uint64
	before check.Request // the last that was numbered
}

func (n *numberDrawer) draw(w *world, r *request) check.Request {
	below := func(limit int) int { return w.dice.below("number", limit) }
	if len(n.opened) == 0 || below(10) == 0 {
		return check.Open{TTL: int64(below(9))}
	}
	id := n.opened[max(0, len(n.opened)-1-below(4))]
	switch below(30) {
	case 0:
		return check.Close{Session: id}
	case 1:
		return check.KeepAlive{Session: id, Acknowledged: n.newest - min(n.newest, 9)}
	case 2:
		return check.ExpireSessions{IDs: []int64{int64(id), int64(n.opened[0]), 7}}
	}
	if _, reads := r.Request.(check.Range); reads || r.read {
		r.Request = check.Put{Key: "k00", Value: "of a session"}
	}
	switch r.Request.(type) {
	case check.Renew, check.Expire:
		r.Request = check.Delete{Key: "k00"}
	}
	number := n.newest + 2 - min(n.newest+1, uint64(below(6)))
	if below(3) == 0 && n.before != nil {
		r.Request = n.before
	}
	if below(30) == 0 {
		number += 3000
	} else {
		n.newest = max(n.newest, number)
	}
	n.before = r.Request
	return check.Numbered{Session: id, Number: number, Acknowledged: min(number-1, n.newest-min(n.newest, uint64(below(9)))), Request: r.Request}
}

// TestStoreAndModelAgreeInTheSimulatorsWords holds the encoding of requests and the decoding of
// responses against the real store, and both against the model.
func TestStoreAndModelAgreeInTheSimulatorsWords(t *testing.T) {
	w := &world{dice: dice{source: choice.FromSeed(5)}, plan: plan{keys: 5, lease: leasePlan{holders: 1, ttl: 3, attach: 500_000}}}
	w.leasing.known = []int64{1, 2, 3, -4}
	store, err := kv.Open(treekv.New(), kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	model := check.NewModel()
	c, sessions := newClient(0), &numberDrawer{}
	codes := map[kv.Code]int{}
	at := uint64(0)
	for i := range 3000 {
		r := w.draw(c)
		if i%4 == 0 {
			r = &request{Op: check.Op{Request: w.drawLeaseRequest()}}
		}
		if i%3 == 1 {
			r.Request, r.read = sessions.draw(w, r), false
		}
		at += uint64(w.dice.below("time", int(second/2)))
		kind, bytes := encode(r.Request)
		if code := kv.Check(kind, bytes, kv.Limits{}); code != kv.CodeOK {
			t.Fatalf("%+v is refused: %v", r.Request, code)
		}
		var answer kv.Answer
		if r.read {
			answer, err = store.Range(bytes)
		} else {
			var answers []kv.Answer
			answers, err = store.Apply([]kv.Command{{Index: store.AppliedIndex() + 1, Time: at, Kind: kind, Request: bytes, Session: numberOf(r.Request)}})
			answer = answers[0]
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(r.Request, answer.Append(nil))
		want := model.ApplyAt(store.AppliedIndex(), at, r.Request)
		if got.Session != 0 {
			sessions.opened = append(sessions.opened, got.Session)
		}
		if err != nil || !got.Equal(&want) {
			t.Fatalf("request %d, %+v: got %+v (%v), want %+v", i, r.Request, got, err, want)
		}
		c.revision = got.Revision
		codes[got.Code]++
	}
	for _, code := range []kv.Code{kv.CodeOK, kv.CodeCompacted, kv.CodeLeaseNotFound, kv.CodeLeaseExists,
		kv.CodeSessionNotFound, kv.CodeRequestStale, kv.CodeRequestMismatch, kv.CodeSessionFull} {
		if codes[code] < 10 {
			t.Errorf("%v came up %d times", code, codes[code])
		}
	}
}

// drawLeaseRequest makes up what holders and lessors ask for.
func (w *world) drawLeaseRequest() check.Request {
	id := func() int64 { return w.leasing.known[w.dice.below("id", len(w.leasing.known))] }
	switch w.dice.below("kind", 5) {
	case 0:
		return check.Revoke{ID: id()}
	case 1:
		return check.Renew{IDs: []int64{id(), id()}}
	case 2:
		return check.Expire{IDs: []int64{id(), id(), id()}}
	}
	return check.Grant{ID: id(), TTL: 1 + int64(w.dice.below("ttl", 4))}
}

func TestDamagedResponsesAreRefused(t *testing.T) {
	for name, body := range map[string][]byte{
		"cut tag":       {0x80},
		"no value":      {0x10},
		"cut bytes":     {0x12, 5, 1},
		"strange type":  {0x15, 0, 0, 0, 0},
		"unknown field": {0x78, 1},
	} {
		for _, request := range []check.Request{check.Put{}, check.Delete{}, check.Range{}, check.Txn{}, check.Compact{}, check.Grant{}, check.Revoke{}, check.Renew{}} {
			answer := kv.Answer{Revision: 3, Body: body}
			if _, err := decode(request, answer.Append(nil)); err == nil {
				t.Errorf("%s: a %T takes it", name, request)
			}
		}
	}
	if _, err := decode(check.Put{}, nil); err == nil {
		t.Error("no bytes at all are taken")
	}
	failed := kv.Answer{Err: kv.CodeCompacted, Body: []byte{1}}
	if _, err := decode(check.Put{}, failed.Append(nil)); err == nil {
		t.Error("a body beside an error is taken")
	}
}

func TestFailureTellsHowToReplay(t *testing.T) {
	f := &Failure{Seed: 7, Simulated: defaultSimulated, At: 3 * time.Second, Violation: &check.Violation{Check: "C1", Text: "two"}}
	if got, want := f.Error(), "seed 7: at 3s: C1: two\nreplay: quorate sim --seed 7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.Simulated = 5 * time.Second
	if got, want := f.Replay(), "quorate sim --seed 7 --seconds 5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPanicOfTheCodeUnderTestIsAFailure(t *testing.T) {
	w := newWorld(Options{Seed: 1}.withDefaults())
	w.queue.add(event{at: 1, kind: evClient, server: none, life: anyLife, number: 1 << 40}) // no such client
	if stack := w.run(); stack == "" || w.check.Violation() == nil || w.check.Violation().Check != "I2" {
		t.Errorf("got %v, stack %q", w.check.Violation(), stack)
	}
}
