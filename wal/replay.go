package wal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// maxIndex is beyond what any log reaches, and far from where sums overflow.
const maxIndex = 1 << 62

// replay does to its group what a record says. The error says why it cannot be so.
func (r *recovery) replay(record *wire.Record, _ []byte, at position) error {
	g := r.log.groups[record.Group]
	switch {
	case record.Group == 0 || record.Index > maxIndex:
		return fmt.Errorf("a record of kind %d names index %d of group %d", record.Kind, record.Index, record.Group)
	case record.Kind == wire.RecordBase && record.Hash == wire.Hash{}:
		return fmt.Errorf("a base of group %d has no hash", record.Group)
	case record.Kind == wire.RecordBase:
		return r.replayBase(g, record)
	case record.Kind != wire.RecordHardState && record.Kind != wire.RecordTruncate && record.Kind != wire.RecordDrop && !record.IsEntry():
		return fmt.Errorf("records of kind %d: %w", record.Kind, wire.ErrTooNew)
	case g == nil:
		return fmt.Errorf("a record of kind %d belongs to group %d, which does not exist", record.Kind, record.Group)
	}
	switch record.Kind {
	case wire.RecordHardState:
		return r.replayHardState(g, record)
	case wire.RecordTruncate:
		return r.replayTruncate(g, record.Index)
	case wire.RecordDrop:
		r.log.removeGroup(g)
		delete(r.partial, g)
		return nil
	}
	if record.Flags&wire.FlagCopy != 0 {
		return r.replayCopy(g, record, at)
	}
	if err := r.replayEntry(g, record, at); err != nil {
		return err
	}
	if r.lost != "" {
		g.dig(r.hole(record, at))
	}
	return nil
}

func (r *recovery) replayBase(g *group, record *wire.Record) error {
	base := Base{
		EntryID: raft.EntryID{Index: record.Index, Term: record.Term}, Hash: record.Hash, Configuration: record.Payload,
	}
	if g == nil {
		g = newGroup(record.Group, base)
		if r.blind {
			g.broken = &DamageError{File: r.current.name, Reason: "a frame in which the group began is lost"}
		}
		if r.startsLate() {
			// Until the hard state tells where the log ends: it may be one that has been going on.
			r.partialOf(g)
		}
		r.log.addGroup(g)
		return nil
	}
	switch {
	case base.Index < g.base.Index:
		return fmt.Errorf("the log of group %d begins after %d, and has begun after %d before", g.id, base.Index, g.base.Index)
	case base.Index == g.base.Index:
		if base.EntryID != g.base || base.Hash != g.baseHash || !bytes.Equal(base.Configuration, g.configurations[0].Bytes) {
			return fmt.Errorf("the base of group %d is repeated differently", g.id)
		}
		return nil
	}
	if base.Index <= g.last() {
		if err := r.checkBase(g, &base); err != nil {
			return err
		}
	}
	g.rebase(base)
	if p := r.partial[g]; p != nil {
		for i := range p.copies { // the order does not show
			if i <= base.Index {
				delete(p.copies, i)
			}
		}
	}
	return nil
}

// startsLate reports whether this is the first frame that the log still has, and not the first ever.
func (r *recovery) startsLate() bool { return r.frames == 0 && r.current.header.previous != 0 }

func (r *recovery) partialOf(g *group) *partial {
	p := r.partial[g]
	if p == nil {
		p = &partial{copies: make(map[raft.Index]copied)}
		r.partial[g] = p
	}
	return p
}

// checkBase checks a base against the entry that it names, if that is known.
func (r *recovery) checkBase(g *group, base *Base) error {
	if base.Index == g.last() && g.lastHash != (wire.Hash{}) && g.lastHash != base.Hash {
		return fmt.Errorf("the log of group %d begins after entry %d with hash %x, which has %x", g.id, base.Index, base.Hash, g.lastHash)
	}
	if h := g.holeAt(base.Index); base.Index < g.first || h != nil && !h.Known() {
		return nil // it was checked when it was written, and what it dropped it has truncated
	}
	if term, _ := g.term(base.Index); term != base.Term {
		return fmt.Errorf("the log of group %d begins after entry %d of term %d, which is of term %d", g.id, base.Index, base.Term, term)
	}
	hash, err := r.hashAt(g, base.Index)
	if err != nil {
		return err
	}
	if hash != base.Hash {
		return fmt.Errorf("the log of group %d begins after entry %d with hash %x, which has %x", g.id, base.Index, base.Hash, hash)
	}
	return nil
}

// hashAt returns the hash of an entry from first on.
func (r *recovery) hashAt(g *group, i raft.Index) (wire.Hash, error) {
	if h := g.holeAt(i); h != nil {
		return h.Hash, nil
	}
	at := g.position(i)
	return segmentOf(r.inUse, at.segment).entryHash(g.id, i, at)
}

func (r *recovery) replayHardState(g *group, record *wire.Record) error {
	h, ok := hardStateOf(record)
	if !ok {
		return fmt.Errorf("a hard state of %d bytes", len(record.Payload))
	}
	if record.Hash != (wire.Hash{}) && g.broken != nil {
		if err := r.rejoinEnd(g, record); err != nil {
			return err
		}
	} else if record.Hash != (wire.Hash{}) {
		if err := r.replayEnd(g, record.Index, record.Hash); err != nil {
			return err
		}
	}
	old := g.hardState
	if g.broken == nil {
		g.settled = old.Commit // the write that said so is complete
	}
	switch {
	case h.CurrentTerm < old.CurrentTerm:
		return fmt.Errorf("group %d was in term %d, and is in term %d later", g.id, old.CurrentTerm, h.CurrentTerm)
	case h.CurrentTerm == old.CurrentTerm && old.VotedFor != 0 && h.VotedFor != old.VotedFor:
		return fmt.Errorf("group %d has voted in term %d for %d, and later for %d", g.id, h.CurrentTerm, old.VotedFor, h.VotedFor)
	}
	g.hardState = h
	return nil
}

// replayEnd is about where a group's log ends, as the beginning of a segment tells it.
func (r *recovery) replayEnd(g *group, last raft.Index, hash wire.Hash) error {
	if r.partial[g] != nil && r.startsLate() {
		if last < g.base.Index {
			return fmt.Errorf("the log of group %d ends at %d, before it begins after %d", g.id, last, g.base.Index)
		}
		if last == g.base.Index && hash != g.baseHash {
			return fmt.Errorf("the log of group %d begins after entry %d with hash %x, which has %x", g.id, last, g.baseHash, hash)
		}
		g.first, g.lastHash = last+1, hash
		return nil
	}
	if last != g.last() || (g.lastHash != wire.Hash{} && hash != g.lastHash) {
		return fmt.Errorf("the log of group %d ends at %d, and ended at %d before", g.id, last, g.last())
	}
	g.lastHash = hash
	return nil
}

func (r *recovery) replayTruncate(g *group, from raft.Index) error {
	if g.broken != nil && from == g.last()+1 {
		return nil // it was about entries that are lost
	}
	if from <= g.base.Index || from > g.last() {
		return fmt.Errorf("the log of group %d, entries %d to %d, is truncated from %d", g.id, g.base.Index+1, g.last(), from)
	}
	var hash wire.Hash
	p := r.partial[g]
	switch {
	case from-1 == g.base.Index:
		hash = g.baseHash
	case from-1 >= g.first:
		var err error
		if hash, err = r.hashAt(g, from-1); err != nil {
			return err
		}
	default: // in what is missing, unless there is a copy
		hash = r.partialOf(g).copies[from-1].hash
	}
	g.truncate(from)
	g.lastHash = hash
	if p != nil {
		for i := range p.copies { // the order does not show
			if i >= from {
				delete(p.copies, i)
			}
		}
	}
	return nil
}

func (r *recovery) replayEntry(g *group, record *wire.Record, at position) error {
	if g.broken != nil {
		if err := r.rejoin(g, record); err != nil {
			return err
		}
	}
	if r.blind && record.Term > g.hardState.CurrentTerm {
		g.hardState = raft.HardState{CurrentTerm: record.Term, Commit: g.hardState.Commit} // until the next segment tells
	}
	switch {
	case record.Index != g.last()+1:
		return fmt.Errorf("entry %d of group %d comes after entry %d", record.Index, g.id, g.last())
	case record.Term < g.lastTerm() || record.Term > g.hardState.CurrentTerm:
		return fmt.Errorf("entry %d of group %d is of term %d, after term %d and in term %d",
			record.Index, g.id, record.Term, g.lastTerm(), g.hardState.CurrentTerm)
	case g.lastHash == wire.Hash{}:
		r.partialOf(g).verify = true
	case r.lost == "" && wire.EntryHash(g.lastHash, record) != record.Hash:
		return fmt.Errorf("entry %d of group %d does not follow from the one before it", record.Index, g.id)
	}
	g.append(record, at)
	return nil
}

// replayCopy puts a copy of an entry in its place.
func (r *recovery) replayCopy(g *group, record *wire.Record, at position) error {
	if record.Index <= g.base.Index || record.Index > g.last() {
		return fmt.Errorf("a copy of entry %d of group %d, which has entries %d to %d", record.Index, g.id, g.base.Index+1, g.last())
	}
	p := r.partialOf(g)
	p.verify = true
	if record.Index < g.first {
		c := copied{at: at, term: record.Term, hash: record.Hash}
		if old, ok := p.copies[record.Index]; r.lost != "" && ok && old.hole == nil {
			return nil // there is a sound one
		} else if r.lost != "" {
			h := r.hole(record, at)
			c.hole = &h
		}
		if record.Kind == wire.RecordConfiguration {
			c.isConfiguration, c.configuration = true, slices.Clone(record.Payload)
		}
		p.copies[record.Index] = c
		return nil
	}
	if h := g.holeAt(record.Index); h != nil && !h.Known() {
		g.setTerm(record.Index, record.Term)
	}
	if term, _ := g.term(record.Index); term != record.Term {
		return fmt.Errorf("the copy of entry %d of group %d is of term %d instead of %d", record.Index, g.id, record.Term, term)
	}
	if r.lost != "" {
		if g.holeAt(record.Index) != nil {
			g.dig(r.hole(record, at))
		}
		return nil // what it is a copy of is still there
	}
	if h := g.holeAt(record.Index); h != nil && h.Known() && h.Hash != record.Hash { // all of it is checked when the log is complete
		return fmt.Errorf("a copy of entry %d of group %d is of another entry", record.Index, g.id)
	}
	g.fill(record, at)
	return nil
}

// hole is the entry of a record that is damaged, and of which the header is known.
func (r *recovery) hole(record *wire.Record, at position) Hole {
	return Hole{
		Group: record.Group, EntryID: raft.EntryID{Index: record.Index, Term: record.Term}, Kind: record.Kind, Hash: record.Hash,
		File: r.current.name, Offset: at.offset(), Reason: r.lost,
	}
}

// partial is what is known of a group of which the beginning is gone: it is in segments that were
// given back, and so it must be compacted, or copied forward, in what follows.
type partial struct {
	// copies are entries before group.first of which copies have been found.
	copies map[raft.Index]copied
	// verify says that not all hashes could be checked on the way.
	verify bool
}

// copied is an entry of which a copy has been found.
type copied struct {
	at   position
	term raft.Term
	hash wire.Hash
	hole *Hole // it is damaged
	// configuration is the payload if the entry is one.
	configuration   []byte
	isConfiguration bool
}

// completeGroups checks that every group has all its entries.
func (r *recovery) completeGroups() error {
	for _, g := range r.log.sorted {
		if err := r.complete(g); err != nil {
			return err
		}
	}
	clear(r.partial)
	return r.learnBefore()
}

// learnBefore finds out what the entries that are lost have followed.
func (r *recovery) learnBefore() error {
	for _, g := range r.log.sorted {
		for i := range g.holes {
			h := &g.holes[i]
			h.Before = g.baseHash
			if h.Index-1 == g.base.Index {
				continue
			}
			var err error
			if h.Before, err = r.hashAt(g, h.Index-1); err != nil {
				return err
			}
		}
		if err := r.findGaps(g); err != nil {
			return err
		}
	}
	return nil
}

// complete joins copies with what follows them, and checks what could not be checked on the way.
func (r *recovery) complete(g *group) error {
	p := r.partial[g]
	if p == nil {
		return nil
	}
	if missing := g.first - 1 - g.base.Index; missing > 0 {
		if uint64(len(p.copies)) < uint64(missing) {
			return r.missing(g)
		}
		if err := r.join(g, p); err != nil {
			return err
		}
		p.verify = true
	}
	if g.last() == g.base.Index && g.lastHash != g.baseHash {
		return fmt.Errorf("group %d: %w", g.id, r.missing(g))
	}
	if g.lastHash == (wire.Hash{}) {
		hash, err := r.hashAt(g, g.last())
		if err != nil {
			return err
		}
		g.lastHash = hash
	}
	limit := 0
	if p.verify {
		limit = 1 << 20
	}
	for i := g.first; i <= g.last() && (p.verify || i == g.first); { // the first at least: nobody has seen what it follows
		records, err := r.log.Read(g.id, i, g.last(), limit)
		if hole := (*HoleError)(nil); errors.As(err, &hole) {
			i++
			continue
		}
		if err != nil {
			return err
		}
		i += raft.Index(len(records))
	}
	return nil
}

func (r *recovery) missing(g *group) error {
	return &DamageError{
		File:   segmentName(r.log.options.Dir, uint32(r.inUse[0].header.previous)),
		Reason: fmt.Sprintf("the file is missing, and with it entries of group %d from %d on", g.id, g.base.Index+1),
	}
}

// join puts the copies in front of the entries of a group.
func (r *recovery) join(g *group, p *partial) error {
	positions := make([]position, 0, len(p.copies)+len(g.positions))
	var runs []raft.TermRun
	configurations := g.configurations[:1:1]
	term := g.base.Term
	for i := g.base.Index + 1; i < g.first; i++ {
		c, ok := p.copies[i]
		if !ok {
			return r.missing(g)
		}
		if c.term < term {
			return fmt.Errorf("entry %d of group %d is of term %d, after term %d", i, g.id, c.term, term)
		}
		if c.term != term || len(runs) == 0 {
			term = c.term
			runs = append(runs, raft.TermRun{Term: term, First: i})
		}
		if c.isConfiguration {
			configurations = append(configurations, Configuration{Index: i, Bytes: c.configuration})
		}
		if c.hole != nil {
			g.dig(*c.hole)
		}
		positions = append(positions, c.at)
	}
	g.raiseTerms(g.first, term)
	if len(g.runs) > 0 && g.runs[0].Term == term {
		g.runs = g.runs[1:]
	}
	if len(g.runs) > 0 && g.runs[0].Term < term {
		return fmt.Errorf("entry %d of group %d is of term %d, after term %d", g.first, g.id, g.runs[0].Term, term)
	}
	g.first = g.base.Index + 1
	g.positions = append(positions, g.positions...)
	g.runs = append(runs, g.runs...)
	g.configurations = append(configurations, g.configurations[1:]...)
	g.moved = true
	return nil
}
