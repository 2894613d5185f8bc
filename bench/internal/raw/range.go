package raw

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Keys is what a RangeResponse holds, or all of those of a stream together.
type Keys struct {
	Count int64 // as the server says
	Given int64 // as there are
	Bytes int64 // of the keys and values, with what frames them
}

// Range reads the keys from key to end, linearizably; the first limit of them, if that is not 0.
func Range(ctx context.Context, connection *grpc.ClientConn, key, end string, limit int64) (Keys, error) {
	var k Keys
	request := &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end), Limit: limit}
	err := connection.Invoke(ctx, "/etcdserverpb.KV/Range", request, &k, options...)
	return k, err
}

// RangeStream reads the same in pieces.
func RangeStream(ctx context.Context, connection *grpc.ClientConn, key, end string, limit int64) (Keys, error) {
	var k Keys
	description := &grpc.StreamDesc{StreamName: "RangeStream", ServerStreams: true}
	stream, err := connection.NewStream(ctx, description, "/etcdserverpb.KV/RangeStream", options...)
	if err != nil {
		return k, err
	}
	if err := stream.SendMsg(&pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end), Limit: limit}); err != nil {
		return k, fmt.Errorf("ask for a range in pieces: %w", err)
	}
	if err := stream.CloseSend(); err != nil {
		return k, err
	}
	for {
		if err := stream.RecvMsg((*piece)(&k)); errors.Is(err, io.EOF) {
			return k, nil
		} else if err != nil {
			return k, err
		}
	}
}

// parse reads etcdserverpb.RangeResponse and adds it.
func (k *Keys) parse(b []byte) error {
	return each(b, func(number protowire.Number, value uint64, bytes []byte) error {
		switch number {
		case 2:
			k.Given++
			k.Bytes += int64(len(bytes))
		case 4:
			k.Count += int64(value)
		}
		return nil
	})
}

// piece is an etcdserverpb.RangeStreamResponse.
type piece Keys

func (p *piece) parse(b []byte) error {
	return each(b, func(number protowire.Number, _ uint64, bytes []byte) error {
		if number != 1 {
			return nil
		}
		return (*Keys)(p).parse(bytes)
	})
}
