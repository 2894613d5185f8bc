package replica

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// HealingStatus says what a server that heals lacks.
type HealingStatus struct {
	// Missing is how many entries are lost, First the first of them.
	Missing int
	First   raft.EntryID
	// Text says what is missing, and who has been asked for it.
	Text string
	// NeedsState is not 0 if the entries up to it can only be replaced by a state, which is asked for: others have compacted them.
	NeedsState raft.Index
}

// Status describes the group as far as it can be told.
func (h *Healing) Status() Status {
	configuration, index := h.Configuration()
	s := Status{Configuration: configuration, Healing: h.status()}
	last, _ := termIn(&h.group, h.group.Last)
	s.Raft = raft.Status{
		ID: h.options.Member.ID, CurrentTerm: h.group.HardState.CurrentTerm, VotedFor: h.group.HardState.VotedFor,
		CommitIndex: h.group.HardState.Commit, LastApplied: h.applied, LastIndex: h.group.Last, LastTerm: last, Durable: h.group.Last,
		Configuration: raft.ConfigurationAt{Index: index, Configuration: configuration.Raft()},
	}
	return s
}

func (h *Healing) status() *HealingStatus {
	s := &HealingStatus{Missing: len(h.missing), Text: h.stillMissing().String()}
	if len(h.missing) > 0 {
		s.First = h.missing[0].hole.EntryID
	}
	s.NeedsState = h.needsState()
	return s
}

func (h *Healing) stillMissing() StillMissing {
	m := StillMissing{Count: len(h.missing)}
	if len(h.missing) == 0 {
		return m
	}
	x := h.missing[0]
	m.First, m.Last = x.hole, h.missing[len(h.missing)-1].hole.Index
	for _, peer := range h.peers {
		word := "has not answered"
		for _, a := range x.answers {
			if a.from == peer {
				word = [...]string{"", "", fmt.Sprintf("lacks it in term %d", a.term), "has compacted it", "has lost it, too"}[min(a.state, wire.EntryLost)]
			}
		}
		m.Peers = append(m.Peers, fmt.Sprintf("%x %s", uint64(peer), word))
	}
	return m
}

// Filled says that a server has sent an entry which was lost here.
type Filled struct {
	From  raft.ServerID
	Index raft.Index
	Term  raft.Term
}

func (e Filled) String() string {
	return fmt.Sprintf("entry %d of term %d, which was lost, comes from %x", e.Index, e.Term, uint64(e.From))
}

// Misfit says that a server has sent another entry than the one that was asked for.
type Misfit struct {
	From  raft.ServerID
	Index raft.Index
	Why   error
}

func (e Misfit) String() string {
	return fmt.Sprintf("%x sent another entry than %d, which was lost: %v", uint64(e.From), e.Index, e.Why)
}

// Cut says that the end of the log was dropped, because an entry in it is lost that was never committed.
type Cut struct{ From, Last raft.Index }

func (e Cut) String() string {
	return fmt.Sprintf("entries %d to %d are cut: the first is lost, and was never committed", e.From, e.Last)
}

// Whole says that nothing is missing any more.
type Whole struct{}

func (Whole) String() string { return "the log is whole again" }

// StillMissing says what a server that heals lacks, and who has been asked for it.
type StillMissing struct {
	Count int
	First wal.Hole
	Last  raft.Index
	Peers []string
}

func (e StillMissing) String() string {
	if e.Count == 0 {
		return "nothing is missing"
	}
	peers := "there is nobody else to ask"
	if len(e.Peers) > 0 {
		peers = strings.Join(e.Peers, ", ")
	}
	term := fmt.Sprintf("of term %d", e.First.Term)
	if !e.First.Known() {
		term = "of which the term is not known"
	}
	return fmt.Sprintf("%d entries of the log are lost, between %d and %d; the first, %s, was in %s at byte %d (%s); %s",
		e.Count, e.First.Index, e.Last, term, e.First.File, e.First.Offset, e.First.Reason, peers)
}
