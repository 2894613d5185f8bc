package etcdapi

import (
	"context"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/wire"
)

func TestStatusTellsHowTheServerIs(t *testing.T) {
	w := newWorld(t, func(o *Options, g *fakeGroup) {
		o.Size = func() (int64, int64) { return 300, 200 }
		g.members = []wire.Member{{ID: testMember, Roles: wire.RoleLearner}}
	})
	got, err := pb.NewMaintenanceClient(w.conn).Status(testContext(t), &pb.StatusRequest{})
	want := &pb.StatusResponse{
		Header: head(1), Version: "3.7.3", StorageVersion: "3.7.0", DbSize: 300, DbSizeInUse: 200, Leader: testMember,
		RaftIndex: 12, RaftTerm: testTerm, RaftAppliedIndex: 11, IsLearner: true, DowngradeInfo: &pb.DowngradeInfo{},
	}
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
}

func TestStatusWithoutLeaderSaysSo(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) { g.leader = 0 })
	got, err := pb.NewMaintenanceClient(w.conn).Status(testContext(t), &pb.StatusRequest{})
	if err != nil || got.Leader != 0 || !slices.Equal(got.Errors, []string{rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader)}) {
		t.Errorf("got %v and %v", got, err)
	}
}

func TestHealthIsServingUntilClose(t *testing.T) {
	w := newWorld(t, nil)
	client := healthpb.NewHealthClient(w.conn)
	got, err := client.Check(testContext(t), &healthpb.HealthCheckRequest{})
	if err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("check: %v, %v", got, err)
	}
	if _, err := client.Check(testContext(t), &healthpb.HealthCheckRequest{Service: "etcdserverpb.KV"}); status.Code(err) != codes.NotFound {
		t.Errorf("check of a service that is not known: %v", err)
	}
	watch := func(service string) healthpb.Health_WatchClient {
		stream, err := client.Watch(testContext(t), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	next := func(stream healthpb.Health_WatchClient) healthpb.HealthCheckResponse_ServingStatus {
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	whole, unknown := watch(""), watch("moon")
	if got := next(whole); got != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("watch: got %v", got)
	}
	if got := next(unknown); got != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("watch of a service that is not known: got %v", got)
	}
	w.Close()
	if got := next(whole); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("watch after Close: got %v", got)
	}
	if _, err := whole.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream's end: got %v, want Unavailable", err)
	}
}

// What is not there is answered by gRPC itself, so that clients can find out.
func TestTheRestIsUnimplemented(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.Defragment = func(context.Context) error { return nil } })
	there := map[string]bool{
		"/etcdserverpb.KV/Range": true, "/etcdserverpb.KV/Put": true, "/etcdserverpb.KV/DeleteRange": true,
		"/etcdserverpb.KV/Txn": true, "/etcdserverpb.KV/Compact": true, "/etcdserverpb.KV/RangeStream": true,
		"/etcdserverpb.Maintenance/Status": true, "/etcdserverpb.Maintenance/HashKV": true, "/etcdserverpb.Maintenance/Alarm": true, "/etcdserverpb.Maintenance/MoveLeader": true,
		"/etcdserverpb.Maintenance/Hash": true, "/etcdserverpb.Maintenance/Defragment": true, "/etcdserverpb.Maintenance/Snapshot": true,
		"/etcdserverpb.Cluster/MemberList": true, "/etcdserverpb.Cluster/MemberAdd": true, "/etcdserverpb.Cluster/MemberRemove": true,
		"/etcdserverpb.Cluster/MemberUpdate": true, "/etcdserverpb.Cluster/MemberPromote": true,
		"/etcdserverpb.Watch/Watch":      true,
		"/etcdserverpb.Lease/LeaseGrant": true, "/etcdserverpb.Lease/LeaseRevoke": true, "/etcdserverpb.Lease/LeaseKeepAlive": true,
		"/etcdserverpb.Lease/LeaseTimeToLive": true, "/etcdserverpb.Lease/LeaseLeases": true,
	}
	found := 0
	services := pb.File_rpc_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			name := "/" + string(services.Get(i).FullName()) + "/" + string(methods.Get(j).Name())
			if there[name] && methods.Get(j).IsStreamingClient() {
				found++ // it would go on for ever; it has tests of its own
				continue
			}
			err := w.conn.Invoke(testContext(t), name, &pb.StatusRequest{}, &pb.StatusRequest{})
			if got := status.Code(err) != codes.Unimplemented; got != there[name] {
				t.Errorf("%s: got %v", name, err)
			}
			if there[name] {
				found++
			}
		}
	}
	if found != len(there) {
		t.Errorf("etcd has %d of the %d methods that are served", found, len(there))
	}
}
