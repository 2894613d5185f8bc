package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/client"
)

// A session that nobody uses ends, on all servers; one that is used lives on. A client does not notice.
func TestProcessSessionsThatNobodyUsesEnd(t *testing.T) {
	servers := startServers(t, 3, quick...)
	c, err := client.New(clientv3.Config{Endpoints: []string{"http://" + servers[0].clientAddress()}}, client.Options{SessionTTL: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	put := func() {
		t.Helper()
		if _, err := c.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	put()
	began := time.Now()
	for time.Since(began) < 9*time.Second { // longer than an unused one would live
		<-time.After(500 * time.Millisecond)
		put()
	}
	for _, s := range servers {
		eventually(t, "the session lives", func() error { return hasMetric(s, "quorate_sessions 1") })
		if err := hasMetric(s, "quorate_sessions_expired_total 0"); err != nil {
			t.Error(err)
		}
	}
	began = time.Now()
	for _, s := range servers {
		eventually(t, "the session ends", func() error { return hasMetric(s, "quorate_sessions 0") })
	}
	t.Logf("ended %v after its last use", time.Since(began).Round(time.Millisecond))
	put()
	if err := hasMetric(servers[0], "quorate_sessions 1"); err != nil {
		t.Error(err)
	}
}

// hasMetric looks for a line on a server's page of metrics.
func hasMetric(s *serverProcess, line string) error {
	page, err := http.Get("http://" + s.clientAddress() + "/metrics")
	if err != nil {
		return err
	}
	defer page.Body.Close()
	body, err := io.ReadAll(page.Body)
	switch {
	case err != nil:
		return err
	case !strings.Contains(string(body), "\n"+line+"\n"):
		return fmt.Errorf("%s has no line %q", s.name, line)
	case page.StatusCode != http.StatusOK:
		return errors.New(page.Status)
	}
	return nil
}
