package replica

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// outcomes says which answers to requests for pieces were sent: boot/number to whom: outcome.
func (f *fed) outcomes() string {
	var said []string
	for _, l := range f.sent {
		m, err := wire.DecodeMessage(l.bytes)
		if err != nil {
			f.t.Fatal(err)
		}
		if c, is := m.Body.(*wire.SnapshotChunk); is {
			said = append(said, fmt.Sprintf("%d/%d to %d: %d %s", c.Boot, c.Number, l.to, c.Outcome, c.Chunk))
		}
	}
	return strings.Join(said, "; ")
}

// hosting is a leader that is asked for its state by the two others, who are the test.
type hosting struct {
	*cluster
	l, a, b *server
	work    Work
}

func newHosting(t *testing.T, entries int) *hosting {
	t.Helper()
	c := newCluster(t, 5, 3)
	c.settle(anyElection)
	h := &hosting{cluster: c, l: c.leader()}
	for _, s := range c.servers {
		if s != h.l {
			h.a, h.b = s, h.a
		}
	}
	for range entries {
		c.propose(h.l, "x")
		c.drain()
	}
	c.settle(1)
	return h
}

// step hands the leader something.
func (h *hosting) step(inputs ...Input) *Work {
	h.work = h.l.replica.Step(0, inputs)
	return &h.work
}

func (h *hosting) request(of raft.ServerID, number uint64) []Serve {
	h.step(Receive{From: of, Message: wire.Message{Group: testGroup, Term: h.l.replica.term, Body: &wire.SnapshotRequest{
		Boot: 1, Number: number, Request: []byte(fmt.Sprint("request ", number)),
	}}})
	return h.work.Serve
}

// said says which answers a piece of work sends.
func (h *hosting) said(work *Work) string {
	f := fed{cluster: h.cluster}
	for _, o := range work.Send {
		f.sent = append(f.sent, letter{h.l.id, o.To, o.Message})
	}
	return f.outcomes()
}

func (h *hosting) served(of raft.ServerID, number uint64, at raft.Index, chunk string) string {
	return h.said(h.step(Served{To: of, Boot: 1, Number: number, Chunk: []byte(chunk), Position: &wire.Position{
		EntryID: raft.EntryID{Index: at, Term: 1}, Configuration: wire.AppendConfiguration(nil, h.initial),
	}}))
}

func equalText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// Each member is served, one piece at a time; what it asks meanwhile it will ask again.
func TestEachPeerIsServedOnePieceAtATime(t *testing.T) {
	h := newHosting(t, 3)
	serve := h.request(h.a.id, 1)
	if len(serve) != 1 || serve[0].To != h.a.id || serve[0].Boot != 1 || serve[0].Number != 1 || string(serve[0].Request) != "request 1" {
		t.Fatalf("is to serve %+v", serve)
	}
	if limit := serve[0].LimitBytes; limit < 1 || limit > h.l.replica.options.MaxBatchBytes {
		t.Errorf("of %d bytes", limit)
	}
	if again := h.request(h.a.id, 2); len(again) != 0 {
		t.Errorf("is to serve %+v besides", again)
	}
	if other := h.request(h.b.id, 7); len(other) != 1 || other[0].To != h.b.id {
		t.Errorf("is to serve %+v, want server %d as well", other, h.b.id)
	}
	equalText(t, "the answer", h.served(h.a.id, 1, 2, "piece"), fmt.Sprintf("1/1 to %d: 1 piece", h.a.id))
	if next := h.request(h.a.id, 3); len(next) != 1 || next[0].Number != 3 {
		t.Errorf("is to serve %+v, want the next piece", next)
	}
	equalText(t, "the other's", h.served(h.b.id, 7, 2, "its piece"), fmt.Sprintf("1/7 to %d: 1 its piece", h.b.id))
}

// Nobody else is.
func TestStrangersAreNotServed(t *testing.T) {
	h := newHosting(t, 3)
	if serve := h.request(9, 1); len(serve) != 0 || len(h.work.Send) != 0 || len(h.l.replica.serving.guests) != 0 {
		t.Errorf("is to serve %+v, sends %v", serve, h.work.Send)
	}
	equalText(t, "an answer for a stranger", h.served(9, 1, 2, "piece"), "")
}

// If there is nothing to give, that is said, so that another server is asked.
func TestWhatCannotBeServedIsRefused(t *testing.T) {
	h := newHosting(t, 3)
	h.request(h.a.id, 4)
	work := h.step(Served{To: h.a.id, Boot: 1, Number: 4, Err: errors.New("not ahead")})
	equalText(t, "the answer", h.said(work), fmt.Sprintf("1/4 to %d: 2 ", h.a.id))
	if !slices.ContainsFunc(work.Events, func(e fmt.Stringer) bool { return strings.Contains(e.String(), "not ahead") }) || work.Fatal != nil {
		t.Errorf("told %v, fatal %v", work.Events, work.Fatal)
	}
	if next := h.request(h.a.id, 5); len(next) != 1 {
		t.Errorf("is to serve %+v, want the next", next)
	}
}

// While clients write, pieces of states wait like entries for those who lag; a new question makes an old piece
// superfluous.
func TestPiecesWaitWhileClientsWrite(t *testing.T) {
	h := newHosting(t, 3)
	r := h.l.replica
	r.options.CatchUp = CatchUpOptions{Lag: 1, Free: 10, Least: 1000}
	for range 20 * catchUpTicks {
		r.catchUp.appended += 100 // as if that much was written in each tick
		h.step(Tick{Delay: 1 << 20})
	}
	if !r.catchUp.held || !r.leads() {
		t.Fatalf("held %t, leads %t", r.catchUp.held, r.leads())
	}
	if serve := h.request(h.a.id, 1); len(serve) != 1 || serve[0].LimitBytes != 2000 {
		t.Errorf("is to serve %+v, want 2000 bytes at most", serve)
	}
	equalText(t, "the first", h.served(h.a.id, 1, 2, strings.Repeat("p", 2500)), fmt.Sprintf("1/1 to %d: 1 %s", h.a.id, strings.Repeat("p", 2500)))
	h.request(h.b.id, 1)
	equalText(t, "the next, to whomever", h.served(h.b.id, 1, 2, "q"), "")
	var sent []string
	for range 4 {
		r.catchUp.appended += 100
		sent = append(sent, h.said(h.step(Tick{Delay: 1 << 20})))
	}
	equalText(t, "in the ticks behind it", strings.Join(sent, ","), fmt.Sprintf(",1/1 to %d: 1 q,,", h.b.id))

	h.request(h.a.id, 2)
	r.catchUp.left = 0
	h.served(h.a.id, 2, 2, "of no use any more")
	if serve := h.request(h.a.id, 3); len(serve) != 1 {
		t.Errorf("is to serve %+v", serve)
	}
	for range 5 {
		equalText(t, "what was superseded", h.said(h.step(Tick{Delay: 1 << 20})), "")
	}
}

// What is sent of states has a bound of its own, for all who ask together, whether or not anybody writes.
func TestStatesAreSentNoFasterThanIsAllowed(t *testing.T) {
	h := newHosting(t, 3)
	h.l.replica.options.CatchUp.States = 100
	for range 1000 {
		h.step(Tick{Delay: 1 << 20})
	}
	if left := h.l.replica.serving.allowance.left; left != 100 {
		t.Errorf("%d bytes are allowed at once when nobody has asked for long", left)
	}
	h.l.replica.serving.allowance.spend(100)
	var asked []Serve
	sent, pieces := 0, map[raft.ServerID]int{}
	const ticks = 400
	ask := func(of raft.ServerID) { asked = append(asked, h.request(of, uint64(pieces[of]+1))...) }
	ask(h.a.id)
	ask(h.b.id)
	if len(asked) > 0 {
		t.Errorf("is to serve %+v before it is allowed to", asked)
	}
	for range ticks {
		asked = append(asked, h.step(Tick{Delay: 1 << 20}).Serve...)
		for len(asked) > 0 {
			now := asked[0]
			asked = asked[1:]
			if now.LimitBytes != 1600 || now.Number != uint64(pieces[now.To]+1) || sent > 200*ticks {
				t.Fatalf("is to serve %+v, want question %d in 1600 bytes; %d bytes are sent", now, pieces[now.To]+1, sent)
			}
			chunk := strings.Repeat("p", 1700) // which is about 1600
			equalText(t, "the answer", h.served(now.To, now.Number, 2, chunk), fmt.Sprintf("1/%d to %d: 1 %s", now.Number, now.To, chunk))
			sent += len(chunk)
			pieces[now.To]++
			ask(now.To)
		}
	}
	if least, most := 100*ticks-2*1700, 100*ticks+2*1700; sent < least || sent > most {
		t.Errorf("%d bytes in %d ticks, want %d to %d", sent, ticks, least, most)
	}
	if a, b := pieces[h.a.id], pieces[h.b.id]; a-b > 1 || b-a > 1 {
		t.Errorf("%d pieces for one, %d for the other", a, b)
	}
	ask(h.a.id) // a question that is asked again while it waits, under another number
	serve := h.request(h.a.id, 99)
	for len(serve) == 0 {
		serve = h.step(Tick{Delay: 1 << 20}).Serve
	}
	if serve = slices.DeleteFunc(serve, func(s Serve) bool { return s.To != h.a.id }); len(serve) != 1 || serve[0].Number != 99 {
		t.Errorf("is to serve %+v, want the later question only", serve)
	}
}

// Those who are stranded are told, by the leader alone, now and then.
func TestLeaderTellsWhoIsStranded(t *testing.T) {
	h := newHosting(t, 3)
	h.drop = func(from, to raft.ServerID) bool { return to == h.a.id || from == h.a.id }
	for range 3 {
		h.propose(h.l, "lacking")
		h.drain()
	}
	offers := func(ticks int) (n int) {
		for range ticks {
			work := h.l.replica.Step(0, []Input{Tick{Delay: 1 << 20}})
			for _, o := range work.Send {
				m, err := wire.DecodeMessage(o.Message)
				if err != nil {
					t.Fatal(err)
				}
				if offer, is := m.Body.(*wire.SnapshotOffer); is {
					if o.To != h.a.id || offer.Base != h.l.replica.core.Base().Index || m.Term != h.l.replica.term {
						t.Errorf("offers %+v to %d", offer, o.To)
					}
					n++
				}
			}
		}
		return n
	}
	if n := offers(3 * offerTicks); n != 0 {
		t.Errorf("%d offers, and nobody is stranded", n)
	}
	h.step(Flushed{Index: h.l.replica.core.LastIndex(), Compel: h.l.replica.core.LastIndex()})
	h.step(Receive{From: h.a.id, Message: wire.Message{Group: testGroup, Term: h.l.replica.term, Body: &raft.AppendEntriesRefusal{Round: 1, LastLogIndex: 1}}})
	if n := offers(3 * offerTicks); n != 3 {
		t.Errorf("%d offers in %d ticks, want 3", n, 3*offerTicks)
	}
}

// The log is kept for peers that answer, as far as they are, and for those that are being fed; but not beyond what it is
// compelled to let go. It is kept for nobody who was silent for long, nor for what others lack who need a state anyway.
func TestLogIsKeptForThoseWhoNeedIt(t *testing.T) {
	const all = raft.Index(1 << 40)
	for _, test := range []struct {
		name  string
		guest raft.Index // where the state is that a guest is given; 0: there is none
		gone  int        // for so many ticks nobody hears of server a
		in    Flushed
		want  func(h *hosting) raft.Index
	}{
		{"as far as the state is durable", 0, 0, Flushed{Index: 2, Keep: all}, func(*hosting) raft.Index { return 2 }},
		{"what is kept for those who lag a little", 0, 0, Flushed{Index: all, Keep: 3}, func(*hosting) raft.Index { return 3 }},
		{"a peer that answers", 0, 10, Flushed{Index: all, Keep: all}, func(h *hosting) raft.Index { return h.l.replica.core.LastIndex() - 3 }},
		{"unless it is compelled", 0, 10, Flushed{Index: all, Keep: all, Compel: all}, func(h *hosting) raft.Index { return h.l.replica.core.LastIndex() }},
		{"as far as that goes", 0, 10, Flushed{Index: all, Keep: 1, Compel: 2}, func(*hosting) raft.Index { return 2 }},
		{"but never more than is durable", 0, 10, Flushed{Index: 2, Keep: all, Compel: all}, func(*hosting) raft.Index { return 2 }},
		{"a peer that is silent for long", 0, livePeerTicks + 10, Flushed{Index: all, Keep: all}, func(h *hosting) raft.Index { return h.l.replica.core.LastIndex() }},
		{"a guest", 2, livePeerTicks + 10, Flushed{Index: all, Keep: all}, func(*hosting) raft.Index { return 2 }},
		{"but not beyond", 2, livePeerTicks + 10, Flushed{Index: all, Keep: all, Compel: 3}, func(*hosting) raft.Index { return 3 }},
	} {
		h := newHosting(t, 4)
		if test.gone > 0 {
			h.drop = func(from, to raft.ServerID) bool { return to == h.a.id || from == h.a.id }
			for range 3 {
				h.propose(h.l, "lacking")
				h.drain()
			}
			h.delay = 1 << 20
			for range test.gone {
				h.tick(h.l)
				h.drain()
			}
		}
		if test.guest != 0 {
			h.request(h.a.id, 1)
			h.served(h.a.id, 1, test.guest, "piece")
		}
		h.step(test.in)
		if got, want := h.l.replica.core.Base().Index, test.want(h); got != want {
			t.Errorf("%s: the log begins after %d, want %d; it ends at %d", test.name, got, want, h.l.replica.core.LastIndex())
		}
	}
}

// Who needs a state anyway is no reason to keep what comes behind it, however often it answers.
func TestLogIsNotKeptForThoseWhoAreStranded(t *testing.T) {
	h := newHosting(t, 4)
	h.drop = func(from, to raft.ServerID) bool { return to == h.a.id || from == h.a.id }
	write := func() (last raft.Index) {
		h.propose(h.l, "lacking")
		h.drain()
		return h.l.replica.core.LastIndex()
	}
	last := write()
	h.step(Flushed{Index: last, Compel: last})
	h.step(Receive{From: h.a.id, Message: wire.Message{Group: testGroup, Term: h.l.replica.term, Body: &raft.AppendEntriesRefusal{Round: 1, LastLogIndex: 1}}})
	last = write()
	h.step(Flushed{Index: last, Keep: last})
	if got := h.l.replica.core.Base().Index; got != last {
		t.Errorf("the log begins after %d, want %d", got, last)
	}
}

// A guest that has asked nothing for long is forgotten, and the log is no longer kept for it.
func TestGuestThatIsGoneIsForgotten(t *testing.T) {
	h := newHosting(t, 4)
	h.request(h.a.id, 1)
	h.served(h.a.id, 1, 2, "piece")
	tick := func(n int) {
		for range n {
			h.step(Tick{Delay: 1 << 20})
		}
	}
	tick(guestTicks)
	if got := h.l.replica.serving.holds(9); got != 2 {
		t.Errorf("keeps the log behind %d, want 2", got)
	}
	h.request(h.a.id, 2) // it is still there
	h.served(h.a.id, 2, 3, "piece")
	tick(guestTicks)
	if got := h.l.replica.serving.holds(9); got != 3 {
		t.Errorf("keeps the log behind %d, want 3", got)
	}
	tick(1)
	if got := h.l.replica.serving.holds(9); got != 9 || len(h.l.replica.serving.guests) != 0 {
		t.Errorf("keeps the log behind %d for %v", got, h.l.replica.serving.guests)
	}
	// While the state machine is at it, it is not forgotten.
	h.request(h.a.id, 3)
	tick(2 * guestTicks)
	equalText(t, "the answer", h.served(h.a.id, 3, 2, "late"), fmt.Sprintf("1/3 to %d: 1 late", h.a.id))
}

// What the log has dropped since it was asked for is no trouble: the peer is stranded by then, or asks for something else.
func TestEntriesThatAreGoneMeanwhileAreNoTrouble(t *testing.T) {
	h := newHosting(t, 0)
	h.drop = func(from, to raft.ServerID) bool { return to == h.a.id || from == h.a.id }
	for range 8 {
		h.propose(h.l, strings.Repeat("x", 1<<10)) // more than is kept in memory
		h.drain()
	}
	core := h.l.replica.core
	refusal := &raft.AppendEntriesRefusal{Round: 1 << 20, Commit: 1, LastLogIndex: 1}
	for _, p := range core.AppendPeers(nil) {
		if p.ID == h.a.id {
			refusal.LastLogIndex, refusal.Commit = p.MatchIndex, p.MatchIndex
		}
	}
	var fetch []Fetch
	for round := raft.Round(1); len(fetch) == 0 && round < 1000; round++ {
		refusal.Round = round
		fetch = h.step(Receive{From: h.a.id, Message: wire.Message{Group: testGroup, Term: h.l.replica.term, Body: refusal}}).Fetch
	}
	if len(fetch) != 1 {
		t.Fatalf("asks the log for %v", fetch)
	}
	h.step(Flushed{Index: core.LastIndex(), Compel: core.LastIndex()})
	work := h.step(Fetched{ID: fetch[0].ID, Err: errors.New("compacted"), Compacted: true})
	if work.Fatal != nil {
		t.Errorf("does not go on: %v", work.Fatal)
	}
	if n := len(h.l.replica.outbox.queued); n != 0 {
		t.Errorf("%d appends still wait", n)
	}
	if work = h.step(Fetched{ID: fetch[0].ID + 2, Err: errors.New("unreadable")}); work.Fatal == nil {
		t.Error("goes on with a log that cannot be read")
	}
}
