package etcdapi

import (
	"context"
	"encoding/binary"

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
		decoded(s, name, "HashKV", s.hashKV),
		decoded(s, name, "Hash", s.hash),
		decoded(s, name, "Defragment", s.defragment),
		s.unary(name, "Alarm", s.alarm),
		decoded(s, name, "MoveLeader", s.moveLeader),
	}, Streams: []grpc.StreamDesc{
		s.streaming(name, "Snapshot", serverStream, s.snapshot),
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
		DbSizeQuota:      s.options.QuotaBytes,
		Errors:           s.alarmTexts(),
	}
	if now.Snapshots.Missing {
		r.Errors = append(r.Errors, noStateText)
	}
	if now.Raft.Leader == 0 {
		r.Errors = append(r.Errors, "etcdserver: no leader")
	}
	return r, nil
}

// hashKV hashes what this server holds as of a revision; 0 is the newest. Servers that have the same say
// the same for equal revisions and compaction revisions. Of the hash's 128 bits etcd's message has room
// for 32. It is not etcd's hash: that is made of how etcd lays out its keys.
func (s *Server) hashKV(_ context.Context, request *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	if err := s.hasState(); err != nil {
		return nil, err
	}
	h, code, err := s.store.HashKV(request.Revision)
	switch {
	case err != nil:
		s.storeFailed(err)
		return nil, errStore
	case code != kv.CodeOK:
		return nil, refusal(code)
	}
	return &pb.HashKVResponse{
		Header: s.headers.message(s.store.Revision(), s.term()), Hash: binary.BigEndian.Uint32(h.Hash[:]),
		CompactRevision: h.Compact, HashRevision: h.Revision,
	}, nil
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

// probe is the smallest read that there is: of one key that nobody has.
func (s *Server) probe(ctx context.Context, linearizable bool) error {
	if err := s.hasState(); err != nil {
		return err // at once, where a read would wait
	}
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
