package quorate

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// worker runs the replicas of its groups, each group always on the same one.
type worker struct {
	host *Host
	mu   sync.Mutex // guards ready
	// ready are groups with something in their inbox, each once: bounded by the number of groups.
	ready  []*Group
	signal chan struct{} // holds one: ready is not empty
	// asked is the term in which each group asked last for pre-votes, which it may do again and again.
	asked map[GroupID]raft.Term
}

func newWorker(h *Host) *worker {
	return &worker{host: h, signal: make(chan struct{}, 1), asked: map[GroupID]raft.Term{}}
}

// wake lets the worker run a group. It is called when the group's inbox ceases to be empty.
func (w *worker) wake(g *Group) {
	w.mu.Lock()
	w.ready = append(w.ready, g)
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *worker) run() {
	var groups []*Group
	for {
		select {
		case <-w.signal:
		case <-w.host.context.Done():
			return
		}
		w.mu.Lock()
		groups, w.ready = w.ready, groups[:0]
		w.mu.Unlock()
		for _, g := range groups {
			w.turn(g)
		}
	}
}

// turn runs one group once. Only the worker that owns g calls it, so nothing here locks.
func (w *worker) turn(g *Group) {
	h := w.host
	if h.failed.Load() {
		return // whatever has failed: nothing is promised, sent or answered any more
	}
	inputs := g.inbox.take()
	if g.healing != nil {
		w.turnHealing(g, inputs)
		return
	}
	work := g.replica.Step(h.clock(), inputs) // decide: memory only. The clock is read after the inbox.
	if work.Fatal != nil {
		h.fatal(fmt.Errorf("group %d: %w", g.id, work.Fatal))
		return
	}
	h.handOut(g, &work)
	if work.Configuration != nil {
		h.setMembers(g.id, g.replica.Core().Configuration().Index, work.Configuration, work.Leaving)
	}
	g.noteStatus()
	w.tell(g, work.Events)
}

// handOut hands what a group has to do to those who do it.
func (h *Host) handOut(g *Group, work *replica.Work) {
	if len(work.Writes) > 0 {
		h.writer.put(g, work.Writes) // the log writer answers Persisted
	}
	for _, m := range work.Send {
		h.links.Send(m.To, m.Message) // what does not fit is dropped: the algorithm sends again
	}
	if work.Apply != nil {
		h.appliers.put(g, work.Apply) // an applier answers Applied
	}
	if work.Snapshot != nil {
		h.snapshotter.put(snapshotWork{group: g, step: work.Snapshot}) // it answers SnapshotWorked
	}
	for i := range work.Serve {
		h.snapshotter.put(snapshotWork{group: g, serve: &work.Serve[i]}) // it answers Served
	}
	if len(work.Fetch) > 0 {
		h.reader.put(g, work.Fetch) // the log reader answers Fetched
	}
	for _, a := range work.Answers {
		g.requests.answer(a)
	}
}

// tell turns events into log lines.
func (w *worker) tell(g *Group, events []fmt.Stringer) {
	for _, e := range events {
		level := slog.LevelDebug
		switch e := e.(type) {
		case raft.RoleChanged:
			if !w.asksAgain(g.id, &e) {
				level = slog.LevelInfo
			}
		case raft.ConfigurationChanged, raft.Truncated, raft.Installed:
			level = slog.LevelInfo
		case replica.Diverged, replica.SumsDiffer, replica.Undecided:
			level = slog.LevelError
		case raft.Stranded, replica.SnapshotUnfit, replica.Hurried, replica.Stalled, replica.HandsOver:
			level = slog.LevelWarn
		}
		w.host.logger.Log(w.host.context, level, e.String(), "group", uint64(g.id), "term", uint64(g.replica.Core().CurrentTerm()))
	}
}

// asksAgain reports whether a server that is looking for votes has said so in this term: one that is cut off
// from the others tries several times a second, until it is not any more.
func (w *worker) asksAgain(id GroupID, e *raft.RoleChanged) bool {
	if e.Role != raft.PreCandidate {
		delete(w.asked, id)
		return false
	}
	term, asked := w.asked[id]
	w.asked[id] = e.Term
	return asked && term == e.Term
}
