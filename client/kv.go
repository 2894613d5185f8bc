package client

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// keyValues is what etcd's client calls for its KV.
type keyValues struct{ *Client }

func (k keyValues) Range(ctx context.Context, r *pb.RangeRequest, o ...grpc.CallOption) (*pb.RangeResponse, error) {
	c := &call{pb.KV_Range_FullMethodName, r, new(pb.RangeResponse), o}
	err := k.read(ctx, c)
	return c.response.(*pb.RangeResponse), err
}

// RangeStream is not tried again: what has come of it is with the caller already.
func (k keyValues) RangeStream(ctx context.Context, r *pb.RangeRequest, o ...grpc.CallOption) (grpc.ServerStreamingClient[pb.RangeStreamResponse], error) {
	return k.plain.RangeStream(ctx, r, o...)
}

func (k keyValues) Put(ctx context.Context, r *pb.PutRequest, o ...grpc.CallOption) (*pb.PutResponse, error) {
	c := &call{pb.KV_Put_FullMethodName, r, new(pb.PutResponse), o}
	err := k.write(ctx, c)
	if err == errPlain {
		return k.plain.Put(ctx, r, o...)
	}
	return c.response.(*pb.PutResponse), err
}

func (k keyValues) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest, o ...grpc.CallOption) (*pb.DeleteRangeResponse, error) {
	c := &call{pb.KV_DeleteRange_FullMethodName, r, new(pb.DeleteRangeResponse), o}
	err := k.write(ctx, c)
	if err == errPlain {
		return k.plain.DeleteRange(ctx, r, o...)
	}
	return c.response.(*pb.DeleteRangeResponse), err
}

func (k keyValues) Txn(ctx context.Context, r *pb.TxnRequest, o ...grpc.CallOption) (*pb.TxnResponse, error) {
	c := &call{pb.KV_Txn_FullMethodName, r, new(pb.TxnResponse), o}
	if onlyReads(r.Success) && onlyReads(r.Failure) {
		err := k.read(ctx, c)
		return c.response.(*pb.TxnResponse), err
	}
	err := k.write(ctx, c)
	if err == errPlain {
		return k.plain.Txn(ctx, r, o...)
	}
	return c.response.(*pb.TxnResponse), err
}

// onlyReads tells whether operations are all ranges. Those of nested transactions are not looked at.
func onlyReads(ops []*pb.RequestOp) bool {
	for _, op := range ops {
		if op.GetRequestRange() == nil {
			return false
		}
	}
	return true
}

func (k keyValues) Compact(ctx context.Context, r *pb.CompactionRequest, o ...grpc.CallOption) (*pb.CompactionResponse, error) {
	c := &call{pb.KV_Compact_FullMethodName, r, new(pb.CompactionResponse), o}
	err := k.write(ctx, c)
	if err == errPlain {
		return k.plain.Compact(ctx, r, o...)
	}
	return c.response.(*pb.CompactionResponse), err
}

// lease is what etcd's client calls for its Lease.
type lease struct{ *Client }

func (l lease) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest, o ...grpc.CallOption) (*pb.LeaseGrantResponse, error) {
	c := &call{pb.Lease_LeaseGrant_FullMethodName, r, new(pb.LeaseGrantResponse), o}
	err := l.write(ctx, c)
	if err == errPlain {
		return l.leases.LeaseGrant(ctx, r, o...)
	}
	return c.response.(*pb.LeaseGrantResponse), err
}

func (l lease) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest, o ...grpc.CallOption) (*pb.LeaseRevokeResponse, error) {
	c := &call{pb.Lease_LeaseRevoke_FullMethodName, r, new(pb.LeaseRevokeResponse), o}
	err := l.write(ctx, c)
	if err == errPlain {
		return l.leases.LeaseRevoke(ctx, r, o...)
	}
	return c.response.(*pb.LeaseRevokeResponse), err
}

// LeaseKeepAlive is etcd's, which begins anew by itself when a stream breaks.
func (l lease) LeaseKeepAlive(ctx context.Context, o ...grpc.CallOption) (pb.Lease_LeaseKeepAliveClient, error) {
	return l.leases.LeaseKeepAlive(ctx, o...)
}

func (l lease) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest, o ...grpc.CallOption) (*pb.LeaseTimeToLiveResponse, error) {
	c := &call{pb.Lease_LeaseTimeToLive_FullMethodName, r, new(pb.LeaseTimeToLiveResponse), o}
	err := l.read(ctx, c)
	return c.response.(*pb.LeaseTimeToLiveResponse), err
}

func (l lease) LeaseLeases(ctx context.Context, r *pb.LeaseLeasesRequest, o ...grpc.CallOption) (*pb.LeaseLeasesResponse, error) {
	c := &call{pb.Lease_LeaseLeases_FullMethodName, r, new(pb.LeaseLeasesResponse), o}
	err := l.read(ctx, c)
	return c.response.(*pb.LeaseLeasesResponse), err
}
