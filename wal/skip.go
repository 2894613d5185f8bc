package wal

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// skip goes on behind a frame that is lost: of which nothing can be read, or which has a record that cannot be told. What
// it did to its groups is not known, and each must be proved to be what is thought of it, by what comes later:
//
//   - Hard states that it had are repeated by the next frame, so it must be just one; or by the beginning of the next
//     segment, which repeats everything.
//   - An entry that comes later follows from the one before it by its hash. If that one is there, nothing is lost; if its index is
//     too high, those between are a gap, which is filled when all of it is there, by what its neighbours prove. What is lost may
//     have replaced entries before it, too: these are part of the gap then.
//   - The beginning of the next segment says where each log ends, and which entry is there.
//
// A group of which none of that is found is not known, and the damage is refused.
func (r *recovery) skip(wrong *DamageError, limit uint64) bool {
	last := r.current == r.inUse[len(r.inUse)-1]
	if r.frames == 0 || r.skipped && last || r.offset >= r.current.bytes {
		return false
	}
	next, at := r.nextSoundFrame(r.offset+blockBytes, limit)
	switch {
	case at > 0 && (next == r.end.sequence+2 || !last):
		r.end.sequence, r.offset, r.skipped = next-1, at, true
	case at == 0 && !last:
		following := r.inUse[r.place()+1]
		r.end = end{limit, following.header.chain}
	default:
		return false
	}
	r.blind = r.blind || !last
	r.healed = append(r.healed, Healed{File: wrong.File, Offset: wrong.Offset})
	for _, g := range r.log.sorted {
		if g.broken == nil {
			g.broken = wrong
		}
	}
	return true
}

// place is where the current segment is among those in use.
func (r *recovery) place() int {
	for i, s := range r.inUse {
		if s == r.current {
			return i
		}
	}
	return -1
}

// nextSoundFrame looks for the next frame up to one, by headers alone; 0, 0 if there is none.
func (r *recovery) nextSoundFrame(from int64, limit uint64) (sequence uint64, at int64) {
	for at := from; at+blockBytes <= r.current.bytes; at += blockBytes {
		h, ok := decodeFrameHeader(r.content[at:], r.current.seed, uint64(r.current.number), uint32(at/blockBytes))
		if ok && h.sequence > r.end.sequence+1 && h.sequence <= limit {
			return h.sequence, at
		}
	}
	return 0, 0
}

// dropUnnamed drops groups that a lost frame must have dropped: at its beginning a segment names all that there are.
func (r *recovery) dropUnnamed() {
	if r.offset != blockBytes {
		return
	}
	r.blind = false
	for i := len(r.log.sorted) - 1; i >= 0; i-- {
		if g := r.log.sorted[i]; g.broken != nil {
			r.log.removeGroup(g)
			delete(r.partial, g)
		}
	}
}

// rejoin finds out what became of a group in frames that are lost, from an entry that comes after them.
func (r *recovery) rejoin(g *group, record *wire.Record) error {
	i := record.Index
	switch {
	case i > g.last()+1 && i-g.last() <= maxGap:
		return r.digBefore(g, i, record.Term) // that the entry follows is proved when the gap is filled
	case i <= g.base.Index || i < g.first || i > g.last()+1:
		return fmt.Errorf("entry %d of group %d comes after what is lost, and the log had entries %d to %d", i, g.id, g.base.Index+1, g.last())
	case i <= g.last():
		hash := g.baseHash
		if i-1 > g.base.Index {
			var err error
			if i-1 < g.first {
				return errors.New("it cannot be told what the entry follows")
			}
			if hash, err = r.hashAt(g, i-1); err != nil {
				return err
			}
		}
		g.truncate(i)
		g.lastHash = hash
	}
	switch {
	case g.lastHash == (wire.Hash{}) || r.lost == "" && wire.EntryHash(g.lastHash, record) != record.Hash:
		return fmt.Errorf("what is lost has replaced entries of group %d before %d", g.id, i)
	case r.lost != "":
		return r.digBefore(g, i, record.Term) // it proves nothing of those before it
	}
	g.broken = nil
	return nil
}

// digBefore makes holes of what is lost before an entry of that term, and of those entries which that may have replaced: then the
// log would have the wrong ones, and a server that cut it there would have forgotten what it has acknowledged. It has
// replaced none that were committed; and none at all if the last that is there is of the same term as the entry behind, for both are
// of one leader, which only appends. (Leader Append-Only, Log Matching.) If the term is not known, it is 0.
func (r *recovery) digBefore(g *group, i raft.Index, behind raft.Term) error {
	hole := g.holeAt(g.last())
	term, known := g.term(g.last())
	known = known && (hole == nil || hole.Known())
	if from := max(g.settled, g.base.Index) + 1; from <= g.last() && !(known && term == behind) {
		g.doubt(from)
		if err := r.replayTruncate(g, from); err != nil {
			return err
		}
	}
	if g.last()+1 < i {
		g.digUpTo(i-1, g.broken, r.current.number)
	}
	g.broken = nil
	return nil
}

// doubt keeps where the entries are, from that one on, which are taken for lost though they may not have been replaced.
func (g *group) doubt(from raft.Index) {
	g.doubted = map[raft.Index]position{}
	for i := max(from, g.first); i <= g.last(); i++ {
		if at := g.position(i); at.known() && g.holeAt(i) == nil {
			g.doubted[i] = at
		}
	}
}

// rejoinEnd is rejoin, by where the log of a group ends.
func (r *recovery) rejoinEnd(g *group, record *wire.Record) error {
	last, hash := record.Index, record.Hash
	switch {
	case last > g.last() && last-g.last() <= maxGap:
		if err := r.digBefore(g, last+1, 0); err != nil {
			return err
		}
		g.lastHash = hash
	case last < g.last() && (last >= g.first || last == g.base.Index):
		is := g.baseHash
		if last > g.base.Index {
			var err error
			if is, err = r.hashAt(g, last); err != nil {
				return err
			}
		}
		g.truncate(last + 1)
		g.lastHash = is
	}
	if last != g.last() || g.lastHash != hash {
		return fmt.Errorf("the log of group %d ends at %d, with another entry than what is left of it", g.id, last)
	}
	g.broken = nil
	return nil
}

// notKnown returns what is lost, if it is not known what became of some group.
func (r *recovery) notKnown() error {
	for _, g := range r.log.sorted {
		if g.broken != nil {
			return g.broken
		}
	}
	return nil
}

// findGaps collects the runs of holes of which some are not known, and what proves what they were.
func (r *recovery) findGaps(g *group) error {
	g.gaps = nil
	for k := 0; k < len(g.holes); {
		end, unknown := k, false
		for end < len(g.holes) && g.holes[end].Index == g.holes[k].Index+raft.Index(end-k) {
			unknown = unknown || !g.holes[end].Known()
			end++
		}
		if unknown {
			p := Gap{First: g.holes[k].Index, Last: g.holes[end-1].Index, Before: g.baseHash, Hash: g.holes[end-1].Hash}
			if p.First-1 > g.base.Index {
				var err error
				if p.Before, err = r.hashAt(g, p.First-1); err != nil {
					return err
				}
			}
			if p.Last == g.last() {
				p.Hash = g.lastHash
			} else if p.Hash == (wire.Hash{}) {
				next, err := r.log.Read(g.id, p.Last+1, p.Last+1, 0)
				if err != nil {
					return err
				}
				p.Next = next[0]
			}
			p.Doubted = r.readDoubted(g, p.First, p.Last)
			g.gaps = append(g.gaps, p)
		}
		k = end
	}
	g.doubted = nil
	return nil
}

// maxDoubtedBytes bounds what is read of the entries of a gap that may not be lost: others have the rest.
const maxDoubtedBytes = 64 << 20

// readDoubted returns the entries of a gap that may not be lost, as far as they can be read.
func (r *recovery) readDoubted(g *group, first, last raft.Index) (records [][]byte) {
	bytes := 0
	for i := first; i <= last; i++ {
		at, ok := g.doubted[i]
		if bytes += at.size(); !ok || bytes > maxDoubtedBytes {
			continue
		}
		b := make([]byte, at.size())
		if segmentOf(r.inUse, at.segment).readAt(b, at.offset()) != nil {
			continue
		}
		record, n, err := wire.DecodeRecord(b)
		if err != nil || !record.IsEntry() || record.Group != g.id || record.Index != i {
			continue
		}
		clearCopyFlag(b[:n])
		records = append(records, b[:n])
	}
	return records
}

// joinGaps puts the copies that fill a gap into one write, which they were in. If the last of them are torn, they fill nothing.
func (l *Log) joinGaps(writes []Write) []Write {
	var joined []Write
	for i := 0; i < len(writes); i++ {
		w := writes[i]
		g := l.groups[w.Group]
		if g == nil || len(w.Records) == 0 || wire.Raw(w.Records[0]).Index() > g.last() || gapAt(g.gaps, w.First) == nil || !isCopy(w.Records[0]) {
			joined = append(joined, w)
			continue
		}
		p := gapAt(g.gaps, w.First)
		for i+1 < len(writes) && writes[i+1].Group == w.Group && len(writes[i+1].Records) == 1 && isCopy(writes[i+1].Records[0]) &&
			writes[i+1].First == w.First+raft.Index(len(w.Records)) && writes[i+1].First <= p.Last {
			i++
			w.Records = append(w.Records, writes[i].Records[0])
		}
		if w.First == p.First && w.First+raft.Index(len(w.Records)) == p.Last+1 {
			joined = append(joined, w)
		}
	}
	return joined
}
