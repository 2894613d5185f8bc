package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/cmd/quorate/internal/supervise"
	"github.com/quorate/quorate/transport"
)

func openedLayout(t *testing.T, dir string, base int) *layout {
	t.Helper()
	l, lock, err := openLayout(dir, base)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPortsAreThoseOfEtcdsExamplesOrSixInARow(t *testing.T) {
	for base, want := range map[int]string{
		0:    "s1 2379 2380, s2 22379 22380, s3 32379 32380",
		4001: "s1 4001 4002, s2 4003 4004, s3 4005 4006",
	} {
		var got []string
		for _, s := range portsFrom(base) {
			got = append(got, fmt.Sprint(s.Name, " ", s.ClientPort, " ", s.PeerPort))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("from %d: %s, want %s", base, text, want)
		}
	}
}

func TestTheSecondStartGoesOnWithTheFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first := openedLayout(t, dir, 4001)
	for _, base := range []int{0, 4001} {
		again := openedLayout(t, dir, base)
		if again.Token != first.Token || !slices.Equal(again.Servers, first.Servers) || again.isNew {
			t.Errorf("with --base-port %d: %+v, at first %+v", base, again, first)
		}
	}
	_, _, err := openLayout(dir, 5001)
	if f := new(failure); !errors.As(err, &f) || f.status != exitUsage || !strings.Contains(err.Error(), "ports from 4001 on") {
		t.Errorf("with other ports: %v", err)
	}
}

func TestTwoClustersHaveDifferentTokens(t *testing.T) {
	if a, b := openedLayout(t, t.TempDir(), 0), openedLayout(t, t.TempDir(), 0); a.Token == b.Token {
		t.Errorf("both have token %s", a.Token)
	}
}

func TestASecondUpInADirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, lock, err := openLayout(dir, 4001)
	if err != nil {
		t.Fatal(err)
	}
	runOf("up", "--dir", dir).expect(t, "the second", exitFailed, "another quorate up runs in "+dir)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	openedLayout(t, dir, 0)
}

func TestADamagedLayoutIsNotReplaced(t *testing.T) {
	for text, want := range map[string]string{
		"{": "unexpected end", "{}": "it is damaged", `{"format":2,"servers":[{}]}`: "later version",
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, layoutFile)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		runOf("up", "--dir", dir).expect(t, text, exitFailed, want)
		if b, err := os.ReadFile(name); string(b) != text {
			t.Errorf("%s is now %q, %v", text, b, err)
		}
	}
}

func TestAPortInUseIsNamedWithAWayOut(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	l := openedLayout(t, t.TempDir(), 0)
	l.Servers = []serverLayout{{Name: "s1", ClientPort: port, PeerPort: port}}
	for isNew, advice := range map[bool]string{true: "--base-port 4001", false: "--dir other"} {
		l.isNew = isNew
		err := l.checkPorts()
		if err == nil || !strings.Contains(err.Error(), "port "+strconv.Itoa(port)+" of server s1") ||
			!strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), advice) {
			t.Errorf("new: %v: got error %v", isNew, err)
		}
	}
}

func TestALayoutThatNeverRanIsForgotten(t *testing.T) {
	dir := t.TempDir()
	l := openedLayout(t, dir, 4001)
	l.remove()
	if again := openedLayout(t, dir, 5001); again.Servers[0].ClientPort != 5001 {
		t.Errorf("ports are from %d on", again.Servers[0].ClientPort)
	}
	again := openedLayout(t, dir, 0)
	again.remove()
	if !slices.Equal(openedLayout(t, dir, 0).Servers, again.Servers) {
		t.Error("a layout that had been there is gone")
	}
}

func TestChildrenAreServersWithTheKeysOfTheOthers(t *testing.T) {
	l := openedLayout(t, t.TempDir(), 4001)
	children, err := l.children("program", []string{"PATH=p", "QUORATE_NAME=x", "ETCD_DATA_DIR=x", "ETCDCTL_API=3"}, []string{"--log-level=debug"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.children("program", nil, []string{"--log-level=debug"})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]transport.PublicKey{}
	for i, c := range children {
		if c.Program != "program" || !slices.Equal(c.Environment, []string{"PATH=p", "ETCDCTL_API=3"}) {
			t.Errorf("%s: program %s, environment %q", c.Name, c.Program, c.Environment)
		}
		if !slices.Equal(c.Arguments, again[i].Arguments) || again[i].Environment == nil {
			t.Errorf("%s: the next start has arguments %q, this one %q", c.Name, again[i].Arguments, c.Arguments)
		}
		f, _ := parsed(t, nil, c.Arguments[1:]...)
		if f.options.Name != c.Name || !f.withParent || f.logLevel != "debug" || len(f.options.PeerKeys) != 2 || c.Arguments[0] != "serve" {
			t.Errorf("%s: %q", c.Name, c.Arguments)
		}
		for name, key := range f.options.PeerKeys {
			if other, known := keys[name]; known && other != key || name == c.Name {
				t.Errorf("%s: the key of %s is another one", c.Name, name)
			}
			keys[name] = key
		}
	}
	if len(keys) != 3 {
		t.Errorf("there are keys of %d servers", len(keys))
	}
}

// boardOf returns a board of three servers, and what happens to it in the tests.
func boardOf() *board { return newBoard(&layout{dir: "data", Servers: portsFrom(0)}) }

func answering(id, leader, term uint64, revision int64) show.Endpoint {
	return show.Endpoint{Status: &pb.StatusResponse{Header: &pb.ResponseHeader{MemberId: id, Revision: revision},
		Leader: leader, RaftTerm: term, RaftIndex: 20, RaftAppliedIndex: 19}}
}

var silent = show.Endpoint{Err: errors.New("connection refused")}

// TestTheBoardTellsAndShowsWhatHappens is a story with its whole outcome, in testdata.
func TestTheBoardTellsAndShowsWhatHappens(t *testing.T) {
	b := boardOf()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var story bytes.Buffer
	step := func(title string, news ...string) {
		fmt.Fprintf(&story, "== %s\n", title)
		for _, line := range news {
			fmt.Fprintf(&story, "%s\n", line)
		}
		fmt.Fprintf(&story, "%s\n", b.table())
	}
	answer := func(states ...show.Endpoint) []string {
		now = now.Add(2 * time.Second)
		return b.answer(states, now)
	}
	step("at first")
	step("processes start", b.note(supervise.Started{Name: "s1", PID: 101}), b.note(supervise.Started{Name: "s2", PID: 102}),
		b.note(supervise.Started{Name: "s3", PID: 103}))
	step("two answer, without a leader", answer(answering(1, 0, 1, 1), answering(2, 0, 1, 1), silent)...)
	step("the second is elected", answer(answering(1, 2, 2, 1), answering(2, 2, 2, 1), answering(3, 2, 2, 1))...)
	step("a thousand writes", answer(answering(1, 2, 2, 1001), answering(2, 2, 2, 1001), answering(3, 2, 2, 501))...)
	step("the leader dies", b.note(supervise.Died{Name: "s2", Pause: time.Second,
		Death: supervise.Death{How: "exit status 70", LastWords: "sync: \x1b[31mno space left"}}))
	step("the others miss it, and a last answer of the dead one comes late",
		answer(answering(1, 0, 2, 1001), answering(2, 2, 2, 1001), answering(3, 0, 2, 1001))...)
	step("another is elected, of which the first has not heard", answer(answering(1, 2, 2, 1001), silent, answering(3, 3, 3, 1001))...)
	step("the first has heard", answer(answering(1, 3, 3, 1001), silent, answering(3, 3, 3, 1001))...)
	step("it comes back", b.note(supervise.Started{Name: "s2", PID: 104}))
	step("and follows", answer(answering(1, 3, 3, 1001), answering(2, 3, 3, 1001), answering(3, 3, 3, 1001))...)
	step("one hangs", answer(answering(1, 3, 3, 1001), answering(2, 3, 3, 1001), silent)...)
	step("one is given up", b.note(supervise.GivenUp{Name: "s2", Deaths: 5, Death: supervise.Death{How: "exit status 1"}}))
	step("all are stopped", b.note(supervise.Stopped{Name: "s1", How: "exit status 0"}),
		b.note(supervise.Stopped{Name: "s3", How: "signal: killed", Killed: true}))

	golden := filepath.Join("testdata", "board.golden")
	if *update {
		if err := os.WriteFile(golden, story.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(story.Bytes(), want) {
		t.Errorf("%s differs (rewrite with -update, and review):\n%s", golden, story.Bytes())
	}
}

func TestALiveTableIsDrawnInPlaceBelowTheNews(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, live: true}
	s.draw("a\nb\n")
	s.draw("a\nb\n") // the same: nothing to draw
	s.draw("c\nd\n")
	want := noLineWrap + clearDown + "\na\nb\n" + useLineWrap + noLineWrap + "\x1b[3A" + clearDown + "\nc\nd\n" + useLineWrap
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	s.say("news")
	s.draw("c\nd\n")
	if got := out.String(); !strings.HasPrefix(got, noLineWrap+"\x1b[3A"+clearDown) || !strings.Contains(got, " news\n") ||
		!strings.HasSuffix(got, clearDown+"\nc\nd\n"+useLineWrap) || strings.Count(got, "\x1b[3A") != 1 {
		t.Errorf("got %q", got)
	}
}

func TestWithoutATerminalOnlyNewsAreWritten(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out}
	s.draw("a\nb\n")
	s.say()
	if out.Len() > 0 {
		t.Errorf("got %q", out.String())
	}
	s.say("news", "more")
	if got := out.String(); strings.Contains(got, "\x1b") || strings.Count(got, "\n") != 2 {
		t.Errorf("got %q", got)
	}
}

func TestTheGreetingHasTheEndpointsInOneList(t *testing.T) {
	text := upGreeting(&layout{dir: "data", Servers: portsFrom(0)}, "bin/quorate")
	for _, want := range []string{"127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379", "etcdctl put", "bin/quorate get", "bin/quorate status", "data/s1/server.log"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
