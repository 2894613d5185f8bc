package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/outage"
)

// shelf is a server that keeps keys in memory. Its first answers to puts are errors, one each.
type shelf struct {
	pb.UnimplementedKVServer
	mu       sync.Mutex
	errors   []error
	keys     map[string]*mvccpb.KeyValue
	revision int64
	puts     []string    // keys, those that failed included
	asked    []int       // keys that a range was answered with
	unknown  []string    // methods that it was asked for and does not have
	done     func(n int) // called with the number of puts so far, if there is one
}

func (s *shelf) Put(_ context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(r.Key)
	s.puts = append(s.puts, key)
	if s.done != nil {
		defer s.done(len(s.puts))
	}
	if len(s.errors) > 0 {
		err := s.errors[0]
		s.errors = s.errors[1:]
		return nil, err
	}
	s.revision++
	found := s.keys[key]
	if found == nil {
		found = &mvccpb.KeyValue{Key: r.Key}
		s.keys[key] = found
	}
	found.Value, found.ModRevision, found.Version = r.Value, s.revision, found.Version+1
	return &pb.PutResponse{Header: &pb.ResponseHeader{Revision: s.revision, MemberId: 7, RaftTerm: 3}}, nil
}

func (s *shelf) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &pb.RangeResponse{Header: &pb.ResponseHeader{}}
	for key, kv := range s.keys {
		if key >= string(r.Key) && key < string(r.RangeEnd) {
			answer.Kvs = append(answer.Kvs, kv)
		}
	}
	s.asked = append(s.asked, len(answer.Kvs))
	return answer, nil
}

// serveShelf returns a bed with that one server.
func serveShelf(t *testing.T, s *shelf) (*bed, *clientv3.Client) {
	t.Helper()
	s.keys = map[string]*mvccpb.KeyValue{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unknown = append(s.unknown, method)
		return status.Error(codes.Unimplemented, "no such service")
	}))
	pb.RegisterKVServer(server, s)
	go func() { _ = server.Serve(listener) }() // it ends with Stop
	t.Cleanup(server.Stop)
	one := &cluster.Server{Name: "n0", URL: "http://" + listener.Addr().String()}
	client, err := cluster.Dial(one.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	b := &bed{options: &options{valueBytes: 300, timeout: time.Minute}, cluster: &cluster.Cluster{Servers: []*cluster.Server{one}}}
	b.fill()
	return b, client
}

func TestAcknowledgedWriteThatIsLostIsFound(t *testing.T) {
	s := &shelf{}
	b, client := serveShelf(t, s)
	w := b.newWrites(time.Now())
	const count = readBack + 500 // more than one reads back at a time
	for range count {
		if _, err := w.put(t.Context(), client, w.begin()); err != nil {
			t.Fatal(err)
		}
	}
	w.begin() // of one that was not acknowledged nothing need be there
	if err := w.missing(t.Context()); err != nil || w.acknowledged() != count {
		t.Fatalf("with all %d there: got %v, and %d acknowledged", count, err, w.acknowledged())
	}
	if fmt.Sprint(s.asked) != fmt.Sprint([]int{readBack, 500}) {
		t.Errorf("read back by %v keys, want by %d", s.asked, readBack)
	}
	delete(s.keys, writeKey(count-1))
	delete(s.keys, writeKey(3))
	err := w.missing(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ACKNOWLEDGED WRITES ARE LOST: 2 of 1500 at n0") || !strings.Contains(err.Error(), "w0000000003") {
		t.Fatalf("without two of them: got %v", err)
	}
}

func TestWhatIsWrongWithAWrite(t *testing.T) {
	b := &bed{options: &options{valueBytes: 10}}
	b.fill()
	w := b.newWrites(time.Now())
	w.acked = []int64{50, 0}
	value := func(number int64) []byte { return []byte(b.writeValue(number)) }
	tests := []struct {
		what   string
		number int64
		found  *mvccpb.KeyValue
		wrong  bool
	}{
		{"it is there", 0, &mvccpb.KeyValue{Value: value(0), ModRevision: 50, Version: 1}, false},
		{"it is not", 0, nil, true},
		{"it was put in an earlier revision, once", 0, &mvccpb.KeyValue{Value: value(0), ModRevision: 49, Version: 1}, true},
		{"it was put in a later revision, once", 0, &mvccpb.KeyValue{Value: value(0), ModRevision: 51, Version: 1}, true},
		{"an earlier try came later", 0, &mvccpb.KeyValue{Value: value(0), ModRevision: 51, Version: 2}, false},
		{"an earlier try came earlier, and ours not", 0, &mvccpb.KeyValue{Value: value(0), ModRevision: 49, Version: 2}, true},
		{"it has another's value", 0, &mvccpb.KeyValue{Value: value(1), ModRevision: 50, Version: 1}, true},
		{"it was not acknowledged and is not there", 1, nil, false},
		{"it was not acknowledged and is there", 1, &mvccpb.KeyValue{Value: value(1), ModRevision: 9, Version: 1}, false},
		{"it was not acknowledged and has another's value", 1, &mvccpb.KeyValue{Value: value(0), ModRevision: 9, Version: 1}, true},
	}
	for _, test := range tests {
		if got := w.wrong(test.number, test.found); (got != "") != test.wrong {
			t.Errorf("%s: got %q", test.what, got)
		}
	}
}

func TestPutThatTookEffectTwiceIsWrongIfItsClientPromisesOnce(t *testing.T) {
	b := &bed{options: &options{valueBytes: 10}}
	b.fill()
	twice := &mvccpb.KeyValue{Value: []byte(b.writeValue(0)), ModRevision: 51, Version: 2}
	for _, test := range []struct {
		what   string
		once   bool
		failed bool // so that the caller has put it again
		wrong  bool
	}{
		{"it promises once", true, false, true},
		{"it promises once, and the caller may have put it again", true, true, false},
		{"it promises nothing", false, false, false},
	} {
		w := b.newWrites(time.Now())
		w.acked, w.once = []int64{50}, test.once
		if test.failed {
			w.errors.add(errors.New("outcome is unknown"))
		}
		if got := w.wrong(0, twice); (got != "") != test.wrong {
			t.Errorf("%s: got %q", test.what, got)
		}
	}
}

func TestClientTriesTheSameWriteAgainUntilItIsAcknowledged(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &shelf{
		errors: []error{status.Error(codes.Unavailable, "etcdserver: leader changed"), status.Error(codes.Unknown, "port 1234"),
			status.Error(codes.Unknown, "port 99")},
		done: func(n int) {
			if n == 5 {
				cancel()
			}
		},
	}
	b, client := serveShelf(t, s)
	w := b.newWrites(time.Now())
	own := outage.New(time.Now())
	w.oneAfterAnother(ctx, client, own)
	first, second := writeKey(0), writeKey(1)
	if got := strings.Join(s.puts, " "); got != strings.Join([]string{first, first, first, first, second}, " ") {
		t.Errorf("it has put %s", got)
	}
	// The last was under way when we ended it: that is no error, whether or not it was acknowledged.
	if w.acked[0] != 1 || w.errors.sum() != 3 || own.Count() < 1 || w.all.Count() != own.Count() {
		t.Errorf("acknowledged %v, %d and %d times; errors %+v", w.acked, own.Count(), w.all.Count(), w.errors)
	}
	if len(w.errors.names) != 2 || w.errors.counts[1] != 2 {
		t.Errorf("want that ports do not make kinds of errors; got %+v", w.errors)
	}
}

func TestKindsOfErrorsAreBounded(t *testing.T) {
	var k kinds
	for range 2 {
		for i := range 100 {
			k.add(errors.New(strings.Repeat("x", i+1)))
		}
	}
	if len(k.names) != maxKinds || k.names[maxKinds-1] != "others" || k.counts[maxKinds-1] != 2*(100-maxKinds+1) || k.sum() != 200 {
		t.Errorf("got %d kinds, the last %q %d times, %d in all", len(k.names), k.names[maxKinds-1], k.counts[maxKinds-1], k.sum())
	}
	if k.first == nil || k.first.Error() != "x" {
		t.Errorf("the first is %v", k.first)
	}
	long := kindOf(errors.New(strings.Repeat("y", 1000)))
	if len(long) > maxKindBytes+3 {
		t.Errorf("%d bytes are kept of a text", len(long))
	}
	if got := kindOf(fmt.Errorf("put: %w", context.DeadlineExceeded)); got != "time is up" {
		t.Errorf("got %q", got)
	}
	if got, want := kindOf(errors.New("dial 127.0.0.1:4711: refused, 3 times")), "dial #.#.#.#:#: refused, # times"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
