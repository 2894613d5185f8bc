package etcdapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// clusterService describes etcdserverpb.Cluster.
func (s *Server) clusterService() *grpc.ServiceDesc {
	const name = "etcdserverpb.Cluster"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		decoded(s, name, "MemberList", s.memberList),
		decoded(s, name, "MemberAdd", s.memberAdd),
		decoded(s, name, "MemberRemove", s.memberRemove),
		decoded(s, name, "MemberUpdate", s.memberUpdate),
		decoded(s, name, "MemberPromote", s.memberPromote),
	}}
}

// memberList lists the servers of the cluster, ascending by id.
func (s *Server) memberList(ctx context.Context, request *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if request.Linearizable {
		if err := s.awaitRead(ctx); err != nil {
			return nil, err
		}
	}
	return &pb.MemberListResponse{Header: s.clusterHeader(), Members: listed(s.configuration())}, nil
}

// memberAdd adds a server, which may be started then. It has no vote before it has caught up: that it learns
// until then is what is told of it, also if it is to get its vote by itself.
func (s *Server) memberAdd(ctx context.Context, request *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	urls, ok := peerURLs(request.PeerURLs)
	if !ok {
		return nil, errBadMemberURLs
	}
	add := replica.Edit{Member: wire.Member{PeerURLs: urls, Roles: wire.RoleLearner}}
	if !request.IsLearner {
		add.Member.Roles |= wire.RoleJoining
	}
	members, err := s.change(ctx, &memberChange{
		edits: one(func(now *wire.Configuration) (replica.Edit, error) {
			if haveAddress(now.Members, 0, urls) {
				return add, errPeerURLExists
			}
			if add.Member.ID, ok = s.newMemberID(now, urls); !ok {
				return add, errMemberExists
			}
			return add, nil
		}),
		notReady: errUnhealthy, notAllowed: errTooManyMembers,
	})
	if err != nil {
		return nil, err
	}
	added, _ := slices.BinarySearchFunc(members, uint64(add.Member.ID), func(m *pb.Member, id uint64) int { return cmp.Compare(m.ID, id) })
	return &pb.MemberAddResponse{Header: s.clusterHeader(), Member: members[added], Members: members}, nil
}

// memberRemove removes a server, which may be this one.
func (s *Server) memberRemove(ctx context.Context, request *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	remove := replica.Edit{Member: wire.Member{ID: raft.ServerID(request.ID)}, Remove: true, Existing: true}
	members, err := s.change(ctx, &memberChange{
		edits: one(func(now *wire.Configuration) (replica.Edit, error) {
			if now.Member(remove.Member.ID) == nil {
				return remove, errMemberNotFound
			}
			return remove, nil
		}),
		// As in etcd: without those who are started there would be no majority, or without those who answer.
		// Whoever votes here has been started, so the former is the last voter's removal.
		notAllowed: errNotEnoughStarted, notReady: errUnhealthy,
	})
	if err != nil {
		return nil, err
	}
	return &pb.MemberRemoveResponse{Header: s.clusterHeader(), Members: members}, nil
}

// memberUpdate says where a server is found by the others from now on.
func (s *Server) memberUpdate(ctx context.Context, request *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	urls, ok := peerURLs(request.PeerURLs)
	if !ok {
		return nil, errBadMemberURLs
	}
	update := replica.Edit{Member: wire.Member{ID: raft.ServerID(request.ID), PeerURLs: urls}, Existing: true}
	members, err := s.change(ctx, &memberChange{
		edits: one(func(now *wire.Configuration) (replica.Edit, error) {
			switch {
			case now.Member(update.Member.ID) == nil:
				return update, errMemberNotFound
			case haveAddress(now.Members, update.Member.ID, urls):
				return update, errPeerURLExists
			}
			return update, nil
		}),
		notReady: errUnhealthy, notAllowed: errBadMemberURLs,
	})
	if err != nil {
		return nil, err
	}
	return &pb.MemberUpdateResponse{Header: s.clusterHeader(), Members: members}, nil
}

// memberPromote gives a learner its vote, if it has caught up.
func (s *Server) memberPromote(ctx context.Context, request *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	promote := replica.Edit{Member: wire.Member{ID: raft.ServerID(request.ID), Roles: wire.RoleVoter}, Existing: true}
	members, err := s.change(ctx, &memberChange{
		edits: one(func(now *wire.Configuration) (replica.Edit, error) {
			m := now.Member(promote.Member.ID)
			switch {
			case m == nil:
				return promote, errMemberNotFound
			case m.Roles&wire.RoleLearner == 0:
				return promote, errNotLearner
			}
			return promote, nil
		}),
		notReady: errLearnerNotReady, notAllowed: errTooManyMembers,
	})
	if err != nil {
		return nil, err
	}
	return &pb.MemberPromoteResponse{Header: s.clusterHeader(), Members: members}, nil
}

// memberChange is a change of members.
type memberChange struct {
	// edits says what is to be changed in a configuration, or what is wrong with that.
	edits func(now *wire.Configuration) ([]replica.Edit, error)
	// notReady and notAllowed are what the group's errors of these names mean for this change.
	notReady, notAllowed error
}

// one is a change of one member.
func one(edit func(now *wire.Configuration) (replica.Edit, error)) func(*wire.Configuration) ([]replica.Edit, error) {
	return func(now *wire.Configuration) ([]replica.Edit, error) {
		e, err := edit(now)
		return []replica.Edit{e}, err
	}
}

// change makes a change and returns the members after it.
func (s *Server) change(ctx context.Context, c *memberChange) ([]*pb.Member, error) {
	after, err := s.changed(ctx, c)
	if err != nil {
		return nil, err
	}
	return listed(after), nil
}

// changed makes a change and returns the configuration after it. It is decided by the members as they are after all
// that was answered to anybody before, and changes that come to this server are made one after the other. Of two
// that come to two servers at the same moment the leader refuses the second, if it does not go with the first.
func (s *Server) changed(ctx context.Context, c *memberChange) (*wire.Configuration, error) {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	select {
	case s.changing <- struct{}{}:
		defer func() { <-s.changing }()
	case <-bounded.Done():
		return nil, waitError(ctx, fmt.Errorf("%w: %w", quorate.ErrCanceled, bounded.Err()))
	}
	edits, err := s.decide(ctx, bounded, c)
	if err != nil || len(edits) == 0 {
		return s.configuration(), err
	}
	switch err := s.group.Reconfigure(bounded, edits...); {
	case errors.Is(err, quorate.ErrNotReady):
		return nil, c.notReady
	case errors.Is(err, quorate.ErrNotAllowed):
		if _, err := s.decide(ctx, bounded, c); err != nil {
			return nil, err // it has become impossible meanwhile
		}
		return nil, c.notAllowed
	case err != nil:
		s.failedWrites.Add(1)
		return nil, waitError(ctx, err)
	}
	after := s.configuration()
	for _, e := range edits {
		after = edited(after, e)
	}
	return after, nil
}

// decide says what is to be changed in the members as they are now.
func (s *Server) decide(ctx, bounded context.Context, c *memberChange) ([]replica.Edit, error) {
	if err := s.group.Read(bounded); err != nil {
		s.failedReads.Add(1)
		return nil, waitError(ctx, err)
	}
	return c.edits(s.configuration())
}

// configuration is who belongs to the group, as this server knows it. It is not to be written to.
func (s *Server) configuration() *wire.Configuration {
	if now := s.group.Status().Configuration; now != nil {
		return now
	}
	return &wire.Configuration{}
}

// edited returns a configuration after a change that has been made. This server's copy may be of before: a
// follower learns of it later than the leader, and one that is removed perhaps never.
func edited(now *wire.Configuration, e replica.Edit) *wire.Configuration {
	after := now.Clone()
	i, is := slices.BinarySearchFunc(after.Members, e.Member.ID, func(m wire.Member, id raft.ServerID) int { return cmp.Compare(m.ID, id) })
	switch {
	case e.Remove && is:
		after.Members = slices.Delete(after.Members, i, i+1)
	case e.Remove:
	case !is:
		after.Members = slices.Insert(after.Members, i, e.Member)
	case e.Member.Roles == wire.RoleVoter:
		after.Members[i].Roles = wire.RoleVoter
	case e.SetTraits:
		after.Members[i].Traits = e.Member.Traits
	case e.Member.Roles == 0:
		after.Members[i].PeerURLs = e.Member.PeerURLs
	}
	return after
}

// listed tells members as etcd does.
func listed(c *wire.Configuration) []*pb.Member {
	var members []*pb.Member
	for i := range c.Members {
		m := &c.Members[i]
		members = append(members, &pb.Member{
			ID: uint64(m.ID), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs,
			IsLearner: m.Roles&wire.RoleLearner != 0,
		})
	}
	return members
}

// clusterHeader is the header of this service's answers: without a revision, for they have nothing to do with
// keys.
func (s *Server) clusterHeader() *pb.ResponseHeader { return s.headers.message(0, s.term()) }
