package wal

import (
	"fmt"
	"sort"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Behind returns the lowest index after which the entries of a group take up no more than that many bytes of
// segments, entries of other groups between them included: at least its base, and at most its last index.
func (l *Log) Behind(id wire.GroupID, bytes int64) raft.Index {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[id]
	if g == nil {
		return 0
	}
	if len(g.positions) == 0 || len(l.segments) == 0 {
		return g.last()
	}
	ends := make(map[uint32]int64, len(l.segments)) // how far each segment's beginning is from the first one's
	from := int64(0)
	for _, s := range l.segments {
		ends[s.number] = from
		from += s.bytes
	}
	at := func(p position) int64 { return ends[p.segment] + p.offset() }
	end := at(g.positions[len(g.positions)-1]) + int64(g.positions[len(g.positions)-1].size())
	// Where copies took the place of entries, places do not ascend: the answer is then somewhere among them.
	n := sort.Search(len(g.positions), func(i int) bool { return end-at(g.positions[i]) <= bytes })
	return g.first + raft.Index(n) - 1
}

// Position returns what another log has to know that is to begin after an entry of this one.
func (l *Log) Position(id wire.GroupID, index raft.Index) (*wire.Position, error) {
	l.mu.Lock()
	g := l.groups[id]
	if g == nil {
		l.mu.Unlock()
		return nil, ErrNoGroup
	}
	p := &wire.Position{EntryID: raft.EntryID{Index: index}, Hash: g.baseHash}
	var ok bool
	if p.Term, ok = g.term(index); ok {
		p.Configuration = g.configurationAt(index)
	}
	base, hole := g.base.Index, g.holeAt(index)
	if hole != nil && !hole.Known() {
		l.mu.Unlock()
		return nil, &HoleError{Hole: *hole}
	}
	if hole != nil {
		p.Hash = hole.Hash
	}
	l.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("entry %d of group %d: %w: the log begins after %d", index, id, ErrCompacted, base)
	}
	if p.Configuration == nil {
		return nil, fmt.Errorf("entry %d of group %d: the configuration in force there is lost", index, id)
	}
	if index == base || hole != nil {
		return p, nil
	}
	records, err := l.Read(id, index, index, 1)
	if err != nil {
		return nil, err
	}
	p.Hash = wire.Raw(records[0]).Hash()
	return p, nil
}

// MayBeginAfter reports whether it can be told if the log has an entry with that hash at that index: not where that is
// lost and it is not known which it was, unless what is behind the gap proves it. To let the log begin there would be to drop, or to keep,
// what follows on a guess.
func (g *Group) MayBeginAfter(index raft.Index, hash wire.Hash) bool {
	p := gapAt(g.Gaps, index)
	return p == nil || index == p.Last && p.Follows(hash, g.ID)
}

// Droppable returns the last entry up to which the log of a group with holes may be compacted, of those up to limit: the
// configuration in force there is no hole, and some are dropped. The entry itself may be one, if it is known which it
// was. 0: there is none.
func (g *Group) Droppable(limit raft.Index) raft.Index {
	for to := min(limit, g.Last); to > g.Base.Index && len(g.Holes) > 0 && g.Holes[0].Index <= to; to-- {
		k := len(g.Configurations) - 1
		for k > 0 && g.Configurations[k].Index > to {
			k--
		}
		if at := &g.Configurations[k]; at.Bytes != nil && gapAt(g.Gaps, to) == nil && !mayHide(g.Holes, at.Index, to) {
			return to
		}
	}
	return 0
}
