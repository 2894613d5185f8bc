package check

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// right plays a history in which nothing is wrong: 1 leads in term 1, everybody has the no-op and a put.
func right(t *testing.T) (b *bench, op *Op, entries []wire.Raw) {
	b = newBench(t, 3)
	b.elect(1, 1, 2)
	entries = append(entries, b.append(1, nil, 2))
	op = b.call(1)
	entries = append(entries, b.append(1, op, 2))
	b.commit(1, 2)
	for _, id := range []raft.ServerID{1, 2} {
		b.commit(id, 2)
		b.apply(id, entries[0], nil, 1)
		b.apply(id, entries[1], answerTo(2, 0), 2)
	}
	b.Wrote(op, 2, answerTo(2, 0))
	b.wantRight()
	return b, op, entries
}

func TestRightHistoriesPass(t *testing.T) {
	b, _, entries := right(t)
	// The third one catches up, all of them restart, and another one leads.
	b.vote(3, 1, 0)
	for _, r := range entries {
		b.take(3, 1, r)
	}
	b.commit(3, 2)
	s := b.Server(3)
	s.Stopped()
	s.Restored(imageOf(s), View{Term: 1, Last: 2, Durable: 2}, 0)
	b.views[3] = View{Term: 1, Last: 2, Durable: 2}
	b.elect(3, 2, 2)
	noop := b.append(3, nil, 2)
	b.commit(3, 3)
	b.stepWith(2, []replica.Input{told(3)}, func(v *View) { v.Commit = 3 })
	b.apply(2, noop, nil, 3)
	b.Read(b.read(2, false), 3, 3, answerTo(2, 0))
	b.wantRight()
}

// imageOf is what a restart finds if nothing was lost.
func imageOf(s *Server) Image {
	m := &s.durable
	last := m.log[len(m.log)-1]
	return Image{HardState: m.hard, Last: m.last(), LastTerm: last.term, LastHash: last.hash}
}

func TestTwoLeadersInOneTermAreFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	b.wantRight()
	b.vote(3, 1, 3)
	b.step(3, func(v *View) { v.Role = raft.Leader })
	b.wantWrong("C1")
}

func TestLeaderWithoutVotesOfAMajorityIsFound(t *testing.T) {
	b := newBench(t, 4)
	b.vote(1, 1, 1)
	b.vote(2, 1, 1)
	b.wantRight()
	b.step(1, func(v *View) { v.Role = raft.Leader })
	b.wantWrong("C1")
}

func TestAppendOfSomebodyElseInATermIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.send(2, 3, 1, &raft.AppendEntries{})
	b.wantWrong("C1")
}

func TestSecondVoteInATermIsFound(t *testing.T) {
	for name, second := range map[string]func(*bench){
		"sent":        func(b *bench) { b.send(2, 3, 1, &raft.RequestVoteReply{Granted: true}) },
		"on the disk": func(b *bench) { b.vote(2, 1, 3) },
		"for itself":  func(b *bench) { b.send(2, 3, 1, &raft.RequestVote{}) },
	} {
		b := newBench(t, 3)
		b.elect(1, 1, 2)
		b.wantRight()
		second(b)
		if v := b.Violation(); v == nil || v.Check != "C2" {
			t.Errorf("%s: found %v, want C2", name, v)
		}
	}
}

func TestVoteBeforeItIsDurableIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.vote(1, 1, 1)
	b.send(1, 2, 1, &raft.RequestVote{})
	b.vote(2, 1, 0)
	b.wantRight()
	b.send(2, 1, 1, &raft.RequestVoteReply{Granted: true})
	b.wantWrong("C9")
}

func TestDiskThatForgetsIsFound(t *testing.T) {
	for name, forget := range map[string]func(*Image){
		"term":  func(m *Image) { m.HardState.CurrentTerm = 0; m.HardState.VotedFor = 0 },
		"vote":  func(m *Image) { m.HardState.VotedFor = 0 },
		"entry": func(m *Image) { m.Last, m.LastTerm, m.LastHash = 1, 1, wire.Hash{} },
		"bytes": func(m *Image) { m.LastHash[0] ^= 1 },
		"more":  func(m *Image) { m.Last++ },
	} {
		b, _, _ := right(t)
		s := b.Server(2)
		found := imageOf(s)
		forget(&found)
		s.WouldRestore(found)
		if v := b.Violation(); v == nil || v.Check != "C2" {
			t.Errorf("%s, after a crash now: found %v, want C2", name, v)
		}
		b, _, _ = right(t)
		b.Server(2).Stopped()
		b.Server(2).Restored(found, View{}, 0)
		if v := b.Violation(); v == nil || v.Check != "C2" {
			t.Errorf("%s, after a crash: found %v, want C2", name, v)
		}
	}
}

func TestPartOfWhatWasPendingMayBeFound(t *testing.T) {
	b, _, _ := right(t)
	s := b.Server(2)
	third := b.record(s.lastHash(), 3, 1, nil)
	fourth := b.record(third.Hash(), 4, 1, nil)
	s.Appended(b.step(2, nil, third, fourth))
	for _, found := range []Image{
		imageOf(s), // all of it lost
		{HardState: s.durable.hard, Last: 3, LastTerm: 1, LastHash: third.Hash()},
		{HardState: s.durable.hard, Last: 4, LastTerm: 1, LastHash: fourth.Hash()},
	} {
		s.WouldRestore(found)
		b.wantRight()
	}
	s.WouldRestore(Image{HardState: s.durable.hard, Last: 3, LastTerm: 1, LastHash: fourth.Hash()})
	b.wantWrong("C2")
}

func TestStateThatFallsBehindItsFlushIsFound(t *testing.T) {
	b, _, _ := right(t)
	s := b.Server(2)
	s.Flushed(2)
	b.wantRight()
	s.Stopped()
	s.Restored(imageOf(s), View{Term: 1, Last: 2, Durable: 2}, 1)
	b.wantWrong("C2")
}

func TestStateAheadOfItsLogIsFound(t *testing.T) {
	b, _, _ := right(t)
	s := b.Server(2)
	s.Stopped()
	s.Restored(imageOf(s), View{Term: 1, Last: 2, Durable: 2}, 3)
	b.wantWrong("C10")
}

func TestStateAheadOfEverythingCommittedIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.append(1, nil, 2) // at a majority, and nobody knows that yet
	b.wantRight()
	s := b.Server(2)
	s.Stopped()
	s.Restored(imageOf(s), View{Term: 1, Last: 3, Durable: 3, Commit: 3}, 3)
	b.wantWrong("C10")
}

func TestStateAheadOfWhatAnybodyAppliedIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.append(1, nil, 2)
	b.commit(1, 3)
	s := b.Server(2)
	s.Stopped()
	s.Restored(imageOf(s), View{Term: 1, Last: 3, Durable: 3, Commit: 3}, 3)
	b.views[2] = View{Term: 1, Last: 3, Durable: 3, Commit: 3}
	b.wantRight()
	r := b.append(1, nil, 2)
	b.commit(1, 4)
	b.commit(2, 4)
	b.apply(2, r, nil, 3)
	b.wantWrong("C10")
}

func TestLeaderThatTruncatesIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.append(1, nil)
	b.wantRight()
	v := b.views[1]
	v.Last, v.Durable = 2, 2
	b.Server(1).Stepped(nil, []replica.Write{{TruncateFrom: 3}}, v)
	b.wantWrong("C3")
}

func TestTruncationOfWhatIsCommittedIsFound(t *testing.T) {
	b, _, _ := right(t)
	v := b.views[2]
	v.Last, v.Durable = 1, 1
	b.Server(2).Stepped(nil, []replica.Write{{TruncateFrom: 2}}, v)
	b.wantWrong("C6")
}

func TestLogsThatDifferAtOneIndexAndTermAreFound(t *testing.T) {
	b, _, entries := right(t)
	b.vote(3, 1, 0)
	b.step(3, nil, entries[0])
	b.wantRight()
	b.step(3, nil, b.record(entries[0].Hash(), 2, 1, nil)) // a no-op where the others have a command
	b.wantWrong("C4")
}

func TestEntryThatDoesNotFollowIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.step(1, nil, b.record(wire.Hash{1}, 3, 1, nil))
	b.wantWrong("C4")
}

func TestLeaderWithoutACommittedEntryIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.elect(3, 2, 2)
	b.wantWrong("C5")
}

func TestLateWinnerOfAnOldTermNeedNotHaveWhatWasCommittedSince(t *testing.T) {
	b := newBench(t, 3)
	b.vote(3, 1, 3)
	b.send(3, 2, 1, &raft.RequestVote{})
	b.vote(2, 1, 3)
	b.send(2, 3, 1, &raft.RequestVoteReply{Granted: true}) // which takes its time
	b.elect(1, 2, 2)
	b.append(1, nil, 2)
	b.commit(1, 1)
	b.step(3, func(v *View) { v.Role = raft.Leader })
	b.wantRight()
}

func TestCommitOfAnotherEntryIsFound(t *testing.T) {
	b, _, entries := right(t)
	b.vote(3, 2, 0)
	b.take(3, 1, entries[0])
	other := b.record(entries[0].Hash(), 2, 2, nil)
	b.sync(3, b.step(3, nil, other)...)
	b.wantRight()
	b.commit(3, 2)
	b.wantWrong("C6")
}

func TestCommitOfWhatIsNotDurableAtAMajorityIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	r := b.append(1, nil)
	b.Server(2).Appended(b.step(2, nil, r)) // written, and not synced
	b.wantRight()
	b.commit(1, 1)
	b.wantWrong("C7")
}

func TestHalfOfFourIsNoMajority(t *testing.T) {
	b := newBench(t, 4)
	b.elect(1, 1, 2, 3)
	b.append(1, nil, 2)
	b.wantRight()
	b.commit(1, 1)
	b.wantWrong("C7")
}

func TestCommitOfAnOldTermByCountingIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	r := b.append(1, nil) // nobody gets it
	b.elect(1, 2, 2)
	b.take(2, 1, r)
	b.wantRight()
	b.commit(1, 1)
	b.wantWrong("C8")
}

func TestCommitOfAnOldTermWithAStateIsRight(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	b.append(1, nil, 2)
	b.commit(1, 1)
	b.elect(2, 2, 3)
	b.Server(2).installed = 1
	b.wantRight()
	b.commit(2, 1)
	b.wantRight()
}

func TestAcknowledgementBeforeTheSyncIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	r := b.append(1, nil)
	b.Server(2).Appended(b.step(2, nil, r))
	b.wantRight()
	b.send(2, 1, 1, &raft.AppendEntriesReply{Verified: 1})
	b.wantWrong("C9")
}

func TestAskingForVotesBeforeVotingForOneselfIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.vote(1, 1, 0)
	b.wantRight()
	b.send(1, 2, 1, &raft.RequestVote{})
	b.wantWrong("C9")
}

func TestAcknowledgementToSomebodyWhoDoesNotLeadIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.send(2, 3, 1, &raft.AppendEntriesReply{Verified: 1})
	b.wantWrong("C9")
}

func TestAcknowledgementOfAnotherEntryIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	b.append(1, nil, 2) // of term 1
	b.elect(3, 2, 1)    // without it; 2 has it still
	b.vote(2, 2, 0)
	b.wantRight()
	b.send(2, 3, 2, &raft.AppendEntriesReply{Verified: 1})
	b.wantWrong("C9")
}

func TestReplicaThatTrustsItsDiskTooSoonIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	b.Server(1).Appended(b.step(1, nil, b.record(b.genesis, 1, 1, nil)))
	b.wantRight()
	b.step(1, func(v *View) { v.Durable = 1 })
	b.wantWrong("C10")
}

func TestIndexesOutOfOrderAreFound(t *testing.T) {
	for name, wrong := range map[string]func(*bench){
		"commit beyond last": func(b *bench) { b.commit(1, 3) },
		"last without entry": func(b *bench) { b.step(1, func(v *View) { v.Last++ }) },
		"gap in the log": func(b *bench) {
			b.Server(1).Stepped(nil, []replica.Write{{First: 4, Records: [][]byte{b.record(b.genesis, 4, 1, nil)}}}, b.views[1])
		},
	} {
		b, _, _ := right(t)
		wrong(b)
		if v := b.Violation(); v == nil || v.Check != "C10" {
			t.Errorf("%s: found %v, want C10", name, v)
		}
	}
}

func TestTermThatGoesBackIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.step(2, func(v *View) { v.Term = 0 })
	b.wantWrong("C2")
}

func TestMessageOfATermThatIsNotDurableIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.send(2, 1, 2, &raft.RequestPreVote{})
	b.wantWrong("C11")
}

func TestLeaderThatBelievesTooMuchIsFound(t *testing.T) {
	for name, p := range map[string]raft.PeerStatus{
		"match beyond what was said": {ID: 2, MatchIndex: 3, NextIndex: 4},
		"match of somebody silent":   {ID: 3, MatchIndex: 1, NextIndex: 2},
		"next not after match":       {ID: 2, MatchIndex: 2, NextIndex: 2},
		"next beyond the end":        {ID: 2, MatchIndex: 2, NextIndex: 4},
	} {
		b, _, _ := right(t)
		b.Server(1).Believes([]raft.PeerStatus{{ID: 2, MatchIndex: 2, NextIndex: 3}, {ID: 3, NextIndex: 1}})
		b.wantRight()
		b.Server(1).Believes([]raft.PeerStatus{p})
		if v := b.Violation(); v == nil || v.Check != "C12" {
			t.Errorf("%s: found %v, want C12", name, v)
		}
	}
}

func TestFollowerThatCommitsWhatItHasNotVerifiedIsFound(t *testing.T) {
	b := newBench(t, 3)
	b.elect(1, 1, 2)
	b.append(1, nil, 2)
	b.append(1, nil, 2)
	b.commit(1, 2)
	b.wantRight()
	m := &raft.AppendEntries{PrevLogIndex: 1, LeaderCommit: 2}
	b.stepWith(2, []replica.Input{replica.Receive{Message: wire.Message{Body: m}}}, func(v *View) { v.Commit = 2 })
	b.wantWrong("C12")
}

func TestLeaderThatTellsOfCommitsTooSoonIsFound(t *testing.T) {
	b, _, _ := right(t)
	b.send(1, 2, 1, &raft.AppendEntries{LeaderCommit: 3})
	b.wantWrong("C6")
}
