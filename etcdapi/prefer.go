package etcdapi

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Etcd knows no preferred leaders, so that a service of our own sets them. Its messages are etcd's list of members, in which
// only those are who are preferred; of those in a request only the ids are read.

// Names of the service and its methods: Preferred takes a MemberListRequest, Prefer a MemberListResponse, and both
// answer with a MemberListResponse.
const (
	PreferenceService = "quorate.v1.Preference"
	MethodPreferred   = "Preferred"
	MethodPrefer      = "Prefer"
)

// preferenceService describes quorate.v1.Preference.
func (s *Server) preferenceService() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: PreferenceService, Methods: []grpc.MethodDesc{
		decoded(s, PreferenceService, MethodPreferred, s.preferred),
		decoded(s, PreferenceService, MethodPrefer, s.prefer),
	}}
}

// preferred lists the servers that are to lead rather than others.
func (s *Server) preferred(ctx context.Context, request *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if request.Linearizable {
		if err := s.awaitRead(ctx); err != nil {
			return nil, err
		}
	}
	return s.preferredIn(s.configuration()), nil
}

func (s *Server) preferredIn(c *wire.Configuration) *pb.MemberListResponse {
	only := c.Clone()
	only.Members = slices.DeleteFunc(only.Members, func(m wire.Member) bool { return m.Traits&wire.TraitPreferred == 0 })
	return &pb.MemberListResponse{Header: s.clusterHeader(), Members: listed(only)}
}

// prefer makes these servers the preferred ones, and no others.
func (s *Server) prefer(ctx context.Context, request *pb.MemberListResponse) (*pb.MemberListResponse, error) {
	wanted := func(id raft.ServerID) bool {
		return slices.ContainsFunc(request.Members, func(m *pb.Member) bool { return m.GetID() == uint64(id) })
	}
	after, err := s.changed(ctx, &memberChange{
		edits: func(now *wire.Configuration) (edits []replica.Edit, _ error) {
			for _, m := range request.Members {
				if now.Member(raft.ServerID(m.GetID())) == nil {
					return nil, errMemberNotFound
				}
			}
			for i := range now.Members {
				m := &now.Members[i]
				traits := m.Traits &^ wire.TraitPreferred
				if wanted(m.ID) {
					traits |= wire.TraitPreferred
				}
				if traits != m.Traits {
					edits = append(edits, replica.Edit{Member: wire.Member{ID: m.ID, Traits: traits}, SetTraits: true, Existing: true})
				}
			}
			return edits, nil
		},
		notReady: errUnhealthy, notAllowed: errMemberNotFound,
	})
	if err != nil {
		return nil, err
	}
	return s.preferredIn(after), nil
}
