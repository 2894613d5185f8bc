package server

import (
	"context"
	"sync/atomic"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// clientGroup is the group as clients' requests see it. It counts the leaders: it looks when somebody asks for the
// status, which every request does, so a leader that comes and goes while nobody asks for anything is missed.
type clientGroup struct {
	*quorate.Group
	term atomic.Uint64 // the last of which a leader was seen
	seen atomic.Uint64
	// removed: the others say that this server does not belong to the cluster. Nothing that comes now would be
	// carried out, so clients are sent elsewhere at once, instead of having to wait.
	removed atomic.Bool
	// whole is up to where a state that was begun anew must be before anybody may read it; 0: it was not.
	whole atomic.Uint64
}

// ProposeCommand is the group's, unless this server was removed.
func (l *clientGroup) ProposeCommand(ctx context.Context, c wire.Command) ([]byte, error) {
	if l.removed.Load() {
		return nil, quorate.ErrClosed
	}
	return l.Group.ProposeCommand(ctx, c)
}

// Read is the group's, unless this server was removed.
func (l *clientGroup) Read(ctx context.Context) error {
	if l.removed.Load() {
		return quorate.ErrClosed
	}
	return l.Group.Read(ctx)
}

// Status is the group's, but that a state that was begun anew is missing until the log has filled it.
func (l *clientGroup) Status() replica.Status {
	now := l.Group.Status()
	l.note(now.Raft.CurrentTerm, now.Raft.Leader)
	l.markMissing(&now)
	return now
}

// markMissing says that the state is missing while it lacks what had been committed here before it was begun anew.
func (l *clientGroup) markMissing(now *replica.Status) {
	goal := l.whole.Load()
	switch {
	case goal == 0:
	case uint64(now.Raft.LastApplied) < goal:
		now.Snapshots.Missing = true
	case !now.Snapshots.Missing:
		l.whole.Store(0)
	}
}

// note counts a leader once in its term, of which it is the only one.
func (l *clientGroup) note(term raft.Term, leader quorate.ServerID) {
	if leader == 0 {
		return
	}
	if last := l.term.Load(); uint64(term) > last && l.term.CompareAndSwap(last, uint64(term)) {
		l.seen.Add(1)
	}
}
