package etcdapi

import (
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec turns messages into bytes and back for gRPC. The hot methods' messages are bytes already: a
// *rawRequest takes them as they came, a *response gives them as they are. All others are protobuf's.
type codec struct {
	received, sent atomic.Uint64 // bytes of messages, without gRPC's framing
}

// rawRequest is a request that is not decoded here.
type rawRequest struct{ bytes []byte }

// response is the encoding of a response in two parts: its header field, and the fields behind it.
type response struct{ header, body []byte }

// joinBytes is up to which size the parts of a response are joined in one buffer. Copying so few bytes
// is cheaper than one more buffer on the way out; larger bodies are not copied at all.
const joinBytes = 4 << 10

// Name is the content subtype that clients of etcd use.
func (c *codec) Name() string { return "proto" }

// Unmarshal implements encoding.CodecV2.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	c.received.Add(uint64(data.Len()))
	switch m := v.(type) {
	case *rawRequest:
		// A copy of its own, and not a pooled one: it becomes part of the log, and how long the group
		// holds on to a command is the group's business.
		m.bytes = data.Materialize()
		return nil
	case proto.Message:
		return proto.Unmarshal(data.Materialize(), m)
	}
	return fmt.Errorf("decode into %T: not a message", v)
}

// Marshal implements encoding.CodecV2.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	var buffers mem.BufferSlice
	switch m := v.(type) {
	case *response:
		if len(m.body) <= joinBytes {
			m.header, m.body = append(m.header, m.body...), nil
		}
		buffers = append(buffers, mem.SliceBuffer(m.header))
		if len(m.body) > 0 {
			buffers = append(buffers, mem.SliceBuffer(m.body))
		}
	case proto.Message:
		b, err := proto.Marshal(m)
		if err != nil {
			return nil, err
		}
		buffers = append(buffers, mem.SliceBuffer(b))
	default:
		return nil, fmt.Errorf("encode %T: not a message", v)
	}
	c.sent.Add(uint64(buffers.Len()))
	return buffers, nil
}
