package etcdapi

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// stream reads a whole stream; merged is all of it as one response.
func (w *world) stream(t *testing.T, request *pb.RangeRequest) (merged *pb.RangeResponse, pieces int, err error) {
	t.Helper()
	stream, err := pb.NewKVClient(w.conn).RangeStream(testContext(t), request)
	if err != nil {
		t.Fatal(err)
	}
	merged = &pb.RangeResponse{}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return merged, pieces, nil
		}
		if err != nil {
			return merged, pieces, err
		}
		if merged.Header != nil {
			t.Error("a piece behind the one with the header")
		}
		pieces++
		proto.Merge(merged, piece.RangeResponse)
	}
}

func TestRangeStreamIsRangeInPieces(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.MaxRequestBytes = 4 << 10 })
	client := pb.NewKVClient(w.conn)
	for i := range 100 {
		if _, err := client.Put(testContext(t), &pb.PutRequest{Key: fmt.Appendf(nil, "k%02d", i), Value: []byte(strings.Repeat("v", 200))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		request *pb.RangeRequest
		pieces  int // at least
	}{
		{&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}, 5},
		{&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: 30, Revision: 90, Serializable: true}, 2},
		{&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true}, 1},
		{&pb.RangeRequest{Key: []byte("nothing")}, 1},
	} {
		want, err := client.Range(testContext(t), test.request)
		if err != nil {
			t.Fatal(err)
		}
		got, pieces, err := w.stream(t, test.request)
		if err != nil || !proto.Equal(got, want) || pieces < test.pieces {
			t.Errorf("%v: got %v in %d pieces, %v; want %v in at least %d", test.request, got, pieces, err, want, test.pieces)
		}
	}
	if reads, _ := w.group.counts(); reads != 6 {
		t.Errorf("%d linearizable reads, want 6", reads)
	}
}

func TestRangeStreamRefusesAsEtcdDoes(t *testing.T) {
	w := newWorld(t, nil)
	for _, test := range []struct {
		request *pb.RangeRequest
		code    codes.Code
		text    string
	}{
		{&pb.RangeRequest{}, codes.InvalidArgument, rpctypes.ErrEmptyKey.Error()},
		{&pb.RangeRequest{Key: []byte("a"), Revision: 9}, codes.OutOfRange, rpctypes.ErrFutureRev.Error()},
		{&pb.RangeRequest{Key: []byte("a"), SortOrder: pb.RangeRequest_DESCEND}, codes.Unimplemented, "RangeStream"},
		{&pb.RangeRequest{Key: []byte("a"), MaxCreateRevision: 9}, codes.Unimplemented, "RangeStream"},
	} {
		_, _, err := w.stream(t, test.request)
		if status.Code(err) != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%v: got %v, want %v and %q", test.request, err, test.code, test.text)
		}
	}
}

func TestHashKVIsOfARevision(t *testing.T) {
	w := newWorld(t, nil)
	client, maintenance := pb.NewKVClient(w.conn), pb.NewMaintenanceClient(w.conn)
	put := func(value string) {
		t.Helper()
		if _, err := client.Put(testContext(t), &pb.PutRequest{Key: []byte("a"), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	hash := func(revision int64) *pb.HashKVResponse {
		t.Helper()
		h, err := maintenance.HashKV(testContext(t), &pb.HashKVRequest{Revision: revision})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	put("1")
	first := hash(0)
	put("2")
	again, second := hash(2), hash(0)
	if first.HashRevision != 2 || first.Hash != again.Hash || again.Hash == second.Hash || second.HashRevision != 3 || second.CompactRevision != -1 {
		t.Errorf("got %v, then of the same revision %v, then %v", first, again, second)
	}
	if !proto.Equal(second.Header, head(3)) {
		t.Errorf("header: %v", second.Header)
	}
	if _, err := maintenance.HashKV(testContext(t), &pb.HashKVRequest{Revision: 4}); status.Convert(err).Message() != rpctypes.ErrFutureRev.Error() {
		t.Errorf("of a revision to come: %v", err)
	}
}
