package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
)

// The specification itself is walked through: everything that a very small group can do, action by
// action, with the properties of Figure 3 checked after each. Messages leave as soon as they may, and
// arrive never, once or ever again: with every message that could be there, there is every history.

// bounds end the walk: so many servers, terms, entries and crashes. size is how many states that comes
// to, so that a change of what the rules allow does not go unnoticed.
type bounds struct {
	servers int
	term    raft.Term
	last    raft.Index
	crashes int
	// standing: whoever wants to stands for election, as if it had all pre-votes, which only ever keep
	// somebody from it.
	standing bool
	size     int
}

func TestModelKeepsThePropertiesOfFigure3(t *testing.T) {
	for _, b := range []bounds{
		{servers: 2, term: 2, last: 2, size: 59043},
		{servers: 2, term: 2, last: 2, crashes: 1, standing: true, size: 15162},
		{servers: 3, term: 2, last: 1, standing: true, size: 56920},
	} {
		name := fmt.Sprintf("%d servers, %d terms, %d entries, %d crashes", b.servers, b.term, b.last, b.crashes)
		t.Run(name, func(t *testing.T) {
			x := explorer{t: t, bounds: b, seen: map[[16]byte]struct{}{}}
			x.explore()
			// With two servers nobody wins who lacks an entry of the other, and nothing is in conflict.
			if len(x.seen) != b.size || x.commits == 0 || (x.conflicts == 0) != (b.servers == 2) {
				t.Errorf("%d states, want %d; %d commits, %d conflicts", len(x.seen), b.size, x.commits, x.conflicts)
			}
		})
	}
}

// world is one state of the whole group, and what has to be remembered of how it came about.
type world struct {
	servers  []node
	messages *Messages // shared with the world before, until there are new ones
	shared   bool
	sum      uint64 // over all messages
	crashes  int
	// history
	elected   []raft.ServerID // by term
	committed []commit        // by index-1
}

type node struct {
	State
	disk    Disk
	written Persistent // by the last write that was asked for
}

type commit struct {
	Entry
	in raft.Term // by the leader of this term
}

type explorer struct {
	bounds
	t                  *testing.T
	seen               map[[16]byte]struct{}
	stack              []*world
	commits, conflicts int
	encoded            []byte // room
}

func (x *explorer) explore() {
	first := &world{messages: NewMessages(), elected: make([]raft.ServerID, x.term+1)}
	var ids []raft.ServerID
	for i := range x.servers {
		ids = append(ids, raft.ServerID(i+1))
	}
	group := NewGroup(ids)
	for _, id := range ids {
		first.servers = append(first.servers, node{State: State{group: group, id: id}})
	}
	x.visit(first)
	for len(x.stack) > 0 && !x.t.Failed() {
		w := x.stack[len(x.stack)-1]
		x.stack = x.stack[:len(x.stack)-1]
		for i := range w.servers {
			x.actions(w, i)
		}
	}
}

// visit takes a state in that was not seen yet.
func (x *explorer) visit(w *world) {
	key := w.fingerprint()
	if _, ok := x.seen[key]; ok {
		return
	}
	x.seen[key] = struct{}{}
	x.stack = append(x.stack, w)
}

// actions tries every action of one server.
func (x *explorer) actions(w *world, i int) {
	s := &w.servers[i]
	was := s.encode(nil)
	try := func(action func(n *node) (needs string)) { x.try(w, i, was, w.crashes, action) }
	switch {
	case s.CurrentTerm == x.term:
	case x.standing:
		// Names mean nothing: let the first who ever stands be the first server.
		if i == 0 || w.servers[0].CurrentTerm > 0 || s.CurrentTerm > 0 {
			try(func(n *node) string { return n.stand() })
		}
	default:
		try(func(n *node) string { return n.Timeout() })
		try(func(n *node) string { return n.BecomeCandidate() })
	}
	try(func(n *node) string { return n.StepDown() })
	if s.Log.Last() < x.last {
		try(func(n *node) string { return n.BecomeLeader(&n.disk.Durable) })
		try(func(n *node) string { return n.ClientRequest(Entry{Term: n.CurrentTerm}) })
	}
	for n := s.CommitIndex + 1; n <= s.Log.Last(); n++ {
		try(func(node *node) string { return node.AdvanceCommit(n, &node.disk.Durable) })
	}
	for e := range w.messages.all(s.id) {
		if _, opens := e.Body.(TimeoutNow); e.Term >= s.CurrentTerm && !(opens && e.Term == x.term) {
			try(func(n *node) string { return n.arrive(&e) })
		}
	}
	if len(s.disk.writes) > 0 {
		try(func(n *node) string { n.disk.Persist(); return "" })
	}
	if w.crashes < x.crashes {
		for _, found := range s.disk.leftovers() {
			x.try(w, i, was, w.crashes+1, func(n *node) string {
				n.disk.Crash(found)
				n.written = n.disk.Durable
				return n.Restart(&n.disk.Durable, 0)
			})
		}
	}
}

// stand makes a candidate of a server that need not ask first.
func (n *node) stand() (needs string) {
	if needs := n.Timeout(); needs != "" {
		return needs
	}
	n.preVotes = 1<<len(n.group.voters) - 1
	n.asked = nil
	return n.BecomeCandidate()
}

// arrive takes a message in.
func (n *node) arrive(e *Envelope) (needs string) {
	if e.Term > n.CurrentTerm {
		n.UpdateTerm(e.Term)
	}
	return n.receiveAlone(e)
}

// receiveAlone is receive, without what follows from votes: here those are steps of their own.
func (n *node) receiveAlone(e *Envelope) (needs string) {
	switch m := e.Body.(type) {
	case Vote:
		if m.Granted {
			return n.TakeVote(e.From)
		}
	case PreVote:
		if m.Granted {
			return n.TakePreVote(e.From)
		}
	}
	return n.receive(e, &n.disk.Durable)
}

// leftovers are all that a crash may leave on a disk.
func (d *Disk) leftovers() []Found {
	find := func(term raft.Term, vote raft.ServerID, log []Entry) Found {
		f := Found{CurrentTerm: term, VotedFor: vote, Last: raft.Index(len(log))}
		if len(log) > 0 {
			f.End = log[len(log)-1]
		}
		return f
	}
	found := []Found{find(d.Durable.CurrentTerm, d.Durable.VotedFor, d.Durable.log)}
	before := d.Durable
	for _, w := range d.writes {
		found = append(found, find(w.after.CurrentTerm, w.after.VotedFor, before.log),
			find(w.after.CurrentTerm, w.after.VotedFor, w.after.log))
		before = w.after
	}
	return found
}

// try lets one server act in a copy of the world, and checks what came of it. was is what the server
// encodes to before.
func (x *explorer) try(w *world, i int, was []byte, crashes int, action func(*node) string) {
	n := w.servers[i].clone()
	if action(&n) != "" {
		return
	}
	x.finish(&n)
	if crashes == x.crashes {
		n.disk.Persist() // when no crash is left to come, to wait with it only takes messages away
	}
	x.encoded = n.encode(x.encoded[:0])
	if bytes.Equal(was, x.encoded) && crashes == w.crashes {
		return
	}
	next := w.clone()
	next.servers[i], next.crashes = n, crashes
	for j := range next.servers {
		if i != j {
			next.letLeave(&next.servers[i], next.servers[j].id)
		}
	}
	if wrong := x.judge(w, next, i); wrong != "" {
		x.t.Errorf("%s\nbefore: %v\nafter:  %v", wrong, w, next)
		return
	}
	x.visit(next)
}

// finish gives new entries their content, and writes what changed.
func (x *explorer) finish(n *node) {
	if last := n.Log.Last(); last > 0 && n.Log.At(last).Hash == (Hash{}) {
		// In so small a world a hash can be the history itself.
		h := n.Log.At(last - 1).Hash
		h[last] = byte(n.CurrentTerm)<<4 | byte(n.id)
		n.Log.truncate(last)
		n.Log.append(Entry{n.CurrentTerm, h})
	}
	n.Log.settle()
	p := Persistent{n.CurrentTerm, n.VotedFor, n.Log.settled}
	if p.CurrentTerm != n.written.CurrentTerm || p.VotedFor != n.written.VotedFor || !slices.Equal(p.log, n.written.log) {
		n.written = p
		n.disk.Write(1, p)
		n.disk.Start(1)
	}
}

// letLeave sends everything that a server may send to another and has not sent yet.
func (w *world) letLeave(n *node, to raft.ServerID) {
	for _, body := range []Message{
		RequestVote{n.stood, n.takesOver}, Vote{true}, RequestPreVote{n.last()}, PreVote{true}, TimeoutNow{},
	} {
		e := Envelope{From: n.id, To: to, Term: n.CurrentTerm, Body: body}
		if _, ok := w.messages.others[e]; !ok {
			w.send(n, &e)
		}
	}
	for i := range w.messages.appends[reign{to, n.CurrentTerm}] {
		round := raft.Round(i + 1)
		if a := w.messages.append(to, n.CurrentTerm, round); !a.matched {
			w.send(n, &Envelope{From: n.id, To: to, Term: n.CurrentTerm, Body: Match{round, a.last}})
		}
	}
	for prev := raft.Index(0); n.led && prev <= n.Log.Last(); prev++ {
		for last := prev; last <= n.Log.Last(); last++ {
			w.replicate(n, to, prev, last)
		}
	}
}

// replicate sends AppendEntries with these entries, unless one like it was sent.
func (w *world) replicate(n *node, to raft.ServerID, prev, last raft.Index) {
	sent := w.messages.appends[reign{n.id, n.CurrentTerm}]
	for _, a := range sent {
		if a.to == to && a.prev.Index == prev && a.last == last && a.leaderCommit == n.CommitIndex {
			return
		}
	}
	body := &AppendEntries{
		Prev: raft.EntryID{Index: prev, Term: n.Log.At(prev).Term}, LeaderCommit: n.CommitIndex, Round: raft.Round(len(sent) + 1),
	}
	for i := prev + 1; i <= last; i++ {
		body.Entries = append(body.Entries, n.Log.At(i))
	}
	w.send(n, &Envelope{From: n.id, To: to, Term: n.CurrentTerm, Body: body})
}

// send sends a message, if that is allowed.
func (w *world) send(n *node, e *Envelope) {
	if n.maySend(e, &n.disk.Durable, w.messages) != "" {
		return
	}
	if w.shared {
		w.messages, w.shared = w.messages.clone(), false
	}
	n.Send(e, &n.disk.Durable, w.messages)
	switch body := e.Body.(type) {
	case *AppendEntries:
		// A follower may answer what is still on its way, which is more than it really may.
		a := w.messages.append(e.From, e.Term, body.Round)
		a.taken = true
		w.sum += hashOf("append", e.From, e.Term, *a)
	case Match:
		a := w.messages.append(e.To, e.Term, body.Round)
		w.sum += hashOf("match", e.To, e.Term, *a)
	default:
		w.sum += hashOf("other", *e)
	}
}

// hashOf is a hash of a message. The worlds have few, and each is added once.
func hashOf(facts ...any) uint64 {
	h := sha256.Sum256(fmt.Appendf(nil, "%T%v", facts[len(facts)-1], facts))
	return binary.LittleEndian.Uint64(h[:])
}

func (m *Messages) clone() *Messages {
	c := &Messages{appends: map[reign][]sentAppend{}, others: maps.Clone(m.others)}
	for r, sent := range m.appends {
		c.appends[r] = slices.Clone(sent)
	}
	return c
}

// all yields the messages to a server.
func (m *Messages) all(to raft.ServerID) func(func(Envelope) bool) {
	return func(yield func(Envelope) bool) {
		for e := range m.others {
			if e.To == to && !yield(e) {
				return
			}
		}
		for r, sent := range m.appends {
			for i := range sent {
				a := &sent[i]
				e := Envelope{From: r.leader, To: to, Term: r.term, Body: a.message(raft.Round(i + 1))}
				if a.to == to && !yield(e) {
					return
				}
				back := Envelope{From: a.to, To: to, Term: r.term, Body: Match{raft.Round(i + 1), a.last}}
				if a.matched && r.leader == to && !yield(back) {
					return
				}
			}
		}
	}
}

// message makes the message again, from the history that is its last hash.
func (a *sentAppend) message(round raft.Round) *AppendEntries {
	m := &AppendEntries{Prev: a.prev, LeaderCommit: a.leaderCommit, Round: round}
	for i := a.prev.Index + 1; i <= a.last; i++ {
		var h Hash
		copy(h[:i+1], a.end.Hash[:i+1])
		m.Entries = append(m.Entries, Entry{raft.Term(h[i] >> 4), h})
	}
	return m
}

// judge checks one action of a server against Figure 3.
func (x *explorer) judge(before, w *world, i int) string {
	was, n := &before.servers[i], &w.servers[i]
	if n.Role == raft.Leader && was.Role != raft.Leader {
		if other := w.elected[n.CurrentTerm]; other != 0 {
			return fmt.Sprintf("Election Safety: %d leads in term %d, in which %d was elected", n.id, n.CurrentTerm, other)
		}
		w.elected[n.CurrentTerm] = n.id
	}
	if last := min(n.Log.Last(), was.Log.Last()); n.Log.At(last) != was.Log.At(last) {
		x.conflicts++
	}
	if was.Role == raft.Leader && n.Role == raft.Leader {
		for k := raft.Index(1); k <= was.Log.Last(); k++ {
			if k > n.Log.Last() || n.Log.At(k) != was.Log.At(k) {
				return fmt.Sprintf("Leader Append-Only: %d drops or changes entry %d", n.id, k)
			}
		}
	}
	for k := raft.Index(len(w.committed)) + 1; k <= n.CommitIndex; k++ {
		x.commits++
		w.committed = append(w.committed, commit{n.Log.At(k), n.CurrentTerm})
	}
	return w.judge()
}

func (w *world) judge() string {
	for i := range w.servers {
		n := &w.servers[i]
		for k, c := range w.committed {
			at := raft.Index(k + 1)
			if at <= n.CommitIndex && n.Log.At(at) != c.Entry {
				return fmt.Sprintf("State Machine Safety: %d has another entry %d than was committed", n.id, at)
			}
			if n.Role == raft.Leader && n.CurrentTerm > c.in && (at > n.Log.Last() || n.Log.At(at) != c.Entry) {
				return fmt.Sprintf("Leader Completeness: %d leads in term %d without entry %d", n.id, n.CurrentTerm, at)
			}
		}
		for j := range i {
			other := &w.servers[j]
			for k := min(n.Log.Last(), other.Log.Last()); k > 0; k-- {
				if n.Log.At(k).Term == other.Log.At(k).Term && n.Log.At(k) != other.Log.At(k) {
					return fmt.Sprintf("Log Matching: entry %d of %d and %d", k, n.id, other.id)
				}
			}
		}
	}
	return ""
}

func (w *world) clone() *world {
	c := *w
	c.servers, c.elected, c.committed = slices.Clone(w.servers), slices.Clone(w.elected), slices.Clip(w.committed)
	c.shared = true
	return &c
}

// clone returns a copy that may go another way.
func (n *node) clone() node {
	c := *n
	c.disk.writes = slices.Clone(n.disk.writes)
	c.Log.settled = slices.Clip(n.Log.settled)
	return c
}

// fingerprint is equal for worlds that are.
func (w *world) fingerprint() [16]byte {
	b := binary.LittleEndian.AppendUint64([]byte{byte(w.crashes), byte(len(w.committed))}, w.sum)
	for _, c := range w.committed {
		b = append(append(b, byte(c.in)), c.Hash[:8]...)
	}
	for _, id := range w.elected {
		b = append(b, byte(id))
	}
	for i := range w.servers {
		b = w.servers[i].encode(b)
	}
	all := sha256.Sum256(b)
	return [16]byte(all[:16])
}

func (n *node) encode(b []byte) []byte {
	b = append(b, byte(n.CurrentTerm), byte(n.VotedFor), byte(n.Role), byte(n.CommitIndex), byte(n.Leader), byte(n.votes),
		byte(n.preVotes), byte(n.preVoted), byte(n.stood.Index), byte(n.stood.Term), byte(len(n.asked)), byte(len(n.disk.writes)))
	if n.led {
		b = append(b, 1)
	}
	if n.takesOver {
		b = append(b, 2)
	}
	for _, m := range n.match[:len(n.group.voters)] {
		b = append(b, byte(m))
	}
	for _, e := range n.asked {
		b = append(b, byte(e.Index), byte(e.Term))
	}
	b = encodeLog(b, n.Log.settled)
	b = append(b, byte(n.disk.Durable.CurrentTerm), byte(n.disk.Durable.VotedFor))
	b = encodeLog(b, n.disk.Durable.log)
	for _, w := range n.disk.writes {
		b = encodeLog(append(b, byte(w.after.CurrentTerm), byte(w.after.VotedFor)), w.after.log)
	}
	return b
}

func encodeLog(b []byte, log []Entry) []byte {
	b = append(b, byte(len(log)))
	if len(log) > 0 {
		b = append(b, log[len(log)-1].Hash[:8]...)
	}
	return b
}

func (w *world) String() string {
	text := ""
	for i := range w.servers {
		text += fmt.Sprintf("%d: %v; ", w.servers[i].id, &w.servers[i].State)
	}
	return fmt.Sprintf("%s%d messages, elected %v, committed %v", text, len(w.messages.others), w.elected, w.committed)
}
