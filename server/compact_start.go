package server

import (
	"context"
	"time"
)

// letCompactEvery is how often it is looked whether the state may be compacted yet.
const letCompactEvery = 100 * time.Millisecond

// letCompact lets the state be compacted as soon as it has what was committed when this server heard of a leader: until then
// there are those who wait for it, and compactions would take half of its processors.
func (s *Server) letCompact(ctx context.Context) {
	next := time.NewTicker(letCompactEvery)
	defer next.Stop()
	led, goal := false, s.group.Status().Raft.CommitIndex
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		status := s.group.Status().Raft
		if !led && status.Leader != 0 {
			led, goal = true, status.CommitIndex
		}
		if led && status.LastApplied >= goal {
			s.engine.LetCompact()
			return
		}
	}
}

// defragment compacts at once: whoever asks for it need not wait for a leader.
func (s *Server) defragment(ctx context.Context) error {
	s.engine.LetCompact()
	return s.engine.Compact(ctx)
}
