package etcdapi

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
)

func TestCloseLetsCallsFinish(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(o *Options, g *fakeGroup) {
		o.CloseGrace = time.Hour
		g.propose = func(context.Context) error {
			close(began)
			<-finish
			return nil
		}
	})
	result := make(chan error, 1)
	go func() {
		_, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte("k")})
		result <- err
	}()
	<-began
	closed := make(chan struct{})
	go func() {
		w.Close()
		close(closed)
	}()
	<-w.closing
	close(finish)
	if err := <-result; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	<-closed
	if _, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after Close: got %v, want Unavailable", err)
	}
	if err := w.Serve(bufconn.Listen(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close: got %v, want %v", err, ErrClosed)
	}
	if err := w.ServeHTTP(bufconn.Listen(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("ServeHTTP after Close: got %v, want %v", err, ErrClosed)
	}
	w.Close() // again, harmless
}

func TestCloseEndsCallsThatDoNotFinish(t *testing.T) {
	began := make(chan struct{})
	w := newWorld(t, func(o *Options, g *fakeGroup) {
		o.CloseGrace = time.Millisecond
		g.propose = func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return quorate.ErrOutcomeUnknown
		}
	})
	result := make(chan error, 1)
	go func() {
		_, err := pb.NewKVClient(w.conn).Put(context.Background(), &pb.PutRequest{Key: []byte("k")})
		result <- err
	}()
	<-began
	w.Close()
	if err := <-result; status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestCallsAreCounted(t *testing.T) {
	w := newWorld(t, nil)
	client := pb.NewKVClient(w.conn)
	if _, err := client.Put(testContext(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Range(testContext(t), &pb.RangeRequest{Key: []byte("k"), Revision: 9}); err == nil {
		t.Fatal("the future was read")
	}
	if _, err := pb.NewMaintenanceClient(w.conn).Status(testContext(t), &pb.StatusRequest{}); err != nil {
		t.Fatal(err)
	}
	s := w.Stats()
	counted := map[string]MethodStats{}
	for _, m := range s.Methods {
		counted[m.Service+"/"+m.Method] = m
	}
	for name, code := range map[string]codes.Code{
		"etcdserverpb.KV/Put": codes.OK, "etcdserverpb.KV/Range": codes.OutOfRange, "etcdserverpb.Maintenance/Status": codes.OK,
	} {
		if m := counted[name]; m.Started != 1 || m.Handled[code] != 1 || m.Type != "unary" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m := counted["etcdserverpb.KV/Txn"]; m.Started != 0 {
		t.Errorf("Txn: %+v", m)
	}
	if len(s.Methods) != 38 || s.ReceivedBytes == 0 || s.SentBytes == 0 {
		t.Errorf("%+v", s)
	}
}

func TestOptionsSayEverythingThatIsWrong(t *testing.T) {
	_, err := New(Options{MaxRequestBytes: 1 << 30, RequestTimeout: -1, CloseGrace: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	const want = "options: Group is missing\nStore is missing\nClusterID is missing\nMemberID is missing\n" +
		"MaxRequestBytes is 1073741824, must be from 0 to 16777216\nRequestTimeout is -1ns, must not be negative\n" +
		"CloseGrace is -1ns, must not be negative"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
