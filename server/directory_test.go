package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wal"
)

// refused starts a server that cannot start, and checks what it says. It must then have let go of
// everything, so that mend, which takes away the reason, is enough for it to start.
func refused(t *testing.T, o Options, because error, says []string, mend func()) {
	t.Helper()
	s, err := Start(o)
	if err == nil {
		s.Close()
		t.Fatalf("it started; want an error that says %q", says)
	}
	if because != nil && !errors.Is(err, because) {
		t.Errorf("got %v, want %v", err, because)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, which does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("got more than one line: %q", err)
	}
	if mend != nil {
		mend()
		if s, err = Start(o); err != nil {
			t.Fatalf("after it was mended: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSecondProcessOnADirectoryIsRefused(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	s := start(t, o)
	second := clusterOptions(t, 1)[0]
	second.DataDir = o.DataDir
	second.InitialCluster, second.ListenPeerURLs = o.InitialCluster, o.ListenPeerURLs
	refused(t, second, vfs.ErrLocked, []string{"--data-dir " + o.DataDir, "in use by another process", "stop it"}, func() { s.Close() })
}

func TestPortInUseIsNamedByItsFlag(t *testing.T) {
	first := start(t, clusterOptions(t, 1)[0])
	taken := endpoint(first)

	o := clusterOptions(t, 1)[0]
	o.ListenClientURLs = []string{taken}
	refused(t, o, syscall.EADDRINUSE, []string{"--listen-client-urls " + taken, "in use"}, nil)
	if _, err := os.Stat(o.DataDir); err == nil {
		t.Error("a server that could not start has made its directory")
	}
	o = clusterOptions(t, 1)[0]
	o.ListenMetricsURLs = []string{taken}
	refused(t, o, syscall.EADDRINUSE, []string{"--listen-metrics-urls " + taken, "in use"}, nil)
	o = clusterOptions(t, 1)[0]
	o.ListenPeerURLs, o.InitialCluster = []string{taken}, ""
	refused(t, o, syscall.EADDRINUSE, []string{"--listen-peer-urls " + taken, "in use"}, func() { first.Close() })
}

func TestDirectoryOfAnotherClusterIsRefused(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	start(t, o).Close()
	o.InitialClusterToken = "another"
	refused(t, o, quorate.ErrOtherCluster, []string{"--data-dir " + o.DataDir, "token"}, nil)
}

func TestDirectoryOfEtcdIsRefused(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	member := filepath.Join(o.DataDir, "member")
	if err := os.MkdirAll(member, 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, o, nil, []string{"--data-dir " + o.DataDir, "etcd"}, func() { os.Remove(member) })
}

func TestWithNobodyToAskNobodyJoins(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.InitialClusterState = "existing"
	refused(t, o, nil, []string{"--initial-cluster-state existing", "nobody to ask", "forgotten its votes"}, nil)
	if err := Join(testContext(t), o); err == nil || !strings.Contains(err.Error(), "nobody to ask") {
		t.Errorf("got %v", err)
	}
	o.Join = []string{"127.0.0.1:1"}
	o.InitialCluster = ""
	refused(t, o, nil, []string{"has not joined the cluster yet"}, nil)
}

func TestServersOnOtherMachinesNeedKeys(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.InitialCluster += ",far=http://192.0.2.1:2380,away=http://192.0.2.2:2380"
	refused(t, o, nil, []string{"public keys of far, away are needed"}, nil)
	o.PeerKeys = map[string]transport.PublicKey{"far": {1}, "away": {2}}
	start(t, o)
}

// flip changes one bit of the one file in dir that has text in it.
func flip(t *testing.T, dir, text string) (file string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			b[at] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
	}
	t.Fatalf("no file in %s has %q in it", dir, text)
	return ""
}

func TestDamagedLogIsRefused(t *testing.T) {
	const value = "a value that can be found again"
	o := clusterOptions(t, 1)[0]
	s := start(t, o)
	client := connect(t, s)
	for _, v := range []string{value, "another"} {
		if _, err := client.Put(testContext(t), "k", v); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := flip(t, filepath.Join(o.DataDir, "wal"), value)
	flip(t, filepath.Join(o.DataDir, "wal"), "can be found again")           // one bit alone is mended
	if err := os.RemoveAll(filepath.Join(o.DataDir, stateDir)); err != nil { // or the entry would not be needed any more
		t.Fatal(err)
	}
	refused(t, o, nil, []string{"--data-dir " + o.DataDir, "the log is damaged", file}, nil)
}

// A state of a newer version is not taken for a damaged one.
func TestStateOfANewerVersionIsRefused(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	start(t, o).Close()
	state := filepath.Join(o.DataDir, stateDir)
	markers, err := filepath.Glob(filepath.Join(state, "marker.format-version.*"))
	if err != nil || len(markers) != 1 {
		t.Fatalf("no number of the format: %v, %v", markers, err)
	}
	newer := strings.TrimSuffix(markers[0], filepath.Ext(markers[0])) + ".999"
	if err := os.Rename(markers[0], newer); err != nil {
		t.Fatal(err)
	}
	refused(t, o, nil, []string{state, "newer version", "start that version again"}, func() {
		if err := os.Rename(newer, markers[0]); err != nil {
			t.Fatal(err)
		}
	})
}

func TestErrorsOfTheHostAreExplained(t *testing.T) {
	o := Options{DataDir: "d", ListenPeerURLs: []string{"http://localhost:1"}}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("server.json: %w", quorate.ErrNewerFormat), "--data-dir d was written by a newer version: start that version again: "},
		{fmt.Errorf("segment 3: %w", wal.ErrNewerFormat), "--data-dir d was written by a newer version: start that version again: "},
		{wal.ErrOtherServer, "--data-dir d: "},
		{errors.New("moon"), "--data-dir d: "},
	} {
		if got := explain(c.err, &o); got.Error() != c.want+c.err.Error() || !errors.Is(got, c.err) {
			t.Errorf("got %q, want %q", got, c.want+c.err.Error())
		}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{kv.ErrNewerFormat, "state was written by a newer version: start that version again: "},
		{kv.ErrOtherCluster, "state is the state of another cluster, beside the log of this one: restore the directory that belongs here: "},
		{errors.New("moon"), "the state in state cannot be opened: "},
	} {
		if got := explainState(c.err, "state"); got.Error() != c.want+c.err.Error() || !errors.Is(got, c.err) {
			t.Errorf("got %q, want %q", got, c.want+c.err.Error())
		}
	}
	if explain(nil, &o) != nil || explainState(nil, "") != nil {
		t.Error("nothing wrong was explained")
	}
}

func TestDiskUsageAddsUpFiles(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"a": 10, "sub/b": 5} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	usage := newDiskUsage(dir)
	for range 2 {
		if total, inUse := usage.bytes(); total != 15 || inUse != 15 {
			t.Errorf("got %d and %d, want 15", total, inUse)
		}
		if err := os.Remove(filepath.Join(dir, "a")); err != nil && usage.total == 0 {
			t.Fatal(err)
		}
	}
}
