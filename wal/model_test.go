package wal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// model is what a log should hold, kept as plainly as possible.
type model struct {
	groups map[wire.GroupID]*groupModel
}

type groupModel struct {
	hardState raft.HardState
	base      Base
	entries   [][]byte // from base.Index+1 on
}

func newModel() *model { return &model{groups: make(map[wire.GroupID]*groupModel)} }

func (g *groupModel) last() raft.Index { return g.base.Index + raft.Index(len(g.entries)) }

func (g *groupModel) lastHash() wire.Hash {
	if len(g.entries) == 0 {
		return g.base.Hash
	}
	return wire.Raw(g.entries[len(g.entries)-1]).Hash()
}

// next makes the entry after the last.
func (m *model) next(id wire.GroupID, term raft.Term, kind uint8, payload []byte) []byte {
	g := m.groups[id]
	r := wire.Record{Kind: kind, Group: id, Index: g.last() + 1, Term: term, Payload: payload}
	r.Hash = wire.EntryHash(g.lastHash(), &r)
	return wire.AppendRecord(nil, &r)
}

// apply does what the log should do with a write, and calls step after each record of it.
func (m *model) apply(w *Write, step func()) {
	g := m.groups[w.Group]
	if w.Base != nil {
		base := *w.Base
		if base.Index == 0 {
			base.Hash = wire.GenesisHash(testCluster, w.Group)
		}
		if g == nil {
			g = &groupModel{base: base}
			m.groups[w.Group] = g
		} else if base.Index < g.last() && wire.Raw(g.entries[base.Index-g.base.Index-1]).Term() == base.Term {
			g.entries = slices.Clone(g.entries[base.Index-g.base.Index:])
		} else {
			g.entries = nil
		}
		g.base = base
		step()
	}
	if w.HardState != nil && *w.HardState != g.hardState {
		g.hardState = *w.HardState
		step()
	}
	if w.TruncateFrom != 0 && w.TruncateFrom <= g.last() {
		g.entries = slices.Clone(g.entries[:w.TruncateFrom-g.base.Index-1])
		step()
	}
	for _, record := range w.Records {
		if binary.LittleEndian.Uint16(record[14:])&wire.FlagCopy == 0 {
			g.entries = append(slices.Clip(g.entries), record)
			step()
		}
	}
	if w.Drop {
		delete(m.groups, w.Group)
		step()
	}
}

// fingerprint is equal for equal contents.
type fingerprint [32]byte

func (m *model) fingerprint() fingerprint {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[id]
		state := g.hardState
		state.Commit = min(state.Commit, g.last())
		fmt.Fprintf(h, "%d %v %v %x %q %d\n", id, state, g.base.EntryID, g.base.Hash, g.base.Configuration, len(g.entries))
		for _, e := range g.entries {
			h.Write(e[12:14]) // without the flags
			h.Write(e[16:])
		}
	}
	return fingerprint(h.Sum(nil))
}

// modelOf reads everything that a log has.
func modelOf(l *Log, groups []Group) (*model, error) {
	m := newModel()
	for _, found := range groups {
		now, ok := l.State(found.ID)
		if !ok || !reflect.DeepEqual(now, found) {
			return nil, fmt.Errorf("recovered %+v, state %+v", found, now)
		}
		g := &groupModel{hardState: found.HardState, base: Base{
			EntryID: found.Base, Hash: found.BaseHash, Configuration: found.Configurations[0].Bytes,
		}}
		m.groups[found.ID] = g
		if found.Last > found.Base.Index {
			records, err := l.Read(found.ID, found.Base.Index+1, found.Last, 1<<30)
			if err != nil {
				return nil, err
			}
			g.entries = records
		}
		if err := g.agrees(&found); err != nil {
			return nil, fmt.Errorf("group %d: %w", found.ID, err)
		}
	}
	return m, nil
}

func equalConfigurations(a, b Configuration) bool {
	return a.Index == b.Index && bytes.Equal(a.Bytes, b.Bytes)
}

// agrees checks what the log says about the entries against the entries.
func (g *groupModel) agrees(found *Group) error {
	runs, configurations := []raft.TermRun(nil), []Configuration{{found.Base.Index, g.base.Configuration}}
	for _, e := range g.entries {
		r, _, err := wire.DecodeRecord(e)
		if err != nil {
			return err
		}
		if len(runs) == 0 || runs[len(runs)-1].Term != r.Term {
			runs = append(runs, raft.TermRun{Term: r.Term, First: r.Index})
		}
		if r.Kind == wire.RecordConfiguration {
			configurations = append(configurations, Configuration{r.Index, r.Payload})
		}
	}
	if !slices.Equal(runs, found.Runs) || !slices.EqualFunc(configurations, found.Configurations, equalConfigurations) {
		return fmt.Errorf("runs %v and configurations %v, want %v and %v", found.Runs, found.Configurations, runs, configurations)
	}
	if found.Last != g.last() || found.LastHash != g.lastHash() {
		return fmt.Errorf("last entry %d, %x, want %d, %x", found.Last, found.LastHash, g.last(), g.lastHash())
	}
	return nil
}
