package raw

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode takes an answer as gRPC would hand it over, in two pieces.
func decode(t *testing.T, m proto.Message, into answer) {
	t.Helper()
	b := encode(t, m)
	half := len(b) / 2
	if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b[:half]), mem.SliceBuffer(b[half:])}, into); err != nil {
		t.Fatal(err)
	}
}

func event(revision int64, value string) *mvccpb.Event {
	return &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte("k"), ModRevision: revision, CreateRevision: 2, Value: []byte(value)},
		PrevKv: &mvccpb.KeyValue{Key: []byte("k"), ModRevision: 1}}
}

func TestAnswerSaysWhatTheResponseDoes(t *testing.T) {
	at := time.Unix(7, 8)
	tests := []struct {
		name     string
		response *pb.WatchResponse
		want     Answer
	}{
		{"created", &pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 9, ClusterId: 1 << 63}, WatchId: 3, Created: true},
			Answer{ID: 3, Revision: 9, Created: true}},
		{"canceled", &pb.WatchResponse{WatchId: -1, Canceled: true, CompactRevision: 5, CancelReason: "why"},
			Answer{ID: -1, Canceled: true, Compacted: 5, Reason: "why"}},
		{"one after the other, and two of one revision", &pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 9}, WatchId: 1,
			Events: []*mvccpb.Event{event(6, Stamped(at, "a longer value")), event(7, ""), event(7, "")}},
			Answer{ID: 1, Revision: 9, Events: 3, First: 6, Last: 7, Stamp: at}},
		{"one is missing", &pb.WatchResponse{Events: []*mvccpb.Event{event(6, "short"), event(8, "")}},
			Answer{Events: 2, First: 6, Last: 8, Gaps: 1}},
		{"one comes twice", &pb.WatchResponse{Events: []*mvccpb.Event{event(6, ""), event(7, ""), event(6, "")}},
			Answer{Events: 3, First: 6, Last: 6, Gaps: 1}},
	}
	for _, test := range tests {
		var got Answer
		decode(t, test.response, &got)
		if !got.Stamp.Equal(test.want.Stamp) {
			t.Errorf("%s: stamp %v, want %v", test.name, got.Stamp, test.want.Stamp)
		}
		if got.Stamp = test.want.Stamp; got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestStampedValueHasTheSizeOfTheValue(t *testing.T) {
	for value, want := range map[string]int{"": 8, "1234567": 8, "123456789": 9} {
		if got := Stamped(time.Now(), value); len(got) != want {
			t.Errorf("value %q: %d bytes, want %d", value, len(got), want)
		}
	}
}

func TestKeysOfARangeAndOfItsPiecesAreCounted(t *testing.T) {
	kv := &mvccpb.KeyValue{Key: []byte("key"), Value: []byte("value")}
	size := int64(len(encode(t, kv)))
	first := &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv, kv}}
	last := &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv}, Count: 3, More: true, Header: &pb.ResponseHeader{Revision: 4}}
	var whole, pieces Keys
	decode(t, last, &whole)
	if want := (Keys{Count: 3, Given: 1, Bytes: size}); whole != want {
		t.Errorf("range: got %+v, want %+v", whole, want)
	}
	decode(t, &pb.RangeStreamResponse{RangeResponse: first}, (*piece)(&pieces))
	decode(t, &pb.RangeStreamResponse{RangeResponse: last}, (*piece)(&pieces))
	if want := (Keys{Count: 3, Given: 3, Bytes: 3 * size}); pieces != want {
		t.Errorf("pieces: got %+v, want %+v", pieces, want)
	}
}

func TestRenewalSaysWhichLeaseAndForHowLong(t *testing.T) {
	var got kept
	decode(t, &pb.LeaseKeepAliveResponse{ID: 5, TTL: 30}, &got)
	if want := (kept{id: 5, ttl: 30}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzAnswersOfAnyBytesAreParsedOrRefused(f *testing.F) {
	f.Add(encode(f, &pb.WatchResponse{WatchId: 1, Events: []*mvccpb.Event{event(2, "12345678")}}))
	f.Add([]byte{0x0d, 1, 2, 3, 4})
	f.Add([]byte{0x5a, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, a := range []answer{&Answer{}, &Keys{}, new(piece), &kept{}} {
			if err := a.parse(b); err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%T: %v is not ErrMalformed", a, err)
			}
		}
	})
}
