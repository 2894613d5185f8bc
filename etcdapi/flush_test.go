package etcdapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPagesThatDoSomethingAreForClients: those who may only look at metrics have none, nor has anybody where the server
// has nothing to do it with.
func TestPagesThatDoSomethingAreForClients(t *testing.T) {
	var fails error
	with := newWorld(t, func(o *Options, _ *fakeGroup) {
		o.Flush = func(context.Context) (uint64, error) { return 7, fails }
	})
	without := newWorld(t, nil)
	expect := func(what string, pages http.Handler, method, path string, code int, text string) {
		t.Helper()
		recorder := httptest.NewRecorder()
		pages.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
		if body := recorder.Body.String(); recorder.Code != code || !strings.Contains(body, text) {
			t.Errorf("%s: %d %s, want %d and %s", what, recorder.Code, body, code, text)
		}
	}
	expect("a client", with.http.Handler, http.MethodPost, "/quorate/flush", http.StatusOK, `{"index":"7"}`)
	expect("a client that only asks", with.http.Handler, http.MethodGet, "/quorate/flush", http.StatusMethodNotAllowed, "")
	expect("who looks at metrics", with.lookers.Handler, http.MethodPost, "/quorate/flush", http.StatusNotFound, "")
	fails = errors.New("no room")
	expect("on a full disk", with.http.Handler, http.MethodPost, "/quorate/flush", http.StatusServiceUnavailable, "no room")
	expect("where nothing can be flushed", without.http.Handler, http.MethodPost, "/quorate/flush", http.StatusNotFound, "")
	expect("where nobody can join", without.http.Handler, http.MethodPost, "/quorate/token", http.StatusNotFound, "")
}
