package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// leaderLookEvery is how often a server that has handed over looks who leads.
const leaderLookEvery = 10 * time.Millisecond

// moveLeader hands leadership over to another voter, and answers when that one leads. Its answer has no header.
func (s *Server) moveLeader(ctx context.Context, request *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	now := s.group.Status().Raft
	to := raft.ServerID(request.TargetID)
	member := s.configuration().Member(to)
	switch {
	case uint64(now.Leader) != s.options.MemberID:
		return nil, errNotLeader
	case member == nil || member.Roles&wire.RoleVoter == 0:
		return nil, errBadTransferee
	case to == now.Leader:
		return &pb.MoveLeaderResponse{}, nil
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	switch err := s.group.TransferLeadership(bounded, to); {
	case errors.Is(err, quorate.ErrNotLeader):
		return nil, errNotLeader
	case errors.Is(err, quorate.ErrNotAllowed):
		return nil, errBadTransferee
	case errors.Is(err, quorate.ErrNotReady):
		return nil, errUnhealthy
	case err != nil:
		return nil, waitError(ctx, err)
	}
	leader, err := s.awaitLeader(bounded, now.CurrentTerm)
	switch {
	case err != nil:
		return nil, waitError(ctx, err)
	case leader != to:
		return nil, errLeaderChanged
	}
	return &pb.MoveLeaderResponse{}, nil
}

// awaitLeader waits until somebody leads in a later term, and returns who.
func (s *Server) awaitLeader(ctx context.Context, after raft.Term) (raft.ServerID, error) {
	look := time.NewTicker(leaderLookEvery)
	defer look.Stop()
	for {
		if now := s.group.Status().Raft; now.CurrentTerm > after && now.Leader != 0 {
			return now.Leader, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", quorate.ErrOutcomeUnknown, ctx.Err())
		}
	}
}
