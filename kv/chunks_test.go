package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/kv"
)

// pieces reads a whole range in pieces, doing something else in between.
func (c *client) pieces(request *pb.RangeRequest, keys, bytes int, between func()) (body []byte, a kv.Answer) {
	c.t.Helper()
	chunks, err := c.store.RangeChunks(marshal(c.t, request))
	if err != nil {
		c.t.Fatal(err)
	}
	for !chunks.Done() {
		if a, err = chunks.Next(keys, bytes); err != nil {
			c.t.Fatal(err)
		}
		if a.Err != kv.CodeOK {
			return body, a
		}
		body = append(body, a.Body...)
		between()
	}
	return body, a
}

// Messages of protobuf are merged by putting one behind the other.
func TestPiecesOfARangeMakeUpTheRange(t *testing.T) {
	c := newClient(t)
	for i := range 60 {
		c.put(fmt.Sprintf("k%02d", i), fmt.Sprint(i))
	}
	c.put("k\x00", "a key that is another's beginning")
	source := choice.FromSeed(1)
	draw := func(n int) int { return source.Choose("n", n) }
	for i := range 400 {
		request := &pb.RangeRequest{
			Key: fmt.Appendf(nil, "k%d", draw(7)), RangeEnd: [][]byte{nil, {0}, []byte("k4"), []byte("k33")}[draw(4)],
			Limit: int64(max(0, draw(40)-10)), Revision: int64(max(0, draw(80)-20)), KeysOnly: draw(4) == 0, CountOnly: draw(8) == 0,
		}
		want, err := c.store.Range(marshal(t, request))
		if err != nil {
			t.Fatal(err)
		}
		got, last := c.pieces(request, 1+draw(5), 1+draw(200), func() { c.put(fmt.Sprintf("k%02d.", draw(60)), "later") })
		if last.Err != want.Err || want.Err == kv.CodeOK && (!bytes.Equal(got, want.Body) || last.Revision != want.Revision) {
			t.Fatalf("range %d, %v:\npieces %v %d %x\nwhole  %v %d %x", i, request, last.Err, last.Revision, got, want.Err, want.Revision, want.Body)
		}
	}
}

func TestPiecesAreBounded(t *testing.T) {
	c := newClient(t)
	for i := range 100 {
		c.put(fmt.Sprintf("k%02d", i), string(make([]byte, 100)))
	}
	largest, count := 0, 0
	_, last := c.pieces(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}, 1000, 500, func() { count++ })
	chunks, err := c.store.RangeChunks(marshal(t, &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}))
	if err != nil {
		t.Fatal(err)
	}
	for !chunks.Done() {
		a, err := chunks.Next(1000, 500)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(a.Body))
	}
	if largest > 650 || count < 18 || last.Err != kv.CodeOK {
		t.Errorf("%d pieces of up to %d bytes, want none above 500 and one key more", count, largest)
	}
}

func TestPiecesEndWithTheirRevision(t *testing.T) {
	c := newClient(t)
	for i := range 10 {
		c.put(fmt.Sprintf("k%d", i), "v")
	}
	_, last := c.pieces(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Revision: 8}, 2, 1000, func() {
		c.put("k0", "w")
		c.apply(kv.KindCompact, &pb.CompactionRequest{Revision: c.store.Revision()}, &pb.CompactionResponse{})
	})
	if last.Err != kv.CodeCompacted {
		t.Errorf("got %v, want %v", last.Err, kv.CodeCompacted)
	}
}

func TestRangeInPiecesIsRefused(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct {
		what    string
		request *pb.RangeRequest
		want    error
	}{
		{"no key", &pb.RangeRequest{}, kv.CodeKeyNotProvided},
		{"downwards", &pb.RangeRequest{Key: []byte("a"), SortOrder: pb.RangeRequest_DESCEND}, kv.ErrUnordered},
		{"by version", &pb.RangeRequest{Key: []byte("a"), SortTarget: pb.RangeRequest_VERSION, SortOrder: pb.RangeRequest_ASCEND}, kv.ErrUnordered},
		{"by version, without an order", &pb.RangeRequest{Key: []byte("a"), SortTarget: pb.RangeRequest_VERSION}, nil},
		{"filtered", &pb.RangeRequest{Key: []byte("a"), MinModRevision: 2}, kv.ErrUnordered},
		{"upwards by key, which is the order", &pb.RangeRequest{Key: []byte("a"), SortOrder: pb.RangeRequest_ASCEND}, nil},
	} {
		if _, err := c.store.RangeChunks(marshal(t, test.request)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.what, err, test.want)
		}
	}
}
