package wal

import (
	"fmt"
	"slices"
	"sort"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Hole is an entry that the log has lost to damage, and of which it knows which one it was: the log keeps
// its place. A copy of that very entry, and nothing else, fills it: see Write.Records.
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

// HoleError says that an entry cannot be read, for it is a hole.
type HoleError struct{ Hole Hole }

func (e *HoleError) Error() string {
	h := &e.Hole
	return fmt.Sprintf("entry %d of term %d of group %d is lost: %s is damaged at byte %d: %s",
		h.Index, h.Term, h.Group, h.File, h.Offset, h.Reason)
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
	g.holes = slices.Delete(slices.Clone(g.holes), k, k+1)
	for i := range g.configurations {
		if c := &g.configurations[i]; c.Index == r.Index && r.Kind == wire.RecordConfiguration {
			g.configurations = slices.Clone(g.configurations) // others may have what it was
			g.configurations[i].Bytes = slices.Clone(r.Payload)
		}
	}
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
