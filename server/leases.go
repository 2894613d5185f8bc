package server

import (
	"context"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/lessor"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// lessorInterval is how often it is looked whether leases have come due.
const lessorInterval = 100 * time.Millisecond

// endLeases is the lessor's loop: while this server leads, it ends leases whose time has come, through the
// log, at most so many at a time.
func (s *Server) endLeases(ctx context.Context) {
	l := lessor.New(lessor.Options{Grace: uint64(lessorGrace(s.options.electionSpan()))})
	ticker := time.NewTicker(lessorInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := s.group.Status()
		end, propose := l.Step(lessor.Now{
			Leads: now.Raft.Role == raft.Leader, Term: uint64(now.Raft.CurrentTerm),
			Time: now.LogTime, Written: s.store.Time(), Leases: s.store.LeaseCount(),
		}, s.store.DueLeases)
		if propose {
			s.proposeEnd(ctx, end)
		}
	}
}

// lessorGrace is for how long a new leader ends no lease: clients find it within two election timeouts,
// and try again every half second.
func lessorGrace(electionTimeout time.Duration) time.Duration {
	return 2*time.Second + 2*electionTimeout
}

// proposeEnd proposes to end leases. If that fails, they are still due.
func (s *Server) proposeEnd(ctx context.Context, ids []int64) {
	ctx, cancel := context.WithTimeout(ctx, s.options.requestTimeout())
	defer cancel()
	encoded, err := s.group.ProposeCommand(ctx, wire.Command{Kind: uint8(kv.KindLeaseExpire), Request: kv.LeaseList(ids)})
	if err != nil {
		s.logger.Debug("leases could not be ended, which is tried again", "leases", len(ids), "err", err)
		return
	}
	answer, err := kv.ParseAnswer(encoded)
	if err == nil && answer.Err == kv.CodeOK {
		var ended int
		ended, err = kv.ParseExpired(answer.Body)
		s.leasesEnded.Add(uint64(ended))
	}
	if err != nil {
		s.logger.Error("the answer to ending leases cannot be read", "err", err)
	}
}
