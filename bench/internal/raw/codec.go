package raw

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// ErrMalformed: an answer is not what the API's definition says.
var ErrMalformed = errors.New("malformed answer")

// answer is filled from bytes that are gone when parse returns.
type answer interface {
	parse(b []byte) error
}

// codec encodes requests as gRPC would, and lets answers parse themselves.
type codec struct{}

// options go with every call. As etcd's own client does, it takes answers of any size.
var options = []grpc.CallOption{grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32)}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(v.(proto.Message))
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	return v.(answer).parse(whole.ReadOnlyData())
}

// each visits the fields of a message: the number of each, and what it holds. Of fields that are
// numbers it gives the number, of those that are bytes the bytes.
func each(b []byte, visit func(number protowire.Number, value uint64, bytes []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		var value uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %d is of kind %d: %w", number, kind, ErrMalformed)
		}
		if n < 0 {
			return fmt.Errorf("field %d: %w", number, ErrMalformed)
		}
		b = b[n:]
		if err := visit(number, value, bytes); err != nil {
			return err
		}
	}
	return nil
}
