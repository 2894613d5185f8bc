package etcdapi

import (
	"math"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// bytesCodec lets a test's client send and receive bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func TestHeadersAreEncodedAsProtobufEncodesThem(t *testing.T) {
	numbers := []uint64{0, 1, 127, 128, 1 << 32, math.MaxInt64}
	for _, cluster := range append(numbers, math.MaxUint64) {
		for _, revision := range numbers {
			for _, term := range numbers {
				h := newHeaders(cluster, cluster/3)
				got := h.append(nil, int64(revision), term)
				want := marshal(t, &pb.PutResponse{Header: h.message(int64(revision), term)})
				if string(got) != string(want) {
					t.Fatalf("cluster %d, revision %d, term %d: got %x, want %x", cluster, revision, term, got, want)
				}
				if len(got) > headerRoomBytes {
					t.Fatalf("a header of %d bytes, more than headerRoomBytes", len(got))
				}
			}
		}
	}
}

func TestCodecRefusesWhatIsNoMessage(t *testing.T) {
	c := new(codec)
	if _, err := c.Marshal(7); err == nil {
		t.Error("encoded a number")
	}
	if err := c.Unmarshal(nil, new(int)); err == nil {
		t.Error("decoded into a number")
	}
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("\xff")}, new(pb.StatusRequest)); err == nil {
		t.Error("decoded garbage")
	}
}

// A request must not alias gRPC's buffers: they are used again while the group still has the command.
func TestRequestIsACopy(t *testing.T) {
	c := new(codec)
	received := []byte("request")
	var r rawRequest
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(received)}, &r); err != nil {
		t.Fatal(err)
	}
	copy(received, "XXXXXXX")
	if string(r.bytes) != "request" {
		t.Errorf("the request has changed to %q", r.bytes)
	}
}

func TestCodecCountsBytes(t *testing.T) {
	c := new(codec)
	message := &pb.MemberListRequest{Linearizable: true}
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(marshal(t, message))}, new(pb.MemberListRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Marshal(&response{header: make([]byte, 10), body: make([]byte, joinBytes+1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Marshal(message); err != nil {
		t.Fatal(err)
	}
	size := uint64(proto.Size(message))
	if got, want := c.received.Load(), size; got != want {
		t.Errorf("received: got %d, want %d", got, want)
	}
	if got, want := c.sent.Load(), 10+joinBytes+1+size; got != want {
		t.Errorf("sent: got %d, want %d", got, want)
	}
}
