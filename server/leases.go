package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/lessor"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// lessorInterval is how often it is looked whether leases or sessions have come due.
const lessorInterval = 100 * time.Millisecond

// ending is what ends by log time: leases, or sessions of clients.
type ending struct {
	what  string
	kind  kv.Kind
	count func() int
	due   lessor.Due
	ended *atomic.Uint64
}

func (s *Server) endings() []ending {
	return []ending{
		{"leases", kv.KindLeaseExpire, s.store.LeaseCount, s.store.DueLeases, &s.leasesEnded},
		{"sessions", kv.KindSessionExpire, s.store.SessionCount, s.store.DueSessions, &s.sessionsEnded},
	}
}

// endDue is the lessor's loop: while this server leads, it ends leases and sessions whose time has come,
// through the log, at most so many at a time.
func (s *Server) endDue(ctx context.Context) {
	endings := s.endings()
	var lessors []*lessor.Lessor
	for range endings {
		lessors = append(lessors, lessor.New(lessor.Options{Grace: uint64(lessorGrace(s.options.electionSpan()))}))
	}
	ticker := time.NewTicker(lessorInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for i := range endings {
			e := &endings[i]
			now := s.group.Status()
			end, propose := lessors[i].Step(lessor.Now{
				Leads: now.Raft.Role == raft.Leader, Term: uint64(now.Raft.CurrentTerm),
				Time: now.LogTime, Written: s.store.Time(), Leases: e.count(),
			}, e.due)
			if propose {
				s.proposeEnd(ctx, e, end)
			}
		}
	}
}

// lessorGrace is for how long a new leader ends nothing: clients find it within two election timeouts,
// and try again every half second.
func lessorGrace(electionTimeout time.Duration) time.Duration {
	return 2*time.Second + 2*electionTimeout
}

// proposeEnd proposes to end what is due. If that fails, it still is.
func (s *Server) proposeEnd(ctx context.Context, e *ending, ids []int64) {
	ctx, cancel := context.WithTimeout(ctx, s.options.requestTimeout())
	defer cancel()
	encoded, err := s.group.ProposeCommand(ctx, wire.Command{Kind: uint8(e.kind), Request: kv.LeaseList(ids)})
	if err != nil {
		s.logger.Debug("what is due could not be ended, which is tried again", "what", e.what, "count", len(ids), "err", err)
		return
	}
	answer, err := kv.ParseAnswer(encoded)
	if err == nil && answer.Err == kv.CodeOK {
		var ended int
		ended, err = kv.ParseExpired(answer.Body)
		e.ended.Add(uint64(ended))
	}
	if err != nil {
		s.logger.Error("the answer to ending what is due cannot be read", "what", e.what, "err", err)
	}
}
