package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fakeServer answers every request with what it is told to, and remembers the last.
type fakeServer struct {
	pb.UnimplementedKVServer
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	pb.UnimplementedWatchServer
	pb.UnimplementedLeaseServer

	address string

	guard sync.Mutex // of those below: a call may outlive the command that made it
	last  any
	does  behaviour
}

type behaviour struct {
	err        error // instead of an answer
	silent     bool  // wait for the caller to go
	leaderless bool
	// onlyChanges: members are listed and states told all the same.
	onlyChanges bool
}

func (f *fakeServer) set(does behaviour) {
	f.guard.Lock()
	defer f.guard.Unlock()
	f.does = does
}

// take notes a request, and returns what to do about it.
func (f *fakeServer) take(request any) behaviour {
	f.guard.Lock()
	defer f.guard.Unlock()
	f.last = request
	return f.does
}

// lastRequest returns the request taken last, which must be an R.
func lastRequest[R any](t *testing.T, f *fakeServer) R {
	t.Helper()
	f.guard.Lock()
	defer f.guard.Unlock()
	r, ok := f.last.(R)
	if !ok {
		t.Fatalf("the last request is %T", f.last)
	}
	return r
}

// startFake starts a server on this machine that ends with the test. Real connections are the point:
// what a command says about them is under test.
func startFake(t *testing.T) *fakeServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{address: listener.Addr().String()}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, f)
	pb.RegisterMaintenanceServer(server, f)
	pb.RegisterClusterServer(server, f)
	pb.RegisterWatchServer(server, f)
	pb.RegisterLeaseServer(server, f)
	server.RegisterService(&preferenceOfFake, f)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

func answerWith[A any](f *fakeServer, ctx context.Context, request any, answer *A) (*A, error) {
	does := f.take(request)
	if does.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if does.err != nil {
		return nil, does.err
	}
	return answer, nil
}

func (f *fakeServer) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	return answerWith(f, ctx, r, &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 7}})
}

func (f *fakeServer) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	return answerWith(f, ctx, r, &pb.RangeResponse{Count: 1, Kvs: []*mvccpb.KeyValue{{Key: []byte("a"), Value: []byte("1")}}})
}

func (f *fakeServer) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	return answerWith(f, ctx, r, &pb.DeleteRangeResponse{Deleted: 3})
}

// Snapshot sends how a snapshot begins, and then does what it is told to.
func (f *fakeServer) Snapshot(r *pb.SnapshotRequest, stream pb.Maintenance_SnapshotServer) error {
	if err := stream.Send(&pb.SnapshotResponse{Blob: []byte("qkvsnap\x00")}); err != nil {
		return err
	}
	_, err := answerWith(f, stream.Context(), r, &pb.SnapshotResponse{})
	return err
}

func (f *fakeServer) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	return answerWith(f, ctx, r, &pb.CompactionResponse{})
}

func (f *fakeServer) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	count := &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Count: 5}}
	return answerWith(f, ctx, r, &pb.TxnResponse{Succeeded: true, Responses: []*pb.ResponseOp{{Response: count}}})
}

func (f *fakeServer) Status(ctx context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	leader := uint64(10)
	if does := f.take(r); does.leaderless {
		leader = 0
	} else if does.onlyChanges {
		return &pb.StatusResponse{Header: &pb.ResponseHeader{MemberId: 10}, Leader: leader}, nil
	}
	return answerWith(f, ctx, r, &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 10}, Leader: leader, RaftTerm: 2})
}

func (f *fakeServer) HashKV(ctx context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	return answerWith(f, ctx, r, &pb.HashKVResponse{Hash: 77, HashRevision: max(5, r.Revision), CompactRevision: -1})
}

func (f *fakeServer) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	return answerWith(f, ctx, r, &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 10, Alarm: pb.AlarmType_NOSPACE}}})
}

func (f *fakeServer) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	list := &pb.MemberListResponse{Members: f.members()}
	if f.take(r).onlyChanges {
		return list, nil
	}
	return answerWith(f, ctx, r, list)
}

func (f *fakeServer) members() []*pb.Member {
	return []*pb.Member{{ID: 10, Name: "s1", PeerURLs: []string{"http://10.0.0.1:2380"}, ClientURLs: []string{"http://" + f.address}}}
}

func (f *fakeServer) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	added := &pb.Member{ID: 0xff, PeerURLs: r.PeerURLs, IsLearner: true}
	return answerWith(f, ctx, r, &pb.MemberAddResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Member: added, Members: append(f.members(), added)})
}

func (f *fakeServer) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	return answerWith(f, ctx, r, &pb.MemberRemoveResponse{Header: &pb.ResponseHeader{ClusterId: 1}})
}

func (f *fakeServer) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	return answerWith(f, ctx, r, &pb.MemberUpdateResponse{Header: &pb.ResponseHeader{ClusterId: 1}})
}

func (f *fakeServer) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	return answerWith(f, ctx, r, &pb.MemberPromoteResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Members: f.members()})
}

func (f *fakeServer) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	return answerWith(f, ctx, r, &pb.MoveLeaderResponse{})
}

func (f *fakeServer) silent() bool {
	f.guard.Lock()
	defer f.guard.Unlock()
	return f.does.silent
}

// ask runs a command against a server. It waits a moment for an answer, if none is to come.
func (f *fakeServer) ask(input, line string) result {
	arguments := append(strings.Fields(line), "--endpoints", f.address)
	if f.silent() {
		arguments = append(arguments, "--command-timeout", "50ms")
	}
	return runWith(input, nil, arguments...)
}

func TestAnswersArePrinted(t *testing.T) {
	f := startFake(t)
	for _, test := range []struct{ input, line, want string }{
		{"", "put a 1", "OK\n"},
		{"1", "put a", "OK\n"},
		{"", "get a", "a\n1\n"},
		{"", "get a --print-value-only", "1\n"},
		{"", "get a --hex", `\x61` + "\n" + `\x31` + "\n"},
		{"", "get a --count-only", "1\n"},
		{"", "get a -w json", `{"kvs":[{"key":"YQ==","value":"MQ=="}],"count":1}` + "\n"},
		{"", "get a --output json", `{"kvs":[{"key":"YQ==","value":"MQ=="}],"count":1}` + "\n"},
		{"", "del a", "3\n"},
		{"\nget a --count-only\n", "txn", "SUCCESS\n\n5\n"},
		{"", "compact 7", "compacted revision 7\n"},
		{"", "compaction 7", "compacted revision 7\n"},
		{"", "lease grant 60", "lease 00000000000000ff granted with TTL(60s)\n"},
		{"", "lease revoke ff", "lease 00000000000000ff revoked\n"},
		{"", "lease timetolive ff", "lease 00000000000000ff granted with TTL(60s), remaining(7s)\n"},
		{"", "lease timetolive ff --keys", "lease 00000000000000ff granted with TTL(60s), remaining(7s), attached keys([a])\n"},
		{"", "lease list", "found 1 leases\n00000000000000ff\n"},
		{"", "lease keep-alive ff --once", "lease 00000000000000ff keepalived with TTL(60)\n"},
		{"", "member list -w simple", "a, started, s1, http://10.0.0.1:2380, http://" + f.address + ", false\n"},
	} {
		if r := f.ask(test.input, test.line); r != (result{exitDone, test.want, ""}) {
			t.Errorf("%s: got %+v, want %q", test.line, r, test.want)
		}
	}
}

func TestFlagsReachTheServer(t *testing.T) {
	f := startFake(t)
	f.ask("", "compact 7 --physical")
	if r := lastRequest[*pb.CompactionRequest](t, f); r.Revision != 7 || !r.Physical {
		t.Errorf("the request is %v", r)
	}
	f.ask("", "member list --consistency s")
	if r := lastRequest[*pb.MemberListRequest](t, f); r.Linearizable {
		t.Errorf("the request is %v", r)
	}
	f.ask("", "member list")
	if r := lastRequest[*pb.MemberListRequest](t, f); !r.Linearizable {
		t.Errorf("the request is %v", r)
	}
}

func TestPromptsDoNotDisturbTheAnswer(t *testing.T) {
	f := startFake(t)
	r := f.ask("\n\n\n", "txn -i")
	if want := "compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\n"; r.out != "SUCCESS\n\n" || r.err != want {
		t.Errorf("got %+v", r)
	}
}

// writes are commands that change something.
var writes = []string{"put a 1", "del a", "txn", "compact 7", "lease grant 60", "lease revoke ff"}

func TestAWriteWithoutAnAnswerIsUnknown(t *testing.T) {
	f := startFake(t)
	f.set(behaviour{silent: true})
	for _, line := range writes {
		r := f.ask("\nput a 1\n", line)
		r.expect(t, line, exitUnknown, "no answer within 50ms")
		r.expect(t, line, exitUnknown, "The outcome is unknown")
	}
	for _, code := range []codes.Code{codes.Unavailable, codes.Unknown, codes.Internal, codes.Aborted, codes.DataLoss} {
		f.set(behaviour{err: status.Error(code, "etcdserver: request timed out")})
		for _, line := range writes {
			f.ask("\nput a 1\n", line).expect(t, line+" after "+code.String(), exitUnknown, "The outcome is unknown")
		}
	}
}

func TestARefusedWriteIsKnown(t *testing.T) {
	f := startFake(t)
	for code, text := range map[codes.Code]string{
		codes.InvalidArgument: "etcdserver: request is too large", codes.OutOfRange: "etcdserver: mvcc: required revision has been compacted",
		codes.ResourceExhausted: "etcdserver: too many requests", codes.Unimplemented: "not here", codes.NotFound: "etcdserver: requested lease not found",
		codes.PermissionDenied: "etcdserver: permission denied", codes.FailedPrecondition: "etcdserver: not capable",
	} {
		f.set(behaviour{err: status.Error(code, text)})
		for _, line := range writes {
			r := f.ask("\nput a 1\n", line)
			r.expect(t, line, exitFailed, text)
			if strings.Contains(r.err, "unknown") {
				t.Errorf("%s: %s", line, r.err)
			}
		}
	}
}

func TestAReadWithoutAnAnswerFails(t *testing.T) {
	f := startFake(t)
	f.set(behaviour{silent: true})
	for _, line := range []string{"get a", "member list", "lease list", "lease timetolive ff"} {
		r := f.ask("", line)
		r.expect(t, line, exitFailed, "no answer within 50ms")
		r.expect(t, line, exitFailed, "Is there a leader?")
		if strings.Contains(r.err, "unknown") {
			t.Errorf("%s: %s", line, r.err)
		}
	}
}

// nobody returns an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	return localAddress(freePorts(t, 1)[0])
}

func TestThatNobodyListensIsSaidAtOnce(t *testing.T) {
	absent := nobody(t)
	for _, line := range append([]string{"get a", "member list", "status --cluster"}, writes...) {
		r := runWith("\nput a 1\n", []string{"QUORATE_COMMAND_TIMEOUT=1h"}, append(strings.Fields(line), "--endpoints", absent)...)
		r.expect(t, line, exitFailed, absent+": connect: connection refused")
		r.expect(t, line, exitFailed, "quorate up")
	}
}

func TestOneServerThatAnswersIsEnough(t *testing.T) {
	f := startFake(t)
	runOf("get", "a", "--endpoints", nobody(t)+","+f.address).expect(t, "get", exitDone, "a\n1\n")
}

func TestEndpointsComeFromTheEnvironment(t *testing.T) {
	f := startFake(t)
	absent := nobody(t)
	for _, environ := range [][]string{
		{"ETCDCTL_ENDPOINTS=" + f.address}, {"QUORATE_ENDPOINTS=http://" + f.address}, {"ETCDCTL_ENDPOINTS=" + absent, "QUORATE_ENDPOINTS=" + f.address},
	} {
		runWith("", environ, "get", "a").expect(t, environ[0], exitDone, "a\n1\n")
	}
	runWith("", []string{"QUORATE_ENDPOINTS=" + absent}, "get", "a", "--endpoints", f.address).expect(t, "a flag", exitDone, "a\n1\n")
}

func TestStatusIsBadNewsUnlessAllIsWell(t *testing.T) {
	f := startFake(t)
	f.ask("", "status").expect(t, "one server", exitDone, "1 of 1 answer; "+f.address+" leads.\n")
	f.ask("", "status --cluster").expect(t, "its cluster", exitDone, "http://"+f.address+" leads.\n")

	absent := nobody(t)
	both := runOf("status", "--endpoints", f.address+","+absent)
	both.expect(t, "one of two", exitFailed, "1 of 2 answer, not "+absent+"; "+f.address+" leads.\n")
	both.expect(t, "one of two", exitFailed, "connection refused")

	asJSON := runOf("status", "-w", "json", "--endpoints", absent)
	if !strings.HasPrefix(asJSON.out, `[{"Endpoint":"`+absent) || !strings.HasPrefix(asJSON.err, "No server answers") || asJSON.status != exitFailed {
		t.Errorf("status -w json: %+v", asJSON)
	}
	f.set(behaviour{leaderless: true})
	f.ask("", "status").expect(t, "no leader", exitFailed, "there is no leader")
	f.set(behaviour{silent: true})
	f.ask("", "status").expect(t, "a silent server", exitFailed, "does not answer within 50ms")
}

func TestEndpointsAreAskedOneByOne(t *testing.T) {
	f, absent := startFake(t), nobody(t)
	f.ask("", "endpoint health").expect(t, "health", exitDone, f.address+" is healthy: successfully committed proposal: took = ")
	f.ask("", "endpoint health --cluster").expect(t, "health of the cluster", exitDone, "http://"+f.address+" is healthy")
	both := runOf("endpoint", "health", "--endpoints", f.address+","+absent)
	both.expect(t, "health of one that is not there", exitFailed, absent+" is unhealthy: failed to commit proposal: connect: connection refused\n")
	both.expect(t, "health of the other", exitFailed, f.address+" is healthy")
	both.expect(t, "verdict", exitFailed, "unhealthy cluster")
	f.ask("", "endpoint status").expect(t, "status", exitDone, f.address+", a, ")
	f.ask("", "endpoint hashkv --rev 8").expect(t, "hash", exitDone, f.address+", 77, 8\n")
	if r := lastRequest[*pb.HashKVRequest](t, f); r.Revision != 8 {
		t.Errorf("asked for revision %d", r.Revision)
	}
	runOf("endpoint", "hashkv", "--endpoints", f.address+","+f.address).expect(t, "two hashes", exitDone, "2 servers hold the same.\n")
	runOf("endpoint", "hashkv", "--endpoints", f.address+","+absent).expect(t, "one hash of two", exitFailed, "1 of 2 answer.\n")
	f.set(behaviour{silent: true})
	f.ask("", "endpoint health").expect(t, "health of a silent server", exitFailed, "does not answer within 50ms")
	f.set(behaviour{err: status.Error(codes.PermissionDenied, "etcdserver: permission denied")})
	f.ask("", "endpoint health").expect(t, "health where the key may not be read", exitDone, "is healthy")
	for _, line := range []string{"endpoint", "endpoint hash", "endpoint hashkv --rev -1"} {
		f.ask("", line).expect(t, line, exitUsage, "")
	}
}

func TestAlarmsAreListedAndTurnedOff(t *testing.T) {
	f := startFake(t)
	f.ask("", "alarm list").expect(t, "list", exitDone, "memberID:10 alarm:NOSPACE \n")
	if r := lastRequest[*pb.AlarmRequest](t, f); r.Action != pb.AlarmRequest_GET {
		t.Errorf("list: %v", r)
	}
	f.ask("", "alarm disarm").expect(t, "disarm", exitDone, "memberID:10 alarm:NOSPACE \n")
	if r := lastRequest[*pb.AlarmRequest](t, f); r.Action != pb.AlarmRequest_DEACTIVATE || r.MemberID != 10 || r.Alarm != pb.AlarmType_NOSPACE {
		t.Errorf("disarm: %v", r)
	}
	for _, line := range []string{"alarm", "alarm ring", "alarm list now"} {
		f.ask("", line).expect(t, line, exitUsage, "")
	}
}
