package etcdapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/wire"
)

func TestPages(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "etcd_server_has_leader 1\n") })
	leaderless := func(_ *Options, g *fakeGroup) { g.leader = 0 }
	unconfirmed := func(_ *Options, g *fakeGroup) { g.read = func(context.Context) error { return quorate.ErrCanceled } }
	broken := func(o *Options, _ *fakeGroup) { o.Store = brokenStore{o.Store} }
	learner := func(_ *Options, g *fakeGroup) { g.members = []wire.Member{{ID: testMember, Roles: wire.RoleLearner}} }
	says := func(findings ...doctor.Finding) func(*Options, *fakeGroup) {
		return func(o *Options, _ *fakeGroup) {
			o.Report = func() *doctor.Report { return &doctor.Report{Name: "s1", Findings: findings} }
		}
	}
	lost := doctor.Finding{Code: doctor.NoQuorum, Text: "no quorum: s1 reaches 1, needs 2 of 3"}
	and := func(changes ...func(*Options, *fakeGroup)) func(*Options, *fakeGroup) {
		return func(o *Options, g *fakeGroup) {
			for _, change := range changes {
				change(o, g)
			}
		}
	}
	for _, c := range []struct {
		change func(*Options, *fakeGroup)
		method string
		path   string
		code   int
		body   string
	}{
		{nil, "GET", "/health", 200, `{"health":"true","reason":""}`},
		{nil, "GET", "/health?serializable=true", 200, `{"health":"true","reason":""}`},
		{nil, "GET", "/health?exclude=NOSPACE", 200, `{"health":"true","reason":""}`},
		{leaderless, "GET", "/health", 503, `{"health":"false","reason":"RAFT NO LEADER"}`},
		{leaderless, "GET", "/health?serializable=true", 200, `{"health":"true","reason":""}`},
		{leaderless, "GET", "/health?serializable=false", 503, `{"health":"false","reason":"RAFT NO LEADER"}`},
		{unconfirmed, "GET", "/health", 503,
			`{"health":"false","reason":"RANGE ERROR:rpc error: code = Unavailable desc = etcdserver: request timed out"}`},
		{broken, "GET", "/health?serializable=true", 503,
			`{"health":"false","reason":"RANGE ERROR:rpc error: code = Internal desc = quorate: the state cannot be read"}`},
		{and(leaderless, says(lost)), "GET", "/health", 503,
			`{"health":"false","reason":"RAFT NO LEADER: no quorum: s1 reaches 1, needs 2 of 3"}`},
		{and(unconfirmed, says(lost)), "GET", "/health", 503,
			`{"health":"false","reason":"RANGE ERROR:rpc error: code = Unavailable desc = etcdserver: request timed out: no quorum: s1 reaches 1, needs 2 of 3"}`},
		{and(leaderless, says(doctor.Finding{Code: doctor.PeerDown, Text: "s2 is missing"})), "GET", "/health", 503,
			`{"health":"false","reason":"RAFT NO LEADER"}`},
		{says(doctor.Finding{Code: doctor.PeerDown, Text: "s2 is missing"}), "GET", "/health", 200, `{"health":"true","reason":""}`},
		{nil, "POST", "/health", 405, "Method Not Allowed\n"},

		{nil, "GET", "/livez", 200, "ok\n"},
		{nil, "GET", "/livez?verbose", 200, "[+]serializable_read ok\nok\n"},
		{nil, "GET", "/livez/serializable_read", 200, "ok\n"},
		{leaderless, "GET", "/livez", 200, "ok\n"},
		{broken, "GET", "/livez", 503, "[-]serializable_read failed: " + errStore.Error() + "\n\n"},
		{nil, "POST", "/livez", 405, "Method Not Allowed\n"},

		{nil, "GET", "/readyz", 200, "ok\n"},
		{nil, "GET", "/readyz?verbose", 200,
			"[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"},
		{leaderless, "GET", "/readyz", 503, "[+]data_corruption ok\n[+]serializable_read ok\n" +
			"[-]linearizable_read failed: " + errNoLeader.Error() + "\n[+]non_learner ok\n\n"},
		{leaderless, "GET", "/readyz?exclude=linearizable_read", 200, "ok\n"},
		{leaderless, "GET", "/readyz?exclude=non_learner,linearizable_read", 200, "ok\n"},
		{leaderless, "GET", "/readyz/linearizable_read", 503, "[-]linearizable_read failed: " + errNoLeader.Error() + "\n\n"},
		{leaderless, "GET", "/readyz/serializable_read", 200, "ok\n"},
		{learner, "GET", "/readyz/non_learner", 503, "[-]non_learner failed: not supported for learner\n\n"},

		{nil, "GET", "/version", 200, `{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0"}`},
		{func(o *Options, _ *fakeGroup) { o.Version = "0.1" }, "GET", "/version", 200,
			`{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0","quorate":"0.1"}`},
		{nil, "GET", "/quorate/status", 404, "404 page not found\n"},
		{and(leaderless, unconfirmed, says(lost)), "GET", "/quorate/status", 200,
			`{"healthy":false,"progress":false,"verdict":"","time":"0001-01-01T00:00:00Z","started":"0001-01-01T00:00:00Z","cluster":"","server":"",` +
				`"name":"s1","role":"","term":0,"commit":0,"applied":0,"quorum":null,"peers":null,` +
				`"findings":[{"code":"no-quorum","severity":"","text":"no quorum: s1 reaches 1, needs 2 of 3"}]}`},
		{says(lost), "POST", "/quorate/status", 405, "Method Not Allowed\n"},
		{nil, "GET", "/metrics", 404, "404 page not found\n"},
		{func(o *Options, _ *fakeGroup) { o.Metrics = metrics }, "GET", "/metrics", 200, "etcd_server_has_leader 1\n"},
		{nil, "GET", "/debug/pprof/", 404, "404 page not found\n"},
		{nil, "GET", "/", 404, "404 page not found\n"},
		{nil, "GET", "/v2/keys", 404, "404 page not found\n"},
	} {
		w := newWorld(t, c.change)
		answer := httptest.NewRecorder()
		w.Handler().ServeHTTP(answer, httptest.NewRequest(c.method, c.path, nil))
		if answer.Code != c.code || answer.Body.String() != c.body {
			t.Errorf("%s %s: got %d %q, want %d %q", c.method, c.path, answer.Code, answer.Body, c.code, c.body)
		}
		w.Close()
	}
}

func TestProfilesAreServedIfEnabled(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *fakeGroup) { o.Pprof = true })
	for path, want := range map[string]string{
		"/debug/pprof/":                  "heap",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		answer := httptest.NewRecorder()
		w.Handler().ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != 200 || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s: got %d, without %q", path, answer.Code, want)
		}
	}
}

// FuzzPages asks for any page with any query: each is answered with one of a few codes, in a few words,
// and costs a multiple of its size. The factor is that of net/url, which takes a query apart.
func FuzzPages(f *testing.F) {
	f.Add("/health", "serializable=true&exclude=NOSPACE")
	f.Add("/livez", "verbose&exclude=serializable_read")
	f.Add("/readyz", "exclude=a,b,,data_corruption&exclude=%00")
	f.Add("/readyz/non_learner", "verbose=%zz;")
	f.Add("//health/../livez", "a=b")
	w := newWorld(f, nil)
	f.Fuzz(func(t *testing.T, path, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: path, RawQuery: query}
		got := httptest.NewRecorder()
		var before, after runtime.MemStats
		limit := uint64(200*(len(path)+len(query)) + 256<<10)
		spent := limit + 1
		for try := 0; try < 5 && spent > limit; try++ { // the runtime counts for other goroutines too
			got = httptest.NewRecorder()
			runtime.ReadMemStats(&before)
			w.Handler().ServeHTTP(got, r)
			runtime.ReadMemStats(&after)
			spent = after.TotalAlloc - before.TotalAlloc
		}
		if spent > limit {
			t.Errorf("%q?%q: %d bytes allocated, more than %d", path, query, spent, limit)
		}
		switch got.Code {
		case http.StatusOK, http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusNotFound, http.StatusServiceUnavailable:
		default:
			t.Errorf("%q?%q: answered %d", path, query, got.Code)
		}
		if got.Body.Len() > 12*(len(path)+len(query))+4<<10 {
			t.Errorf("%q?%q: answered %q", path, query, got.Body)
		}
	})
}
