package etcdapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// leaseService describes etcdserverpb.Lease. Every part of it is answered by any server: granting,
// renewing and ending leases go through the log, like all that is written, and how long a lease has left
// is the difference of two log times.
func (s *Server) leaseService() *grpc.ServiceDesc {
	const name = "etcdserverpb.Lease"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		s.unary(name, "LeaseGrant", s.leaseGrant),
		s.unary(name, "LeaseRevoke", func(ctx context.Context, request []byte) (*response, error) {
			return s.write(ctx, kv.KindLeaseRevoke, request)
		}),
		decoded(s, name, "LeaseTimeToLive", s.leaseTimeToLive),
		decoded(s, name, "LeaseLeases", s.leaseLeases),
	}, Streams: []grpc.StreamDesc{
		s.streaming(name, "LeaseKeepAlive", bidiStream, s.leaseKeepAlive),
	}}
}

// grantTries is how often another id is tried where the client has left it to the server. Ids are random
// numbers of 63 bits: one that is taken already is a rare thing.
const grantTries = 3

// leaseGrant grants a lease. What the client leaves open is decided here, once for all servers: an id of
// 0 becomes a random one, and too short a time the shortest. For a client that may send its request again,
// to another server, the id follows from the request's number.
func (s *Server) leaseGrant(ctx context.Context, request []byte) (*response, error) {
	id, ttl, code := kv.ParseGrantRequest(request)
	if code != kv.CodeOK {
		return nil, refusal(code)
	}
	ttl = max(ttl, s.options.MinLeaseTTL)
	if number, err := s.sessionOf(ctx); err == nil && number.ID != 0 && id == 0 {
		id = sessionLease(number)
	}
	if id != 0 {
		return s.write(ctx, kv.KindLeaseGrant, kv.GrantRequest(id, ttl))
	}
	for try := 1; ; try++ {
		granted, err := s.write(ctx, kv.KindLeaseGrant, kv.GrantRequest(rand.Int64N(1<<63-1)+1, ttl))
		if err == nil || try == grantTries || !errors.Is(err, refusal(kv.CodeLeaseExists)) {
			return granted, err
		}
	}
}

// leaseTimeToLive tells how long a lease has left, and which keys it has.
func (s *Server) leaseTimeToLive(ctx context.Context, request *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	if err := s.awaitRead(ctx); err != nil {
		return nil, err
	}
	answer := &pb.LeaseTimeToLiveResponse{Header: s.headers.message(s.store.Revision(), s.term()), ID: request.ID, TTL: -1}
	lease, found := s.store.Lease(request.ID)
	if !found {
		return answer, nil // etcd's -1
	}
	answer.GrantedTTL = lease.TTL
	answer.TTL = 0
	if now := s.group.Status().LogTime; lease.Deadline > now {
		answer.TTL = min(int64((lease.Deadline-now)/uint64(time.Second)), lease.TTL)
	}
	if request.Keys {
		keys, err := s.store.LeaseKeys(request.ID)
		if err != nil {
			s.storeFailed(err)
			return nil, errStore
		}
		answer.Keys = keys
	}
	return answer, nil
}

// leaseLeases lists all leases, the one that ends first first.
func (s *Server) leaseLeases(ctx context.Context, _ *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	if err := s.awaitRead(ctx); err != nil {
		return nil, err
	}
	answer := &pb.LeaseLeasesResponse{Header: s.headers.message(s.store.Revision(), s.term())}
	for _, lease := range s.store.Leases() {
		answer.Leases = append(answer.Leases, &pb.LeaseStatus{ID: lease.ID})
	}
	return answer, nil
}
