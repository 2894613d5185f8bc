package raw

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Leases is one stream for keeping leases alive.
type Leases struct{ stream grpc.ClientStream }

// OpenLeases opens a stream, which ends with ctx.
func OpenLeases(ctx context.Context, connection *grpc.ClientConn) (*Leases, error) {
	description := &grpc.StreamDesc{StreamName: "LeaseKeepAlive", ServerStreams: true, ClientStreams: true}
	stream, err := connection.NewStream(ctx, description, "/etcdserverpb.Lease/LeaseKeepAlive", options...)
	if err != nil {
		return nil, err
	}
	return &Leases{stream}, nil
}

// KeepAlive asks for leases to be renewed, all at once as etcd's own client does, and waits until all
// are. It is an error if one is gone.
func (l *Leases) KeepAlive(ids ...int64) error {
	for _, id := range ids {
		if err := l.stream.SendMsg(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			return err
		}
	}
	for _, id := range ids {
		var k kept
		if err := l.stream.RecvMsg(&k); err != nil {
			return err
		}
		if k.id != id || k.ttl <= 0 {
			return fmt.Errorf("lease %x was to be kept alive, got lease %x with a TTL of %d", id, k.id, k.ttl)
		}
	}
	return nil
}

// kept is an etcdserverpb.LeaseKeepAliveResponse.
type kept struct{ id, ttl int64 }

func (k *kept) parse(b []byte) error {
	return each(b, func(number protowire.Number, value uint64, _ []byte) error {
		switch number {
		case 2:
			k.id = int64(value)
		case 3:
			k.ttl = int64(value)
		}
		return nil
	})
}
