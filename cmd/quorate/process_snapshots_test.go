package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// soon lets servers drop what is in their logs as soon as may be.
var soon = []string{"--keep-log-bytes", "100000", "--max-log-bytes", "200000"}

// TestProcessServerThatTheLogHasLeftBehindTakesOverAState: a server is away while much is written; then the log has moved
// on. It gets what it lacks, is killed in the midst of it, and has everything in the end. Then it loses its state
// altogether.
func TestProcessServerThatTheLogHasLeftBehindTakesOverAState(t *testing.T) {
	servers := startServers(t, 3, soon...)
	fill(t, servers[0], 0, 2000)
	granted, err := pb.NewLeaseClient(servers[0].conn).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{TTL: 3600})
	if err != nil {
		t.Fatal(err)
	}
	away := servers[2]
	waitCaughtUp(t, away, servers[0])
	for round := range 3 {
		away.kill(t)
		if round == 2 { // and its state is lost
			if err := os.RemoveAll(filepath.Join(away.dir, "state")); err != nil {
				t.Fatal(err)
			}
		}
		change(t, servers[0], granted.ID, round)
		fill(t, servers[0], 10_000, 2000)
		waitLogDropped(t, servers[0])
		away.start(t)
		if round == 1 {
			away.kill(t) // wherever it is by then
			away.start(t)
		}
		away.waitServing(t)
		waitCaughtUp(t, away, servers[0])
		expectSameHashes(t, servers)
		left, err := pb.NewLeaseClient(away.conn).LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: granted.ID, Keys: true})
		if err != nil || left.GrantedTTL != 3600 || len(left.Keys) != 10*(round+1) {
			t.Errorf("round %d: the lease is %v, %v", round, left, err)
		}
	}
	away.kill(t)
	if said := away.log.String(); !strings.Contains(said, "where the state is that another server sent") {
		t.Errorf("took over no state:\n%s", tail(said, 3000))
	}
}

// fill puts keys with values of a kilobyte, many in a transaction.
func fill(t *testing.T, s *serverProcess, from, count int) {
	t.Helper()
	const each = 100
	for i := from; i < from+count; i += each {
		txn := &pb.TxnRequest{}
		for k := i; k < i+each; k++ {
			value := fmt.Sprintf("%0*d", 1000, k)
			txn.Success = append(txn.Success, putRequestOp(&pb.PutRequest{Key: fmt.Appendf(nil, "filled%06d", k%1000), Value: []byte(value)}))
		}
		if _, err := pb.NewKVClient(s.conn).Txn(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
}

func putRequestOp(p *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: p}}
}

// change updates, deletes and makes keys, some with a lease.
func change(t *testing.T, s *serverProcess, lease int64, round int) {
	t.Helper()
	kv := pb.NewKVClient(s.conn)
	for k := range 10 {
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: fmt.Appendf(nil, "leased%d.%d", round, k), Lease: lease}); err != nil {
			t.Fatal(err)
		}
	}
	first := fmt.Appendf(nil, "filled%06d", 100*round)
	end := fmt.Appendf(nil, "filled%06d", 100*round+50)
	if _, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: first, RangeEnd: end}); err != nil {
		t.Fatal(err)
	}
}

// waitLogDropped waits until a server's log no longer has what it had at first.
func waitLogDropped(t *testing.T, s *serverProcess) {
	t.Helper()
	before := s.metrics(t)["quorate_log_first_index"]
	eventually(t, "the log of "+s.name+" is compacted", func() error {
		status, err := s.status(t.Context())
		if err != nil {
			return err
		}
		if first := s.metrics(t)["quorate_log_first_index"]; first <= before && first+100 < float64(status.RaftIndex) {
			return fmt.Errorf("it begins at %v, and ends at %d", first, status.RaftIndex)
		}
		return nil
	})
}

// expectSameHashes compares what servers hold at several revisions.
func expectSameHashes(t *testing.T, servers []*serverProcess) {
	t.Helper()
	status, err := pb.NewKVClient(servers[0].conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("x"), CountOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []int64{status.Header.Revision, status.Header.Revision / 2, 2} {
		var want *pb.HashKVResponse
		for _, s := range servers {
			got, err := pb.NewMaintenanceClient(s.conn).HashKV(t.Context(), &pb.HashKVRequest{Revision: revision})
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
			}
			if got.Hash != want.Hash || got.CompactRevision != want.CompactRevision {
				t.Errorf("at revision %d %s has hash %d, compacted at %d, and %s %d, at %d", revision,
					s.name, got.Hash, got.CompactRevision, servers[0].name, want.Hash, want.CompactRevision)
			}
		}
	}
}
