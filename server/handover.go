package server

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
)

// handOver lets somebody else lead before this server ends, if it leads. It goes on taking requests
// meanwhile, and forwards them to whoever leads next.
func (s *Server) handOver() {
	if s.group == nil || s.hasFailed.Load() || s.group.Status().Raft.Role != raft.Leader {
		return
	}
	ctx, cancel := context.WithTimeout(s.context, 2*s.options.electionSpan())
	defer cancel()
	began := time.Now()
	switch err := s.group.TransferLeadership(ctx, 0); {
	case err == nil:
		s.logger.Info("leadership is handed over", "took", time.Since(began).Round(time.Millisecond))
	case errors.Is(err, quorate.ErrNotReady), errors.Is(err, quorate.ErrNotLeader): // there is nobody, or no need
	default:
		s.logger.Warn("leadership could not be handed over: the others will elect a leader when they miss this one", "err", err)
	}
}
