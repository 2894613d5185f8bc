package cluster

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// told is a server that only says how it is: the next of its statuses each time, the last again and again.
type told struct {
	pb.UnimplementedMaintenanceServer
	statuses []*pb.StatusResponse
	asked    atomic.Int64
}

func (s *told) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return s.statuses[min(int(s.asked.Add(1)), len(s.statuses))-1], nil
}

// status is what a member says: who leads, the term, what is committed and what it has applied.
func status(member, leader, term, committed, applied uint64) *pb.StatusResponse {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{MemberId: member}, Leader: leader, RaftTerm: term,
		RaftIndex: committed, RaftAppliedIndex: applied}
}

// telling returns a cluster of servers that say what they are told to.
func telling(t *testing.T, statuses ...[]*pb.StatusResponse) *Cluster {
	t.Helper()
	c := &Cluster{}
	for i, own := range statuses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		pb.RegisterMaintenanceServer(server, &told{statuses: own})
		go func() { _ = server.Serve(listener) }() // it ends with Stop
		t.Cleanup(server.Stop)
		c.Servers = append(c.Servers, &Server{Name: name(i), URL: "http://" + listener.Addr().String()})
	}
	return c
}

func TestServersThatDoNotAgreeAreNoCluster(t *testing.T) {
	one := func(s *pb.StatusResponse) []*pb.StatusResponse { return []*pb.StatusResponse{s} }
	tests := []struct {
		second *pb.StatusResponse
		want   string // in the error
	}{
		{status(11, 10, 4, 9, 9), ""},
		{status(11, 0, 4, 9, 9), "n1 knows of no leader"},
		{status(11, 11, 4, 9, 9), "n1 names another leader"},
		{status(11, 10, 5, 9, 9), "n1 is in term 5"},
	}
	for _, test := range tests {
		c := telling(t, one(status(10, 10, 4, 9, 8)), one(test.second))
		state, err := c.Look(t.Context())
		switch {
		case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("got %v, want %q", err, test.want)
		case err == nil && (state.Leader != 0 || state.Term != 4 || state.IDs[1] != 11 || state.commits != 9 || state.applied != 8):
			t.Errorf("got %+v", state)
		}
	}
	stranger := telling(t, one(status(10, 99, 4, 9, 9)), one(status(11, 99, 4, 9, 9)))
	if _, err := stranger.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "none of the servers") {
		t.Errorf("got %v, want that the leader is none of the servers", err)
	}
}

func TestClusterIsWholeWhenAllHaveAppliedWhatWasCommittedWhenTheyFirstAgreed(t *testing.T) {
	first := []*pb.StatusResponse{status(10, 10, 4, 100, 100), status(10, 11, 5, 120, 120), status(10, 11, 5, 130, 130)}
	second := []*pb.StatusResponse{
		status(11, 11, 5, 120, 110), // another leader: they do not agree yet
		status(11, 11, 5, 120, 110), // now they do: 120 is to be applied
		status(11, 11, 5, 130, 119), // one short
		status(11, 11, 5, 140, 120), // it is, although 140 are committed by now
		status(11, 11, 5, 140, 140),
	}
	c := telling(t, first, second)
	state, err := c.WaitWhole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.applied != 120 || state.Leader != 1 || c.Leader != 1 {
		t.Errorf("got %+v and leader %d, want that 120 are applied and the second leads", state, c.Leader)
	}
}

func TestServerThatIsGoneIsToldAtOnce(t *testing.T) {
	c := telling(t, []*pb.StatusResponse{status(10, 10, 4, 9, 9)})
	c.Servers = append(c.Servers, &Server{Name: "n1", URL: "http://127.0.0.1:1"})
	if _, err := c.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want that the connection was refused, and not that time is up", err)
	}
}

func TestWaitingForAClusterEndsAndSaysWhatWasLast(t *testing.T) {
	c := telling(t, []*pb.StatusResponse{status(10, 0, 4, 9, 9)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.WaitWhole(ctx); err == nil {
		t.Fatal("got no error")
	}
}
