package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

func TestLeaseIsGrantedByEtcdsClient(t *testing.T) {
	w := newWorld(t, nil)
	client := clientv3.NewCtxClient(testContext(t))
	lease := clientv3.NewLeaseFromLeaseClient(pb.NewLeaseClient(w.conn), client, time.Second)
	kvClient := clientv3.NewKVFromKVClient(pb.NewKVClient(w.conn), client)
	ctx := testContext(t)

	granted, err := lease.Grant(ctx, 1)
	if err != nil || granted.ID <= 0 || granted.TTL != 2 || granted.MemberId != testMember || granted.Revision != 1 {
		t.Fatalf("granted %+v, %v; the shortest time is 2 s", granted, err)
	}
	if _, err := lease.Grant(ctx, kv.MaxLeaseTTL+1); !errors.Is(err, rpctypes.ErrLeaseTTLTooLarge) {
		t.Errorf("too long a time: %v", err)
	}
	longer, err := lease.Grant(ctx, 60)
	if err != nil || longer.ID == granted.ID {
		t.Fatalf("granted %+v, %v", longer, err)
	}
	if _, err := kvClient.Put(ctx, "k", "v", clientv3.WithLease(granted.ID)); err != nil {
		t.Fatal(err)
	}
	w.group.pass(500 * time.Millisecond)
	left, err := lease.TimeToLive(ctx, granted.ID, clientv3.WithAttachedKeys())
	if err != nil || left.TTL != 1 || left.GrantedTTL != 2 || fmt.Sprintf("%s", left.Keys) != "[k]" {
		t.Errorf("left: %+v, %v", left, err)
	}
	all, err := lease.Leases(ctx)
	if err != nil || len(all.Leases) != 2 || all.Leases[0].ID != granted.ID || all.Leases[1].ID != longer.ID {
		t.Errorf("leases: %+v, %v", all, err)
	}
	w.group.pass(5 * time.Second)
	if left, err = lease.TimeToLive(ctx, granted.ID); err != nil || left.TTL != 0 || left.Keys != nil {
		t.Errorf("left of one that is due: %+v, %v", left, err)
	}
	kept, err := lease.KeepAliveOnce(ctx, granted.ID)
	if err != nil || kept.TTL != 2 || kept.ID != granted.ID || kept.Revision != 2 {
		t.Errorf("kept alive: %+v, %v", kept, err)
	}
	if left, err = lease.TimeToLive(ctx, granted.ID); err != nil || left.TTL != 2 {
		t.Errorf("left of one that was renewed: %+v, %v", left, err)
	}
	if revoked, err := lease.Revoke(ctx, granted.ID); err != nil || revoked.Header.Revision != 3 {
		t.Errorf("revoke: %+v, %v", revoked, err)
	}
	if _, err := lease.Revoke(ctx, granted.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Errorf("revoke again: %v", err)
	}
	if _, err := lease.KeepAliveOnce(ctx, granted.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Errorf("keep alive one that is gone: %v", err)
	}
	if left, err = lease.TimeToLive(ctx, granted.ID); err != nil || left.TTL != -1 {
		t.Errorf("left of one that is gone: %+v, %v", left, err)
	}
	if got, err := kvClient.Get(ctx, "k"); err != nil || got.Count != 0 {
		t.Errorf("its key: %+v, %v", got, err)
	}
}

// keepAliveStream opens a stream, and sends requests for some leases.
func keepAliveStream(t *testing.T, w *world, ctx context.Context, ids ...int64) pb.Lease_LeaseKeepAliveClient {
	t.Helper()
	stream, err := pb.NewLeaseClient(w.conn).LeaseKeepAlive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

func TestKeepAlivesAreGatheredAndAnsweredInOrder(t *testing.T) {
	const many = 5000
	release := make(chan struct{})
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.propose = func(ctx context.Context) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	})
	go func() { release <- struct{}{}; release <- struct{}{} }() // the two grants
	for _, id := range []int64{1, 2} {
		if _, err := pb.NewLeaseClient(w.conn).LeaseGrant(testContext(t), &pb.LeaseGrantRequest{ID: id, TTL: 10 * id}); err != nil {
			t.Fatal(err)
		}
	}
	_, before := w.group.counts()
	stream, err := pb.NewLeaseClient(w.conn).LeaseKeepAlive(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range many {
			_ = stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(i % 3)})
		}
		_ = stream.CloseSend()
	}()
	close(release)
	for i := range many {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if answer.ID != int64(i%3) || answer.TTL != 10*answer.ID {
			t.Fatalf("answer %d is %+v", i, answer)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
	if _, after := w.group.counts(); after-before > many/10 {
		t.Errorf("%d commands for %d requests", after-before, many)
	}
}

func TestKeepAliveEndsWithWhatEndsIt(t *testing.T) {
	failure := make(chan error, 1)
	w := newWorld(t, func(o *Options, g *fakeGroup) {
		o.LeaderTimeout = 30 * time.Millisecond
		g.propose = func(context.Context) error {
			select {
			case err := <-failure:
				return err
			default:
				return nil
			}
		}
	})
	ctx := metadata.AppendToOutgoingContext(testContext(t), requireLeaderKey, requireLeaderValue)
	needy, patient := keepAliveStream(t, w, ctx), keepAliveStream(t, w, testContext(t), 1)
	if answer, err := patient.Recv(); err != nil || answer.TTL != 0 {
		t.Errorf("%v, %v", answer, err)
	}
	w.group.setLeader(0)
	if _, err := needy.Recv(); !errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) {
		t.Errorf("a stream that needs a leader ends with %v", err)
	}
	if _, err := keepAliveStream(t, w, ctx).Recv(); !errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) {
		t.Errorf("a new one that needs a leader ends with %v", err)
	}
	failure <- context.DeadlineExceeded
	if err := patient.Send(&pb.LeaseKeepAliveRequest{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := patient.Recv(); status.Code(err) != codes.Internal {
		t.Errorf("a renewal that fails ends the stream with %v", err)
	}
	last := keepAliveStream(t, w, testContext(t), 1)
	if _, err := last.Recv(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := last.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a server that closes ends the stream with %v", err)
	}
}

func TestGrantTriesAnotherIDWhenOneIsTaken(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.answer = (&kv.Answer{Err: kv.CodeLeaseExists, Revision: 1}).Append(nil)
	})
	proposed := 0
	w.group.propose = func(context.Context) error {
		if proposed++; proposed == 2 {
			w.group.answer = nil
		}
		return nil
	}
	granted, err := pb.NewLeaseClient(w.conn).LeaseGrant(testContext(t), &pb.LeaseGrantRequest{TTL: 10})
	if err != nil || granted.ID == 0 || proposed != 2 {
		t.Errorf("%+v, %v after %d proposals", granted, err, proposed)
	}
	proposed, w.group.answer = 5, (&kv.Answer{Err: kv.CodeLeaseExists, Revision: 1}).Append(nil)
	if _, err := pb.NewLeaseClient(w.conn).LeaseGrant(testContext(t), &pb.LeaseGrantRequest{ID: 7, TTL: 10}); err == nil || proposed != 6 {
		t.Errorf("an id of the client's that is taken: %v after %d proposals", err, proposed-5)
	}
	failures := 0
	w.group.propose = func(context.Context) error {
		failures++
		return context.DeadlineExceeded
	}
	if _, err := pb.NewLeaseClient(w.conn).LeaseGrant(testContext(t), &pb.LeaseGrantRequest{TTL: 10}); err == nil || failures != 1 {
		t.Errorf("a grant that fails for another reason, and may have been carried out: %v after %d proposals", err, failures)
	}
}

func TestKeepAliveThatNeedsALeaderIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t, func(o *Options, g *fakeGroup) { o.LeaderTimeout, g.leader = time.Hour, 0 })
	ctx := metadata.AppendToOutgoingContext(testContext(t), requireLeaderKey, requireLeaderValue)
	if _, err := keepAliveStream(t, w, ctx).Recv(); !errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) {
		t.Errorf("it ends with %v", err)
	}
}
