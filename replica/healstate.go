package replica

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// What the others have compacted, none of them can send. It is committed, and their states have what it did: so a server
// that heals asks for a state that is at or above the last such hole, takes it over, and lets its log begin after it. What
// follows is kept if the log has the very entry at which the state is, and nothing otherwise (Figure 13, rules 6 and 7).

// needsState returns the last hole that only a state makes good: somebody has compacted it, and nobody has sent it,
// though all have answered, or had the time to; or it is in a gap that has waited for long: others may have what was never committed
// there replaced, in part, so that nobody has all of it, nor is it certain that a majority lacks it. A state from behind the gap has
// whatever was committed, and nothing else is missed. 0: there is none.
func (h *Healing) needsState() raft.Index {
	needed := raft.Index(0)
	if n := len(h.gaps); n > 0 && h.ticks >= gapPatience {
		needed = h.gaps[n-1].Last
	}
	for _, x := range h.missing {
		if x.ticket == 0 && x.compactedAt != 0 && (len(x.answers) >= len(h.peers) || h.ticks-x.compactedAt >= snapshotPatience) {
			needed = max(needed, x.hole.Index)
		}
	}
	return needed
}

// gapPatience is for how many ticks a server waits for the entries of a gap until it wants a state instead.
const gapPatience = 10 * snapshotPatience

// stageTicks is for how long nobody could go on from what is staged before that is dropped: it may be of a state that its server
// has lost since in a crash, and that nobody may reach again without this server.
const stageTicks = 300

func (h *Healing) others() []raft.ServerID { return h.peers }

// fetchState does what can be done now towards a state, if one is needed.
func (h *Healing) fetchState() {
	needed := h.needsState()
	switch {
	case h.changing() || h.state.working:
	case needed == 0:
		h.state = h.state.anew() // somebody had the entries after all
	case h.state.complete:
		h.takeOver(needed)
	case h.state.refusedAt != 0 && h.state.now-h.state.refusedAt >= stageTicks && !h.state.asked:
		h.state = h.state.anew()
		h.work.Snapshot = h.state.work(&SnapshotWork{Begin: true, Drop: true})
	default:
		work, ask := h.state.next(h.options.Boot, h.others)
		if work != nil {
			h.work.Snapshot = work
		}
		if ask != nil {
			h.send(h.state.source, ask)
		}
	}
}

// stateAnswered takes a piece of a state.
func (h *Healing) stateAnswered(from raft.ServerID, m *wire.SnapshotChunk) {
	if p := m.Position; p != nil && len(m.Chunk) == 0 && h.state.asked && from == h.state.source && m.Number == h.state.number && m.Boot == h.options.Boot {
		h.asFar(p)
	}
	if work := h.state.answered(from, h.options.Boot, m, h.others); work != nil {
		h.work.Snapshot = work
	}
}

// asFar takes the word of a server that has nothing to give where its state is. If the one here is as far, the log may begin
// there: a server knows that its state has what was lost, but not the configuration in force there, if that is lost, too.
func (h *Healing) asFar(p *wire.Position) {
	needed := h.needsState()
	if h.changing() || h.state.working || needed == 0 || p.Index < needed || p.Index > h.applied || h.unfit(p, needed) != "" {
		return
	}
	h.beginAfter(p)
}

// takeOver makes the staged state the state. If the one here is as far, that one does: then only the log begins later. One that is
// ahead and below the hole is progress: the next dialogue goes on from it.
func (h *Healing) takeOver(needed raft.Index) {
	p := h.state.position
	if why := h.unfit(p, needed); why != "" {
		h.tell(SnapshotUnfit{At: p.EntryID, Why: why})
		if h.gapAt(p.Index) != nil { // a later one will do
			h.state = h.state.anew()
			h.work.Snapshot = h.state.work(&SnapshotWork{Begin: true, Drop: true})
			return
		}
		h.state.reject()
		return
	}
	if p.Index <= h.applied {
		h.beginAfter(p)
		return
	}
	h.work.Snapshot = h.state.work(&SnapshotWork{Install: p})
}

// unfit says why the log cannot begin after a state; "" if it can.
func (h *Healing) unfit(p *wire.Position, needed raft.Index) string {
	switch term, ok := termIn(&h.group, p.Index); {
	case !h.group.MayBeginAfter(p.Index, p.Hash):
		return "it is not known which entry this server had there"
	case p.Index < needed && p.Index <= h.applied:
		return "the state here is as far, and entries are lost that come later"
	case p.Index <= max(h.group.HardState.Commit, h.applied) && ok && term != p.Term && !h.inGap(p.Index):
		return "what is committed here is another entry"
	case p.Term > h.group.HardState.CurrentTerm+maxTermAhead:
		return "its term cannot be"
	}
	return ""
}

// stateWorked takes the state machine's word.
func (h *Healing) stateWorked(in *SnapshotWorked) {
	h.state.working = false
	switch {
	case in.Err != nil && h.state.complete:
		h.work.Fatal = fmt.Errorf("install the state at entry %d: %w", h.state.position.Index, in.Err)
	case h.state.complete:
		h.state.counts.installed++
		h.applied = h.state.position.Index
		h.beginAfter(h.state.position)
	default:
		if in.Err != nil {
			h.tell(SnapshotUnfit{Why: in.Err.Error()})
		}
		h.state.worked(in, h.others)
	}
}

// beginAfter lets the log begin after an entry that the state has, durably. Its term is adopted like that of a message.
func (h *Healing) beginAfter(p *wire.Position) {
	w := Write{Base: p}
	if p.Term > h.group.HardState.CurrentTerm {
		w.HardState = &raft.HardState{CurrentTerm: p.Term, Commit: h.group.HardState.Commit}
	}
	h.base, h.basing = p, h.write(w)
	h.state = h.state.anew()
	h.tell(BegunAfter{At: p.EntryID})
}

// begun takes note that the log begins after a state, durably, as the log itself does.
func (h *Healing) begun() {
	p, g := h.base, &h.group
	h.base, h.basing = nil, 0
	term, ok := termIn(g, p.Index)
	if kept := ok && (term == p.Term || h.inGap(p.Index)); !kept { // what was there was another log
		g.Last, g.LastHash, g.Runs, g.Configurations, h.missing = p.Index, p.Hash, nil, nil, nil
	}
	g.Base, g.BaseHash = p.EntryID, p.Hash
	later := slices.IndexFunc(g.Configurations, func(c wal.Configuration) bool { return c.Index > p.Index })
	if later < 0 {
		later = len(g.Configurations)
	}
	g.Configurations = append([]wal.Configuration{{Index: p.Index, Bytes: p.Configuration}}, g.Configurations[later:]...)
	if p.Term > g.HardState.CurrentTerm {
		g.HardState = raft.HardState{CurrentTerm: p.Term, Commit: g.HardState.Commit}
	}
	g.HardState.Commit = max(g.HardState.Commit, p.Index)
	h.missing = slices.DeleteFunc(h.missing, func(x *missing) bool { return x.hole.Index <= p.Index })
	if err := h.learn(); err != nil {
		h.work.Fatal = err
	}
}

// stateRequested lets the state machine give a piece of its state: that is sound, and committed. Whoever asks may need it to
// heal, and this server may need those who have healed: if it gave nothing, both could wait for ever.
func (h *Healing) stateRequested(from raft.ServerID, m *wire.SnapshotRequest) {
	if !slices.Contains(h.peers, from) || slices.Contains(h.guests, from) {
		return // it will ask again
	}
	h.waiting = slices.DeleteFunc(h.waiting, func(s Serve) bool { return s.To == from })
	h.waiting = append(h.waiting, Serve{To: from, Boot: m.Boot, Number: m.Number, Request: m.Request, LimitBytes: h.allowance.limit(&h.options)})
	h.serveWaiting()
}

// serveWaiting lets the state machine answer, unless the allowance is spent.
func (h *Healing) serveWaiting() {
	if len(h.waiting) == 0 || !h.allowance.open(&h.options) {
		return
	}
	for _, s := range h.waiting {
		h.guests = append(h.guests, s.To)
	}
	h.work.Serve = append(h.work.Serve, h.waiting...)
	h.waiting = nil
}

// stateServed sends a piece, or that there is none: whoever asks goes on to another.
func (h *Healing) stateServed(in *Served) {
	h.guests = slices.DeleteFunc(h.guests, func(id raft.ServerID) bool { return id == in.To })
	if in.Err != nil {
		h.send(in.To, refusal(in))
		return
	}
	h.allowance.spend(len(in.Chunk))
	h.send(in.To, &wire.SnapshotChunk{
		Boot: in.Boot, Number: in.Number, Outcome: wire.SnapshotServed, Position: in.Position, Chunk: in.Chunk,
	})
}

// inGap reports whether it was not known which entry was at i. A state there has been proved to be at the very entry.
func (h *Healing) inGap(i raft.Index) bool { return h.gapAt(i) != nil }

// BegunAfter says that the log begins later, after a state that has what was lost.
type BegunAfter struct{ At raft.EntryID }

func (e BegunAfter) String() string {
	return fmt.Sprintf("the log begins after entry %d of term %d: others have compacted what was lost, and the state has it", e.At.Index, e.At.Term)
}
