package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/ops"
)

// TestProcessASnapshotUnderLoadBecomesANewCluster: what was acknowledged before it was taken is in it; three new
// servers are made of it, and go on at higher revisions.
func TestProcessASnapshotUnderLoadBecomesANewCluster(t *testing.T) {
	old := startServers(t, 3, quick...)
	w := newOnceWrites()
	l := startLoad(t, old, 2, w.put)
	l.waitProgress(t, 200)
	endpoint := localAddress(old[0].clientPort)
	runOf("put", "before", "the snapshot", "--endpoints", endpoint).expect(t, "put", exitDone, "OK")
	runOf("get", "before", "--endpoints", endpoint).expect(t, "get", exitDone, "the snapshot") // it has it, so the copy has
	file := filepath.Join(t.TempDir(), "a.snapshot")
	r := runOf("snapshot", "save", file, "--endpoints", endpoint, "--output", "json")
	var saved ops.SnapshotPart
	if err := json.Unmarshal([]byte(r.out), &saved); err != nil || r.status != exitDone || saved.Keys < 200 {
		t.Fatalf("save: %+v, %v", r, err)
	}
	l.waitProgress(t, 50)
	l.finish(t)
	last := revisionAt(t, endpoint)
	runOf("snapshot", "status", file).expect(t, "status", exitDone, saved.Hash)
	for _, s := range old {
		s.kill(t)
	}

	next := newServers(t, 3, append([]string{"--initial-cluster-token", "after-the-fire"}, quick...)...)
	var hashes []string
	for _, s := range next {
		r := runOf(append([]string{"snapshot", "restore", file, "--output", "json"}, restoreWords(s.arguments)...)...)
		var restored ops.Restored
		if err := json.Unmarshal([]byte(r.out), &restored); err != nil || r.status != exitDone || restored.Revision != saved.Revision+defaultBump {
			t.Fatalf("restore: %+v, %v", r, err)
		}
		hashes = append(hashes, restored.Hash)
	}
	if hashes[0] != hashes[1] || hashes[1] != hashes[2] {
		t.Errorf("hashes differ: %v", hashes)
	}
	startAll(t, next)
	endpoint = localAddress(next[1].clientPort)
	runOf("get", "before", "--endpoints", endpoint).expect(t, "get from the new cluster", exitDone, "the snapshot")
	c, err := newClient([]string{endpoint}, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put, err := c.Put(t.Context(), "after", "it")
	if err != nil || put.Header.Revision != saved.Revision+defaultBump+1 || put.Header.Revision <= last {
		t.Errorf("put: %+v, %v; the old cluster had come to %d", put, err, last)
	}
	if answer := <-c.Watch(t.Context(), "before", clientv3.WithRev(last)); !errors.Is(answer.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from the old cluster's last revision: %+v", answer)
	}
	for _, s := range next {
		runOf("get", "after", "--endpoints", localAddress(s.clientPort)).expect(t, "at each server", exitDone, "it")
	}
	runOf(append([]string{"snapshot", "restore", file}, restoreWords(next[0].arguments)...)...).expect(t, "over a server that runs", exitFailed, "not empty")
}

// Whatever ends it, nothing is left.
func TestSnapshotThatDoesNotComeToItsEndIsNotSaved(t *testing.T) {
	server := startFake(t)
	for said, does := range map[string]behaviour{
		"the server has sent nothing more for 100ms; --command-timeout waits longer\nNothing was saved": {silent: true},
		"Nothing was saved": {},
		"the disk is gone":  {err: status.Error(codes.Unavailable, "the disk is gone")},
	} {
		server.set(does)
		dir := t.TempDir()
		runOf("snapshot", "save", filepath.Join(dir, "a.snapshot"), "--endpoints", server.address, "--command-timeout", "100ms").expect(t, said, exitFailed, said)
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%q: left are %v, %v", said, left, err)
		}
	}
}

// revisionAt returns the newest revision of a server.
func revisionAt(t *testing.T, endpoint string) int64 {
	t.Helper()
	c, err := newClient([]string{endpoint}, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := c.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.Revision
}

// restoreWords are the flags of serve that restore has, too.
func restoreWords(serve []string) (words []string) {
	for i, word := range serve {
		switch word {
		case "--name", "--data-dir", "--initial-cluster", "--initial-cluster-token", "--initial-advertise-peer-urls":
			words = append(words, word, serve[i+1])
		}
	}
	return words
}

func TestSnapshotSaysWhatItWants(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte(strings.Repeat("no snapshot", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for said, words := range map[string][]string{
		"snapshot save takes a file":    {"save"},
		"snapshot status takes a file":  {"status", "a", "b"},
		"snapshot restore takes a file": {"restore"},
		"name one with --endpoints":     {"save", file, "--endpoints", "127.0.0.1:1,127.0.0.1:2"},
		"revisions are raised only":     {"restore", file, "--bump-revision=-1"},
		"is a flag of etcdutl that":     {"restore", file, "--skip-hash-check"},
		`--name "x" is not in --initia`: {"restore", file, "--name", "x", "--initial-cluster", "y=http://127.0.0.1:1"},
		"is not supported yet: there":   {"defragment"},
	} {
		runOf(append([]string{"snapshot"}, words...)...).expect(t, said, exitUsage, said)
	}
	for said, words := range map[string][]string{
		"snapshot file is damaged":         {"status", file},
		"no such file":                     {"status", file + "x"},
		"Nothing was restored":             {"restore", file, "--data-dir", file + "d"},
		"no server can be reached":         {"save", file, "--endpoints", "127.0.0.1:1"},
		"cannot be restored here":          {"restore", file, "--data-dir", file + "d"},
		fmt.Sprintf("%s: read snap", file): {"status", file},
	} {
		runOf(append([]string{"snapshot"}, words...)...).expect(t, said, exitFailed, said)
	}
	for _, command := range []string{"save", "status", "restore"} {
		runOf("snapshot", command, "--help").expect(t, command, exitDone, "Examples:")
	}
}
