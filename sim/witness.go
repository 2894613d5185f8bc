package sim

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// witness is what the world remembers of a server in order to set marks. It outlives the server.
type witness struct {
	// The latest vote for another server: whether its reply has left, and has arrived.
	voteTerm      raft.Term
	sent, arrived bool
	// lostTo is how far the log went before a torn tail was cut off; 0 if it is that far again.
	lostTo raft.Index
	// last is the end of the log after the latest turn, and term the server's.
	last raft.Index
	// segmentAt was the end of the log when its latest segment was made.
	segmentAt raft.Index
	// woke: it led when it was paused, and goes on.
	woke bool
	// read: it has answered a read in this reign.
	read bool
}

// deposed is an entry that a leader had, and did not know to be committed, when it stepped down.
type deposed struct {
	index raft.Index
	term  raft.Term
}

// maxDeposed bounds how many of them are remembered.
const maxDeposed = 64

// witnessTurn looks at a turn of a replica: s.seen is what it was before.
func (s *server) witnessTurn(inputs []replica.Input, work *replica.Work) {
	w, core := s.world, s.replica.Core()
	for _, in := range inputs {
		if r, ok := in.(replica.Receive); ok {
			s.witnessMessage(&r)
		}
	}
	if core.CurrentTerm() != s.seen.term {
		s.witnessTerm()
	}
	role := s.seen.role
	for _, e := range work.Events {
		role = s.witnessEvent(e, role, work.Events)
	}
	last, commit := core.LastIndex(), core.CommitIndex()
	if commit > core.Durable() && commit > s.seen.commit && role == raft.Follower {
		w.mark(commitAheadOfDisk)
	}
	if s.witness.lostTo > 0 && last >= s.witness.lostTo {
		s.witness.lostTo = 0
		w.mark(tornTailFetchedAgain)
	}
	s.witness.last, s.witness.woke = last, false
}

// witnessMessage looks at a message that a replica has taken in.
func (s *server) witnessMessage(r *replica.Receive) {
	w, core := s.world, s.replica.Core()
	old := r.Message.Term < s.seen.term
	switch m := r.Message.Body.(type) {
	case *raft.RequestVoteReply:
		switch {
		case !m.Granted:
		case old:
			w.mark(voteOfOldTerm)
		case s.seen.role == raft.Leader:
			w.mark(voteAfterVictory)
		}
		if from := w.servers[r.From-1]; m.Granted && from.witness.voteTerm == r.Message.Term {
			from.witness.arrived = true
		}
	case *raft.AppendEntries:
		switch {
		case old:
			w.mark(appendOfOldTerm)
		case len(m.Entries) > 0 && m.Last < s.witness.last && core.LastIndex() >= s.witness.last && r.Message.Term == s.seen.term:
			w.mark(appendOvertaken)
		}
		if !old && m.LeaderCommit > m.Last {
			w.mark(commitClamped)
		}
	case *raft.AppendEntriesRefusal:
		if len(m.Runs) > 1 && r.Message.Term == s.seen.term {
			w.mark(refusalOfManyTerms)
		}
	case *wire.ForwardReply:
		s.witnessBoot(m.Boot)
	case *wire.ReadReply:
		s.witnessBoot(m.Boot)
	}
}

func (s *server) witnessBoot(boot uint64) {
	if boot < s.boot {
		s.world.mark(answerForEarlierLife)
	}
}

// witnessTerm looks at a server that has come into another term.
func (s *server) witnessTerm() {
	v := &s.witness
	if v.voteTerm == s.seen.term && v.voteTerm > 0 && !v.sent {
		s.world.mark(voteDroppedWhileHeld)
	}
	v.read = false
}

// witnessEvent looks at an event of the core, which had that role before it, and returns the role after it.
func (s *server) witnessEvent(event any, role raft.Role, all []fmt.Stringer) raft.Role {
	w := s.world
	switch e := event.(type) {
	case raft.Installed:
		if !e.Kept && s.witness.last > s.seen.commit {
			w.mark(stateEndsOwnEntries)
		}
	case raft.RoleChanged:
		s.witnessRole(&e, role)
		return e.Role
	case raft.VoteGranted:
		if !e.Pre {
			s.witness.voteTerm, s.witness.sent, s.witness.arrived = e.Term, false, false
		}
	case raft.VoteRefused:
		switch {
		case e.Pre && e.Why == "the leader is alive":
			w.mark(preVoteRefusedLeaderAlive)
		case !e.Pre && e.Why == "the vote is promised to nobody":
			w.mark(voteRefusedPromised)
		case !e.Pre && strings.HasPrefix(e.Why, "its log ends"):
			w.mark(voteRefusedLogBehind)
		case !e.Pre && strings.HasPrefix(e.Why, "the vote went to"):
			w.mark(voteRefusedGiven)
		}
	case raft.Truncated:
		s.witnessTruncated(&e, all)
	case raft.Committed:
		s.witnessCommitted(e.Index)
	}
	return role
}

// witnessRole looks at a change of role, or of the term in it.
func (s *server) witnessRole(e *raft.RoleChanged, before raft.Role) {
	w := s.world
	switch {
	case e.Role == raft.Leader:
		s.witnessElected(e.Term)
	case before == raft.Leader && e.Role == raft.Follower:
		if e.Why == "no answer from a majority" {
			w.mark(leaderWithoutMajority)
		} else {
			w.mark(leaderDeposed)
		}
		if s.witness.woke {
			w.mark(pausedLeaderDeposed)
		}
		s.witnessDeposed()
	case before == raft.Candidate && e.Role == raft.PreCandidate:
		w.mark(electionWithoutWinner)
	case before == raft.Candidate && e.Role == raft.Follower && e.Leader != 0 && e.Term == s.seen.term:
		w.mark(candidateFindsLeader)
	}
}

// witnessElected looks at a new leader, which has its term's first entry already.
func (s *server) witnessElected(term raft.Term) {
	w, core := s.world, s.replica.Core()
	if s.seen.commit < w.check.Committed() {
		w.mark(electedBehindCommit)
	}
	if t, ok := core.TermAt(w.check.Committed() + 1); ok && t < term {
		w.mark(electedWithOldEntries)
	}
	for _, other := range w.servers {
		if other != s && other.up && other.seen.role == raft.Leader && other.seen.term < term {
			w.mark(twoLeaders)
			break
		}
	}
	if w.leader == s.index && w.leaderTerm < term && len(w.servers) > 1 {
		w.mark(sameLeaderAgain)
	}
	if len(w.servers) == 1 && s.boot > 1 {
		w.mark(aloneAgain)
	}
	if w.dark > 0 {
		w.dark = 0
		w.mark(allDownCommitSurvives)
	}
}

// witnessDeposed looks at a leader that steps down: what it leaves behind will be overwritten, or survive.
func (s *server) witnessDeposed() {
	w, core := s.world, s.replica.Core()
	for index := max(core.CommitIndex(), w.check.Committed()) + 1; index <= s.witness.last && len(w.deposed) < maxDeposed; index++ {
		if t, ok := core.TermAt(index); ok && t == s.seen.term {
			w.deposed = append(w.deposed, deposed{index, t})
		}
	}
	for id := w.oldestID; id <= w.lastID; id++ {
		if r := w.requests[id]; r != nil && r.read && r.server == s.index {
			w.mark(readRefusedByDeposed)
			return
		}
	}
}

// witnessTruncated looks at entries that were dropped.
func (s *server) witnessTruncated(e *raft.Truncated, all []fmt.Stringer) {
	w := s.world
	w.mark(aheadOfNewLeader)
	if e.From <= s.witness.segmentAt && s.witness.segmentAt < e.Last {
		w.mark(truncationOverSegments)
	}
	for _, other := range all {
		if c, ok := other.(raft.ConfigurationChanged); ok && c.Index < e.From {
			w.mark(configurationTakenBack)
		}
	}
}

// witnessCommitted looks at a leader that commits up to index.
func (s *server) witnessCommitted(index raft.Index) {
	w, core := s.world, s.replica.Core()
	if core.Durable() < index {
		w.mark(commitWithoutOwnDisk)
	}
	if t, ok := core.TermAt(s.seen.commit + 1); ok && t < core.CurrentTerm() {
		w.mark(commitOfOldTermAlong)
	}
	if s.slow > 0 {
		w.mark(slowLeaderCommits)
	}
	left := w.deposed[:0]
	for _, d := range w.deposed {
		switch t, ok := core.TermAt(d.index); {
		case d.index > index:
			left = append(left, d)
		case ok && t == d.term:
			w.mark(deposedEntriesSurvive)
		case ok:
			w.mark(deposedEntriesOverwritten)
		}
	}
	w.deposed = left
}
