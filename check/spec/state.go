package spec

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
)

// Group is who decides.
type Group struct {
	voters []raft.ServerID
}

// maxVoters bounds a group: what a State knows of each voter has a fixed place.
const maxVoters = 9

// NewGroup returns a group of these voters, at most nine.
func NewGroup(voters []raft.ServerID) *Group {
	if len(voters) > maxVoters {
		panic(fmt.Sprintf("spec: %d voters", len(voters)))
	}
	return &Group{slices.Clone(voters)}
}

// set is some of the voters, by their place in the group.
type set uint16

// with returns the set and one voter. Whoever is no voter counts for nothing.
func (g *Group) with(s set, id raft.ServerID) set {
	if i := slices.Index(g.voters, id); i >= 0 {
		s |= 1 << i
	}
	return s
}

func (g *Group) has(s set, id raft.ServerID) bool { return s != 0 && g.with(0, id)&s != 0 }

// isMajority reports whether the set is more than half of all voters.
func (g *Group) isMajority(s set) bool {
	count := 0
	for ; s != 0; s &= s - 1 {
		count++
	}
	return 2*count > len(g.voters)
}

// Hash stands for the content of an entry and of all before it.
type Hash [16]byte

// Entry is one entry of a log. The zero Hash means that the content is not known yet: a leader's
// first entry has none before it is written.
type Entry struct {
	Term raft.Term
	Hash Hash
}

// is reports whether the entry may be the one seen.
func (e Entry) is(seen Entry) bool {
	return e.Term == seen.Term && (e.Hash == seen.Hash || e.Hash == Hash{})
}

// State is what a server has in memory: Figure 2, State, and what it did in its current term.
type State struct {
	group *Group
	id    raft.ServerID

	// Persistent state, as far as it is in memory.
	CurrentTerm raft.Term
	VotedFor    raft.ServerID // 0: none in CurrentTerm
	Log         Log

	// Volatile state.
	Role        raft.Role
	CommitIndex raft.Index
	Leader      raft.ServerID // from whom it took AppendEntries in CurrentTerm, or itself; 0 for none

	// All that follows belongs to CurrentTerm.

	votes, preVotes set                   // who granted, to this candidate or pre-candidate
	match           [maxVoters]raft.Index // matchIndex, at the leader

	led   bool         // it leads, or did
	stood raft.EntryID // the last entry when it became a candidate
	// takesOver: it became a candidate because the leader said so.
	takesOver bool
	asked     []raft.EntryID // the last entries with which it asked for pre-votes
	preVoted  set            // whom it may tell that it would vote for them
}

// last returns the last entry of the log.
func (s *State) last() raft.EntryID {
	return raft.EntryID{Index: s.Log.Last(), Term: s.Log.At(s.Log.Last()).Term}
}

// absorbs reports whether two states of one server may be taken for one, and if so, makes this one
// stand for both. Whom it asked, and told, about a vote that would be granted is no promise: it does no
// harm to think that there were more.
func (s *State) absorbs(o *State) bool {
	if s.Role != o.Role || s.CurrentTerm != o.CurrentTerm || s.VotedFor != o.VotedFor ||
		s.CommitIndex != o.CommitIndex || s.Leader != o.Leader || s.votes != o.votes ||
		s.preVotes != o.preVotes || s.takesOver != o.takesOver || s.led != o.led || s.stood != o.stood || s.match != o.match ||
		s.Log.Last() != o.Log.Last() || s.Log.differs(&o.Log) != 0 {
		return false
	}
	s.preVoted |= o.preVoted
	for _, last := range o.asked {
		s.ask(last)
	}
	return true
}

// ask notes with which log a server asks for pre-votes.
func (s *State) ask(last raft.EntryID) {
	if !slices.Contains(s.asked, last) {
		s.asked = append(slices.Clip(s.asked), last)
	}
}

// String shows a state in an error.
func (s *State) String() string {
	return fmt.Sprintf("%v of term %d, vote %d, commit %d, log to %d of term %d",
		s.Role, s.CurrentTerm, s.VotedFor, s.CommitIndex, s.last().Index, s.last().Term)
}

// Log is a log of which copies may go different ways: what has settled is shared between them.
type Log struct {
	settled []Entry    // no array is written again where it was filled
	kept    raft.Index // how many of settled count
	added   []Entry    // what comes after those
}

// Last returns the index of the last entry; 0 if there is none.
func (l *Log) Last() raft.Index { return l.kept + raft.Index(len(l.added)) }

// At returns an entry of the log, and the zero Entry for index 0.
func (l *Log) At(i raft.Index) Entry {
	switch {
	case i == 0:
		return Entry{}
	case i <= l.kept:
		return l.settled[i-1]
	}
	return l.added[i-l.kept-1]
}

// has reports whether the log has an entry of this term at this index.
func (l *Log) has(id raft.EntryID) bool {
	return id.Index <= l.Last() && l.At(id.Index).Term == id.Term
}

func (l *Log) append(entries ...Entry) {
	l.added = append(slices.Clip(l.added), entries...)
}

// truncate drops the entries from an index on.
func (l *Log) truncate(from raft.Index) {
	if from > l.kept {
		l.added = l.added[:from-l.kept-1]
		return
	}
	l.kept, l.added = from-1, nil
}

// differs returns the first index from which on the log is not the one seen; 0 if it is. Both have
// come from the same settled log.
func (l *Log) differs(seen *Log) raft.Index {
	for i := min(l.kept, seen.kept) + 1; i <= max(l.Last(), seen.Last()); i++ {
		if i > l.Last() || i > seen.Last() || !l.At(i).is(seen.At(i)) {
			return i
		}
	}
	return 0
}

// settle makes what was added part of what is settled. Of copies only one may do so, and the others
// then are forgotten.
func (l *Log) settle() {
	if l.kept < raft.Index(len(l.settled)) {
		l.settled = slices.Clip(l.settled[:l.kept])
	}
	l.settled = append(l.settled, l.added...)
	l.kept, l.added = raft.Index(len(l.settled)), nil
}
