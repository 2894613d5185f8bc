package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/raft"
)

// story is what a client does to keys that begin with prefix, and sees.
func story(ctx context.Context, client *clientv3.Client, prefix string) error {
	put, err := client.Put(ctx, prefix+"apple", "red")
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if _, err := client.Put(ctx, prefix+"pear", "green"); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	got, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil || got.Count != 2 || string(got.Kvs[0].Value) != "red" {
		return fmt.Errorf("get: %v, %w", got, err)
	}
	txn, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(prefix+"apple"), "=", put.Header.Revision)).
		Then(clientv3.OpPut(prefix+"apple", "yellow"), clientv3.OpGet(prefix+"pear")).Commit()
	if err != nil || !txn.Succeeded || string(txn.Responses[1].GetResponseRange().Kvs[0].Value) != "green" {
		return fmt.Errorf("txn: %v, %w", txn, err)
	}
	old, err := client.Get(ctx, prefix+"apple", clientv3.WithRev(put.Header.Revision))
	if err != nil || string(old.Kvs[0].Value) != "red" {
		return fmt.Errorf("get of an old revision: %v, %w", old, err)
	}
	deleted, err := client.Delete(ctx, prefix, clientv3.WithPrefix())
	if err != nil || deleted.Deleted != 2 {
		return fmt.Errorf("delete: %v, %w", deleted, err)
	}
	if _, err := client.Compact(ctx, deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if _, err := client.Get(ctx, prefix+"apple", clientv3.WithRev(put.Header.Revision)); !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("get of a compacted revision: %w", err)
	}
	return nil
}

func TestOneServerServesEtcdsClient(t *testing.T) {
	s := start(t, clusterOptions(t, 1)[0])
	client := connect(t, s)
	if err := story(testContext(t), client, "fruit/"); err != nil {
		t.Error(err)
	}
	status, err := client.Status(testContext(t), endpoint(s))
	if err != nil || status.Version != "3.7.3" || status.Leader != uint64(s.Host().ID()) || status.DbSize == 0 || len(status.Errors) != 0 {
		t.Errorf("status: %v, %v", status, err)
	}
	members, err := client.MemberList(testContext(t))
	if err != nil || len(members.Members) != 1 || members.Members[0].Name != "n0" || members.Header.ClusterId != s.Host().ClusterID() ||
		!slices.Equal(members.Members[0].ClientURLs, []string{endpoint(s)}) {
		t.Errorf("members: %v, %v", members, err)
	}
}

func TestThreeServersServeEtcdsClientEach(t *testing.T) {
	servers := startAll(t, clusterOptions(t, 3))
	for i, s := range servers {
		if err := story(testContext(t), connect(t, s), fmt.Sprintf("fruit%d/", i)); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
	}
	// What one has acknowledged, all others show to a linearizable read.
	if _, err := connect(t, servers[0]).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for i, s := range servers[1:] {
		got, err := connect(t, s).Get(testContext(t), "k")
		if err != nil || got.Count != 1 || got.Header.MemberId != uint64(s.Host().ID()) {
			t.Errorf("server %d: %v, %v", i+1, got, err)
		}
	}
}

func TestWritesGoOnWithoutTheLeader(t *testing.T) {
	servers := startAll(t, clusterOptions(t, 3))
	if _, err := connect(t, servers[0]).Put(testContext(t), "k", "before"); err != nil {
		t.Fatal(err)
	}
	leader := slices.IndexFunc(servers, func(s *Server) bool { return s.Host().ID() == servers[0].Group().Status().Raft.Leader })
	if leader < 0 {
		t.Fatal("a write was answered and nobody leads")
	}
	if err := servers[leader].Close(); err != nil {
		t.Fatal(err)
	}
	for i, s := range servers {
		if i == leader {
			continue
		}
		client := connect(t, s)
		if _, err := client.Put(testContext(t), "k", fmt.Sprint("after ", i)); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
		got, err := client.Get(testContext(t), "k")
		if err != nil || string(got.Kvs[0].Value) != fmt.Sprint("after ", i) {
			t.Errorf("server %d: %v, %v", i, got, err)
		}
	}
}

// The others do not have to miss a leader that ends in good order: when it has ended there is a new term already.
func TestALeaderThatEndsHandsOver(t *testing.T) {
	servers := startAll(t, clusterOptions(t, 3))
	if _, err := connect(t, servers[0]).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	before := servers[0].Group().Status().Raft
	leader := slices.IndexFunc(servers, func(s *Server) bool { return s.Host().ID() == before.Leader })
	if leader < 0 {
		t.Fatal("a write was answered and nobody leads")
	}
	if err := servers[leader].Close(); err != nil {
		t.Fatal(err)
	}
	latest := raft.Term(0)
	for i, s := range servers {
		if i != leader {
			latest = max(latest, s.Group().Status().Raft.CurrentTerm)
		}
	}
	if latest != before.CurrentTerm+1 {
		t.Errorf("the others are in term %d, the leader that has ended was of %d", latest, before.CurrentTerm)
	}
	rest := slices.Delete(slices.Clone(servers), leader, leader+1)
	if _, err := connect(t, rest...).Put(testContext(t), "k", "w"); err != nil {
		t.Error(err)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(t *testing.T, o *Options)
	}{
		{"as it was", func(*testing.T, *Options) {}},
		{"without the list of servers", func(_ *testing.T, o *Options) { o.InitialCluster = "" }},
		{"with the cluster called existing", func(_ *testing.T, o *Options) { o.InitialClusterState = "existing" }},
		{"with the state gone, from the log alone", func(t *testing.T, o *Options) {
			if err := os.RemoveAll(filepath.Join(o.DataDir, stateDir)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		o := clusterOptions(t, 1)[0]
		s := start(t, o)
		client := connect(t, s)
		for i := range 20 {
			if _, err := client.Put(testContext(t), fmt.Sprint("k", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		digest, index := s.Store().Digest()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		c.change(t, &o)
		s = start(t, o)
		got, err := connect(t, s).Get(testContext(t), "k", clientv3.WithPrefix())
		if err != nil || got.Count != 20 || got.Header.Revision != 21 {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
		if _, err := connect(t, s).Delete(testContext(t), "k0"); err != nil {
			t.Errorf("%s: a write after it: %v", c.what, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, now := s.Store().Digest(); now <= index || digest == [16]byte{} {
			t.Errorf("%s: applied up to %d, and before up to %d", c.what, now, index)
		}
	}
}

// After Close there is nothing to apply again.
func TestCloseMakesTheStateDurable(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	s := start(t, o)
	if _, err := connect(t, s).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	applied := s.Store().AppliedIndex()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := uint64(s.machine.DurableIndex()); got != applied || applied == 0 {
		t.Errorf("durable up to %d, and applied up to %d before", got, applied)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutQuorumCallsEndInTheirTime(t *testing.T) {
	s := start(t, clusterOptions(t, 3)[0])
	client := connect(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.Put(ctx, "k", "v"); !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("put: got %v, want that the deadline is exceeded", err)
	}
	if ctx.Err() == nil {
		t.Error("put ended before its deadline")
	}
	// An hour would pass, if this waited.
	patient, stop := context.WithTimeout(context.Background(), time.Hour)
	defer stop()
	if _, err := client.Put(clientv3.WithRequireLeader(patient), "k", "v"); !errors.Is(err, rpctypes.ErrNoLeader) {
		t.Errorf("put that wants a leader: got %v, want %v", err, rpctypes.ErrNoLeader)
	}
	if got, err := client.Get(patient, "k", clientv3.WithSerializable()); err != nil || got.Count != 0 || got.Header.Revision != 1 {
		t.Errorf("serializable get: %v, %v", got, err)
	}
	status, err := client.Status(patient, endpoint(s))
	if err != nil || status.Leader != 0 || !slices.Equal(status.Errors, []string{"etcdserver: no leader"}) {
		t.Errorf("status: %v, %v", status, err)
	}
	for path, want := range map[string]int{"/health": 503, "/health?serializable=true": 200, "/readyz": 503, "/livez": 200} {
		if code, body := get(t, endpoint(s)+path); code != want {
			t.Errorf("%s: got %d %q, want %d", path, code, body, want)
		}
	}
}

func get(t testing.TB, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func TestLimitsAreTheOperators(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.MaxRequestBytes, o.MaxTxnOps = 1000, 2
	client := connect(t, start(t, o))
	if _, err := client.Put(testContext(t), "k", strings.Repeat("x", 990)); err != nil {
		t.Errorf("a request within the limit: %v", err)
	}
	if _, err := client.Put(testContext(t), "k", strings.Repeat("x", 1000)); !errors.Is(err, rpctypes.ErrRequestTooLarge) {
		t.Errorf("a request beyond the limit: got %v, want %v", err, rpctypes.ErrRequestTooLarge)
	}
	get := clientv3.OpGet("k")
	if _, err := client.Txn(testContext(t)).Then(get, get).Commit(); err != nil {
		t.Errorf("a transaction within the limit: %v", err)
	}
	if _, err := client.Txn(testContext(t)).Then(get, get, get).Commit(); !errors.Is(err, rpctypes.ErrTooManyOps) {
		t.Errorf("a transaction beyond the limit: got %v, want %v", err, rpctypes.ErrTooManyOps)
	}
}

func TestQuotaIsTheOperators(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.QuotaBackendBytes = 1000
	client := connect(t, start(t, o))
	if _, err := client.Put(testContext(t), "k", strings.Repeat("x", 1000)); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("got %v, want %v", err, rpctypes.ErrNoSpace)
	}
	if list, err := client.AlarmList(testContext(t)); err != nil || len(list.Alarms) != 1 {
		t.Errorf("alarms: %v, %v", list, err)
	}
}

func TestPagesAndMetrics(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.ListenMetricsURLs = []string{"http://127.0.0.1:0"}
	s := start(t, o)
	if _, err := connect(t, s).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if code, body := get(t, endpoint(s)+"/version"); code != 200 ||
		body != `{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0","quorate":"`+Version+`"}` {
		t.Errorf("version: %d %s", code, body)
	}
	if code, _ := get(t, endpoint(s)+"/debug/pprof/"); code != 404 {
		t.Errorf("profiles: got %d, they are not enabled", code)
	}
	for _, base := range []string{endpoint(s), "http://" + s.MetricsAddrs()[0].String()} {
		code, body := get(t, base+"/metrics")
		if code != 200 {
			t.Fatalf("metrics: %d %s", code, body)
		}
		for _, want := range []string{
			"etcd_server_has_leader 1\n", "etcd_server_is_leader 1\n", "etcd_server_leader_changes_seen_total 1\n",
			"etcd_server_proposals_pending 0\n", "etcd_server_proposals_failed_total 0\n",
			"etcd_debugging_mvcc_current_revision 2\n", `etcd_server_version{server_version="3.7.3"} 1`,
			`grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1`,
			`grpc_server_started_total{grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 0`,
			"etcd_mvcc_db_total_size_in_bytes ", "process_resident_memory_bytes ", "go_goroutines ",
		} {
			if !strings.Contains(body, "\n"+want) {
				t.Errorf("metrics of %s lack %q", base, want)
			}
		}
	}
}

func TestMetricsTellOfPeers(t *testing.T) {
	servers := startAll(t, clusterOptions(t, 3))
	if _, err := connect(t, servers[0]).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	_, body := get(t, endpoint(servers[0])+"/metrics")
	for _, s := range servers[1:] {
		for _, want := range []string{"etcd_network_peer_sent_bytes_total{To=", "etcd_network_peer_received_bytes_total{From=", "quorate_peer_round_trip_seconds{To="} {
			if want = fmt.Sprintf("\n%s%q}", want, fmt.Sprintf("%x", s.Host().ID())); !strings.Contains(body, want) {
				t.Errorf("metrics lack %s", want)
			}
		}
	}
}

func TestServerSaysThatItIsReadyAndHowFarItIsOpen(t *testing.T) {
	const ready, open = "ready to serve client requests", "without encryption or passwords"
	o := clusterOptions(t, 1)[0]
	var local, wide lines
	o.Logger = local.logger()
	start(t, o)
	if text := local.String(); !strings.Contains(text, ready) || strings.Contains(text, open) {
		t.Errorf("on this machine only: %s", text)
	}
	o = clusterOptions(t, 1)[0]
	o.Logger, o.ListenClientURLs, o.AdvertiseClientURLs = wide.logger(), []string{"http://0.0.0.0:0"}, []string{"http://127.0.0.1:1"}
	start(t, o)
	if text := wide.String(); !strings.Contains(text, ready) || !strings.Contains(text, open) || !strings.Contains(text, "level=WARN") {
		t.Errorf("on all addresses: %s", text)
	}
}

func TestFatalErrorIsToldOnce(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	var told []error
	o.OnFatal = func(err error) { told = append(told, err) }
	s := start(t, o)
	select {
	case <-s.Done():
		t.Fatal("done before the end")
	default:
	}
	s.machine.fatal(io.ErrUnexpectedEOF)
	s.machine.fatal(io.ErrShortWrite)
	<-s.Done()
	if len(told) != 1 || !errors.Is(told[0], io.ErrUnexpectedEOF) {
		t.Errorf("told %v", told)
	}
}

func TestDoneIsClosedAfterClose(t *testing.T) {
	s := start(t, clusterOptions(t, 1)[0])
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	<-s.Done()
	if _, err := http.Get(endpoint(s) + "/health"); err == nil {
		t.Error("it still answers")
	}
}
