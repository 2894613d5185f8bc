package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/server"
)

// startOneOf starts a server in this process, of a cluster of that many, of which the others are not there.
func startOneOf(t *testing.T, count int) (endpoint string) {
	t.Helper()
	var cluster []string
	ports := freePorts(t, count)
	for i, port := range ports {
		cluster = append(cluster, fmt.Sprintf("s%d=%s", i+1, localURL(port)))
	}
	return serve(t, server.Options{
		Name: "s1", DataDir: filepath.Join(t.TempDir(), "data"), ListenClientURLs: []string{"http://127.0.0.1:0"},
		ListenPeerURLs: []string{localURL(ports[0])}, InitialCluster: strings.Join(cluster, ","),
	})
}

func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	endpoint := startOneOf(t, 1)
	runOf("put", "a", "1", "--endpoints", endpoint).expect(t, "put", exitDone, "OK")
	r := runOf("doctor", "--endpoints", endpoint)
	if want := "All is well: 1 of 1 answer; s1 leads, and reaches 1, needs 1 of 1.\n"; r != (result{exitDone, want, ""}) {
		t.Errorf("doctor: got %+v, want %q", r, want)
	}
	runOf("doctor", "--cluster", "--endpoints", endpoint).expect(t, "doctor --cluster", exitDone, "All is well")
	if r := runOf("doctor", "-w", "simple", "--endpoints", endpoint); r != (result{exitDone, "", ""}) {
		t.Errorf("doctor -w simple: got %+v", r)
	}
	absent := nobody(t)
	one := runOf("doctor", "--endpoints", endpoint+","+absent)
	one.expect(t, "an endpoint too many", exitFailed, "1 of 2 answer; requests are carried out, but not all is well.\n\nWARNS no-answer: "+absent)
	status := runOf("status", "--endpoints", endpoint)
	status.expect(t, "status", exitDone, "1 of 1 answer; "+endpoint+" leads.\n")
	for _, want := range []string{" s1 ", " leads ", " 1 of 1 ", " well\n"} {
		status.expect(t, "status", exitDone, want)
	}
}

func TestDoctorAndStatusSayWhoIsMissing(t *testing.T) {
	endpoint, absent := startOneOf(t, 3), nobody(t)
	for _, command := range []string{"doctor", "status"} {
		r := runOf(command, "--endpoints", endpoint)
		r.expect(t, command, exitFailed, "no quorum: s1 reaches 1, needs 2 of 3; missing: ")
		r.expect(t, command, exitFailed, "s2 (never linked since s1 started, ")
		r.expect(t, command, exitFailed, "s3 (never linked since s1 started, ")
	}
	runOf("status", "--endpoints", endpoint).expect(t, "status", exitFailed, " 1 of 3, needs 2 ")
	both := runOf("doctor", "--endpoints", absent+","+endpoint)
	both.expect(t, "an endpoint at which nobody listens", exitFailed, "No progress: 1 of 2 answer")
	both.expect(t, "an endpoint at which nobody listens", exitFailed, absent+" does not answer: connect: connection refused\n")
	if strings.Index(both.out, "STOPS no-quorum") > strings.Index(both.out, "WARNS no-answer") {
		t.Errorf("the worst does not come first:\n%s", both.out)
	}
	runOf("doctor", "--endpoints", endpoint).expect(t, "doctor", exitFailed, "  To do:   Start s")

	asJSON := runOf("doctor", "--output", "json", "--endpoints", endpoint)
	var d doctor.Diagnosis
	if err := json.Unmarshal([]byte(asJSON.out), &d); err != nil || asJSON.status != exitFailed || asJSON.err != "" {
		t.Fatalf("%+v: %v", asJSON, err)
	}
	f := d.Findings[0]
	if d.Healthy || d.Progress || f.Code != doctor.NoQuorum || fmt.Sprint(f.Quorum) != "[{ 1 2 3}]" || len(f.Missing) != 2 || len(d.NotAsked) != 2 ||
		d.Answers[0].Report.Name != "s1" {
		t.Errorf("got %s", asJSON.out)
	}
	state := runOf("status", "--output", "json", "--endpoints", endpoint)
	if !strings.Contains(state.out, `"Report":{"healthy":false,"progress":false,"verdict":"no quorum: s1`) || state.status != exitFailed {
		t.Errorf("status as JSON: %+v", state)
	}
	if r := runOf("endpoint", "status", "-w", "json", "--endpoints", endpoint); strings.Contains(r.out, "Report") {
		t.Errorf("etcdctl's JSON has a report in it: %s", r.out)
	}
}

// Whatever is at an endpoint, doctor says what it is not, and ends.
func TestDoctorBelievesNoStranger(t *testing.T) {
	f := startFake(t) // speaks gRPC only
	f.ask("", "doctor").expect(t, "no HTTP", exitFailed, f.address+" does not answer: ")
	for want, answer := range map[string]http.HandlerFunc{
		"has no page /quorate/status (404 Not Found)": http.NotFound,
		"what it answers is no report: invalid":       func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) },
		"it does not say which server it is":          func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"healthy":true}`)) },
		"has no page /quorate/status (302 Found)": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"its answer has more than 4194304 bytes":         func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxReportBytes+1)) },
		"takes connections, but does not answer within ": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		s := httptest.NewServer(answer)
		patience := "10s"
		if strings.HasPrefix(want, "takes") {
			patience = "50ms"
		}
		runOf("doctor", "--endpoints", s.URL, "--command-timeout", patience).expect(t, want, exitFailed, want)
		s.Close()
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"server":"1","name":"\u001b[2J","findings":[{"code":"\u001b[2J","severity":"\u001b","text":"\u001b[2J","todo":"\u001b[2J","about":"\u001b[2J"}]}`))
	}))
	defer s.Close()
	for _, format := range []string{"simple", "table", "json"} {
		if r := runOf("doctor", "--endpoints", s.URL, "-w", format); r.status != exitFailed || strings.Contains(r.out, "\x1b") {
			t.Errorf("as %s: %d, %q", format, r.status, r.out)
		}
	}
}
