package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// beginCheck runs quorate check beside the test, with a time of its own.
func beginCheck(duration time.Duration, arguments ...string) (out *lines, done chan error) {
	out, done = newLines(), make(chan error, 1)
	cmd := checkCommand(&world{in: strings.NewReader(""), out: out, err: out}, duration)
	cmd.SetArgs(arguments)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	go func() { done <- cmd.Execute() }()
	return out, done
}

// next returns the next line of a command that has ended, or "".
func (l *lines) next() string {
	select {
	case line := <-l.told:
		return line
	default:
		return ""
	}
}

// statusOf returns the exit status that an error of a command makes.
func statusOf(err error) int {
	failed := (*failure)(nil)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &failed):
		return failed.status
	}
	return exitUsage
}

func TestPerfIsCheckedAndNothingIsLeft(t *testing.T) {
	endpoint := startServer(t)
	client := clientOf(t, endpoint)
	for _, key := range []string{"perf", "perf0"} { // just outside of perf/
		if _, err := client.Put(context.Background(), key, "stays"); err != nil {
			t.Fatal(err)
		}
	}
	out, done := beginCheck(200*time.Millisecond, "perf", "--prefix", "perf/", "--auto-compact", "--auto-defrag", "-w", "json", "--endpoints", endpoint)
	status := statusOf(<-done)
	var revision, compacted int64
	var outcome struct {
		Writes, Limit, Clients      int
		Throughput, Slowest, Stddev float64
		Pass                        bool
	}
	if line := out.next(); !strings.Contains(line, "not necessary") {
		t.Errorf("of --auto-defrag it says %q", line)
	}
	for _, compacting := range []struct {
		line     string
		revision *int64
	}{{"Compacting with revision %d", &revision}, {"Compacted with revision %d", &compacted}} {
		line := out.next()
		if _, err := fmt.Sscanf(line, compacting.line, compacting.revision); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	line := out.next()
	if err := json.Unmarshal([]byte(line), &outcome); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if outcome.Writes == 0 || outcome.Limit != 150 || outcome.Clients != 50 || outcome.Throughput <= 0 || outcome.Slowest <= 0 {
		t.Errorf("the outcome is %s", line)
	}
	if outcome.Pass != (status == exitDone) { // How fast this machine is, is another question.
		t.Errorf("exit status %d, and the outcome is %s", status, line)
	}
	if compacted != revision || revision < int64(outcome.Writes) {
		t.Errorf("compacted %d of %d, after %d writes", compacted, revision, outcome.Writes)
	}
	left, err := client.Get(context.Background(), "perf", clientv3.WithPrefix())
	if err != nil || left.Count != 2 || left.Header.Revision != revision {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := client.Get(context.Background(), "perf", clientv3.WithRev(revision-1)); codeOf(err) != codes.OutOfRange {
		t.Errorf("it is not compacted: %v", err)
	}
}

func TestPerfCheckThatIsInterruptedLeavesNothing(t *testing.T) {
	endpoint := startServer(t)
	client := clientOf(t, endpoint)
	written := client.Watch(context.Background(), "/etcdctl-check-perf/", clientv3.WithPrefix(), clientv3.WithRev(1))
	out, done := beginCheck(time.Hour, "perf", "--load", "medium", "--endpoints", endpoint)
	<-written
	interrupt(t)
	err := <-done
	if statusOf(err) != exitFailed || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("it ends with %v", err)
	}
	if left, err := client.Get(context.Background(), "", clientv3.WithPrefix()); err != nil || left.Count != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if len(out.told) != 0 {
		t.Errorf("it prints %q", out.next())
	}
}

func TestPerfCheckRefusesAPrefixWithKeys(t *testing.T) {
	endpoint := startServer(t)
	if _, err := clientOf(t, endpoint).Put(context.Background(), "perf/mine", "stays"); err != nil {
		t.Fatal(err)
	}
	_, done := beginCheck(50*time.Millisecond, "perf", "--prefix", "perf/", "--endpoints", endpoint)
	if err := <-done; statusOf(err) != exitFailed || !strings.Contains(err.Error(), "has keys") {
		t.Errorf("it ends with %v", err)
	}
	if there, err := clientOf(t, endpoint).Get(context.Background(), "perf/mine"); err != nil || there.Count != 1 {
		t.Errorf("what was there: %v, %v", there, err)
	}
}

func TestPerfCheckFailsIfNothingIsWritten(t *testing.T) {
	f := startFake(t)
	load := &perfLoad{name: "s", limit: 1000, clients: 2, duration: 50 * time.Millisecond, timeout: patience}
	clients := []*clientv3.Client{clientOf(t, f.address), clientOf(t, f.address)}
	f.set(behaviour{err: status.Error(codes.ResourceExhausted, "etcdserver: mvcc: database space exceeded")})
	outcome := load.run(context.Background(), clients, func(string) {})
	if outcome.Passed() || outcome.Writes != 0 || outcome.Errors["etcdserver: mvcc: database space exceeded"] == 0 || len(outcome.Errors) != 1 {
		t.Errorf("the outcome is %+v", outcome)
	}
}

func TestErrorsOfAPerfCheckAreCountedInBoundedRoom(t *testing.T) {
	counted := map[string]int{}
	for i := range 3 * errorKinds {
		counted[kindOf(counted, fmt.Errorf("port %d", i))]++
	}
	if counted["port 0"] != 1 || counted["others"] == 0 || len(counted) != errorKinds+1 {
		t.Errorf("%d kinds: %v", len(counted), counted)
	}
}

func TestSpreadIsTheStandardDeviation(t *testing.T) {
	var s spread
	if got := s.stddev(); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for _, x := range []float64{2, 4, 4, 4, 5, 5, 7, 9} {
		s.add(x)
	}
	if got := s.stddev(); math.Abs(got-2) > 1e-9 {
		t.Errorf("got %v, want 2", got)
	}
}

func TestCheckRefusesWhatMakesNoSense(t *testing.T) {
	for _, line := range []string{"check", "check datascale", "check perf s", "check perf --load huge", "check perf --prefix="} {
		runOf(append(strings.Fields(line), "--endpoints", "127.0.0.1:1")...).expect(t, line, exitUsage, "--help")
	}
}
