package etcdapi

import (
	"context"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// maintenanceService describes the part of etcdserverpb.Maintenance that is there.
func (s *Server) maintenanceService() *grpc.ServiceDesc {
	const name = "etcdserverpb.Maintenance"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		decoded(s, name, "Status", s.status),
	}}
}

// clusterService describes the part of etcdserverpb.Cluster that is there.
func (s *Server) clusterService() *grpc.ServiceDesc {
	const name = "etcdserverpb.Cluster"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		decoded(s, name, "MemberList", s.memberList),
	}}
}

// status says how this server is. It never waits: it is asked when something is wrong.
func (s *Server) status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	now := s.group.Status()
	total, inUse := s.options.Size()
	r := &pb.StatusResponse{
		Header:           s.headers.message(s.store.Revision(), uint64(now.Raft.CurrentTerm)),
		Version:          EtcdVersion,
		DbSize:           total,
		DbSizeInUse:      inUse,
		Leader:           uint64(now.Raft.Leader),
		RaftIndex:        uint64(now.Raft.CommitIndex),
		RaftTerm:         uint64(now.Raft.CurrentTerm),
		RaftAppliedIndex: uint64(now.Raft.LastApplied),
		IsLearner:        s.isLearner(now),
		StorageVersion:   clusterVersion,
		DowngradeInfo:    &pb.DowngradeInfo{},
	}
	if now.Raft.Leader == 0 {
		r.Errors = append(r.Errors, "etcdserver: no leader")
	}
	return r, nil
}

func (s *Server) isLearner(now replica.Status) bool {
	if now.Configuration == nil {
		return false
	}
	for i := range now.Configuration.Members {
		if m := &now.Configuration.Members[i]; uint64(m.ID) == s.options.MemberID {
			return m.Roles&wire.RoleLearner != 0
		}
	}
	return false
}

// memberList lists the servers of the cluster, ascending by id.
func (s *Server) memberList(ctx context.Context, request *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if request.Linearizable {
		if err := s.awaitRead(ctx); err != nil {
			return nil, err
		}
	}
	now := s.group.Status()
	r := &pb.MemberListResponse{Header: s.headers.message(0, uint64(now.Raft.CurrentTerm))}
	if now.Configuration == nil {
		return r, nil
	}
	for i := range now.Configuration.Members {
		m := &now.Configuration.Members[i]
		r.Members = append(r.Members, &pb.Member{
			ID: uint64(m.ID), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs,
			IsLearner: m.Roles&wire.RoleLearner != 0,
		})
	}
	return r, nil
}

// probe is the smallest read that there is: of one key that nobody has.
func (s *Server) probe(ctx context.Context, linearizable bool) error {
	if linearizable {
		if err := s.awaitRead(ctx); err != nil {
			return err
		}
	}
	request := []byte{0x0a, 6, 'h', 'e', 'a', 'l', 't', 'h', 0x48, 1} // RangeRequest{key, count_only}
	answer, err := s.store.Range(request)
	if err != nil {
		s.storeFailed(err)
		return errStore
	}
	if answer.Err != kv.CodeOK {
		return refusal(answer.Err)
	}
	return nil
}
