package etcdapi

import (
	"context"

	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// lockService describes v3lockpb.Lock.
func (s *Server) lockService() *grpc.ServiceDesc {
	const name = "v3lockpb.Lock"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		s.unary(name, "Lock", s.lock),
		s.unary(name, "Unlock", s.unlock),
	}}
}

// lock waits for a lock. The key that stands for it goes with the lease.
func (s *Server) lock(ctx context.Context, request []byte) (answer *response, err error) {
	var name []byte
	var lease int64
	if err := recipeFields(request, map[protowire.Number]*[]byte{1: &name}, map[protowire.Number]*int64{2: &lease}); err != nil {
		return nil, err
	}
	err = s.recipes.in(ctx, lease, func(ctx context.Context, session *concurrency.Session) error {
		mutex := concurrency.NewMutex(session, string(name))
		if err := mutex.Lock(ctx); err != nil {
			return err
		}
		answer = s.recipeResponse(mutex.Header().Revision)
		answer.body = appendBytes(nil, 2, []byte(mutex.Key()))
		return nil
	})
	return answer, err
}

// unlock gives a lock back.
func (s *Server) unlock(ctx context.Context, request []byte) (*response, error) {
	var key []byte
	if err := recipeFields(request, map[protowire.Number]*[]byte{1: &key}, nil); err != nil {
		return nil, err
	}
	client, err := s.recipes.open()
	if err != nil {
		return nil, recipeError(err)
	}
	deleted, err := client.Delete(ctx, string(key))
	if err != nil {
		return nil, s.recipes.failed(err)
	}
	return s.recipeResponse(deleted.Header.Revision), nil
}
