package etcdapi

import (
	"context"
	"errors"
	"net"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
)

// recipes carries out locks and elections for clients that cannot do it themselves: with etcd's own
// client, and its own recipes, over a connection that does not leave this process. So keys, order and
// errors are those of clients that do it themselves, and both can take part in the same lock.
type recipes struct {
	server *Server
	once   sync.Once
	client *clientv3.Client
	err    error
}

const recipeBufferBytes = 64 << 10

// open returns the client, which is made for the first who needs it.
func (r *recipes) open() (*clientv3.Client, error) {
	r.once.Do(func() {
		listener := bufconn.Listen(recipeBufferBytes)
		if !r.server.start(func() { r.server.serving("recipes", r.server.grpc.Serve(listener)) }) {
			r.err = errStopped
			return
		}
		r.client, r.err = clientv3.New(clientv3.Config{
			// A recipe that is broken off takes back what it has put, in the client's context: when the server
			// closes, nobody answers that any more.
			Context:   r.server.context,
			Endpoints: []string{"inside"},
			DialOptions: []grpc.DialOption{
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
			},
			Logger: clientv3.NewCtxClient(context.Background()).GetLogger(), // one that is silent
		})
	})
	return r.client, r.err
}

func (r *recipes) close() {
	r.once.Do(func() { r.err = errStopped })
	if r.client != nil {
		_ = r.client.Close() // it says how its context ended
	}
}

// in runs a recipe in a session with a lease that the caller keeps alive; 0: with one of a minute that
// nobody does, as in etcd.
func (r *recipes) in(ctx context.Context, lease int64, run func(context.Context, *concurrency.Session) error) error {
	client, err := r.open()
	if err != nil {
		return recipeError(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.server.context, cancel)()
	session, err := concurrency.NewSession(client, concurrency.WithLease(clientv3.LeaseID(lease)), concurrency.WithContext(ctx))
	if err == nil {
		// With ctx the session ends, and nobody keeps the lease alive any more.
		err = run(ctx, session)
	}
	return r.failed(err)
}

// failed is the gRPC error for one of a recipe's, if it has one.
func (r *recipes) failed(err error) error {
	if err != nil && r.server.context.Err() != nil {
		return errStopped
	}
	return recipeError(err)
}

// recipeError is the gRPC error for one of the recipes'.
func recipeError(err error) error {
	if err == nil {
		return nil
	}
	var known rpctypes.EtcdError
	switch {
	case errors.As(err, &known):
		return status.Error(known.Code(), known.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case status.Code(err) != codes.Unknown:
		return err
	}
	return status.Error(codes.Unknown, err.Error()) // as etcd has those of its recipes
}

// recipeFields reads a request: its fields of bytes and of numbers. A field that it does not know it
// passes over, as protobuf does: nothing of these requests gets into the log as it is.
func recipeFields(b []byte, octets map[protowire.Number]*[]byte, ints map[protowire.Number]*int64) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errNoMessage
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			return errNoMessage
		}
		switch {
		case typ == protowire.BytesType && octets[num] != nil:
			*octets[num], _ = protowire.ConsumeBytes(b)
		case typ == protowire.VarintType && ints[num] != nil:
			v, _ := protowire.ConsumeVarint(b)
			*ints[num] = int64(v)
		}
		b = b[n:]
	}
	return nil
}

var errNoMessage = status.Error(codes.InvalidArgument, "quorate: request is malformed")

// recipeResponse begins a response with its header.
func (s *Server) recipeResponse(revision int64) *response {
	return &response{header: s.headers.append(make([]byte, 0, headerRoomBytes), revision, s.term())}
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}
