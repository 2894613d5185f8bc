package spec

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

// trio is three servers with their shadows, and a history made by hand.
type trio struct {
	t       *testing.T
	shadows [4]*Shadow // by id
	views   [4]View
	tickets [4]raft.Ticket
}

func newTrio(t *testing.T) *trio {
	b := &trio{t: t}
	group, messages := NewGroup([]raft.ServerID{1, 2, 3}), NewMessages()
	for id := raft.ServerID(1); id <= 3; id++ {
		b.shadows[id] = NewShadow(group, id, messages)
		b.ok(b.shadows[id].Restarted(Found{}, nil, View{}))
	}
	return b
}

func (b *trio) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("found wrong what is right: %v", err)
	}
}

// step takes a server to a view, by one message (nil for none), with one write (nil for none) that
// becomes durable at once.
func (b *trio) step(id raft.ServerID, in *Envelope, w *Write, change func(*View)) error {
	sh := b.shadows[id]
	sh.Begin(false)
	if in != nil {
		sh.Receive(in)
	}
	v := b.views[id]
	change(&v)
	ticket := raft.Ticket(0)
	if w != nil {
		b.tickets[id]++
		ticket = b.tickets[id]
		w.Ticket = ticket
		w.HardState, w.HardTerm, w.HardVote = true, v.CurrentTerm, v.VotedFor
		sh.Write(w)
	}
	err := sh.End(v, ticket)
	if err == nil {
		b.views[id] = v
		sh.Started(ticket)
		sh.Synced()
	}
	return err
}

func (b *trio) send(from, to raft.ServerID, body Message) *Envelope {
	b.t.Helper()
	e := &Envelope{From: from, To: to, Term: b.views[from].CurrentTerm, Body: body}
	b.ok(b.shadows[from].Sent(e))
	return e
}

func same(*View) {}

var noOp, command = Entry{1, Hash{1}}, Entry{1, Hash{1, 2}}

// elected lets server 1 win term 1 with the vote of 2, and commit its first entry.
func elected(t *testing.T) *trio {
	b := newTrio(t)
	b.shadows[1].Begin(false)
	b.shadows[1].Campaign()
	b.views[1].Role = raft.PreCandidate
	b.ok(b.shadows[1].End(b.views[1], 0))
	ask := b.send(1, 2, RequestPreVote{})
	b.ok(b.step(2, ask, nil, same))
	b.ok(b.step(1, b.send(2, 1, PreVote{true}), &Write{}, func(v *View) { *v = View{raft.Candidate, 1, 1, 0} }))
	b.ok(b.step(2, b.send(1, 2, RequestVote{}), &Write{}, func(v *View) { *v = View{raft.Follower, 1, 1, 0} }))
	vote := b.send(2, 1, Vote{true})
	b.ok(b.step(1, vote, &Write{Entries: []Entry{noOp}}, func(v *View) { v.Role = raft.Leader }))
	first := b.send(1, 2, &AppendEntries{Entries: []Entry{noOp}, Round: 1})
	b.ok(b.step(2, first, &Write{Entries: []Entry{noOp}}, same))
	b.ok(b.step(1, b.send(2, 1, Match{1, 1}), nil, func(v *View) { v.CommitIndex = 1 }))
	return b
}

func TestStepsThatFollowTheRulesAreExplained(t *testing.T) {
	b := elected(t)
	b.ok(b.step(1, nil, &Write{Entries: []Entry{command}}, same))
	next := b.send(1, 2, &AppendEntries{Prev: id(1, 1), Entries: []Entry{command}, LeaderCommit: 1, Round: 2})
	b.ok(b.step(2, next, &Write{Entries: []Entry{command}}, func(v *View) { v.CommitIndex = 1 }))
	b.ok(b.step(2, next, nil, same)) // again
	b.ok(b.step(3, b.send(1, 3, &AppendEntries{Prev: id(1, 1), Round: 3}), &Write{}, func(v *View) { v.CurrentTerm = 1 }))
	b.send(3, 1, Conflict{Round: 3})
	b.ok(b.shadows[2].Restarted(Found{1, 1, 2, command}, nil, View{CurrentTerm: 1, CommitIndex: 1}))
	// Time may pass, and nothing happens; or something does.
	for _, role := range []raft.Role{raft.Follower, raft.PreCandidate, raft.PreCandidate} {
		b.shadows[2].Begin(false)
		b.shadows[2].Tick()
		b.ok(b.shadows[2].End(View{Role: role, CurrentTerm: 1, CommitIndex: 1}, 0))
	}
	b.send(2, 3, RequestPreVote{id(2, 1)})
}

func TestStepsThatNoActionExplainsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(*trio) error
		needs string
	}{
		"a role from nowhere": {func(b *trio) error {
			return b.step(3, nil, nil, func(v *View) { v.Role = raft.Candidate })
		}, "an election or its end"},
		"a term from nowhere": {func(b *trio) error {
			return b.step(2, nil, &Write{}, func(v *View) { *v = View{CurrentTerm: 2} })
		}, "an election or its end"},
		"a vote from nowhere": {func(b *trio) error {
			return b.step(3, nil, &Write{}, func(v *View) { v.VotedFor = 2 })
		}, "Vote: for 2"},
		"a vote changed": {func(b *trio) error {
			return b.step(2, nil, &Write{}, func(v *View) { v.VotedFor = 3 })
		}, "Vote: for 3"},
		"a term that is not written": {func(b *trio) error {
			m := b.send(1, 3, &AppendEntries{Entries: []Entry{noOp}, Round: 2})
			b.shadows[3].Begin(false)
			b.shadows[3].Receive(m)
			b.shadows[3].Write(&Write{Ticket: 1, Entries: []Entry{noOp}})
			return b.shadows[3].End(View{CurrentTerm: 1}, 1)
		}, "Write: its term"},
		"a message that nobody sent": {func(b *trio) error {
			return b.step(3, &Envelope{2, 3, 1, Vote{true}}, nil, same)
		}, "Receive: spec.Vote of term 1 from 2"},
		"an append that nobody sent": {func(b *trio) error {
			return b.step(2, &Envelope{1, 2, 1, &AppendEntries{Prev: id(1, 1), LeaderCommit: 1, Round: 1}}, nil, same)
		}, "Receive: *spec.AppendEntries"},
		"an answer that nobody sent": {func(b *trio) error {
			return b.step(1, &Envelope{3, 1, 1, Match{1, 1}}, nil, same)
		}, "Receive: spec.Match"},
		"an entry of a follower": {func(b *trio) error {
			return b.step(2, nil, &Write{Entries: []Entry{command}}, same)
		}, "ClientRequest: a leader"},
		"an entry of another term": {func(b *trio) error {
			return b.step(1, nil, &Write{Entries: []Entry{{2, Hash{1, 2}}}}, same)
		}, "ClientRequest: an entry of the leader's term"},
		"an entry dropped": {func(b *trio) error {
			return b.step(2, nil, &Write{TruncateFrom: 1}, same)
		}, "Append: entry 1"},
		"an entry not taken": {func(b *trio) error {
			m := b.send(1, 3, &AppendEntries{Entries: []Entry{noOp}, Round: 2})
			return b.step(3, m, &Write{}, func(v *View) { v.CurrentTerm = 1 })
		}, "Append: entry 1"},
		"another entry taken": {func(b *trio) error {
			m := b.send(1, 3, &AppendEntries{Entries: []Entry{noOp}, Round: 2})
			return b.step(3, m, &Write{Entries: []Entry{{1, Hash{7}}}}, func(v *View) { v.CurrentTerm = 1 })
		}, "Append: entry 1"},
		"a commit of a follower": {func(b *trio) error {
			return b.step(2, nil, nil, func(v *View) { v.CommitIndex = 1 })
		}, "AdvanceCommit: a leader"},
		"a commit that goes back": {func(b *trio) error {
			return b.step(1, nil, nil, func(v *View) { v.CommitIndex = 0 })
		}, "a commit index that never goes down"},
		"a commit without a majority": {func(b *trio) error {
			b.ok(b.step(1, nil, &Write{Entries: []Entry{command}}, same))
			return b.step(1, nil, nil, func(v *View) { v.CommitIndex = 2 })
		}, "AdvanceCommit: a majority"},
		"a higher term ignored": {func(b *trio) error {
			m := b.send(1, 3, &AppendEntries{Entries: []Entry{noOp}, Round: 2})
			return b.step(3, m, nil, same)
		}, "an election or its end"},
		"a leader that hears another": {func(b *trio) error {
			m := b.send(1, 2, &AppendEntries{Entries: []Entry{noOp}, Round: 2})
			b.shadows[2].states[0].led = true
			return b.step(2, m, nil, same)
		}, "FollowLeader"},
		"a message that nobody may send": {func(b *trio) error {
			return b.shadows[3].Sent(&Envelope{3, 1, 0, Vote{true}})
		}, "Vote: the vote on disk"},
		"a start with less than was durable": {func(b *trio) error {
			return b.shadows[2].Restarted(Found{1, 1, 0, Entry{}}, nil, View{CurrentTerm: 1})
		}, "Crash: what is durable"},
		"a start as a leader": {func(b *trio) error {
			return b.shadows[1].Restarted(Found{1, 1, 1, noOp}, nil, View{Role: raft.Leader, CurrentTerm: 1})
		}, "Restart: a follower"},
		"a start in another term": {func(b *trio) error {
			return b.shadows[1].Restarted(Found{1, 1, 1, noOp}, nil, View{CurrentTerm: 2})
		}, "Restart: a follower"},
		"a start with more commits": {func(b *trio) error {
			return b.shadows[2].Restarted(Found{1, 1, 1, noOp}, nil, View{CurrentTerm: 1, CommitIndex: 1})
		}, "Restart: a commit index"},
	} {
		err := c.wrong(elected(t))
		if err == nil || !strings.Contains(err.Error(), c.needs) {
			t.Errorf("%s: got %v, want %q", name, err, c.needs)
		}
	}
}

func TestStepsWithSeveralInputsAreExplainedInTheirOrder(t *testing.T) {
	b := elected(t)
	// Server 3 becomes a candidate in term 2, and 2 votes for it while its entry of term 1 arrives again.
	late := b.send(1, 2, &AppendEntries{Prev: id(1, 1), LeaderCommit: 1, Round: 2})
	b.ok(b.step(3, b.send(1, 3, &AppendEntries{Entries: []Entry{noOp}, Round: 3}), &Write{Entries: []Entry{noOp}}, func(v *View) { v.CurrentTerm = 1 }))
	b.shadows[3].Begin(false)
	b.shadows[3].Campaign()
	b.views[3].Role = raft.PreCandidate
	b.ok(b.shadows[3].End(b.views[3], 0))
	ask := b.send(3, 2, RequestPreVote{id(1, 1)})
	b.ok(b.step(2, ask, nil, same))
	b.ok(b.step(3, b.send(2, 3, PreVote{true}), &Write{}, func(v *View) { *v = View{raft.Candidate, 2, 3, 0} }))
	stand := b.send(3, 2, RequestVote{Last: id(1, 1)})

	both := func(order ...*Envelope) error {
		sh := *b.shadows[2]
		sh.Begin(false)
		for _, e := range order {
			sh.Receive(e)
		}
		sh.Write(&Write{Ticket: 9, HardState: true, HardTerm: 2, HardVote: 3})
		return sh.End(View{CurrentTerm: 2, CommitIndex: 1}, 9)
	}
	if err := both(stand, late); err == nil || !strings.Contains(err.Error(), "AdvanceCommit") {
		t.Errorf("after the vote, a commit of the old leader: %v", err)
	}
	b.ok(both(late, stand))
}
