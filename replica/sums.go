package replica

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Sums brings the sums that the state machine knows of itself, all of those that are still of interest. Each is of a
// moment that all servers pass, such as an index; servers that have the same state have the same sums.
type Sums struct{ Sums []wire.Sum }

func (Sums) isInput() {}

// sums compares what this server's state machine has become with those of the others. Logs are equal, by their hashes;
// but a fault in a processor, in memory or on a disk, or a state machine that does not do the same everywhere, lets states
// differ of which each is sound in itself. All tell all what sums they have. Whoever differs from what a majority
// says must not go on; of others who do it is said; and where no majority agrees nobody guesses.
type sums struct {
	own       []wire.Sum // ascending
	told      []told     // by others, one for each
	ticks     int
	compared  uint64
	different uint64
	differing []raft.ServerID // others who differ from a majority that this server belongs to; ascending
	undecided *Undecided
}

// told is what another server has said of itself, of late.
type told struct {
	id   raft.ServerID
	at   int // when, in ticks
	sums []toldSum
}

type toldSum struct {
	wire.Sum
	compared bool
}

const (
	// maxSums bounds the sums of each server; the first give way.
	maxSums = 128
	// forgetSums is after how many times Options.SumTicks without a word it is forgotten what a server has said.
	forgetSums = 10
)

func compareSums(a, b wire.Sum) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.At, b.At), cmp.Compare(a.Also, b.Also))
}

// boundedSums are sums in order, one of each moment, and not too many.
func boundedSums(list []wire.Sum) []wire.Sum {
	list = slices.Clone(list[max(0, len(list)-maxSums):])
	slices.SortStableFunc(list, compareSums)
	return slices.CompactFunc(list, func(a, b wire.Sum) bool { return compareSums(a, b) == 0 })
}

// known takes in what the state machine knows of itself.
func (s *sums) known(r *Replica, list []wire.Sum) {
	s.own = boundedSums(list)
	s.judge(r)
}

// heard takes in what another server says of itself.
func (s *sums) heard(r *Replica, from raft.ServerID, m *wire.Sums) {
	if r.configuration.Member(from) == nil {
		return
	}
	i := slices.IndexFunc(s.told, func(t told) bool { return t.id == from })
	if i < 0 {
		i = len(s.told)
		s.told = append(s.told, told{id: from})
	}
	t := &s.told[i]
	t.at = s.ticks
	before := t.sums
	t.sums = nil
	for _, sum := range boundedSums(m.Sums) {
		at, found := slices.BinarySearchFunc(before, sum, func(a toldSum, b wire.Sum) int { return compareSums(a.Sum, b) })
		t.sums = append(t.sums, toldSum{sum, found && before[at].compared && before[at].Value == sum.Value})
	}
	s.judge(r)
}

// of returns the sum of that moment that a server has told.
func (t *told) of(sum wire.Sum) *toldSum {
	at, found := slices.BinarySearchFunc(t.sums, sum, func(a toldSum, b wire.Sum) int { return compareSums(a.Sum, b) })
	if !found {
		return nil
	}
	return &t.sums[at]
}

// tick tells the others now and then, and forgets those who have gone.
func (s *sums) tick(r *Replica) {
	s.ticks++
	if s.ticks%r.options.SumTicks != 0 {
		return
	}
	gone := len(s.told)
	s.told = slices.DeleteFunc(s.told, func(t told) bool {
		return s.ticks-t.at > forgetSums*r.options.SumTicks || r.configuration.Member(t.id) == nil
	})
	if len(s.told) < gone {
		s.judge(r)
	}
	if len(s.own) == 0 || r.snapshot.mustHave {
		return
	}
	for i := range r.configuration.Members {
		if id := r.configuration.Members[i].ID; id != r.options.Member.ID {
			r.send(id, r.core.CurrentTerm(), &wire.Sums{Sums: s.own})
		}
	}
}

// judge compares what can be compared. Most of it always was before.
func (s *sums) judge(r *Replica) {
	if r.snapshot.mustHave {
		return
	}
	var differing []raft.ServerID
	var undecided *Undecided
	for _, own := range s.own {
		if s.agreed(own) {
			continue
		}
		switch others, sure := s.verdict(r, own); {
		case !sure:
			undecided = &Undecided{Sum: own, AllSpoke: s.allSpoke(r, own)}
		case slices.Contains(others, r.options.Member.ID):
			r.work.Fatal = &DiffersError{Sum: own}
			return
		default:
			differing = append(differing, others...)
		}
	}
	slices.Sort(differing)
	differing = slices.Compact(differing)
	for _, id := range differing {
		if !slices.Contains(s.differing, id) {
			r.work.Events = append(r.work.Events, SumsDiffer{ID: id})
		}
	}
	if undecided != nil && s.undecided == nil {
		r.work.Events = append(r.work.Events, *undecided)
	}
	s.differing, s.undecided = differing, undecided
}

// agreed compares a sum with what others have said, and tells whether nobody said otherwise.
func (s *sums) agreed(own wire.Sum) bool {
	same := true
	for i := range s.told {
		other := s.told[i].of(own)
		if other == nil {
			continue
		}
		if !other.compared {
			other.compared = true
			s.compared++
			if other.Value != own.Value {
				s.different++
			}
		}
		same = same && other.Value == own.Value
	}
	return same
}

// verdict finds what a majority says of a moment, in a joint configuration both majorities, and who says otherwise. It
// is not sure if no majority has said the same.
func (s *sums) verdict(r *Replica, own wire.Sum) (others []raft.ServerID, sure bool) {
	configuration := r.core.Configuration().Configuration
	says := func(id raft.ServerID, value [16]byte) bool {
		known, ok := s.saidBy(r, id, own)
		return ok && known == value
	}
	candidates := [][16]byte{own.Value}
	for i := range s.told {
		if other := s.told[i].of(own); other != nil {
			candidates = append(candidates, other.Value)
		}
	}
	for _, value := range candidates {
		if !configuration.HasQuorum(func(id raft.ServerID) bool { return says(id, value) }) {
			continue
		}
		if own.Value != value {
			others = append(others, r.options.Member.ID)
		}
		for i := range s.told {
			if other := s.told[i].of(own); other != nil && other.Value != value {
				others = append(others, s.told[i].id)
			}
		}
		return others, true
	}
	return nil, false
}

func (s *sums) saidBy(r *Replica, id raft.ServerID, own wire.Sum) (value [16]byte, ok bool) {
	if id == r.options.Member.ID {
		return own.Value, true
	}
	for i := range s.told {
		if s.told[i].id == id {
			if other := s.told[i].of(own); other != nil {
				return other.Value, true
			}
		}
	}
	return value, false
}

// allSpoke tells whether all voters have said what their sums of a moment are.
func (s *sums) allSpoke(r *Replica, own wire.Sum) bool {
	configuration := r.core.Configuration().Configuration
	spoke := func(id raft.ServerID) bool {
		_, ok := s.saidBy(r, id, own)
		return ok
	}
	return !slices.ContainsFunc(slices.Concat(configuration.Voters, configuration.OldVoters), func(id raft.ServerID) bool { return !spoke(id) })
}

// DiffersError: this server's state is another than that of a majority. It must not go on with it.
type DiffersError struct {
	// Sum is what it has where a majority has another.
	Sum wire.Sum
}

func (e *DiffersError) Error() string {
	return fmt.Sprintf("the state here differs from that of a majority: at %s its sum is %x", moment(e.Sum), e.Sum.Value)
}

// SumsDiffer: the state of another server is another than that of a majority, this one among them.
type SumsDiffer struct{ ID raft.ServerID }

func (e SumsDiffer) String() string {
	return fmt.Sprintf("the state of %x differs from that of a majority", uint64(e.ID))
}

// Undecided: states differ, and no majority has the same: nobody can tell which is right.
type Undecided struct {
	// Sum is the one of this server.
	Sum wire.Sum
	// AllSpoke: all voters have said what theirs is, so nothing will decide it.
	AllSpoke bool
}

func (e Undecided) String() string {
	return fmt.Sprintf("states differ at %s, and no majority agrees", moment(e.Sum))
}

func moment(s wire.Sum) string {
	return fmt.Sprintf("%d/%d (kind %d)", s.At, int64(s.Also), s.Kind) // a revision may be -1
}

// SumStatus is what came of comparing states.
type SumStatus struct {
	// Compared and Different count the sums of others that were compared with those of this server, since the start.
	Compared, Different uint64
	// Differing are other servers whose states differ from that of a majority, ascending.
	Differing []raft.ServerID
	// Undecided: states differ, and no majority agrees; nil if that is not so.
	Undecided *Undecided
}

func (s *sums) status() SumStatus {
	return SumStatus{Compared: s.compared, Different: s.different, Differing: s.differing, Undecided: s.undecided}
}
