package ops_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/ops"
	"github.com/quorate/quorate/server"
)

// The data directories in testdata were made by earlier builds, each by the one whose formats it has. They are never
// made anew: what they are is what is out in the world. A version with a new format adds one:
//
//	go test ./ops -run TestMakeADirectory -make directory-2
var makeName = flag.String("make", "", "make a data directory of this name in testdata; one that is there is never replaced")

// committed is what is known of a data directory in testdata.
type committed struct {
	// Revision and Compacted are the store's. Entries is how many the log has, by their Kinds, State up to which
	// the state on the disk is: the rest is applied at the start.
	Revision  int64          `json:"revision"`
	Compacted int64          `json:"compacted"`
	Entries   uint64         `json:"entries"`
	State     uint64         `json:"state"`
	Kinds     map[string]int `json:"kinds"`
	Lease     int64          `json:"lease"`
	LeaseKeys []string       `json:"lease_keys"`
	Sessions  int            `json:"sessions"`
	Keys      []committedKey `json:"keys"`
	// Before are those at the revision OldRevision.
	OldRevision int64          `json:"old_revision"`
	Before      []committedKey `json:"before"`
}

type committedKey struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Create  int64  `json:"create"`
	Mod     int64  `json:"mod"`
	Version int64  `json:"version"`
	Lease   int64  `json:"lease,omitempty"`
}

func keysOf(pairs []*mvccpb.KeyValue) (keys []committedKey) {
	for _, p := range pairs {
		keys = append(keys, committedKey{string(p.Key), string(p.Value), p.CreateRevision, p.ModRevision, p.Version, p.Lease})
	}
	return keys
}

// TestEveryVersionOpensEarlierDirectories looks into each directory in testdata, and starts a server on it.
func TestEveryVersionOpensEarlierDirectories(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.tar.gz")
	if must(t, err); len(archives) == 0 {
		t.Fatal("there are none")
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			unpack(t, archive, dir)
			var want committed
			b, err := os.ReadFile(strings.TrimSuffix(archive, ".tar.gz") + ".json")
			must(t, err)
			must(t, json.Unmarshal(b, &want))
			report := look(t, dir, true)
			if len(report.Problems) > 0 {
				t.Errorf("problems: %+v", report.Problems)
			}
			s := start(t, alone(t, dir, freeURL(t)))
			defer func() { must(t, s.Close()) }()
			got := committedOf(t, s, want.Lease, want.OldRevision)
			got.fill(report)
			if g, w := asJSON(t, got), asJSON(t, want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
			if _, err := connect(t, s).Put(testContext(t), "new", "1"); err != nil {
				t.Errorf("it cannot be written to: %v", err)
			}
		})
	}
}

func asJSON(t *testing.T, what any) string {
	t.Helper()
	b, err := json.Marshal(what)
	must(t, err)
	return string(b)
}

// fill adds what is not asked of a server.
func (k *committed) fill(r *ops.Report) {
	g := r.Log.Groups[0]
	k.Entries, k.State, k.Kinds = g.Last, r.State.Applied, g.Kinds
}

// committedOf asks a server for what it can tell.
func committedOf(t *testing.T, s *server.Server, lease, old int64) committed {
	t.Helper()
	ctx, c := testContext(t), connect(t, s)
	now, err := c.Get(ctx, "", clientv3.WithPrefix())
	must(t, err)
	before, err := c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(old))
	must(t, err)
	life, err := c.TimeToLive(ctx, clientv3.LeaseID(lease), clientv3.WithAttachedKeys())
	must(t, err)
	k := committed{
		Revision: now.Header.Revision, Compacted: s.Store().CompactRevision(), Lease: int64(life.ID), Sessions: s.Store().SessionCount(),
		Keys: keysOf(now.Kvs), OldRevision: old, Before: keysOf(before.Kvs),
	}
	for _, key := range life.Keys {
		k.LeaseKeys = append(k.LeaseKeys, string(key))
	}
	return k
}

// TestMakeADirectory makes one if it is asked to, as a server leaves it that is killed: after a life that ended well,
// and into the second.
func TestMakeADirectory(t *testing.T) {
	if *makeName == "" {
		return
	}
	archive := filepath.Join("testdata", *makeName+".tar.gz")
	if _, err := os.Stat(archive); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is there: it stays what it is", archive)
	}
	dir := filepath.Join(t.TempDir(), "data")
	o := alone(t, dir, freeURL(t))
	s := start(t, o)
	live(t, connect(t, s))
	must(t, s.Close())
	s = start(t, o)
	lease := inSession(t, s)
	must(t, os.MkdirAll("testdata", 0o755))
	copied := copyOf(t, dir) // nothing goes on in it
	known := committedOf(t, s, lease, 40)
	must(t, s.Close())
	report := look(t, copied, true)
	if len(report.Problems) > 0 {
		t.Fatal(report.Problems)
	}
	known.fill(report)
	pack(t, copied, archive)
	b, err := json.MarshalIndent(known, "", "  ")
	must(t, err)
	must(t, os.WriteFile(strings.TrimSuffix(archive, ".tar.gz")+".json", append(b, '\n'), 0o644))
}

// inSession writes with a session, and leaves it open.
func inSession(t *testing.T, s *server.Server) (lease int64) {
	t.Helper()
	ctx := testContext(t)
	c, err := client.New(clientv3.Config{Endpoints: []string{s.ClientAddrs()[0].String()}}, client.Options{SessionTTL: 24 * time.Hour})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	for _, key := range []string{"session/a", "session/b\x00", "session/ÿ"} {
		_, err := c.Put(ctx, key, "once")
		must(t, err)
	}
	granted, err := c.Grant(ctx, 1<<30)
	must(t, err)
	_, err = c.Put(ctx, "leased", "again", clientv3.WithLease(granted.ID))
	must(t, err)
	return int64(granted.ID)
}

func pack(t *testing.T, dir, archive string) {
	t.Helper()
	file, err := os.Create(archive)
	must(t, err)
	zipped, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	must(t, err)
	w := tar.NewWriter(zipped)
	must(t, w.AddFS(os.DirFS(dir)))
	must(t, errors.Join(w.Close(), zipped.Close(), file.Close()))
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	file, err := os.Open(archive)
	must(t, err)
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	must(t, err)
	for r := tar.NewReader(zipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			must(t, os.MkdirAll(path, 0o700))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		b, err := io.ReadAll(r)
		must(t, err)
		must(t, os.WriteFile(path, b, 0o600))
	}
}
