package etcdapi

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// electionService describes v3electionpb.Election.
func (s *Server) electionService() *grpc.ServiceDesc {
	const name = "v3electionpb.Election"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		s.unary(name, "Campaign", s.campaign),
		s.unary(name, "Proclaim", s.proclaim),
		s.unary(name, "Leader", s.elected),
		s.unary(name, "Resign", s.resign),
	}, Streams: []grpc.StreamDesc{
		s.streaming(name, "Observe", serverStream, s.observe),
	}}
}

// noLease is what etcd gives to sessions that only look.
const noLease = -1

var errNoLeaderKey = errors.New(`"leader" field must be provided`) // etcd's text

// leaderKey is etcd's LeaderKey: what whoever is elected holds.
type leaderKey struct {
	name, key  []byte
	rev, lease int64
}

func (k *leaderKey) decode(b []byte) error {
	if b == nil {
		return recipeError(errNoLeaderKey)
	}
	return recipeFields(b, map[protowire.Number]*[]byte{1: &k.name, 2: &k.key}, map[protowire.Number]*int64{3: &k.rev, 4: &k.lease})
}

func (k *leaderKey) append(b []byte) []byte {
	b = appendBytes(appendBytes(b, 1, k.name), 2, k.key)
	return appendVarint(appendVarint(b, 3, uint64(k.rev)), 4, uint64(k.lease))
}

// campaign waits until the caller is elected.
func (s *Server) campaign(ctx context.Context, request []byte) (answer *response, err error) {
	var key leaderKey
	var value []byte
	err = recipeFields(request, map[protowire.Number]*[]byte{1: &key.name, 3: &value}, map[protowire.Number]*int64{2: &key.lease})
	if err != nil {
		return nil, err
	}
	err = s.recipes.in(ctx, key.lease, func(ctx context.Context, session *concurrency.Session) error {
		election := concurrency.NewElection(session, string(key.name))
		if err := election.Campaign(ctx, string(value)); err != nil {
			return err
		}
		key.key, key.rev, key.lease = []byte(election.Key()), election.Rev(), int64(session.Lease())
		answer = s.recipeResponse(election.Header().Revision)
		answer.body = appendBytes(nil, 2, key.append(nil))
		return nil
	})
	return answer, err
}

// proclaim changes what the one who is elected is known by.
func (s *Server) proclaim(ctx context.Context, request []byte) (*response, error) {
	var leader, value []byte
	if err := recipeFields(request, map[protowire.Number]*[]byte{1: &leader, 2: &value}, nil); err != nil {
		return nil, err
	}
	return s.asElected(ctx, leader, func(ctx context.Context, e *concurrency.Election) error { return e.Proclaim(ctx, string(value)) })
}

// resign lets the next one be elected.
func (s *Server) resign(ctx context.Context, request []byte) (*response, error) {
	var leader []byte
	if err := recipeFields(request, map[protowire.Number]*[]byte{1: &leader}, nil); err != nil {
		return nil, err
	}
	return s.asElected(ctx, leader, func(ctx context.Context, e *concurrency.Election) error { return e.Resign(ctx) })
}

// asElected does something for the one who is elected.
func (s *Server) asElected(ctx context.Context, leader []byte, do func(context.Context, *concurrency.Election) error) (answer *response, err error) {
	var key leaderKey
	if err := key.decode(leader); err != nil {
		return nil, err
	}
	err = s.recipes.in(ctx, key.lease, func(ctx context.Context, session *concurrency.Session) error {
		election := concurrency.ResumeElection(session, string(key.name), string(key.key), key.rev)
		if err := do(ctx, election); err != nil {
			return err
		}
		revision := s.store.Revision()
		if header := election.Header(); header != nil {
			revision = header.Revision
		}
		answer = s.recipeResponse(revision)
		return nil
	})
	return answer, err
}

// elected tells who is elected now.
func (s *Server) elected(ctx context.Context, request []byte) (answer *response, err error) {
	var name []byte
	if err := recipeFields(request, map[protowire.Number]*[]byte{1: &name}, nil); err != nil {
		return nil, err
	}
	err = s.recipes.in(ctx, noLease, func(ctx context.Context, session *concurrency.Session) error {
		leader, err := concurrency.NewElection(session, string(name)).Leader(ctx)
		if err == nil {
			answer, err = s.electedResponse(leader)
		}
		return err
	})
	return answer, err
}

// observe tells of everybody who is elected, one after the other.
func (s *Server) observe(stream grpc.ServerStream) error {
	var request rawRequest
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	var name []byte
	if err := recipeFields(request.bytes, map[protowire.Number]*[]byte{1: &name}, nil); err != nil {
		return err
	}
	return s.recipes.in(stream.Context(), noLease, func(ctx context.Context, session *concurrency.Session) error {
		for leader := range concurrency.NewElection(session, string(name)).Observe(ctx) {
			answer, err := s.electedResponse(leader)
			if err == nil {
				err = stream.SendMsg(answer)
			}
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// electedResponse is a LeaderResponse.
func (s *Server) electedResponse(leader *clientv3.GetResponse) (*response, error) {
	pair, err := proto.Marshal(leader.Kvs[0])
	if err != nil {
		return nil, err
	}
	answer := s.recipeResponse(leader.Header.Revision)
	answer.body = appendBytes(nil, 2, pair)
	return answer, nil
}
