package etcdapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestNothingIsAnsweredFromAStateThatIsMissing: what a client takes as it is, is refused; what must be up to date waits,
// as the group lets it.
func TestNothingIsAnsweredFromAStateThatIsMissing(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.missing = true
		g.read = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
	})
	kv, maintenance, leases := pb.NewKVClient(w.conn), pb.NewMaintenanceClient(w.conn), pb.NewLeaseClient(w.conn)
	serializable := &pb.RangeRequest{Key: []byte("a"), Serializable: true}
	txn := &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: serializable}}}}
	for what, ask := range map[string]func(ctx context.Context) error{
		"serializable range": func(ctx context.Context) error { _, err := kv.Range(ctx, serializable); return err },
		"serializable txn":   func(ctx context.Context) error { _, err := kv.Txn(ctx, txn); return err },
		"hash of keys":       func(ctx context.Context) error { _, err := maintenance.HashKV(ctx, &pb.HashKVRequest{}); return err },
		"hash":               func(ctx context.Context) error { _, err := maintenance.Hash(ctx, &pb.HashRequest{}); return err },
		"snapshot": func(ctx context.Context) error {
			stream, err := maintenance.Snapshot(ctx, &pb.SnapshotRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"range stream": func(ctx context.Context) error {
			stream, err := kv.RangeStream(ctx, serializable)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"watch": func(ctx context.Context) error {
			stream, err := pb.NewWatchClient(w.conn).Watch(ctx)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		if err := ask(testContext(t)); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "lost its state") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, ask := range map[string]func(ctx context.Context) error{
		"range": func(ctx context.Context) error {
			_, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
			return err
		},
		"leases": func(ctx context.Context) error {
			_, err := leases.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
			return err
		},
		"time to live": func(ctx context.Context) error {
			_, err := leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 1})
			return err
		},
		"range by txn": func(ctx context.Context) error { _, err := kv.Txn(ctx, &pb.TxnRequest{}); return err },
		"range streams": func(ctx context.Context) error {
			stream, err := kv.RangeStream(ctx, &pb.RangeRequest{Key: []byte("a")})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(testContext(t), 100*time.Millisecond)
		if err := ask(ctx); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s did not wait: %v", what, err)
		}
		cancel()
	}
	said, err := maintenance.Status(testContext(t), &pb.StatusRequest{})
	if err != nil || len(said.Errors) != 1 || !strings.Contains(said.Errors[0], "lost its state") {
		t.Errorf("status: %v, %v", said, err)
	}
	for path, want := range map[string]int{"/health": 503, "/health?serializable=true": 503, "/readyz": 503, "/livez": 200} {
		recorder := httptest.NewRecorder()
		w.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if body := recorder.Body.String(); recorder.Code != want || want == 503 && !strings.Contains(body, "lost its state") {
			t.Errorf("%s: %d %s", path, recorder.Code, body)
		}
	}
}
