package check

import (
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

const benchGroup = wire.GroupID(7)

// bench is three servers whose history a test makes by hand. Its methods make what is right; a test adds
// the one thing that is wrong.
type bench struct {
	*Checker
	t       *testing.T
	genesis wire.Hash
	views   map[raft.ServerID]View
	lastOp  uint64
}

func newBench(t *testing.T, voters int) *bench {
	b := &bench{t: t, genesis: wire.GenesisHash(1, benchGroup), views: map[raft.ServerID]View{}}
	var ids []raft.ServerID
	for i := range voters {
		ids = append(ids, raft.ServerID(i+1))
	}
	b.Checker = New(Options{Group: benchGroup, Genesis: b.genesis, Voters: ids, Decode: decodeText})
	for _, id := range ids {
		b.Server(id).Restored(Image{}, View{}, 0)
	}
	return b
}

// decodeText reads answers that are written as the tests write them: see answerTo.
func decodeText(_ Request, answer []byte) (Response, error) {
	if len(answer) != 2 {
		return Response{}, errors.New("an answer has two bytes")
	}
	return Response{Revision: int64(answer[0]), Count: int64(answer[1])}, nil
}

// record makes the record of an entry.
func (b *bench) record(previous wire.Hash, index raft.Index, term raft.Term, op *Op) wire.Raw {
	r := wire.Record{Kind: wire.RecordNoOp, Group: benchGroup, Index: index, Term: term, Payload: make([]byte, 8)}
	if op != nil {
		r.Kind = wire.RecordCommand
		r.Payload = wire.AppendCommand(nil, b.command(op))
	}
	r.Hash = wire.EntryHash(previous, &r)
	return wire.AppendRecord(nil, &r)
}

func (b *bench) command(op *Op) *wire.Command {
	return &wire.Command{Kind: 1, Origin: wire.Origin{Server: op.Server, Boot: 1, Sequence: op.ID}, User: UserOf(op.ID), Request: []byte("put")}
}

// call makes a client ask for a put.
func (b *bench) call(id raft.ServerID) *Op {
	b.lastOp++
	op := &Op{ID: b.lastOp, Server: id, Request: Put{Key: "a", Value: "1"}}
	b.Called(op)
	return op
}

// step takes a server to a view, writing these records after its last one.
func (b *bench) step(id raft.ServerID, change func(*View), records ...wire.Raw) []replica.Write {
	return b.stepWith(id, nil, change, records...)
}

func (b *bench) stepWith(id raft.ServerID, inputs []replica.Input, change func(*View), records ...wire.Raw) []replica.Write {
	v := b.views[id]
	var writes []replica.Write
	if len(records) > 0 {
		w := replica.Write{First: v.Last + 1}
		for _, r := range records {
			w.Records = append(w.Records, r)
			v.Last++
		}
		writes = append(writes, w)
	}
	if change != nil {
		change(&v)
	}
	b.views[id] = v
	b.Server(id).Stepped(inputs, writes, v)
	return writes
}

// sync makes writes durable, and lets the server know.
func (b *bench) sync(id raft.ServerID, writes ...replica.Write) {
	s := b.Server(id)
	s.Appended(writes)
	s.Synced()
	b.step(id, func(v *View) { v.Durable = v.Last })
}

// vote writes a term and a vote, durably.
func (b *bench) vote(id raft.ServerID, term raft.Term, candidate raft.ServerID) {
	w := replica.Write{HardState: &raft.HardState{CurrentTerm: term, VotedFor: candidate}}
	v := b.views[id]
	v.Role, v.Term = raft.Follower, term
	if candidate == id {
		v.Role = raft.Candidate
	}
	b.views[id] = v
	b.Server(id).Stepped(nil, []replica.Write{w}, v)
	b.sync(id, w)
}

// elect makes a server the leader of a term, with the votes of these others.
func (b *bench) elect(id raft.ServerID, term raft.Term, others ...raft.ServerID) {
	b.vote(id, term, id)
	b.send(id, others[0], term, &raft.RequestVote{})
	for _, other := range others {
		b.vote(other, term, id)
		b.send(other, id, term, &raft.RequestVoteReply{Granted: true})
	}
	b.step(id, func(v *View) { v.Role = raft.Leader })
}

func (b *bench) send(from, to raft.ServerID, term raft.Term, m raft.Message) {
	b.Server(from).Sent(to, &wire.Message{Group: benchGroup, Term: term, Body: m})
}

// append lets a leader append an entry, durably, and others take it and acknowledge it.
func (b *bench) append(leader raft.ServerID, op *Op, others ...raft.ServerID) wire.Raw {
	s := b.Server(leader)
	term := b.views[leader].Term
	r := b.record(s.lastHash(), b.views[leader].Last+1, term, op)
	b.sync(leader, b.step(leader, nil, r)...)
	for _, other := range others {
		b.take(other, leader, r)
	}
	return r
}

// take lets a follower append an entry, durably, and acknowledge it.
func (b *bench) take(id, leader raft.ServerID, r wire.Raw) {
	b.sync(id, b.step(id, nil, r)...)
	b.send(id, leader, b.views[leader].Term, &raft.AppendEntriesReply{Verified: r.Index()})
}

func (b *bench) commit(id raft.ServerID, index raft.Index) {
	b.stepWith(id, []replica.Input{told(index)}, func(v *View) { v.Commit = index })
}

// told is an AppendEntries that verifies everything up to index and calls it committed.
func told(index raft.Index) replica.Input {
	return replica.Receive{Message: wire.Message{Body: &raft.AppendEntries{PrevLogIndex: index, LeaderCommit: index}}}
}

// answerTo is the answer of the state machine: its revision, and a count.
func answerTo(revision, count byte) []byte { return []byte{revision, count} }

// apply lets a server's state machine apply an entry.
func (b *bench) apply(id raft.ServerID, r wire.Raw, answer []byte, digest byte) {
	e := replica.Entry{Index: r.Index(), Term: r.Term()}
	if r.Kind() == wire.RecordCommand {
		e.Command, _ = wire.DecodeCommand(r.Payload())
	}
	b.Server(id).Applied([]replica.Entry{e}, [][]byte{answer}, [16]byte{digest})
}

// wantRight checks that nothing is wrong so far.
func (b *bench) wantRight() {
	b.t.Helper()
	if v := b.Violation(); v != nil {
		b.t.Fatalf("found wrong what is right: %v", v)
	}
}

// wantWrong checks that one of these checks has found something.
func (b *bench) wantWrong(checks ...string) {
	b.t.Helper()
	v := b.Violation()
	if v == nil || !slices.Contains(checks, v.Check) {
		b.t.Errorf("found %v, want a violation of %v", v, checks)
	}
}
