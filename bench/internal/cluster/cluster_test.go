package cluster

import (
	"context"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

var threeAddresses = []address{
	{client: "http://127.0.0.1:1", peer: "http://127.0.0.1:2"},
	{client: "http://127.0.0.1:3", peer: "http://127.0.0.1:4"},
	{client: "http://127.0.0.1:5", peer: "http://127.0.0.1:6"},
}

func TestSubjectsDifferOnlyInCommandAndFlags(t *testing.T) {
	const shared = "--name n1 --data-dir /d/n1" +
		" --listen-client-urls http://127.0.0.1:3 --advertise-client-urls http://127.0.0.1:3" +
		" --listen-peer-urls http://127.0.0.1:4 --initial-advertise-peer-urls http://127.0.0.1:4" +
		" --initial-cluster n0=http://127.0.0.1:2,n1=http://127.0.0.1:4,n2=http://127.0.0.1:6" +
		" --initial-cluster-token tok --initial-cluster-state new"
	tests := []struct {
		subject Subject
		want    string
	}{
		{Etcd("/bin/etcd"), shared + " --quota-backend-bytes=8589934592"},
		{Quorate("/bin/quorate", nil), "serve " + shared},
		{Quorate("/bin/quorate", []string{"--enable-pprof"}), "serve " + shared + " --enable-pprof"},
	}
	for _, test := range tests {
		got := strings.Join(test.subject.arguments(1, "/d", "tok", threeAddresses), " ")
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.subject.Name, got, test.want)
		}
	}
}

func TestAddressesOfAClusterAreAllDifferent(t *testing.T) {
	const n = 100
	addresses, err := freeAddresses(n)
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, a := range addresses {
		urls = append(urls, a.client, a.peer)
	}
	slices.Sort(urls)
	if got := len(slices.Compact(urls)); got != 2*n {
		t.Fatalf("got %d different addresses, want %d", got, 2*n)
	}
}

// shell is a subject whose servers run a script; the flags that follow it are the script's arguments.
func shell(script string) Subject {
	return Subject{Name: "shell", Binary: "/bin/sh", Command: []string{"-c", script, "sh"}}
}

func TestServerThatEndsByItselfIsReportedWithItsLastWords(t *testing.T) {
	server, err := startServer(shell("echo disk on fire >&2; exit 3"), 0, t.TempDir(), threeAddresses)
	if err != nil {
		t.Fatal(err)
	}
	<-server.ended
	death := server.death()
	if death == nil || !strings.Contains(death.Error(), "disk on fire") || !strings.Contains(death.Error(), "status 3") {
		t.Fatalf("got %v, want its last words and its exit status", death)
	}
}

func TestContextEndsWithTheFirstServerThatEndsByItself(t *testing.T) {
	lasting, err := startServer(shell("exec sleep 600"), 0, t.TempDir(), threeAddresses)
	if err != nil {
		t.Fatal(err)
	}
	defer lasting.kill()
	dying, err := startServer(shell("exit 7"), 1, t.TempDir(), threeAddresses)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Servers: []*Server{lasting, dying}}
	ctx, cancel := c.WhileAlive(t.Context())
	defer cancel()
	<-ctx.Done()
	if cause := context.Cause(ctx); !strings.Contains(cause.Error(), "n1 ended by itself: exit status 7") {
		t.Fatalf("got %v, want the end of n1", cause)
	}
}

func TestKillEndsAServerAndWaitsForIt(t *testing.T) {
	server, err := startServer(shell("exec sleep 600"), 0, t.TempDir(), threeAddresses)
	if err != nil {
		t.Fatal(err)
	}
	if death := server.death(); death != nil {
		t.Fatalf("dead before it was killed: %v", death)
	}
	server.kill()
	server.kill() // a second time is harmless
	if got := server.command.ProcessState.String(); got != "signal: killed" {
		t.Fatalf("it ended with %q, want signal: killed", got)
	}
}

func TestServersDoNotSeeSettingsInOurEnvironment(t *testing.T) {
	t.Setenv("ETCD_SNAPSHOT_COUNT", "5")
	t.Setenv("GOGC", "off")
	server, err := startServer(shell("env"), 0, t.TempDir(), threeAddresses)
	if err != nil {
		t.Fatal(err)
	}
	<-server.ended
	log := server.logTail()
	if strings.Contains(log, "ETCD_") || strings.Contains(log, "GOGC") || !strings.Contains(log, "PATH=") {
		t.Fatalf("got this environment, want PATH and no settings:\n%s", log)
	}
}

func TestLogTailStartsWithAWholeLine(t *testing.T) {
	server := &Server{log: filepath.Join(t.TempDir(), "log")}
	lines := strings.Repeat("a line of nineteen\n", 500)
	if err := os.WriteFile(server.log, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	got := server.logTail()
	if len(got) > logTailBytes || !strings.HasPrefix(got, "a line") || !strings.HasSuffix(got, "nineteen") {
		t.Fatalf("got %d bytes: %.40q...", len(got), got)
	}
}

func TestVersionNamesModuleVersionAndCommit(t *testing.T) {
	info := &buildinfo.BuildInfo{
		Main: debug.Module{Path: "example.com/server", Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"},
			{Key: "vcs.modified", Value: "true"},
		},
	}
	if got, want := version(info), "example.com/server v1.2.3 commit abc with changes"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}
