package etcdapi

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthService describes grpc.health.v1.Health, of which etcd has the service "": the server as a
// whole. It is serving from the first call to the beginning of Close.
func (s *Server) healthService() *grpc.ServiceDesc {
	const name = "grpc.health.v1.Health"
	return &grpc.ServiceDesc{
		ServiceName: name,
		Methods:     []grpc.MethodDesc{decoded(s, name, "Check", s.healthCheck)},
		Streams:     []grpc.StreamDesc{s.streaming(name, "Watch", serverStream, s.healthWatch)},
	}
}

func (s *Server) healthCheck(_ context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if request.Service != "" {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: s.servingStatus()}, nil
}

func (s *Server) servingStatus() healthpb.HealthCheckResponse_ServingStatus {
	select {
	case <-s.closing:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
		return healthpb.HealthCheckResponse_SERVING
	}
}

// healthWatch says how the server is, and says so again when it closes. A service that is not known
// stays unknown, as the protocol has it: the stream ends with the client or the server.
func (s *Server) healthWatch(stream grpc.ServerStream) error {
	request := new(healthpb.HealthCheckRequest)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	now := func() *healthpb.HealthCheckResponse {
		if request.Service != "" {
			return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVICE_UNKNOWN}
		}
		return &healthpb.HealthCheckResponse{Status: s.servingStatus()}
	}
	if err := stream.SendMsg(now()); err != nil {
		return err
	}
	select {
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	case <-s.closing:
		if err := stream.SendMsg(now()); err != nil {
			return err
		}
		return errStopped
	}
}
