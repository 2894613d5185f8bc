package etcdapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// fill puts keys with values that do not compress.
func fill(t *testing.T, w *world, keys, valueBytes int) {
	t.Helper()
	value := make([]byte, valueBytes)
	for i := range keys {
		_, _ = rand.Read(value)
		if _, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: fmt.Appendf(nil, "k%d", i), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHashIsOfEverything(t *testing.T) {
	w := newWorld(t, nil)
	fill(t, w, 3, 10)
	ask := func() uint32 {
		t.Helper()
		want, err := w.store.HashState()
		if err != nil {
			t.Fatal(err)
		}
		got, err := pb.NewMaintenanceClient(w.conn).Hash(testContext(t), &pb.HashRequest{})
		if err != nil || got.Hash != binary.BigEndian.Uint32(want.Hash[:]) || got.Header.Revision != want.Revision {
			t.Errorf("got %v and %v, want %+v", got, err, want)
		}
		return got.GetHash()
	}
	before := ask()
	if _, err := pb.NewLeaseClient(w.conn).LeaseGrant(testContext(t), &pb.LeaseGrantRequest{ID: 7, TTL: 100}); err != nil {
		t.Fatal(err)
	}
	if ask() == before {
		t.Error("a lease makes no difference")
	}
}

func TestDefragmentCompactsOneAtATime(t *testing.T) {
	store := newStore(t)
	synctest.Test(t, func(t *testing.T) {
		entered, leave := 0, make(chan struct{}) // entered is read and written by turns
		var fails error
		s, err := New(Options{
			Group: &fakeGroup{store: store, leader: testMember, term: testTerm}, Store: store, ClusterID: testCluster, MemberID: testMember,
			Defragment: func(ctx context.Context) error {
				entered++
				select {
				case <-leave:
					return fails
				case <-ctx.Done():
					return ctx.Err()
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		results := make(chan error, 3)
		call := func(ctx context.Context) {
			go func() {
				_, err := s.defragment(ctx, &pb.DefragmentRequest{})
				results <- err
			}()
			synctest.Wait()
		}
		impatient, goAway := context.WithCancel(t.Context())
		call(t.Context())
		call(impatient)
		call(t.Context())
		if entered != 1 {
			t.Errorf("%d at a time", entered)
		}
		goAway()
		if err := <-results; status.Code(err) != codes.Canceled {
			t.Errorf("one that does not wait: %v", err)
		}
		fails = errors.New("disk is on fire")
		leave <- struct{}{}
		if err := <-results; status.Code(err) != codes.Internal {
			t.Errorf("one that fails: %v", err)
		}
		synctest.Wait()
		fails = nil
		leave <- struct{}{}
		if err := <-results; err != nil || entered != 2 {
			t.Errorf("the next: %v, %d have been at it", err, entered)
		}
		call(t.Context())
		s.Close()
		if err := <-results; status.Code(err) != codes.Unavailable || entered != 3 {
			t.Errorf("while the server closes: %v, %d have been at it", err, entered)
		}
	})
	without := newWorld(t, nil)
	if _, err := pb.NewMaintenanceClient(without.conn).Defragment(testContext(t), &pb.DefragmentRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("where there is nothing to compact: %v", err)
	}
}

// receive reads a snapshot to its end.
func receive(t *testing.T, w *world) (content []byte, blobs int, err error) {
	t.Helper()
	stream, err := pb.NewMaintenanceClient(w.conn).Snapshot(testContext(t), &pb.SnapshotRequest{})
	if err != nil {
		return nil, 0, err
	}
	estimate, _ := w.options.Size()
	left := uint64(1)
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if left != 0 {
				t.Errorf("%d bytes remain after the last", left)
			}
			return content, blobs, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if left == 0 || m.Header.ClusterId != testCluster || m.Version != "3.7.0" {
			t.Errorf("after %d bytes remained: %v of %s", left, m.Header, m.Version)
		}
		if left = m.RemainingBytes; left > uint64(max(estimate, 1)) {
			t.Errorf("%d bytes remain, of %d in all", left, estimate)
		}
		content, blobs = append(content, m.Blob...), blobs+1
	}
}

func TestSnapshotIsACopyOfEverything(t *testing.T) {
	for _, size := range []int64{0, 1000, 100 << 20} { // what it is estimated at
		w := newWorld(t, func(o *Options, _ *fakeGroup) { o.Size = func() (int64, int64) { return size, size } })
		if _, _, err := receive(t, w); status.Code(err) != codes.Unavailable {
			t.Errorf("of nothing: %v", err)
		}
		fill(t, w, 40, 50_000)
		content, blobs, err := receive(t, w)
		if err != nil {
			t.Fatal(err)
		}
		info, err := kv.ReadSnapshot(bytes.NewReader(content))
		if err != nil || info.Keys != 40 || info.Revision != w.store.Revision() || len(content)%512 != 32 || blobs < 7 {
			t.Errorf("%d bytes in %d blobs: %+v, %v", len(content), blobs, info, err)
		}
	}
}

// TestSnapshotsThatNobodyReadsAreBounded: a client that stands still keeps one of a few places, until it goes.
func TestSnapshotsThatNobodyReadsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	fill(t, w, 40, 50_000) // more than what is sent ahead
	var goAway []context.CancelFunc
	for range 4 {
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		stream, err := pb.NewMaintenanceClient(w.conn).Snapshot(ctx, &pb.SnapshotRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		goAway = append(goAway, cancel)
	}
	if _, _, err := receive(t, w); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one too many: %v", err)
	}
	goAway[0]()
	w.snapshots <- struct{}{} // waits until there is room
	<-w.snapshots
	if _, _, err := receive(t, w); err != nil {
		t.Errorf("when one has gone: %v", err)
	}
}
