package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expectExpulsion waits until a server ends by itself because it must not take part, and checks what it says.
func (s *serverProcess) expectExpulsion(t *testing.T, what string, wants ...string) {
	t.Helper()
	s.start(t)
	status, said := s.waitEnd(t)
	if status != exitFatal {
		t.Errorf("%s: exit status %d, want %d", what, status, exitFatal)
	}
	for _, want := range wants {
		if !strings.Contains(said, want) {
			t.Errorf("%s: %q is not in %q", what, want, said)
		}
	}
}

// twinOf is the same server on a copy of its directory, at ports of its own.
func twinOf(t *testing.T, s *serverProcess) *serverProcess {
	t.Helper()
	ports := freePorts(t, 2)
	twin := &serverProcess{name: s.name, clientPort: ports[0], peerPort: ports[1], dir: filepath.Join(t.TempDir(), "copy"), life: 1}
	if err := os.CopyFS(twin.dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	twin.arguments = append(twin.arguments, s.arguments...)
	return twin.with("--data-dir", twin.dir).with("--listen-client-urls", localURL(ports[0])).with("--listen-peer-urls", localURL(ports[1]))
}

// A machine is cloned and its clone is started; and a server is started again after its directory was deleted. Both end
// with words, the clone for good, and the cluster goes on.
func TestProcessCopiedAndLostDirectoriesTakeNoPart(t *testing.T) {
	servers := startServers(t, 3)
	waitIntroduced(t, servers)
	put := func(key string) {
		t.Helper()
		if r := runOf("put", key, "v", "--endpoints", endpointsOf(servers[:2]), "--command-timeout", "20s"); r.status != exitDone {
			t.Fatalf("put %s: %+v", key, r)
		}
	}
	put("a")

	twin := twinOf(t, servers[2])
	twin.expectExpulsion(t, "a twin", "two processes with the identity of server", twin.dir, "delete this one", "empty directory")
	twin.expectRefusal(t, "the twin again", "data directory is a copy", twin.dir)
	servers[2].waitServing(t)
	put("b")

	lost := servers[2]
	lost.kill(t)
	if err := os.RemoveAll(lost.dir); err != nil {
		t.Fatal(err)
	}
	lost.expectExpulsion(t, "a server without its directory", "the cluster knows this server by another key", "remove it from its cluster", "empty directory")
	put("c")
}
