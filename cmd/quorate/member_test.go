package main

import (
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func TestChangesOfMembersArePrintedAsEtcdctlDoes(t *testing.T) {
	f := startFake(t)
	for _, test := range []struct{ line, want string }{
		{"member remove s1", "Member                a removed from cluster                1\n"},
		{"member remove a", "Member                a removed from cluster                1\n"},
		{"member update s1 --peer-urls http://a:1,http://b:1", "Member                a updated in cluster                1\n"},
		{"member promote 0xa", "Member                a promoted in cluster                1\n"},
		{"member promote s1 -w json", `{"header":{"cluster_id":1},"members":[{"ID":10,"name":"s1","peerURLs":["http://10.0.0.1:2380"],"clientURLs":["http://` + f.address + `"]}]}` + "\n"},
		{"move-leader s1", "Leadership transferred from a to a\n"},
		{"move-leader a --cluster", "Leadership transferred from a to a\n"},
		{"move-leader a --output json", "{}\n"},
		{"member add s2 --learner --peer-urls http://a:1,http://b:1", `Member               ff added as learner to cluster                1

ETCD_NAME="s2"
ETCD_INITIAL_CLUSTER="s1=http://10.0.0.1:2380,s2=http://a:1,s2=http://b:1"
ETCD_INITIAL_ADVERTISE_PEER_URLS="http://a:1,http://b:1"
ETCD_INITIAL_CLUSTER_STATE="existing"
`},
	} {
		if r := f.ask("", test.line); r != (result{exitDone, test.want, ""}) {
			t.Errorf("%s: got %+v, want %q", test.line, r, test.want)
		}
	}
	f.ask("", "member add s2 --peer-urls http://a:1").expect(t, "one that is to vote", exitDone, "gets it by itself")
	if r := lastRequest[*pb.MemberAddRequest](t, f); r.IsLearner || len(r.PeerURLs) != 1 || r.PeerURLs[0] != "http://a:1" {
		t.Errorf("the request is %v", r)
	}
	f.ask("", "member add s2 --peer-urls http://a:1 --learner")
	if r := lastRequest[*pb.MemberAddRequest](t, f); !r.IsLearner {
		t.Errorf("the request is %v", r)
	}
	f.ask("", "member add s1 --peer-urls http://a:1").expect(t, "a name that is taken", exitFailed, "server a is called s1 already")
	lastRequest[*pb.MemberListRequest](t, f) // and nothing was added
	f.ask("", "member update s1 --peer-urls http://a:1,http://b:1")
	if r := lastRequest[*pb.MemberUpdateRequest](t, f); r.ID != 10 || len(r.PeerURLs) != 2 {
		t.Errorf("the request is %v", r)
	}
}

func TestWordMeansOneMemberOrNone(t *testing.T) {
	members := []*pb.Member{{ID: 0xab, Name: "s1"}, {ID: 0xcd, Name: "s2"}, {ID: 0xef, Name: "s2"}, {ID: 0x12, Name: "ab"}, {ID: 0x34}, {ID: 0x56, Name: "0xcd"}, {ID: 1<<64 - 1}}
	for word, want := range map[string]uint64{
		"s1": 0xab, "cd": 0xcd, "00000000000000EF": 0xef, "0xab": 0xab, "34": 0x34, "0xcd": 0xcd,
		"ab": 0, "s2": 0, "0xs1": 0, "0x": 0, "99": 0, "moon": 0, "111111111111111134": 0,
	} {
		got, err := whichMember(members, word)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %x, %v, want %x", word, got, err, want)
		}
	}
	if _, err := whichMember(members, "ab"); err == nil || !strings.Contains(err.Error(), "ab may mean 0xab or 0x12: say which") {
		t.Errorf("an id that is a name: %v", err)
	}
	if _, err := whichMember(members[:2], "s3"); err == nil || !strings.Contains(err.Error(), "there are: ab s1, cd s2") {
		t.Errorf("nobody: %v", err)
	}
}

// memberChanges are commands that change members, or who leads.
var memberChanges = []string{"member add s2 --peer-urls http://a:1", "member remove s1", "member update s1 --peer-urls http://a:1", "member promote s1", "move-leader s1", "member prefer s1"}

func TestChangeOfMembersWithoutAnAnswerIsUnknown(t *testing.T) {
	f := startFake(t)
	for _, does := range []behaviour{{silent: true, onlyChanges: true}, {err: rpctypes.ErrGRPCTimeout, onlyChanges: true}} {
		f.set(does)
		for _, line := range memberChanges {
			f.ask("", line).expect(t, line, exitUnknown, "The outcome is unknown")
		}
	}
	f.set(behaviour{silent: true}) // before anything was asked to be changed
	for _, line := range memberChanges {
		if r := f.ask("", line); r.status != exitFailed || strings.Contains(r.err, "unknown") {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

func TestRefusedChangeOfMembersIsKnownAndSaysWhatToDo(t *testing.T) {
	f := startFake(t)
	for _, c := range []struct {
		err  error
		todo string
	}{
		{rpctypes.ErrGRPCUnhealthy, `"quorate doctor --cluster" tells who is missing`},
		{rpctypes.ErrGRPCMemberNotEnoughStarted, "there would be no majority"},
		{status.Error(codes.Unknown, rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberNotEnoughStarted)), "there would be no majority"}, // as it leaves etcd
		{rpctypes.ErrGRPCMemberNotFound, `"quorate member list" tells who there is`},
		{rpctypes.ErrGRPCPeerURLExist, "tells whose they are"},
		{rpctypes.ErrGRPCMemberNotLearner, "It votes already"},
		{rpctypes.ErrGRPCLearnerNotReady, "to catch up first"},
		{rpctypes.ErrGRPCRequestTooManyRequests, "another change is under way"},
		{rpctypes.ErrGRPCLeaderChanged, ""}, // which of two things differs
		{rpctypes.ErrGRPCBadLeaderTransferee, "Who leads must have a vote"},
		{rpctypes.ErrGRPCNotLeader, "another server has come to lead"},
		{rpctypes.ErrGRPCMemberBadURLs, ""},
	} {
		f.set(behaviour{err: c.err, onlyChanges: true})
		for _, line := range memberChanges {
			r := f.ask("", line)
			r.expect(t, line, exitFailed, rpctypes.ErrorDesc(c.err))
			r.expect(t, line, exitFailed, c.todo)
			if strings.Contains(r.err, "unknown") {
				t.Errorf("%s: %s", line, r.err)
			}
		}
	}
	f.set(behaviour{err: rpctypes.ErrGRPCLeaderChanged, onlyChanges: true})
	f.ask("", "member remove s1").expect(t, "remove", exitFailed, "Nothing has changed: try again.")
	f.ask("", "move-leader s1").expect(t, "move-leader", exitFailed, "went elsewhere")
}

func TestTheLeaderIsTheOneInTheNewestTerm(t *testing.T) {
	state := func(address string, id, leader, term uint64) show.Endpoint {
		return show.Endpoint{Address: address, Status: &pb.StatusResponse{Header: &pb.ResponseHeader{MemberId: id}, Leader: leader, RaftTerm: term}}
	}
	silent := show.Endpoint{Address: "z", Err: fmt.Errorf("refused")}
	for what, c := range map[string]struct {
		states []show.Endpoint
		want   string // the endpoint, or what is said
	}{
		"one of three":        {[]show.Endpoint{state("a", 1, 2, 5), state("b", 2, 2, 5), silent}, "b"},
		"two that believe it": {[]show.Endpoint{state("a", 1, 1, 6), state("b", 2, 2, 5)}, "a"},
		"two, the other way":  {[]show.Endpoint{state("b", 2, 2, 5), state("a", 1, 1, 6)}, "a"},
		"not among them":      {[]show.Endpoint{state("a", 1, 0xbc, 5), silent}, "the leader is not among the endpoints: a follows bc; z: refused"},
		"none":                {[]show.Endpoint{state("a", 1, 0, 5), silent}, "there is no leader"},
		"nobody to ask":       {[]show.Endpoint{silent}, "no server answers: z: refused"},
	} {
		endpoint, id, err := leading(c.states)
		switch {
		case err == nil && (endpoint != c.want || id == 0):
			t.Errorf("%s: got %s, %x", what, endpoint, id)
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: got %v", what, err)
		}
	}
	f := startFake(t)
	f.set(behaviour{leaderless: true})
	f.ask("", "move-leader s1").expect(t, "without a leader", exitFailed, `"quorate doctor --cluster" tells why`)
	runOf("move-leader", "s1", "--endpoints", nobody(t)+","+f.address).expect(t, "one of two endpoints", exitFailed, "there is no leader")
	f.set(behaviour{})
	runOf("move-leader", "s1", "--endpoints", nobody(t)+","+f.address).expect(t, "one of two endpoints", exitDone, "Leadership transferred")
}

func TestMembersAreCompleted(t *testing.T) {
	f := startFake(t)
	for _, line := range []string{"member remove", "member promote", "member update", "move-leader"} {
		words := append([]string{"__complete"}, strings.Fields(line)...)
		runOf(append(words, "--endpoints", f.address, "")...).expect(t, line, exitDone, "a\ts1\ns1\ta\n:4")
		if r := runOf(append(words, "--endpoints", f.address, "a", "")...); strings.Contains(r.out, "s1") {
			t.Errorf("%s completes a second server: %s", line, r.out)
		}
		if r := runOf(append(words, "--endpoints", nobody(t), "")...); r.status != exitDone || !strings.HasPrefix(r.out, ":4") {
			t.Errorf("%s without a server: %+v", line, r)
		}
	}
}
