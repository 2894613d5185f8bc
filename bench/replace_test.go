package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

func TestDipIsOfTheMedianBefore(t *testing.T) {
	var r report.Run
	reportRates(&r, []float64{100, 300, 200}, []float64{150, 120, 240}, []float64{220}, 170)
	want := []report.Figure{
		{Name: "dip of the worst window before, %", Value: 50},
		{Name: "dip of the worst window during, %", Value: 40},
		{Name: "dip of the worst window after, %", Value: -10},
		{Name: "dip of all that was put during, %", Value: 15},
	}
	near := func(a, b report.Figure) bool {
		return a.Name == b.Name && a.Value-b.Value < 1e-6 && b.Value-a.Value < 1e-6
	}
	if !slices.EqualFunc(r.More, want, near) {
		t.Errorf("got %v, want %v", r.More, want)
	}
	if len(r.Samples) != 3 || r.Samples[1].Name != "puts/s in windows of 1 s, during" || !slices.Equal(r.Samples[1].Values, []float64{150, 120, 240}) {
		t.Errorf("got %v", r.Samples)
	}
}

func TestReplacementWithinAWindowHasNoWorstWindow(t *testing.T) {
	var r report.Run
	reportRates(&r, []float64{100}, nil, []float64{100}, 90)
	for _, f := range r.More {
		if strings.Contains(f.Name, "worst window during") {
			t.Errorf("got %v", f)
		}
	}
}

func TestServersThatHoldDifferentThingsAreFound(t *testing.T) {
	servers := []*cluster.Server{{Name: "n3"}, {Name: "n4"}, {Name: "n5"}}
	same := func() []*clientv3.HashKVResponse {
		var all []*clientv3.HashKVResponse
		for range servers {
			all = append(all, &clientv3.HashKVResponse{Hash: 7, CompactRevision: -1, HashRevision: 50})
		}
		return all
	}
	if err := compareHashes(50, servers, same()); err != nil {
		t.Errorf("they hold the same: got %v", err)
	}
	for what, change := range map[string]func(h *clientv3.HashKVResponse){
		"another hash":       func(h *clientv3.HashKVResponse) { h.Hash++ },
		"another compaction": func(h *clientv3.HashKVResponse) { h.CompactRevision = 9 },
		"another revision":   func(h *clientv3.HashKVResponse) { h.HashRevision-- },
	} {
		hashes := same()
		change(hashes[2])
		if err := compareHashes(50, servers, hashes); err == nil || !strings.Contains(err.Error(), "n5") {
			t.Errorf("%s of the last: got %v", what, err)
		}
	}
}

func TestOriginalsThatAreLeftAreCounted(t *testing.T) {
	a, b, c, d := &cluster.Server{Name: "n0"}, &cluster.Server{Name: "n1"}, &cluster.Server{Name: "n2"}, &cluster.Server{Name: "n2"}
	if got := common([]*cluster.Server{a, b, c}, []*cluster.Server{c, d}); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestOwnClientsBeginWithAnotherServerEachAndAreToldOfNewOnes(t *testing.T) {
	b := &bed{cluster: &cluster.Cluster{Servers: []*cluster.Server{{URL: "http://127.0.0.1:1"}, {URL: "http://127.0.0.1:2"}}}}
	all, err := b.ownClients(3)
	if err != nil {
		t.Fatal(err)
	}
	defer all.close()
	first := func() (firsts string) {
		for _, c := range all.plain() {
			firsts += " " + strings.TrimPrefix(c.Endpoints()[0], "http://127.0.0.1:")
		}
		return firsts
	}
	if got := first(); got != " 1 2 1" {
		t.Errorf("they begin with%s", got)
	}
	b.cluster.Servers = append(b.cluster.Servers[1:], &cluster.Server{URL: "http://127.0.0.1:3"})
	all.know(b.cluster)
	if got := first(); got != " 2 3 2" || len(all[0].Endpoints()) != 2 {
		t.Errorf("told of others, they begin with%s", got)
	}
}

// It must be our client that puts, and not etcd's within it.
func TestOwnClientsPutAsksForASessionAndAPlainOneDoesNot(t *testing.T) {
	s := &shelf{}
	b, plain := serveShelf(t, s)
	own, err := b.ownClients(1)
	if err != nil {
		t.Fatal(err)
	}
	defer own.close()
	w := b.newOwnWrites()
	if w.timeout != ownTimeout || !w.once {
		t.Errorf("it has %v, and promises once: %v", w.timeout, w.once)
	}
	for i, client := range []*clientv3.Client{plain, own.plain()[0]} {
		if _, err := w.put(t.Context(), client, w.begin()); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		if len(s.unknown) != i {
			t.Errorf("client %d: the server was asked for %v, which it does not know", i, s.unknown)
		}
		s.mu.Unlock()
	}
	if s.keys[writeKey(0)] == nil || s.keys[writeKey(1)] == nil {
		t.Error("a put is not there")
	}
}

// registry is a server that knows its members, and whose first answers are errors.
type registry struct {
	pb.UnimplementedClusterServer
	errors  []error
	members []*pb.Member
	removed int // how often it was asked to
}

func (s *registry) MemberRemove(_ context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	s.removed++
	if len(s.errors) > 0 {
		err := s.errors[0]
		s.errors = s.errors[1:]
		return nil, err
	}
	s.members = slices.DeleteFunc(s.members, func(m *pb.Member) bool { return m.ID == r.ID })
	return &pb.MemberRemoveResponse{Header: &pb.ResponseHeader{}}, nil
}

func (s *registry) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: &pb.ResponseHeader{}, Members: s.members}, nil
}

func serveRegistry(t *testing.T, s *registry) *members {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterClusterServer(server, s)
	go func() { _ = server.Serve(listener) }() // it ends with Stop
	t.Cleanup(server.Stop)
	client, err := cluster.Dial("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &members{client: client, tell: t.Logf}
}

func TestRemovalIsAskedForUntilTheMemberIsGone(t *testing.T) {
	busy := status.Error(codes.FailedPrecondition, "a change is under way")
	s := &registry{errors: []error{busy, busy}, members: []*pb.Member{{ID: 5}, {ID: 6}}}
	if err := serveRegistry(t, s).remove(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if s.removed != 3 || has(s.members, 5) || !has(s.members, 6) {
		t.Errorf("asked %d times; members are %v", s.removed, s.members)
	}
	gone := &registry{errors: []error{status.Error(codes.NotFound, "etcdserver: member not found")}, members: []*pb.Member{{ID: 6}}}
	if err := serveRegistry(t, gone).remove(t.Context(), 5); err != nil || gone.removed != 1 {
		t.Errorf("it was removed, although the first answer was lost: got %v after %d requests", err, gone.removed)
	}
}

func TestWaitingForMembersEndsAndSaysWhatWasLast(t *testing.T) {
	told := 0
	m := &members{tell: func(string, ...any) { told++ }}
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := 0
	err := m.until(ctx, "the moon rises", func(context.Context) (bool, error) {
		if asked++; asked == 3 {
			cancel(errors.New("enough"))
		}
		return false, errors.New("it is day")
	})
	if err == nil || !strings.Contains(err.Error(), "the moon rises (last: it is day): enough") || told != 1 {
		t.Errorf("got %v, told %d times", err, told)
	}
}

func TestMembersAreFoundByWhereOthersReachThem(t *testing.T) {
	list := []*pb.Member{{PeerURLs: []string{"http://a"}}, {PeerURLs: []string{"http://b", "http://c"}}}
	for url, want := range map[string]int{"http://a": 0, "http://c": 1, "http://d": -1} {
		if got := at(list, url); got != want {
			t.Errorf("%s: got %d, want %d", url, got, want)
		}
	}
}

func TestTokenIsAskedForAndServersWithoutThemAreTold(t *testing.T) {
	answers := map[string]string{"/good": `{"token":"qjoin1-x","ttlSeconds":3600,"join":["http://a"]}`, "/alone": `{"token":"qjoin1-x"}`, "/empty": `{}`, "/text": "hello"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := strings.CutSuffix(r.URL.Path, "/quorate/token")
		switch body := answers[from]; {
		case r.Method != http.MethodPost:
			http.Error(w, "post it", http.StatusMethodNotAllowed)
		case from == "/busy":
			http.Error(w, "no leader", http.StatusServiceUnavailable)
		case body == "":
			http.NotFound(w, r)
		default:
			_, _ = w.Write([]byte(body))
		}
	}))
	defer server.Close()
	if got, err := askForToken(t.Context(), server.URL+"/good"); err != nil || got.Token != "qjoin1-x" || !slices.Equal(got.Join, []string{"http://a"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := askForToken(t.Context(), server.URL+"/etcd"); !errors.Is(err, errNoTokens) {
		t.Errorf("a server without tokens: got %v", err)
	}
	for _, path := range []string{"/alone", "/empty", "/text", "/busy"} {
		if got, err := askForToken(t.Context(), server.URL+path); err == nil || errors.Is(err, errNoTokens) {
			t.Errorf("%s: got %+v, %v", path, got, err)
		}
	}
}
