package main

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// Methods of the service for leases.
const (
	grantMethod      = "/etcdserverpb.Lease/LeaseGrant"
	revokeMethod     = "/etcdserverpb.Lease/LeaseRevoke"
	keepAliveMethod  = "/etcdserverpb.Lease/LeaseKeepAlive"
	timeToLiveMethod = "/etcdserverpb.Lease/LeaseTimeToLive"
	leasesMethod     = "/etcdserverpb.Lease/LeaseLeases"
)

const (
	// longSeconds is the least time to live of leases that must not end by themselves during a run.
	longSeconds = 100_000
	// longestSeconds is etcd's limit.
	longestSeconds = 9_000_000_000
	// ttlTolerance is by how much the time that a lease has left may differ. On a machine that stalls, as
	// much is allowed in addition as was lost by that: Quorate counts at most half a second of a pause
	// of its process against a lease.
	ttlTolerance = 2 * time.Second
	stallTime    = time.Second / 2
)

// leaseRequest draws a request about leases.
func (d *drawer) leaseRequest() (method string, request proto.Message) {
	switch n := d.IntN(12); {
	case n < 4:
		return grantMethod, d.grant()
	case n < 6:
		return revokeMethod, &pb.LeaseRevokeRequest{ID: d.lease()}
	case n < 9:
		return keepAliveMethod, &pb.LeaseKeepAliveRequest{ID: d.lease()}
	case n < 11:
		return timeToLiveMethod, &pb.LeaseTimeToLiveRequest{ID: d.lease(), Keys: d.one(2)}
	default:
		return leasesMethod, &pb.LeaseLeasesRequest{}
	}
}

// lease is one that lives, or may have lived, or one that is odd.
func (d *drawer) lease() int64 {
	switch n := d.IntN(12); {
	case n == 0:
		return d.oddLease()
	case n == 1 && len(d.picked) > 0:
		return d.picked[d.IntN(len(d.picked))]
	case n < 4 || len(d.living) == 0:
		return d.plainLease()
	}
	return d.living[d.IntN(len(d.living))]
}

// plainLease is one of a few ids that are often taken.
func (d *drawer) plainLease() int64 { return 1 + d.Int64N(8) }

func (d *drawer) oddLease() int64 {
	return []int64{0, -1, math.MinInt64, math.MaxInt64, 1 << 40}[d.IntN(5)]
}

// grant draws a lease that lives longer than the run, or one that is refused.
func (d *drawer) grant() *pb.LeaseGrantRequest {
	r := &pb.LeaseGrantRequest{ID: d.plainLease(), TTL: longSeconds + d.Int64N(longSeconds)}
	switch d.IntN(8) {
	case 0, 1:
		r.ID = 0 // each end picks one
	case 2:
		r.ID = d.oddLease()
	}
	switch d.IntN(10) {
	case 0:
		r.TTL = longestSeconds + d.Int64N(3) - 1
	case 1:
		r.TTL = math.MaxInt64
	case 2:
		if slices.Contains(d.living, r.ID) { // others would end during the run
			r.TTL = []int64{math.MinInt64, -1, 0, 1}[d.IntN(4)]
		}
	}
	return r
}

// rememberedPicks is how many of the leases that were picked last are asked for even when they are gone.
const rememberedPicks = 4

// noteLease notes which leases live, and names those that the two have picked themselves.
func (r *runner) noteLease(request proto.Message, etcd, quorate answer) {
	d := &r.drawer
	switch q := request.(type) {
	case *pb.LeaseGrantRequest:
		if etcd.err != nil || quorate.err != nil {
			return
		}
		id := q.ID
		if id == 0 {
			id = r.name(etcd.message.(*pb.LeaseGrantResponse).ID, quorate.message.(*pb.LeaseGrantResponse).ID)
			d.picked = append(d.picked[max(0, len(d.picked)+1-rememberedPicks):], id)
		}
		d.living = append(d.living, id)
	case *pb.LeaseRevokeRequest:
		if etcd.err == nil {
			d.living = slices.DeleteFunc(d.living, func(id int64) bool { return id == q.ID })
		}
	}
}

// name gives a lease a name that the two have picked ids for. It is none if one of these is no id to
// pick; then the two answers differ.
func (r *runner) name(etcd, quorate int64) int64 {
	if etcd <= 0 || quorate <= 0 {
		return 0
	}
	name := int64(firstName + r.named)
	r.named++
	r.etcd.ids.add(name, etcd)
	r.quorate.ids.add(name, quorate)
	return name
}

// settle makes equal what may differ in the answers to one request, within bounds: the time that a lease
// has left, and the order in which leases end.
func (r *runner) settle(etcd, quorate answer) {
	switch e := etcd.message.(type) {
	case *pb.LeaseTimeToLiveResponse:
		q := quorate.message.(*pb.LeaseTimeToLiveResponse)
		apart := time.Duration(max(e.TTL-q.TTL, q.TTL-e.TTL)) * time.Second
		if e.TTL > 0 && q.TTL > 0 && apart <= ttlTolerance+r.stalled {
			e.TTL = q.TTL
		}
	case *pb.LeaseLeasesResponse:
		for _, leases := range [][]*pb.LeaseStatus{e.Leases, quorate.message.(*pb.LeaseLeasesResponse).Leases} {
			slices.SortFunc(leases, func(a, b *pb.LeaseStatus) int { return cmp.Compare(a.ID, b.ID) })
		}
	}
}

// keepAlive renews a lease, on the one stream that is open for that.
func (s *subject) keepAlive(ctx context.Context, request *pb.LeaseKeepAliveRequest) answer {
	if s.renewing == nil {
		stream, err := pb.NewLeaseClient(s.client.ActiveConnection()).LeaseKeepAlive(s.client.Ctx())
		if err != nil {
			return answer{&pb.LeaseKeepAliveResponse{}, err}
		}
		s.renewing = stream
	}
	defer context.AfterFunc(ctx, func() { s.client.Close() })() // ends the stream: nothing else does
	a := answer{err: s.renewing.Send(request)}
	var told *pb.LeaseKeepAliveResponse
	if a.err == nil {
		told, a.err = s.renewing.Recv()
	}
	a.message = told
	return a.anonymous()
}
