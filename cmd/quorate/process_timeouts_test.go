package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Servers that nobody has told how long to wait measure it. They elect a leader when theirs is gone, whether it
// was killed or only stopped; and otherwise not, unless something stood still for so long that it could be taken
// for gone: then that is counted. How long clients waited is logged, and no reason to fail: machines differ.
func TestProcessElectionsHaveACause(t *testing.T) {
	faults := 2
	if askedForByName() {
		faults = max(6, *processKills)
	}
	servers := startServers(t, 3)
	var killed, stopped []time.Duration
	for i := range faults {
		for _, s := range servers {
			waitCaughtUp(t, s, waitLeader(t, servers))
		}
		expectNoElectionWithoutCause(t, servers)
		leader := waitLeader(t, servers)
		rest := others(servers, leader)
		if i%2 == 0 {
			stopped = append(stopped, untilWritten(t, rest, func() { leader.pause(t) }))
			waitLeader(t, rest)
			leader.resume(t)
			continue
		}
		killed = append(killed, untilWritten(t, rest, func() { leader.kill(t) }))
		leader.start(t)
		leader.waitServing(t)
	}
	t.Logf("from kill -9 to the first acknowledged write: %v", inOrder(killed))
	t.Logf("from SIGSTOP to the first acknowledged write: %v", inOrder(stopped))
}

func inOrder(spans []time.Duration) (rounded []time.Duration) {
	for _, d := range spans {
		rounded = append(rounded, d.Round(time.Millisecond))
	}
	slices.Sort(rounded)
	return rounded
}

// untilWritten lets something happen, and returns how long it then takes until the first of these servers has
// answered a write. It waits for all of them.
func untilWritten(t *testing.T, servers []*serverProcess, happen func()) time.Duration {
	t.Helper()
	began := time.Now()
	happen()
	took := make(chan time.Duration, len(servers))
	for _, s := range servers {
		conn, _, _ := s.present()
		go func() { // Ends with its answer, for which the test waits.
			for t.Context().Err() == nil {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				_, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte("until"), Value: []byte(s.name)})
				if cancel(); err == nil {
					break
				}
			}
			took <- time.Since(began)
		}()
	}
	first := <-took
	for range servers[1:] {
		<-took
	}
	return first
}

// expectNoElectionWithoutCause writes at all servers for a while. If the term has grown meanwhile, something must
// have stood still.
func expectNoElectionWithoutCause(t *testing.T, servers []*serverProcess) {
	t.Helper()
	look := func() (term uint64, stalls float64) {
		for _, s := range servers {
			state, err := s.status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			term = max(term, state.RaftTerm)
			metrics := s.metrics(t)
			stalls += metrics["quorate_stalls_total"] + metrics["quorate_slow_syncs_total"]
		}
		return term, stalls
	}
	term, stalls := look()
	for i := range 300 {
		conn, _, _ := servers[i%len(servers)].present()
		if _, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte("quiet"), Value: []byte(strconv.Itoa(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if later, more := look(); later != term && more == stalls {
		t.Errorf("the term went from %d to %d, and nothing has stood still: %v stalls before and after", term, later, stalls)
	}
}

// metrics are those of a server that have no labels.
func (s *serverProcess) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/metrics", s.clientAddress()), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if name, text, ok := strings.Cut(lines.Text(), " "); ok {
			if v, err := strconv.ParseFloat(text, 64); err == nil {
				values[name] = v
			}
		}
	}
	if _, ok := values["quorate_stalls_total"]; !ok || lines.Err() != nil {
		t.Fatalf("%s counts no stalls: %v", s.name, lines.Err())
	}
	return values
}
