package request

import (
	"context"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// describe writes what a request says on the wire in one line, leaving out what is the default.
func describe(op clientv3.Op) string {
	var r recorder
	if _, err := clientv3.NewKVFromKVClient(&r, nil).Do(context.Background(), op); err != nil {
		return err.Error()
	}
	return r.said
}

// recorder is a server of which the last request is remembered.
type recorder struct {
	pb.KVClient
	said string
}

func (r *recorder) Put(_ context.Context, q *pb.PutRequest, _ ...grpc.CallOption) (*pb.PutResponse, error) {
	r.said = line("put "+string(q.Key)+"="+string(q.Value),
		when(q.PrevKv, "prev"), when(q.IgnoreValue, "keepvalue"), when(q.IgnoreLease, "keeplease"),
		when(q.Lease != 0, fmt.Sprint("lease=", q.Lease)))
	return &pb.PutResponse{}, nil
}

func (r *recorder) Range(_ context.Context, q *pb.RangeRequest, _ ...grpc.CallOption) (*pb.RangeResponse, error) {
	r.said = line("get "+string(q.Key)+end(q.RangeEnd),
		when(q.Limit != 0, fmt.Sprint("limit=", q.Limit)), when(q.Revision != 0, fmt.Sprint("rev=", q.Revision)),
		when(q.Serializable, "serializable"), when(q.KeysOnly, "keysonly"), when(q.CountOnly, "countonly"),
		when(q.SortOrder != pb.RangeRequest_NONE, fmt.Sprintf("sort=%v/%v", q.SortOrder, q.SortTarget)),
		when(q.MinCreateRevision+q.MaxCreateRevision != 0, fmt.Sprintf("created=%d-%d", q.MinCreateRevision, q.MaxCreateRevision)),
		when(q.MinModRevision+q.MaxModRevision != 0, fmt.Sprintf("modified=%d-%d", q.MinModRevision, q.MaxModRevision)))
	return &pb.RangeResponse{}, nil
}

func (r *recorder) DeleteRange(_ context.Context, q *pb.DeleteRangeRequest, _ ...grpc.CallOption) (*pb.DeleteRangeResponse, error) {
	r.said = line("del "+string(q.Key)+end(q.RangeEnd), when(q.PrevKv, "prev"))
	return &pb.DeleteRangeResponse{}, nil
}

func end(rangeEnd []byte) string { return when(rangeEnd != nil, ".."+string(rangeEnd)) }

func when(holds bool, text string) string {
	if holds {
		return text
	}
	return ""
}

func line(parts ...string) string {
	var said []string
	for _, part := range parts {
		if part != "" {
			said = append(said, part)
		}
	}
	return strings.Join(said, " ")
}

// describeCompare writes a condition in one line.
func describeCompare(cmp clientv3.Cmp) string {
	c := cmp.GetCompare()
	var value any
	switch v := c.TargetUnion.(type) {
	case *pb.Compare_Version:
		value = v.Version
	case *pb.Compare_CreateRevision:
		value = v.CreateRevision
	case *pb.Compare_ModRevision:
		value = v.ModRevision
	case *pb.Compare_Value:
		value = string(v.Value)
	case *pb.Compare_Lease:
		value = v.Lease
	}
	return fmt.Sprintf("%v(%s) %v %v", c.Target, c.Key, c.Result, value)
}
