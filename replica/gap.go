package replica

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// gap is a run of holes of which some are not known.
type gap struct {
	wal.Gap
	// candidates are what others have there, by index; bytes is their size.
	candidates map[raft.Index][]wire.Raw
	bytes      int
	given      map[raft.Index]int // how often one of them was given to somebody who does not know which it was
}

const (
	// maxCandidates bounds the entries that are kept for one place, maxGapBytes those for one gap: beyond it they are asked for again.
	maxCandidates = 8
	maxGapBytes   = 256 << 20
)

func (h *Healing) gapAt(i raft.Index) *gap {
	for _, p := range h.gaps {
		if p.First <= i && i <= p.Last {
			return p
		}
	}
	return nil
}

// add keeps an entry that may be one of those that are lost; false if it is known already.
func (p *gap) add(record wire.Raw) bool {
	i := record.Index()
	known := p.candidates[i]
	if len(known) >= maxCandidates || slices.ContainsFunc(known, func(c wire.Raw) bool { return c.Hash() == record.Hash() }) {
		return false
	}
	if p.bytes += len(record); p.bytes > maxGapBytes {
		p.candidates, p.bytes = map[raft.Index][]wire.Raw{}, len(record)
	}
	p.candidates[i] = append(p.candidates[i], slices.Clone(record))
	return true
}

// doubted returns one of the candidates for a place, each time another one.
func (p *gap) doubted(i raft.Index) wire.Raw {
	if p == nil || len(p.candidates[i]) == 0 {
		return nil
	}
	if p.given == nil {
		p.given = map[raft.Index]int{}
	}
	p.given[i]++
	return p.candidates[i][p.given[i]%len(p.candidates[i])]
}

// candidate returns the very entry that another server has lost, if it is among the candidates. Whoever does not know the hash gets none.
func (p *gap) candidate(w *wire.WantedEntry) wire.Raw {
	if p == nil {
		return nil
	}
	k := slices.IndexFunc(p.candidates[w.Index], func(c wire.Raw) bool { return c.Term() == w.Term && c.Hash() == w.Hash })
	if k < 0 {
		return nil
	}
	return p.candidates[w.Index][k]
}

// giveDoubted sends what may have been in the place of entries that another server has lost without knowing which they were. It is not
// said that they are here: what comes behind them there may prove them.
func (h *Healing) giveDoubted(to raft.ServerID, m *wire.EntryRequest) {
	doubts, bytes := &wire.EntryDoubts{}, 0
	for i := range m.Wanted {
		w := &m.Wanted[i]
		if w.Term != 0 || h.lost(w.Index) == nil {
			continue
		}
		record := h.gapAt(w.Index).doubted(w.Index)
		if bytes += len(record); record == nil || bytes > maxLibraryBytes && bytes > len(record) {
			continue // what is left out will be asked for again
		}
		doubts.Records = append(doubts.Records, record)
	}
	if len(doubts.Records) > 0 {
		h.send(to, doubts)
	}
}

// doubts takes in what another server may have had.
func (h *Healing) doubts(from raft.ServerID, m *wire.EntryDoubts) {
	if !slices.Contains(h.peers, from) || h.changing() {
		return
	}
	for _, b := range m.Records {
		record := wire.Raw(b)
		x := h.lost(record.Index())
		if p := h.gapAt(record.Index()); x != nil && x.ticket == 0 && p != nil && p.add(record) {
			h.fillGap(p, from)
		}
	}
}

// choose finds the entries that were there, from the last on: each is the one from which the next follows. It returns nil
// while one is missing.
func (p *gap) choose(group wire.GroupID) [][]byte {
	records := make([][]byte, p.Last-p.First+1)
	follows := func(hash wire.Hash) bool { return p.Follows(hash, group) }
	for i := p.Last; i >= p.First; i-- {
		k := slices.IndexFunc(p.candidates[i], func(c wire.Raw) bool { return follows(c.Hash()) })
		if k < 0 {
			return nil
		}
		chosen := p.candidates[i][k]
		records[i-p.First] = chosen
		follows = func(hash wire.Hash) bool { return chosen.Follows(hash, group) }
	}
	return records
}

// fillGap fills a gap as soon as all of it is there.
func (h *Healing) fillGap(p *gap, from raft.ServerID) {
	records := p.choose(h.options.Group)
	if records == nil {
		return
	}
	if err := p.Fits(h.options.Group, records); err != nil {
		h.tell(Misfit{From: from, Index: p.First, Why: err})
		return
	}
	w := Write{First: p.First}
	for _, b := range records {
		record, _, err := wire.DecodeRecord(b)
		if err != nil {
			return
		}
		h.filled(&record)
		record.Flags = wire.FlagCopy
		w.Records = append(w.Records, wire.AppendRecord(nil, &record))
		h.tell(Filled{From: from, Index: record.Index, Term: record.Term})
	}
	ticket := h.write(w)
	for _, x := range h.missing {
		if p.First <= x.hole.Index && x.hole.Index <= p.Last {
			x.ticket = ticket
		}
	}
	p.candidates = nil
	h.gaps = slices.DeleteFunc(h.gaps, func(other *gap) bool { return other == p })
}

// forgetGaps drops the gaps in which nothing is missing any more: filled, cut, or before where the log begins. A state there is then as
// good as anywhere.
func (h *Healing) forgetGaps() {
	closed := func(p *wal.Gap) bool {
		return !slices.ContainsFunc(h.missing, func(x *missing) bool { return p.First <= x.hole.Index && x.hole.Index <= p.Last })
	}
	h.gaps = slices.DeleteFunc(h.gaps, func(p *gap) bool { return closed(&p.Gap) })
	h.group.Gaps = slices.DeleteFunc(slices.Clone(h.group.Gaps), func(p wal.Gap) bool { return closed(&p) })
}

// isAnother reports whether an entry is certainly not the one that was lost there, and so who has it lacks that: it is of a later
// term than the entry behind the gap is, or that one does not follow from it.
func (h *Healing) isAnother(p *gap, f *wire.FoundEntry) bool {
	latest := h.group.HardState.CurrentTerm
	if p.Last < h.group.Last {
		latest, _ = termIn(&h.group, p.Last+1)
	}
	return f.Term > latest || f.Index == p.Last && !p.Follows(wire.Raw(f.Record).Hash(), h.options.Group)
}
