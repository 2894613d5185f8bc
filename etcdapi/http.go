package etcdapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/quorate/quorate/kv"
)

// Handler serves the pages of the client port that only tell, for listeners that have nothing but HTTP.
func (s *Server) Handler() http.Handler { return s.pages }

// only answers requests of one method with a page, and all others with 405.
func only(method string, page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		page(w, r)
	}
}

// withToken adds the pages that do something, such as the one that lets servers join: for clients, who may change
// everything anyway, and not for those who may only look at metrics.
func (s *Server) withToken(pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	if s.options.NewToken != nil {
		mux.HandleFunc("/quorate/token", only(http.MethodPost, s.tokenPage))
	}
	if s.options.Flush != nil {
		mux.HandleFunc("/quorate/flush", only(http.MethodPost, s.flushPage))
	}
	return mux
}

// newPages puts the pages together that only tell. All of them are read with GET; everything else is 405 or 404.
func (s *Server) newPages() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, page http.HandlerFunc) { mux.HandleFunc(path, only(http.MethodGet, page)) }
	get("/health", s.healthPage)
	get("/version", s.versionPage)
	s.checkPages(get, "/livez", s.liveChecks())
	s.checkPages(get, "/readyz", s.readyChecks())
	if s.options.Report != nil {
		get("/quorate/status", s.statusPage)
	}
	if s.options.Metrics != nil {
		get("/metrics", s.options.Metrics.ServeHTTP)
	}
	if s.options.Pprof {
		get("/debug/pprof/", pprof.Index)
		get("/debug/pprof/cmdline", pprof.Cmdline)
		get("/debug/pprof/profile", pprof.Profile)
		get("/debug/pprof/symbol", pprof.Symbol)
		get("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// healthPage tells whether requests would be answered: 200 if so, else 503 and the reason, in etcd's
// words; and behind a colon what this server knows of why. With
// serializable=true it is asked whether those would that take what this server has; exclude names
// alarms to disregard.
func (s *Server) healthPage(w http.ResponseWriter, r *http.Request) {
	serializable := r.URL.Query().Get("serializable") == "true"
	health := struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}{Health: "true"}
	code := http.StatusOK
	fail := func(reason string) {
		health.Health, health.Reason, code = "false", reason, http.StatusServiceUnavailable
	}
	alarms, excluded := s.store.Alarms(), r.URL.Query()["exclude"]
	counts := func(a kv.Alarm) bool { return !contains(excluded, a.Type.String()) }
	if i := slices.IndexFunc(alarms, counts); i >= 0 {
		fail("ALARM " + alarms[i].Type.String())
	} else if !serializable && !s.hasLeader() {
		fail("RAFT NO LEADER" + s.whyNoProgress())
	} else if err := s.probe(r.Context(), !serializable); err != nil {
		fail("RANGE ERROR:" + err.Error() + s.whyNoProgress())
	}
	writeJSON(w, code, health)
}

// whyNoProgress is what is to be said of a server that cannot make progress, behind a colon; "" if
// nothing is known.
func (s *Server) whyNoProgress() string {
	if s.options.Report == nil {
		return ""
	}
	if f := s.options.Report().Blocking(); f != nil {
		return ": " + f.Text
	}
	return ""
}

// statusPage says how this server is and why it makes no progress, if it makes none. It is answered with
// 200 in any case: who asks wants to know, and /health is for those who only look at the code.
func (s *Server) statusPage(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.options.Report())
}

func (s *Server) versionPage(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
		Storage string `json:"storage"`
		Quorate string `json:"quorate,omitempty"`
	}{EtcdVersion, clusterVersion, clusterVersion, s.options.Version})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(b) // whoever asked has gone: nobody is left to tell
}

// check is one thing that must be well for a server to be called live or ready.
type check struct {
	name string
	run  func(ctx context.Context) error
}

func (s *Server) serializableRead(ctx context.Context) error { return s.probe(ctx, false) }
func (s *Server) linearizableRead(ctx context.Context) error { return s.probe(ctx, true) }

// liveChecks: what fails here is mended by a restart, if anything mends it. That a state has to come first is not.
func (s *Server) liveChecks() []check {
	return []check{{"serializable_read", func(ctx context.Context) error {
		if s.hasState() != nil {
			return nil
		}
		return s.serializableRead(ctx)
	}}}
}

// readyChecks: what fails here means that clients should ask another server.
func (s *Server) readyChecks() []check {
	return []check{
		{"data_corruption", s.corruption},
		{"serializable_read", s.serializableRead},
		{"linearizable_read", func(ctx context.Context) error {
			if !s.hasLeader() {
				return errNoLeader // at once, where the read would wait for one
			}
			return s.linearizableRead(ctx)
		}},
		{"non_learner", func(context.Context) error {
			if s.isLearner(s.group.Status()) {
				return errors.New("not supported for learner")
			}
			return nil
		}},
	}
}

// checkPages serves all checks under one path, but for those that the query excludes, and each alone
// below it.
func (s *Server) checkPages(get func(string, http.HandlerFunc), path string, checks []check) {
	get(path, func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		var asked []check
		for _, c := range checks {
			if !contains(excluded, c.name) {
				asked = append(asked, c)
			}
		}
		runChecks(w, r, asked)
	})
	for _, c := range checks {
		get(path+"/"+c.name, func(w http.ResponseWriter, r *http.Request) { runChecks(w, r, []check{c}) })
	}
}

// contains looks for name in lists that are separated by commas.
func contains(lists []string, name string) bool {
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			if one == name {
				return true
			}
		}
	}
	return false
}

// runChecks answers "ok", or 503 with every check's outcome.
func runChecks(w http.ResponseWriter, r *http.Request, checks []check) {
	var report strings.Builder
	failed := false
	for _, c := range checks {
		if err := c.run(r.Context()); err != nil {
			failed = true
			report.WriteString("[-]" + c.name + " failed: " + err.Error() + "\n")
		} else {
			report.WriteString("[+]" + c.name + " ok\n")
		}
	}
	if failed {
		http.Error(w, report.String(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !r.URL.Query().Has("verbose") {
		report.Reset()
	}
	_, _ = w.Write([]byte(report.String() + "ok\n")) // whoever asked may have gone
}
