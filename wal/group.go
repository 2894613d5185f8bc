package wal

import (
	"fmt"
	"slices"
	"sort"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// position is where an entry's record is: 12 bytes for each entry above the base.
type position struct {
	segment uint32 // number
	offset8 uint32 // in units of 8 bytes, which records are aligned to
	size8   uint32
}

func (p position) offset() int64 { return int64(p.offset8) * wire.RecordAlign }
func (p position) size() int     { return int(p.size8) * wire.RecordAlign }

func (p position) known() bool { return p.segment != 0 }

func positionOf(segment uint32, offset int64, size int) position {
	return position{segment, uint32(offset / wire.RecordAlign), uint32(size / wire.RecordAlign)}
}

// group is what is known of one group without reading its entries: where they are, and of which
// terms. The writer changes it while it holds the log's lock.
type group struct {
	id        wire.GroupID
	hardState raft.HardState

	// base is the entry before the first one that the log has.
	base     raft.EntryID
	baseHash wire.Hash
	// configurations are those in the log, ascending; the first is the one in force at base.
	configurations []Configuration

	// positions[i] is where the entry at first+i is, for all entries up to the last. Except during
	// recovery, first is base.Index+1.
	first     raft.Index
	positions []position
	// holes are the entries that are lost, ascending. Their positions say where they were.
	holes []Hole
	gaps  []Gap
	// broken is not nil during recovery while it is not known what became of the group: a frame is lost, that may have been about it.
	broken *DamageError
	// settled is how far the entries were committed, and in the log, before the write of the latest hard state, or before the frame
	// that is lost: so far nothing that came later has replaced them. It is of use during recovery only.
	settled raft.Index
	// doubted is where entries are that a lost frame may have replaced. It is of use during recovery only.
	doubted map[raft.Index]position
	// moved says that positions are not in the order of segments, because copies took their places.
	moved bool
	// runs are the terms of the entries from first on.
	runs []raft.TermRun
	// lastHash is the hash of the last entry, all zeros if it would have to be read first.
	lastHash wire.Hash

	// staged is the group as it will be after the writes that Append is putting together.
	staged staged
	// restate says that the hard state has been written only once so far.
	restate bool
}

// newGroup returns a group whose log begins after base.
func newGroup(id wire.GroupID, base Base) *group {
	g := &group{id: id, first: 1}
	g.rebase(base)
	return g
}

// last returns the index of the last entry.
func (g *group) last() raft.Index { return g.first + raft.Index(len(g.positions)) - 1 }

// lastTerm returns the term of the last entry.
func (g *group) lastTerm() raft.Term {
	if len(g.runs) == 0 {
		return g.base.Term
	}
	return g.runs[len(g.runs)-1].Term
}

// term returns the term of the entry at i; false if the log does not have it.
func (g *group) term(i raft.Index) (raft.Term, bool) {
	if i == g.base.Index {
		return g.base.Term, true
	}
	if i < g.first || i > g.last() {
		return 0, false
	}
	run := sort.Search(len(g.runs), func(k int) bool { return g.runs[k].First > i }) - 1
	return g.runs[run].Term, true
}

// position returns where the entry at i is, which the log has.
func (g *group) position(i raft.Index) position { return g.positions[i-g.first] }

// append adds the entry after the last. Payload is looked at for configurations only, and copied.
func (g *group) append(r *wire.Record, at position) {
	if len(g.runs) == 0 || g.runs[len(g.runs)-1].Term != r.Term {
		g.runs = append(g.runs, raft.TermRun{Term: r.Term, First: r.Index})
	}
	if r.Kind == wire.RecordConfiguration {
		g.configurations = append(g.configurations, Configuration{Index: r.Index, Bytes: slices.Clone(r.Payload)})
	}
	g.positions = append(g.positions, at)
	g.lastHash = r.Hash
}

// truncate drops the entries from index from on, which is above the base.
func (g *group) truncate(from raft.Index) {
	if from > g.last() {
		return
	}
	g.lastHash = wire.Hash{}
	if from-1 == g.base.Index {
		g.lastHash = g.baseHash
	}
	if from < g.first { // during recovery only
		g.first = from
	}
	g.positions = g.positions[:from-g.first]
	g.holes = g.holes[:g.holesBefore(from)]
	g.gaps = slices.DeleteFunc(slices.Clone(g.gaps), func(p Gap) bool { return p.Last >= from })
	for len(g.runs) > 0 && g.runs[len(g.runs)-1].First >= from {
		g.runs = g.runs[:len(g.runs)-1]
	}
	for g.configurations[len(g.configurations)-1].Index >= from {
		g.configurations = g.configurations[:len(g.configurations)-1]
	}
}

// rebase lets the log begin after b. Entries after it are kept if there are any; otherwise the log
// is empty then.
func (g *group) rebase(b Base) {
	if b.Index >= g.last() {
		g.positions, g.runs, g.first, g.moved = nil, nil, b.Index+1, false
		g.lastHash = b.Hash
		g.holes, g.gaps = nil, nil
	}
	g.holes = g.holes[g.holesBefore(b.Index+1):]
	g.gaps = slices.DeleteFunc(slices.Clone(g.gaps), func(p Gap) bool { return p.Last <= b.Index })
	if len(g.gaps) > 0 && g.gaps[0].First <= b.Index {
		g.gaps[0].First, g.gaps[0].Before = b.Index+1, b.Hash
	}
	if b.Index >= g.first {
		g.dropUpTo(b.Index)
	}
	keep := slices.IndexFunc(g.configurations, func(c Configuration) bool { return c.Index > b.Index })
	if keep < 0 {
		keep = len(g.configurations)
	}
	at := Configuration{Index: b.Index, Bytes: slices.Clone(b.Configuration)}
	g.configurations = append([]Configuration{at}, g.configurations[keep:]...)
	g.base, g.baseHash = b.EntryID, b.Hash
	g.raiseTerms(b.Index+1, b.Term)
}

// configurationAt returns the configuration in force at i, which is not below the base; nil if it is a hole, or may be one.
func (g *group) configurationAt(i raft.Index) []byte {
	k := len(g.configurations) - 1
	for k > 0 && g.configurations[k].Index > i {
		k--
	}
	if mayHide(g.holes, g.configurations[k].Index, i) {
		return nil
	}
	return g.configurations[k].Bytes
}

// mayHide reports whether one of the holes behind an index, up to another one, may be a configuration: it is not known what it is.
func mayHide(holes []Hole, behind, upTo raft.Index) bool {
	return slices.ContainsFunc(holes, func(h Hole) bool { return !h.Known() && h.Index > behind && h.Index <= upTo })
}

// dropUpTo forgets the entries up to i, which is below the last.
func (g *group) dropUpTo(i raft.Index) {
	rest := g.positions[i+1-g.first:]
	if len(rest) < cap(g.positions)/2 {
		rest = slices.Clone(rest) // or the memory before it is never free
	}
	g.positions, g.first = rest, i+1
	run := 0
	for run+1 < len(g.runs) && g.runs[run+1].First <= g.first {
		run++
	}
	g.runs = slices.Delete(g.runs, 0, run)
	g.runs[0].First = g.first
}

// state returns the group as callers see it. The commit index is at most the last index, because the
// entries may have been in a frame that is lost.
func (g *group) state() Group {
	hardState := g.hardState
	hardState.Commit = min(hardState.Commit, g.last())
	return Group{
		ID:             g.id,
		HardState:      hardState,
		Base:           g.base,
		BaseHash:       g.baseHash,
		Last:           g.last(),
		LastHash:       g.lastHash,
		Runs:           slices.Clone(g.runs),
		Configurations: slices.Clone(g.configurations),
		Holes:          slices.Clone(g.holes),
		Gaps:           slices.Clone(g.gaps),
	}
}

// oldest returns the number of the oldest segment that has an entry of the group; false if none has.
func (g *group) oldest() (uint32, bool) {
	if len(g.positions) == 0 {
		return 0, false
	}
	oldest := g.positions[0].segment
	if g.moved {
		for i := range g.positions {
			oldest = min(oldest, g.positions[i].segment)
		}
	}
	return oldest, true
}

func (g *group) String() string {
	return fmt.Sprintf("group %d, entries %d to %d", g.id, g.first, g.last())
}
