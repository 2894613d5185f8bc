package main

import (
	"context"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	fakeLease      = 0xff
	fakeEndedLease = 0xee // renewals find that it has ended
)

func (f *fakeServer) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return answerWith(f, ctx, r, &pb.LeaseGrantResponse{ID: fakeLease, TTL: r.TTL})
}

func (f *fakeServer) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return answerWith(f, ctx, r, &pb.LeaseRevokeResponse{})
}

func (f *fakeServer) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	answer := &pb.LeaseTimeToLiveResponse{ID: r.ID, GrantedTTL: 60, TTL: 7}
	if r.Keys {
		answer.Keys = [][]byte{[]byte("a")}
	}
	return answerWith(f, ctx, r, answer)
}

func (f *fakeServer) LeaseLeases(ctx context.Context, r *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	return answerWith(f, ctx, r, &pb.LeaseLeasesResponse{Leases: []*pb.LeaseStatus{{ID: fakeLease}}})
}

// LeaseKeepAlive renews the lease for 60 seconds once, and then it has ended.
func (f *fakeServer) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	for ttl := int64(60); ; ttl = 0 {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		f.take(r)
		if r.ID == fakeEndedLease {
			ttl = 0
		}
		if err := stream.Send(&pb.LeaseKeepAliveResponse{ID: r.ID, TTL: ttl}); err != nil {
			return err
		}
	}
}

func TestLeasesAreAskedForByTheirID(t *testing.T) {
	f := startFake(t)
	f.ask("", "lease revoke ffffffffffffffff")
	if r := lastRequest[*pb.LeaseRevokeRequest](t, f); r.ID != -1 {
		t.Errorf("asked for %d", r.ID)
	}
	f.ask("", "lease keep-alive 1f --once")
	if r := lastRequest[*pb.LeaseKeepAliveRequest](t, f); r.ID != 31 {
		t.Errorf("asked for %d", r.ID)
	}
}

func TestKeepAliveEndsWithItsLease(t *testing.T) {
	f := startFake(t)
	f.ask("", "lease keep-alive ee").expect(t, "a lease that has ended", exitFailed, "lease 00000000000000ee expired or revoked")
}

func TestLeaseCommandsRefuseWhatMakesNoSense(t *testing.T) {
	for _, line := range []string{
		"grant", "grant 0", "grant -5", "grant a", "grant 1 2", "revoke", "revoke xyz", "revoke 0", "timetolive 1 2", "list 1", "keep-alive", "keep-alive 10000000000000000",
	} {
		runOf(append([]string{"lease"}, strings.Fields(line)...)...).expect(t, line, exitUsage, "lease")
	}
}
