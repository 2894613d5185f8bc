package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/server"
)

// preferenceOfFake is the service of preferred leaders: those who are asked for are, and nobody else.
var preferenceOfFake = grpc.ServiceDesc{
	ServiceName: etcdapi.PreferenceService, HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: etcdapi.MethodPreferred, Handler: func(f any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			r := new(pb.MemberListRequest)
			if err := decode(r); err != nil {
				return nil, err
			}
			return answerWith(f.(*fakeServer), ctx, r, &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 1}})
		}},
		{MethodName: etcdapi.MethodPrefer, Handler: func(f any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			r := new(pb.MemberListResponse)
			if err := decode(r); err != nil {
				return nil, err
			}
			answer := &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 1}}
			if len(r.Members) > 0 {
				answer.Members = f.(*fakeServer).members()
			}
			return answerWith(f.(*fakeServer), ctx, r, answer)
		}},
	},
}

func TestPreferredLeadersArePrinted(t *testing.T) {
	f := startFake(t)
	const preferred, none = "Member                a is preferred to lead cluster                1\n", "No member is preferred to lead cluster                1\n"
	for _, test := range []struct{ line, want string }{
		{"member prefer s1", preferred},
		{"member prefer 0xa s1", preferred},
		{"member prefer --none", none},
		{"member prefer", none},
		{"member prefer s1 -w json", `{"header":{"cluster_id":1},"members":[{"ID":10,"name":"s1","peerURLs":["http://10.0.0.1:2380"],"clientURLs":["http://` + f.address + `"]}]}` + "\n"},
	} {
		if r := f.ask("", test.line); r != (result{exitDone, test.want, ""}) {
			t.Errorf("%s: got %+v, want %q", test.line, r, test.want)
		}
	}
	f.ask("", "member prefer s1 -w table").expect(t, "a table", exitDone, "ID  STATUS   NAME  PEER URLS")
	f.ask("", "member prefer s1 a")
	if r := lastRequest[*pb.MemberListResponse](t, f); len(r.Members) != 2 || r.Members[0].ID != 10 || r.Members[1].ID != 10 {
		t.Errorf("the request is %v", r)
	}
	f.ask("", "member prefer --none")
	if r := lastRequest[*pb.MemberListResponse](t, f); len(r.Members) != 0 {
		t.Errorf("the request is %v", r)
	}
	f.ask("", "member prefer")
	if r := lastRequest[*pb.MemberListRequest](t, f); !r.Linearizable {
		t.Error("who is preferred may be old")
	}
	f.ask("", "member prefer s1 --none").expect(t, "both", exitUsage, "takes no servers")
	f.ask("", "member prefer s9").expect(t, "a stranger", exitFailed, "no server has the id or the name s9")
	f.set(behaviour{err: rpctypes.ErrGRPCTimeout})
	if r := f.ask("", "member prefer"); r.status != exitFailed || strings.Contains(r.err, "unknown") {
		t.Errorf("a question has no outcome: %+v", r)
	}
}

func TestSeveralMembersAreCompleted(t *testing.T) {
	f := startFake(t)
	runOf("__complete", "member", "prefer", "--endpoints", f.address, "s1", "").expect(t, "the second", exitDone, "a\ts1\ns1\ta\n:4")
}

// A server that is preferred comes to lead by itself, stays, and comes to lead again after a restart of the leader.
func TestThePreferredServerLeads(t *testing.T) {
	servers := startClusterOf(t, 3, server.Options{})
	at(servers, "get a").expect(t, "a read that waits for a leader", exitDone, "")
	leads := func(s *server.Server) func() error {
		return func() error {
			if got := s.Group().Status().Raft.Leader; got != s.Host().ID() {
				return fmt.Errorf("server %x leads", got)
			}
			return nil
		}
	}
	was := max(0, slices.IndexFunc(servers, func(s *server.Server) bool { return leads(s)() == nil }))
	preferred := servers[(was+1)%3]
	at(servers, "member prefer "+nameOf(preferred)).expect(t, "prefer", exitDone, fmt.Sprintf("%x is preferred", preferred.Host().ID()))
	at(servers, "member prefer").expect(t, "who is?", exitDone, fmt.Sprintf("%x is preferred", preferred.Host().ID()))
	eventually(t, "the preferred server leads", leads(preferred))
	at(servers, "put a 1").expect(t, "put", exitDone, "OK")

	at(servers, "move-leader "+nameOf(servers[was])+" --cluster").expect(t, "move-leader", exitDone, "")
	eventually(t, "it leads again", leads(preferred))
	at(servers, "member prefer --none").expect(t, "none", exitDone, "No member is preferred")
	at(servers, "member prefer").expect(t, "who is?", exitDone, "No member is preferred")
}
