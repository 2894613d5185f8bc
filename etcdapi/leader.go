package etcdapi

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"
)

// What a client sends with a call that it would rather see fail than wait for a leader.
const (
	requireLeaderKey   = "hasleader"
	requireLeaderValue = "true"
)

func requiresLeader(ctx context.Context) bool {
	v := metadata.ValueFromIncomingContext(ctx, requireLeaderKey)
	return len(v) > 0 && v[0] == requireLeaderValue
}

// requireLeader refuses a call that asks for a leader while there is none.
func (s *Server) requireLeader(ctx context.Context) error {
	if !s.hasLeader() && requiresLeader(ctx) {
		return errNoLeader
	}
	return nil
}

func (s *Server) hasLeader() bool { return s.group.Status().Raft.Leader != 0 }

// leaderWatch is what ends a stream that asked for a leader when there has been none for a while. For any
// other stream it never ticks.
type leaderWatch struct {
	*time.Ticker
	server  *Server
	missing int // how many checks in a row have found no leader
}

// leaderChecks is how often in a row there must be no leader before such a stream ends.
const leaderChecks = 3

func (s *Server) watchLeader(ctx context.Context) *leaderWatch {
	w := &leaderWatch{Ticker: time.NewTicker(max(s.options.LeaderTimeout/leaderChecks, 1)), server: s}
	if !requiresLeader(ctx) {
		w.Stop()
	}
	return w
}

// check looks once, at a tick.
func (w *leaderWatch) check() error {
	if w.missing++; w.server.hasLeader() {
		w.missing = 0
	}
	if w.missing >= leaderChecks {
		return errNoLeader
	}
	return nil
}
