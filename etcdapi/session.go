package etcdapi

import (
	"context"
	"encoding/binary"
	"hash/fnv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// A client that may send a write again numbers it, in the call's metadata: package session says how. Etcd's
// messages stay as they are. Sessions are opened, kept alive and closed by a service of our own, whose
// requests go into the log as they came, like all others.

// sessionService describes quorate.v1.Sessions.
func (s *Server) sessionService() *grpc.ServiceDesc {
	proposed := func(kind kv.Kind) func(context.Context, []byte) (*response, error) {
		return func(ctx context.Context, request []byte) (*response, error) { return s.write(ctx, kind, request) }
	}
	return &grpc.ServiceDesc{ServiceName: session.Service, Methods: []grpc.MethodDesc{
		s.unary(session.Service, session.MethodOpen, s.openSession),
		s.unary(session.Service, session.MethodKeepAlive, proposed(kv.KindSessionKeepAlive)),
		s.unary(session.Service, session.MethodClose, proposed(kv.KindSessionClose)),
	}}
}

// openSession tells the client also which cluster the session is of, which it says with each request: a
// session of another one may have the same id.
func (s *Server) openSession(ctx context.Context, request []byte) (*response, error) {
	opened, err := s.write(ctx, kv.KindSessionOpen, request)
	if err != nil {
		return nil, err
	}
	opened.body = session.AppendField(opened.body, session.FieldCluster, s.options.ClusterID)
	return opened, nil
}

var (
	errSessionMetadata = status.Error(codes.InvalidArgument, "quorate: metadata "+session.MetadataKey+" is malformed")
	// errOtherCluster: the client's session is of a cluster that had this address before.
	errOtherCluster = status.Error(codes.FailedPrecondition, "quorate: session is of another cluster")
)

// sessionOf returns which request of a session a call is; all zero: of none.
func (s *Server) sessionOf(ctx context.Context) (wire.Session, error) {
	values := metadata.ValueFromIncomingContext(ctx, session.MetadataKey)
	if len(values) == 0 {
		return wire.Session{}, nil
	}
	n, cluster, err := session.ParseMetadata(values[0])
	switch {
	case err != nil || len(values) > 1:
		return wire.Session{}, errSessionMetadata
	case cluster != s.options.ClusterID: // there is no such session here
		if err := grpc.SetTrailer(ctx, sessionAnswer(kv.CodeSessionNotFound)); err != nil {
			return wire.Session{}, err
		}
		return wire.Session{}, errOtherCluster
	}
	return n, nil
}

// sessionAnswer is how a client with a session is told that the state machine has refused its request:
// errors that come before, of this server alone, say nothing about what became of the request elsewhere.
func sessionAnswer(code kv.Code) metadata.MD {
	answer := session.AnswerRefused
	switch code {
	case kv.CodeSessionNotFound:
		answer = session.AnswerUnknown
	case kv.CodeRequestStale:
		answer = session.AnswerStale
	case kv.CodeSessionFull:
		answer = session.AnswerFull
	case kv.CodeRequestMismatch:
		answer = session.AnswerMismatch
	case kv.CodeAnswerDropped:
		answer = session.AnswerDropped
	}
	return metadata.MD{session.AnswerKey: []string{answer}}
}

// sessionLease is the id of a lease that a request of a session leaves to the server: the same wherever the
// request comes to, or it would be another request.
func sessionLease(n wire.Session) int64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, n.ID)
	h.Write(binary.BigEndian.AppendUint64(b, n.Sequence))
	return int64(h.Sum64()>>1 | 1)
}
