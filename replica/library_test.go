package replica

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// lookedUp is a server without holes that has been asked, in term 2, for entry 5, which it has, and 21, which it lacks. It is
// reading.
func lookedUp(t *testing.T) (*healers, *healer, Fetched) {
	t.Helper()
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[1]
	s.applied = 20
	s.start()
	work := s.replica.Step(0, []Input{c.request(5, 21)})
	if len(work.Fetch) != 1 || work.Fetch[0].First != 5 || work.Fetch[0].Last != 5 {
		t.Fatalf("it reads %+v", work.Fetch)
	}
	return c, s, Fetched{ID: work.Fetch[0].ID, Records: [][]byte{c.entries[4]}}
}

// request asks for entries of term 2, from server 1.
func (c *healers) request(wanted ...raft.Index) Receive {
	m := &wire.EntryRequest{}
	for _, i := range wanted {
		w := wire.WantedEntry{Index: i, Term: 2, Hash: wire.Hash{1}}
		if i <= raft.Index(len(c.entries)) {
			w.Hash = wire.Raw(c.entries[i-1]).Hash()
		}
		m.Wanted = append(m.Wanted, w)
	}
	return Receive{From: 1, Message: wire.Message{Group: testGroup, Body: m}}
}

// heartbeat is that of a leader of a term.
func heartbeat(term raft.Term) Receive {
	return Receive{From: 3, Message: wire.Message{Group: testGroup, Term: term, Body: &raft.AppendEntries{}}}
}

// replies returns the answers about entries among messages.
func replies(t *testing.T, sent []Outgoing) (found []wire.Message) {
	t.Helper()
	for _, m := range sent {
		decoded, err := wire.DecodeMessage(slices.Clone(m.Message))
		must(t, err)
		if _, ok := decoded.Body.(*wire.EntryReply); ok {
			found = append(found, decoded)
		}
	}
	return found
}

// What a server lacks when it looks, it may get and acknowledge in the same term, and be in a later one when the rest of its answer has been read. If
// it said then that it lacks that, in the later term, the entry could be cut that it has helped to commit.
func TestWhatIsLackingIsSaidOfTheTermInWhichItWas(t *testing.T) {
	c, s, read := lookedUp(t)
	c.step(s, heartbeat(3))
	got := replies(t, s.replica.Step(0, []Input{read}).Send)
	if len(got) != 1 || s.replica.term != 3 || got[0].Term != 2 {
		t.Fatalf("in term %d it answers %+v, want one answer of term 2", s.replica.term, got)
	}
	found := got[0].Body.(*wire.EntryReply).Found
	if len(found) != 2 || found[0].State != wire.EntryLacking || found[0].Index != 21 || found[1].State != wire.EntryThere {
		t.Errorf("it says %+v", found)
	}
	c.network = nil
	c.step(s, c.request(21))
	if len(c.network) != 1 {
		t.Fatalf("asked in the later term, it says %d things", len(c.network))
	}
	if m, err := wire.DecodeMessage(c.network[0].bytes); err != nil || m.Term != 3 {
		t.Errorf("asked in the later term, it answers of term %d: %v", m.Term, err)
	}
}

// The term of an answer about entries is durable: after a crash the server could go back to an earlier one, and acknowledge there what it
// says that it lacks. Other writes need not be.
func TestNothingIsSaidOfEntriesInATermThatIsNotDurable(t *testing.T) {
	c, s, read := lookedUp(t)
	s.slow = true
	c.step(s, heartbeat(3))
	if got := replies(t, s.replica.Step(0, []Input{read, c.request(21)}).Send); len(got) != 0 {
		t.Errorf("it says %+v before its term is durable", got)
	}
	must(t, s.log.Sync())
	s.slow = false
	c.step(s, Persisted{Ticket: s.writes[len(s.writes)-1].Ticket})
	s.slow = true
	r := wire.Record{Kind: wire.RecordNoOp, Group: testGroup, Index: 21, Term: 3, Payload: make([]byte, 8)}
	r.Hash = wire.EntryHash(wire.Raw(c.entries[19]).Hash(), &r)
	append21 := &raft.AppendEntries{PrevLogIndex: 20, PrevLogTerm: 2, Entries: []raft.Entry{{Term: 3, Kind: raft.KindNoOp, Data: wire.AppendRecord(nil, &r)}}}
	s.writes = nil
	c.step(s, Receive{From: 3, Message: wire.Message{Group: testGroup, Term: 3, Body: append21}})
	if len(s.writes) != 1 || len(s.writes[0].Records) != 1 {
		t.Fatalf("it writes %+v", s.writes)
	}
	if got := replies(t, s.replica.Step(0, []Input{c.request(22)}).Send); len(got) != 1 || got[0].Term != 3 {
		t.Errorf("while entry 21 is written, it says %+v, want one answer", got)
	}
}

// While a server healed it has been asked for an entry by one, and reads it; now that it is whole, it is asked for another by another. What
// was read for the one says nothing to the other: least of all that this server lacks what is not that.
func TestWhatIsReadForOneAnswersNobodyElse(t *testing.T) {
	c := newHealers(t, 3, 20, 20, ofTerm(2))
	s := c.all[1]
	s.applied = 20
	s.rot(9)
	s.start()
	before := s.healing.Step([]Input{c.request(5)})
	if len(before.Fetch) != 1 {
		t.Fatalf("while it heals, it reads %+v", before.Fetch)
	}
	c.give(s, 3, 9, 9)
	if s.replica == nil {
		t.Fatal("it has not healed")
	}
	other := c.request(7)
	other.From = 3
	now := s.replica.Step(0, []Input{other})
	if len(now.Fetch) != 1 {
		t.Fatalf("now it reads %+v", now.Fetch)
	}
	if got := replies(t, s.replica.Step(0, []Input{Fetched{ID: before.Fetch[0].ID, Records: [][]byte{c.entries[4]}}}).Send); len(got) != 0 {
		t.Errorf("what was read while it healed answers %+v", got)
	}
	for _, m := range replies(t, s.replica.Step(0, []Input{Fetched{ID: now.Fetch[0].ID, Records: [][]byte{c.entries[4]}}}).Send) {
		t.Errorf("another entry than it has asked for answers %+v", m)
	}
}
