package wal

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Hole is an entry that the log has lost to damage: the log keeps its place. A copy of that very entry, and nothing
// else, fills it: see Write.Records. If it is not known which entry it was, the term, the kind and both hashes are zero, and it
// belongs to a Gap.
type Hole struct {
	Group wire.GroupID
	raft.EntryID
	// Kind and Hash are the entry's, Before is the hash of the entry before it.
	Kind   uint8
	Hash   wire.Hash
	Before wire.Hash
	// File and Offset say where its record was, Reason what is wrong there.
	File   string
	Offset int64
	Reason string
}

// Known reports whether it is known which entry it was.
func (h *Hole) Known() bool { return h.Hash != wire.Hash{} }

// Gap is a run of holes of which some are not known. What is around it proves what fills it, all of it together.
type Gap struct {
	First, Last raft.Index
	// Before is the hash of the entry before the first.
	Before wire.Hash
	// Hash is that of the last entry; if it is not known, Next is the record of the entry after it.
	Hash wire.Hash
	Next []byte
	// Doubted are records of entries that were there, which what is lost may have replaced: some of those that fill the gap, or not.
	Doubted [][]byte
}

// gapAt returns the gap that has the entry at i, or nil.
func gapAt(gaps []Gap, i raft.Index) *Gap {
	for k := range gaps {
		if p := &gaps[k]; p.First <= i && i <= p.Last {
			return p
		}
	}
	return nil
}

// Follows reports whether what comes after the gap follows from a last entry with that hash.
func (p *Gap) Follows(hash wire.Hash, group wire.GroupID) bool {
	if p.Hash != (wire.Hash{}) {
		return hash == p.Hash
	}
	return len(p.Next) > 0 && wire.Raw(p.Next).Follows(hash, group)
}

// Fits says why records are not those that were lost in the gap; nil if they are.
func (p *Gap) Fits(group wire.GroupID, records [][]byte) error {
	before := p.Before
	for i, b := range records {
		r, size, err := wire.DecodeRecord(b)
		switch {
		case err != nil:
			return err
		case size != len(b) || !r.IsEntry() || r.Group != group || r.Index != p.First+raft.Index(i):
			return fmt.Errorf("a record of kind %d, group %d, index %d, where entry %d is lost", r.Kind, r.Group, r.Index, p.First+raft.Index(i))
		case wire.EntryHash(before, &r) != r.Hash:
			return fmt.Errorf("entry %d does not follow from the entry before it", r.Index)
		}
		before = r.Hash
	}
	if len(records) != int(p.Last-p.First)+1 || !p.Follows(before, group) {
		return fmt.Errorf("what comes after entry %d does not follow from it", p.Last)
	}
	return nil
}

// HoleError says that an entry cannot be read, for it is a hole.
type HoleError struct{ Hole Hole }

func (e *HoleError) Error() string {
	h := &e.Hole
	return fmt.Sprintf("entry %d of term %d of group %d is lost: %s is damaged at byte %d: %s",
		h.Index, h.Term, h.Group, h.File, h.Offset, h.Reason)
}

func (l *Log) hasHoles() bool {
	return slices.ContainsFunc(l.sorted, func(g *group) bool { return len(g.holes) > 0 })
}

// holeAt returns the hole at i, or nil.
func (g *group) holeAt(i raft.Index) *Hole {
	if at := g.holesBefore(i); at < len(g.holes) && g.holes[at].Index == i {
		return &g.holes[at]
	}
	return nil
}

// holesBefore returns how many holes are below i.
func (g *group) holesBefore(i raft.Index) int {
	if len(g.holes) == 0 {
		return 0
	}
	return sort.Search(len(g.holes), func(k int) bool { return g.holes[k].Index >= i })
}

// dig makes the entry at h.Index a hole.
func (g *group) dig(h Hole) {
	at := g.holesBefore(h.Index)
	if at < len(g.holes) && g.holes[at].Index == h.Index {
		g.holes[at] = h
		return
	}
	g.holes = slices.Insert(slices.Clip(g.holes), at, h)
}

// lacks reports whether damage at that place has left a hole.
func (g *group) lacks(at Healed) bool {
	return slices.ContainsFunc(g.holes, func(h Hole) bool { return h.File == at.File && h.Offset == at.Offset })
}

// fill lets the record at that position be the entry that was missing, or has another place now.
func (g *group) fill(r *wire.Record, at position) {
	g.positions[r.Index-g.first] = at
	g.moved = true
	k := g.holesBefore(r.Index)
	if k == len(g.holes) || g.holes[k].Index != r.Index {
		return
	}
	if !g.holes[k].Known() {
		g.setTerm(r.Index, r.Term)
	}
	g.gaps = slices.DeleteFunc(slices.Clone(g.gaps), func(p Gap) bool { return p.Last == r.Index })
	g.holes = slices.Delete(slices.Clone(g.holes), k, k+1)
	g.configurations = withConfiguration(g.configurations, r.Index, r)
}

// Fits says why a record is not the entry that was lost; nil if it is.
func (h *Hole) Fits(r *wire.Record) error {
	switch {
	case r.Index != h.Index:
		return fmt.Errorf("entry %d, where entry %d is lost", r.Index, h.Index)
	case r.Term != h.Term || r.Kind != h.Kind || r.Hash != h.Hash:
		return fmt.Errorf("a copy of entry %d is of term %d, kind %d, with hash %x; what was there is of term %d, kind %d, with hash %x",
			r.Index, r.Term, r.Kind, r.Hash, h.Term, h.Kind, h.Hash)
	case wire.EntryHash(h.Before, r) != r.Hash:
		return fmt.Errorf("a copy of entry %d does not follow from the entry before it", r.Index)
	}
	return nil
}

// Filled takes in an entry that was lost, and is there again.
func (g *Group) Filled(r *wire.Record) {
	g.Runs = withTerm(g.Runs, g.Last, r.Index, r.Term)
	g.Configurations = withConfiguration(g.Configurations, r.Index, r)
}

// withConfiguration returns configurations with that of the entry at i: what it is, or, if r is nil, that there is one which is lost. If r
// is no configuration, all stay as they are.
func withConfiguration(all []Configuration, i raft.Index, r *wire.Record) []Configuration {
	is := Configuration{Index: i}
	if r != nil {
		if r.Kind != wire.RecordConfiguration {
			return all
		}
		is.Bytes = slices.Clone(r.Payload)
	}
	at, there := slices.BinarySearchFunc(all, i, func(c Configuration, i raft.Index) int { return cmp.Compare(c.Index, i) })
	all = slices.Clone(all) // others may have what it was
	if there {
		all[at] = is
		return all
	}
	return slices.Insert(all, at, is)
}

// setTerm sets the term of one entry.
func (g *group) setTerm(i raft.Index, term raft.Term) { g.runs = withTerm(g.runs, g.last(), i, term) }

// withTerm returns the runs of a log up to last, in which the entry at i is of that term.
func withTerm(old []raft.TermRun, last, i raft.Index, term raft.Term) []raft.TermRun {
	var runs []raft.TermRun
	add := func(term raft.Term, first, end raft.Index) { // up to end, which it does not include
		if first < end && (len(runs) == 0 || runs[len(runs)-1].Term != term) {
			runs = append(runs, raft.TermRun{Term: term, First: first})
		}
	}
	for k, run := range old {
		end := last + 1
		if k+1 < len(old) {
			end = old[k+1].First
		}
		if i < run.First || i >= end {
			add(run.Term, run.First, end)
			continue
		}
		add(run.Term, run.First, i)
		add(term, i, i+1)
		add(run.Term, i+1, end)
	}
	return runs
}

// raiseTerms sets the terms of holes from i on of which nothing is known, as far as those are lower than that of the entry before
// them, which was not known when they were dug.
func (g *group) raiseTerms(i raft.Index, term raft.Term) {
	for ; i >= g.first && i <= g.last(); i++ {
		is, _ := g.term(i)
		if h := g.holeAt(i); h == nil || h.Known() || is >= term {
			return
		}
		g.setTerm(i, term)
	}
}

// maxGap bounds the entries that may be lost in one place.
const maxGap = 1 << 20

// digUpTo appends holes of which nothing is known, up to an index.
func (g *group) digUpTo(last raft.Index, why *DamageError, segment uint32) {
	for i := g.last() + 1; i <= last; i++ {
		if len(g.runs) == 0 {
			g.runs = append(g.runs, raft.TermRun{Term: g.base.Term, First: i})
		}
		g.positions = append(g.positions, position{segment: segment})
		g.holes = append(slices.Clip(g.holes), Hole{Group: g.id, EntryID: raft.EntryID{Index: i}, File: why.File, Offset: why.Offset, Reason: why.Reason})
	}
	g.lastHash = wire.Hash{}
}
