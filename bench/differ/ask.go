package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// answer is what one subject has said: a message, or an error.
type answer struct {
	message proto.Message
	err     error
}

// ask asks one subject, and takes out of the answer who gave it. The method decides of what kind it is.
func ask(ctx context.Context, conn grpc.ClientConnInterface, method string, request proto.Message) answer {
	var a answer
	switch method {
	case "/etcdserverpb.KV/Range":
		a.message = &pb.RangeResponse{}
	case "/etcdserverpb.KV/Put":
		a.message = &pb.PutResponse{}
	case "/etcdserverpb.KV/DeleteRange":
		a.message = &pb.DeleteRangeResponse{}
	case "/etcdserverpb.KV/Txn":
		a.message = &pb.TxnResponse{}
	case "/etcdserverpb.KV/Compact":
		a.message = &pb.CompactionResponse{}
	case grantMethod:
		a.message = &pb.LeaseGrantResponse{}
	case revokeMethod:
		a.message = &pb.LeaseRevokeResponse{}
	case timeToLiveMethod:
		a.message = &pb.LeaseTimeToLiveResponse{}
	case leasesMethod:
		a.message = &pb.LeaseLeasesResponse{}
	case lockMethod:
		a.message = &v3lockpb.LockResponse{}
	case unlockMethod:
		a.message = &v3lockpb.UnlockResponse{}
	case campaignMethod:
		a.message = &v3electionpb.CampaignResponse{}
	case proclaimMethod:
		a.message = &v3electionpb.ProclaimResponse{}
	case leaderMethod:
		a.message = &v3electionpb.LeaderResponse{}
	case resignMethod:
		a.message = &v3electionpb.ResignResponse{}
	}
	a.err = conn.Invoke(ctx, method, request, a.message)
	return a.anonymous()
}

// anonymous takes out of an answer who gave it.
func (a answer) anonymous() answer {
	if h, ok := a.message.(interface{ GetHeader() *pb.ResponseHeader }); ok && h.GetHeader() != nil {
		h.GetHeader().ClusterId, h.GetHeader().MemberId, h.GetHeader().RaftTerm = 0, 0, 0
	}
	return a
}

// stream asks for a range in pieces, and puts them together.
func stream(ctx context.Context, conn grpc.ClientConnInterface, request *pb.RangeRequest) answer {
	merged := &pb.RangeResponse{}
	pieces, err := pb.NewKVClient(conn).RangeStream(ctx, request)
	for err == nil {
		var piece *pb.RangeStreamResponse
		if piece, err = pieces.Recv(); err == nil {
			proto.Merge(merged, piece.RangeResponse)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return answer{merged, err}.anonymous()
}

// same reports whether two answers are equal: of errors, code and text.
func (a answer) same(b answer) bool {
	if a.err != nil || b.err != nil {
		x, y := status.Convert(a.err), status.Convert(b.err)
		return x.Code() == y.Code() && x.Message() == y.Message()
	}
	return proto.Equal(a.message, b.message)
}

func (a answer) String() string {
	if a.err != nil {
		s := status.Convert(a.err)
		return fmt.Sprintf("error %v: %s", s.Code(), s.Message())
	}
	return say(a.message)
}

// revision is that of the answer's header, or 0.
func (a answer) revision() int64 {
	if h, ok := a.message.(interface{ GetHeader() *pb.ResponseHeader }); ok && a.err == nil {
		return h.GetHeader().GetRevision()
	}
	return 0
}

func say(m proto.Message) string {
	text := prototext.MarshalOptions{Multiline: false}.Format(m)
	return string(m.ProtoReflect().Descriptor().Name()) + "{" + strings.TrimSpace(text) + "}"
}
