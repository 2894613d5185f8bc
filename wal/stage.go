package wal

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// op is one record to be written, and what it does to its group.
type op struct {
	group *group
	kind  uint8
	// record is the encoding, for entries only: other records are encoded into the frame.
	record    []byte
	copied    bool           // an entry that is in place already
	hardState raft.HardState // RecordHardState
	from      raft.Index     // RecordTruncate
	base      *Base          // RecordBase
}

// size returns the size of the record.
func (o *op) size() int {
	switch o.kind {
	case wire.RecordHardState:
		return hardStateRecordBytes
	case wire.RecordBase:
		return wire.Size(len(o.base.Configuration))
	case wire.RecordTruncate, wire.RecordDrop:
		return wire.RecordHeaderBytes
	}
	return len(o.record)
}

// staged is what a group will be after the ops so far. It counts only if epoch is the log's.
type staged struct {
	epoch     uint64
	base      raft.EntryID
	last      raft.Index
	lastTerm  raft.Term
	cut       raft.Index // entries from here on are in ops, not in the group
	hardState raft.HardState
	dropped   bool
	fresh     bool // a new group, whose base is not in ops yet
}

// stage checks writes and turns them into ops. Nothing else is changed if they are refused.
func (l *Log) stage(writes []Write) error {
	l.epoch++
	clear(l.ops)
	l.ops, l.creating = l.ops[:0], l.creating[:0]
	for i := range writes {
		w := &writes[i]
		if err := l.stageWrite(w); err != nil {
			return fmt.Errorf("%w: group %d: %w", ErrRefused, w.Group, err)
		}
	}
	return nil
}

func (l *Log) stageWrite(w *Write) error {
	g, err := l.stagedGroup(w)
	if err != nil {
		return err
	}
	if w.Base != nil {
		if err := l.stageBase(g, w.Base); err != nil {
			return err
		}
	}
	if w.CompactTo != 0 {
		if err := l.stageCompaction(g, w.CompactTo); err != nil {
			return err
		}
	}
	if w.HardState != nil {
		if err := l.stageHardState(g, *w.HardState); err != nil {
			return err
		}
	}
	if w.TruncateFrom != 0 {
		if err := l.stageTruncate(g, w.TruncateFrom); err != nil {
			return err
		}
	}
	if err := stageGap(g, w); err != nil {
		return err
	}
	for i, record := range w.Records {
		if err := l.stageEntry(g, w.First+raft.Index(i), record); err != nil {
			return err
		}
	}
	if w.Drop {
		g.staged.dropped = true
		l.ops = append(l.ops, op{group: g, kind: wire.RecordDrop})
	}
	return nil
}

// stagedGroup finds the group of a write, or makes it if the write does.
func (l *Log) stagedGroup(w *Write) (*group, error) {
	g := l.groups[w.Group]
	for _, c := range l.creating {
		if c.id == w.Group {
			g = c
		}
	}
	if g != nil && g.staged.epoch != l.epoch {
		g.staged = staged{
			epoch: l.epoch, base: g.base, last: g.last(), lastTerm: g.lastTerm(), cut: g.last() + 1, hardState: g.hardState,
		}
	}
	if g != nil && !g.staged.dropped {
		return g, nil
	}
	switch {
	case w.Group == 0:
		return nil, fmt.Errorf("0 is not a group")
	case w.Base == nil:
		return nil, ErrNoGroup
	}
	g = &group{id: w.Group, first: 1, staged: staged{epoch: l.epoch, fresh: true}}
	l.creating = append(l.creating, g)
	return g, nil
}

func (l *Log) stageBase(g *group, b *Base) error {
	s := &g.staged
	base := *b
	if base.Index == 0 && base.Hash == (wire.Hash{}) {
		base.Hash = wire.GenesisHash(l.options.Cluster, g.id)
	}
	if len(base.Configuration) > wire.MaxPayloadBytes {
		return fmt.Errorf("configuration of %d bytes, at most %d fit a record", len(base.Configuration), wire.MaxPayloadBytes)
	}
	if (base.Index == 0) != (base.Term == 0) {
		return fmt.Errorf("base is entry %d of term %d", base.Index, base.Term)
	}
	if s.fresh {
		l.ops = append(l.ops, op{group: g, kind: wire.RecordBase, base: &base},
			op{group: g, kind: wire.RecordHardState}) // from its first moment a group has a hard state
		s.base, s.last, s.lastTerm, s.cut, s.fresh = base.EntryID, base.Index, base.Term, base.Index+1, false
		return nil
	}
	if base.Index <= s.base.Index {
		return fmt.Errorf("base %d, where the log begins after %d already", base.Index, s.base.Index)
	}
	if base.Index <= s.last {
		agrees, err := l.stagedAgrees(g, base)
		if err != nil {
			return err
		}
		if !agrees { // as if there were nothing: the entries after it belong to another log
			if err := l.stageTruncate(g, s.base.Index+1); err != nil {
				return err
			}
		}
	}
	l.ops = append(l.ops, op{group: g, kind: wire.RecordBase, base: &base})
	s.base = base.EntryID
	if base.Index >= s.last {
		s.last, s.lastTerm, s.cut = base.Index, base.Term, min(s.cut, base.Index+1)
	}
	return nil
}

// stageCompaction lets the log begin after an entry that is on the disk, by a base made of what the log knows.
func (l *Log) stageCompaction(g *group, to raft.Index) error {
	if to >= g.staged.cut || to > g.last() || to <= g.base.Index {
		return fmt.Errorf("compact up to %d, the log has %d to %d", to, g.base.Index+1, min(g.staged.cut-1, g.last()))
	}
	if gapAt(g.gaps, to) != nil {
		return fmt.Errorf("compact up to %d: it is not known which entry that was", to)
	}
	if g.configurationAt(to) == nil {
		return fmt.Errorf("compact up to %d: the configuration in force there is a hole", to)
	}
	term, _ := g.term(to)
	hash, err := l.hashAt(g, to)
	if err != nil {
		return err
	}
	if hash == (wire.Hash{}) {
		return fmt.Errorf("compact up to %d: it is not known which entry that was", to)
	}
	return l.stageBase(g, &Base{EntryID: raft.EntryID{Index: to, Term: term}, Hash: hash, Configuration: g.configurationAt(to)})
}

// stagedAgrees reports whether the entry that base names is the one in the log. Equal terms and
// different hashes mean that something is very wrong.
func (l *Log) stagedAgrees(g *group, base Base) (bool, error) {
	if p := gapAt(g.gaps, base.Index); p != nil && base.Index < g.staged.cut {
		if !l.anew && (base.Index < p.Last || !p.Follows(base.Hash, g.id)) {
			return false, fmt.Errorf("entries %d to %d are lost, and it is not known which entry %d was", p.First, p.Last, base.Index)
		}
		return true, nil
	}
	if term, ok := l.stagedTerm(g, base.Index); !ok || term != base.Term {
		return false, nil
	}
	if base.Index >= g.staged.cut || base.Index > g.last() {
		return true, nil // not on disk yet
	}
	hash, err := l.hashAt(g, base.Index)
	if err != nil {
		return false, err
	}
	if hash != base.Hash {
		return false, fmt.Errorf("entry %d of term %d has hash %x in the log, not %x", base.Index, base.Term, hash, base.Hash)
	}
	return true, nil
}

func (l *Log) stageHardState(g *group, h raft.HardState) error {
	s := &g.staged
	old := s.hardState
	switch {
	case h == old:
		return nil // it is in the log
	case h.CurrentTerm < old.CurrentTerm:
		return fmt.Errorf("term %d after term %d", h.CurrentTerm, old.CurrentTerm)
	case h.CurrentTerm == old.CurrentTerm && old.VotedFor != 0 && h.VotedFor != old.VotedFor:
		return fmt.Errorf("vote for %d in term %d after one for %d", h.VotedFor, h.CurrentTerm, old.VotedFor)
	}
	s.hardState = h
	l.ops = append(l.ops, op{group: g, kind: wire.RecordHardState, hardState: h})
	return nil
}

func (l *Log) stageTruncate(g *group, from raft.Index) error {
	s := &g.staged
	if from <= s.base.Index {
		return fmt.Errorf("truncate from %d, where the log begins after %d", from, s.base.Index)
	}
	if from > s.last {
		return nil
	}
	term, ok := l.stagedTerm(g, from-1)
	if !ok {
		return fmt.Errorf("truncate from %d: no entry before it", from)
	}
	s.last, s.lastTerm, s.cut = from-1, term, min(s.cut, from)
	l.ops = append(l.ops, op{group: g, kind: wire.RecordTruncate, from: from})
	return nil
}

// stagedTerm returns the term of an entry that is in the log, or on its way there.
func (l *Log) stagedTerm(g *group, i raft.Index) (raft.Term, bool) {
	switch {
	case i > g.staged.last:
		return 0, false
	case i == g.staged.base.Index:
		return g.staged.base.Term, true
	case i < g.staged.cut:
		return g.term(i)
	}
	for k := len(l.ops) - 1; k >= 0; k-- {
		if o := &l.ops[k]; o.group == g && o.record != nil && wire.Raw(o.record).Index() == i {
			return wire.Raw(o.record).Term(), true
		}
	}
	return 0, false
}

// stageEntry checks an entry against where it goes. Its checksums are checked too: what has changed
// in memory on its way here must not be found only when it is needed.
func (l *Log) stageEntry(g *group, index raft.Index, record []byte) error {
	s := &g.staged
	r, size, err := wire.DecodeRecord(record)
	switch {
	case err != nil:
		return fmt.Errorf("entry %d: %w", index, err)
	case size != len(record):
		return fmt.Errorf("entry %d: %d bytes hold a record of %d", index, len(record), size)
	case !r.IsEntry():
		return fmt.Errorf("entry %d: record of kind %d", index, r.Kind)
	case r.Group != g.id || r.Index != index:
		return fmt.Errorf("entry %d: the record is entry %d of group %d", index, r.Index, r.Group)
	}
	if r.Flags&wire.FlagCopy != 0 {
		term, ok := l.stagedTerm(g, index)
		if h := g.holeAt(index); h != nil && !h.Known() && index < s.cut {
			term = r.Term // it is in the gap that stageGap has checked
		}
		if !ok || index <= s.base.Index || term != r.Term {
			return fmt.Errorf("copy of entry %d of term %d, which is not in the log", index, r.Term)
		}
		if err := stagedFits(g, &r); err != nil {
			return err
		}
		l.ops = append(l.ops, op{group: g, kind: r.Kind, record: record, copied: true})
		return nil
	}
	switch {
	case index != s.last+1:
		return fmt.Errorf("entry %d after entry %d", index, s.last)
	case r.Term < s.lastTerm:
		return fmt.Errorf("entry %d: term %d after term %d", index, r.Term, s.lastTerm)
	case r.Term > s.hardState.CurrentTerm:
		return fmt.Errorf("entry %d: term %d, and the current term is %d", index, r.Term, s.hardState.CurrentTerm)
	}
	s.last, s.lastTerm = index, r.Term
	l.ops = append(l.ops, op{group: g, kind: r.Kind, record: record})
	return nil
}

// stageGap checks copies that are to fill a gap: all of it at once, each following from the one before.
func stageGap(g *group, w *Write) error {
	for i := range w.Records {
		p := gapAt(g.gaps, w.First+raft.Index(i))
		if p == nil || w.First+raft.Index(i) >= g.staged.cut {
			continue
		}
		if w.First != p.First || w.First+raft.Index(len(w.Records)) != p.Last+1 {
			return fmt.Errorf("entries %d to %d are lost, and can only be replaced together", p.First, p.Last)
		}
		return p.Fits(g.id, w.Records)
	}
	return nil
}

// stagedFits checks a copy that is to fill a hole: it must be the very entry that was there.
func stagedFits(g *group, r *wire.Record) error {
	h := g.holeAt(r.Index)
	if h == nil || r.Index >= g.staged.cut || gapAt(g.gaps, r.Index) != nil {
		return nil
	}
	return h.Fits(r)
}

// apply does to the group what the op says, now that its record is at that position.
func (l *Log) apply(o *op, at position) {
	g := o.group
	switch o.kind {
	case wire.RecordHardState:
		g.hardState = o.hardState
	case wire.RecordTruncate:
		g.truncate(o.from)
	case wire.RecordBase:
		if l.groups[g.id] != g {
			l.addGroup(g)
		}
		g.rebase(*o.base)
		l.recount = true
	case wire.RecordDrop:
		l.removeGroup(g)
		l.recount = true
	default:
		raw := wire.Raw(o.record)
		if o.copied {
			g.fill(&wire.Record{Kind: raw.Kind(), Index: raw.Index(), Term: raw.Term(), Payload: raw.Payload()}, at)
			l.recount = true
			return
		}
		g.append(&wire.Record{
			Kind: raw.Kind(), Group: g.id, Index: raw.Index(), Term: raw.Term(), Hash: raw.Hash(), Payload: raw.Payload(),
		}, at)
	}
}

func (l *Log) addGroup(g *group) {
	l.groups[g.id] = g
	at, _ := slices.BinarySearchFunc(l.sorted, g.id, byID)
	l.sorted = slices.Insert(l.sorted, at, g)
}

func (l *Log) removeGroup(g *group) {
	delete(l.groups, g.id)
	if at, ok := slices.BinarySearchFunc(l.sorted, g.id, byID); ok {
		l.sorted = slices.Delete(l.sorted, at, at+1)
	}
}

func byID(g *group, id wire.GroupID) int {
	switch {
	case g.id < id:
		return -1
	case g.id > id:
		return 1
	}
	return 0
}
