package etcdapi

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// method counts the calls of one method of a gRPC service.
type method struct {
	service, name, kind string
	started             atomic.Uint64
	handled             [codeCount]atomic.Uint64 // by codes.Code
}

// codeCount is how many codes gRPC has.
const codeCount = int(codes.Unauthenticated) + 1

// done counts the end of a call, and passes the error on.
func (m *method) done(err error) error {
	code := status.Code(err)
	if int(code) >= codeCount {
		code = codes.Unknown
	}
	m.handled[code].Add(1)
	return err
}

// newMethod begins to count a method.
func (s *Server) newMethod(service, name, kind string) *method {
	m := &method{service: service, name: name, kind: kind}
	s.methods = append(s.methods, m)
	return m
}

// unary describes a method whose request stays bytes.
func (s *Server) unary(service, name string, serve func(ctx context.Context, request []byte) (*response, error)) grpc.MethodDesc {
	m := s.newMethod(service, name, "unary")
	return grpc.MethodDesc{MethodName: name, Handler: func(
		_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		m.started.Add(1)
		var request rawRequest
		err := decode(&request)
		if err == nil {
			err = s.requireLeader(ctx)
		}
		var answer *response
		if err == nil {
			answer, err = serve(ctx, request.bytes)
		}
		if m.done(err) != nil {
			return nil, err
		}
		return answer, nil
	}}
}

// decoded describes a method whose request and response are messages of protobuf.
func decoded[Request, Response any](s *Server, service, name string, serve func(context.Context, *Request) (*Response, error)) grpc.MethodDesc {
	m := s.newMethod(service, name, "unary")
	return grpc.MethodDesc{MethodName: name, Handler: func(
		_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		m.started.Add(1)
		request := new(Request)
		err := decode(request)
		if err == nil {
			err = s.requireLeader(ctx)
		}
		var answer *Response
		if err == nil {
			answer, err = serve(ctx, request)
		}
		if m.done(err) != nil {
			return nil, err
		}
		return answer, nil
	}}
}

// streaming describes a method of a stream. kind is what gRPC's metrics call it: server_stream or bidi_stream.
func (s *Server) streaming(service, name, kind string, serve func(grpc.ServerStream) error) grpc.StreamDesc {
	m := s.newMethod(service, name, kind)
	return grpc.StreamDesc{
		StreamName: name, ServerStreams: true, ClientStreams: kind == bidiStream,
		Handler: func(_ any, stream grpc.ServerStream) error {
			m.started.Add(1)
			err := s.requireLeader(stream.Context())
			if err == nil {
				err = serve(stream)
			}
			return m.done(err)
		},
	}
}

const (
	serverStream = "server_stream"
	bidiStream   = "bidi_stream"
)
