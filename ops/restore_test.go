package ops_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/ops"
	"github.com/quorate/quorate/server"
)

// saved makes a snapshot of a server that has had a life, and returns the file and the newest revision.
func saved(t testing.TB) (file string, revision int64) {
	t.Helper()
	s := start(t, alone(t, filepath.Join(t.TempDir(), "data"), freeURL(t)))
	live(t, connect(t, s))
	file = filepath.Join(t.TempDir(), "snapshot")
	made, err := ops.SaveSnapshot(file, func(w io.Writer) error {
		_, err := s.Store().WriteSnapshot(w)
		return err
	}, nil)
	must(t, err)
	if made.Revision != s.Store().Revision() || made.Keys != 23 {
		t.Errorf("saved %+v, the store is at %d", made, s.Store().Revision())
	}
	must(t, s.Close())
	return file, made.Revision
}

// ofCluster are the options of n servers of a cluster.
func ofCluster(t testing.TB, n int) []server.Options {
	t.Helper()
	var members []string
	options := make([]server.Options, n)
	for i := range options {
		options[i] = alone(t, filepath.Join(t.TempDir(), "data"), freeURL(t))
		options[i].Name = fmt.Sprintf("n%d", i)
		members = append(members, options[i].Name+"="+options[i].ListenPeerURLs[0])
	}
	for i := range options {
		options[i].InitialCluster, options[i].InitialClusterToken = strings.Join(members, ","), "restored"
	}
	return options
}

func restore(t testing.TB, o server.Options, file string, bump int64, mark bool) *ops.Restored {
	t.Helper()
	host, err := o.Founding()
	must(t, err)
	restored, err := ops.Restore(ops.RestoreOptions{File: file, Host: host, BumpRevision: bump, MarkCompacted: mark})
	must(t, err)
	return restored
}

// TestAClusterGoesOnFromASnapshot: three servers are restored and started as a new cluster, and hold what was
// saved, at higher revisions.
func TestAClusterGoesOnFromASnapshot(t *testing.T) {
	file, revision := saved(t)
	options := ofCluster(t, 3)
	const bump = 1_000_000_000
	before, err := ops.SnapshotStatus(file, nil)
	must(t, err)
	var first *ops.Restored
	var base string
	for i, o := range options {
		restored := restore(t, o, file, bump, true)
		report := look(t, o.DataDir, true)
		if len(report.Problems) > 0 || report.State.Hash != restored.Hash {
			t.Fatalf("server %d: %+v, %+v", i, restored, report)
		}
		g := report.Log.Groups[0]
		if g.Base.Index != restored.Index || g.First != g.Last || report.State.Applied != restored.Index || len(g.Configuration) != 3 {
			t.Errorf("server %d: %+v", i, g)
		}
		d, err := ops.Open(o.DataDir, ops.Options{})
		must(t, err)
		must(t, d.Entries(1, g.First, g.Last, false, func(e *ops.Entry) error {
			if e.Kind != "no-op" || e.LogTime != before.LogTime {
				t.Errorf("server %d: the log's first entry is %+v, and time was at %d", i, e, before.LogTime)
			}
			return nil
		}))
		must(t, d.Close())
		if i == 0 {
			first, base = restored, g.Base.Hash+g.LastHash
		} else if base != g.Base.Hash+g.LastHash || restored.Hash != first.Hash || restored.Cluster != first.Cluster {
			t.Errorf("server %d: %+v %+v, the first %+v %s", i, restored, g, first, base)
		}
	}
	if first.Cluster == first.FromCluster || first.Revision != revision+bump || first.CompactRevision != first.Revision {
		t.Errorf("restored %+v, from revision %d", first, revision)
	}
	var servers []*server.Server
	for _, o := range options {
		s := start(t, o)
		t.Cleanup(func() { must(t, s.Close()) })
		servers = append(servers, s)
	}
	ctx := testContext(t)
	c := connect(t, servers...)
	got, err := c.Get(ctx, "k07")
	must(t, err)
	if len(got.Kvs) != 1 || !bytes.HasPrefix(got.Kvs[0].Value, []byte("vvv")) || got.Header.Revision != revision+bump {
		t.Fatalf("got %+v", got)
	}
	all, err := c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	if all.Count != 23 {
		t.Errorf("%d keys", all.Count)
	}
	leases, err := c.Leases(ctx)
	must(t, err)
	if len(leases.Leases) != 1 {
		t.Fatalf("leases: %+v", leases)
	}
	alive, err := c.TimeToLive(ctx, leases.Leases[0].ID, clientv3.WithAttachedKeys())
	must(t, err)
	if alive.TTL <= 900 || alive.TTL > 1000 || len(alive.Keys) != 1 || string(alive.Keys[0]) != "leased" {
		t.Errorf("the lease has %+v: time goes on where it was", alive)
	}
	if r, ok := <-c.Watch(ctx, "k07", clientv3.WithRev(revision)); !ok || r.CompactRevision != revision+bump || !errors.Is(r.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from before: %+v", r)
	}
	if _, err := c.Get(ctx, "k07", clientv3.WithRev(revision)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a read of before: %v", err)
	}
	put, err := c.Put(ctx, "new", "1")
	must(t, err)
	if put.Header.Revision != revision+bump+1 {
		t.Errorf("put at revision %d", put.Header.Revision)
	}
	var want kv.KVHash
	for i, s := range servers { // every server applies it, and holds the same
		must(t, s.Group().Read(ctx))
		h, _, err := s.Store().HashKV(put.Header.Revision)
		if must(t, err); i == 0 {
			want = h
		}
		if h != want || s.Store().Time() <= before.LogTime {
			t.Errorf("server %d holds %+v at %d, the first %+v; saved at %d", i, h, s.Store().Time(), want, before.LogTime)
		}
	}
	must(t, servers[0].Close()) // and comes back
	s := start(t, options[0])
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, s.Group().Read(ctx))
	if s.Store().Revision() != put.Header.Revision {
		t.Errorf("came back at revision %d", s.Store().Revision())
	}
}

func TestARestoreLeavesWhatIsThereAlone(t *testing.T) {
	file, _ := saved(t)
	o := ofCluster(t, 1)[0]
	host, err := o.Founding()
	must(t, err)
	parent := filepath.Dir(o.DataDir)
	try := func(file string, bump int64) error {
		t.Helper()
		before := treeOf(t, parent)
		_, err := ops.Restore(ops.RestoreOptions{File: file, Host: host, BumpRevision: bump})
		if err != nil && treeOf(t, parent) != before && !strings.Contains(err.Error(), "restore into") {
			t.Errorf("something has changed, in spite of %v", err)
		}
		return err
	}
	must(t, os.MkdirAll(o.DataDir, 0o700))
	must(t, os.WriteFile(filepath.Join(o.DataDir, "precious"), []byte("x"), 0o600))
	if err := try(file, 0); !errors.Is(err, ops.ErrNotEmpty) || !strings.Contains(err.Error(), "precious") {
		t.Errorf("into a directory with something in it: %v", err)
	}
	must(t, os.Remove(filepath.Join(o.DataDir, "precious")))
	b, err := os.ReadFile(file)
	must(t, err)
	b[len(b)/2] ^= 1
	damaged := filepath.Join(t.TempDir(), "damaged")
	must(t, os.WriteFile(damaged, b, 0o600))
	for what, file := range map[string]string{"damaged": damaged, "missing": damaged + "x", "a directory": t.TempDir()} {
		if err := try(file, 0); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("a file that is %s: %v", what, err)
		}
	}
	if try(file, -1) == nil || try(file, 1<<62) == nil {
		t.Error("revisions that cannot be")
	}
	if names, err := os.ReadDir(o.DataDir); err != nil || len(names) > 0 {
		t.Errorf("there is something: %v, %v", names, err)
	}
	must(t, try(file, 0))
	if err := try(file, 0); !errors.Is(err, ops.ErrNotEmpty) {
		t.Errorf("a second time: %v", err)
	}
	if names, err := os.ReadDir(parent); err != nil || len(names) != 1 {
		t.Errorf("something is left over: %v, %v", names, err)
	}
}

// TestARestoreKeepsTheIdentity that was made before, for the other servers to know, and does so after a restore that
// was cut off.
func TestARestoreKeepsTheIdentity(t *testing.T) {
	file, _ := saved(t)
	identity, err := os.ReadFile(filepath.Join(lived(t), "identity"))
	must(t, err)
	for _, where := range []string{"", ".before", ".before and an empty one"} {
		o := ofCluster(t, 1)[0]
		where, empty := strings.CutSuffix(where, " and an empty one")
		if empty {
			must(t, os.MkdirAll(o.DataDir, 0o700))
		}
		must(t, os.MkdirAll(o.DataDir+where, 0o700))
		must(t, os.WriteFile(filepath.Join(o.DataDir+where, "identity"), identity, 0o600))
		must(t, os.MkdirAll(filepath.Join(o.DataDir+".restoring", "wal"), 0o700)) // as one that was cut off leaves it
		restore(t, o, file, 5, false)
		if got, err := os.ReadFile(filepath.Join(o.DataDir, "identity")); err != nil || !bytes.Equal(got, identity) {
			t.Errorf("%q: another identity, %v", where, err)
		}
		names, err := os.ReadDir(filepath.Dir(o.DataDir))
		if must(t, err); len(names) != 1 {
			t.Errorf("something is left over: %v", names)
		}
	}
}

// TestARestoreRemovesNoDirectoryThatWasMovedAway, whatever name it was given.
func TestARestoreRemovesNoDirectoryThatWasMovedAway(t *testing.T) {
	file, _ := saved(t)
	o := ofCluster(t, 1)[0]
	host, err := o.Founding()
	must(t, err)
	old := lived(t)
	must(t, os.Rename(old, o.DataDir+".before"))
	before := treeOf(t, filepath.Dir(o.DataDir))
	if _, err := ops.Restore(ops.RestoreOptions{File: file, Host: host}); !errors.Is(err, ops.ErrNotEmpty) || !strings.Contains(err.Error(), ".before is not empty") {
		t.Errorf("beside a directory that was moved away: %v", err)
	}
	if treeOf(t, filepath.Dir(o.DataDir)) != before {
		t.Error("something has changed")
	}
	must(t, os.MkdirAll(o.DataDir, 0o700))
	before = treeOf(t, o.DataDir+".before")
	if _, err := ops.Restore(ops.RestoreOptions{File: file, Host: host}); !errors.Is(err, ops.ErrNotEmpty) {
		t.Errorf("and with an empty directory in its place: %v", err)
	}
	if treeOf(t, o.DataDir+".before") != before {
		t.Error("something in it has changed")
	}
}

// TestWithoutMarkTheHistoryStaysReadable, and without a bump revisions are as they were.
func TestWithoutMarkTheHistoryStaysReadable(t *testing.T) {
	file, revision := saved(t)
	o := ofCluster(t, 1)[0]
	restored := restore(t, o, file, 0, false)
	if restored.Revision != revision || restored.CompactRevision != 30 {
		t.Errorf("restored %+v", restored)
	}
	s := start(t, o)
	defer func() { must(t, s.Close()) }()
	got, err := connect(t, s).Get(testContext(t), "k03", clientv3.WithRev(40))
	if must(t, err); len(got.Kvs) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestSaveLeavesNothingHalf(t *testing.T) {
	file, _ := saved(t)
	good, err := os.ReadFile(file)
	must(t, err)
	dir := t.TempDir()
	name := filepath.Join(dir, "s")
	errGone := errors.New("the server is gone")
	save := func(b []byte, err error) error {
		_, failed := ops.SaveSnapshot(name, func(w io.Writer) error {
			for piece := range slices.Chunk(b, 1000) {
				if _, err := w.Write(piece); err != nil {
					return err
				}
			}
			return err
		}, nil)
		return failed
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/3] ^= 1
	for what, err := range map[string]error{
		"cut off": save(good[:len(good)-1], nil), "too long": save(append(bytes.Clone(good), 0), nil), "damaged": save(flipped, nil), "nothing": save(nil, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "what came is not whole") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, sent := range [][]byte{good[:2000], good} {
		if err := save(sent, errGone); !errors.Is(err, errGone) {
			t.Errorf("an error after %d bytes of %d: %v", len(sent), len(good), err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Fatalf("left: %v, %v", names, err)
	}
	must(t, save(good, nil))
	if err := save(flipped, nil); err == nil {
		t.Error("damage was taken")
	}
	status, err := ops.SnapshotStatus(name, nil)
	if must(t, err); status.Keys != 23 || status.Bytes != int64(len(good)) {
		t.Errorf("status %+v", status)
	}
}

// TestLogsOfDifferentSnapshotsDoNotFit: servers that were restored from different files must not make a cluster.
func TestLogsOfDifferentSnapshotsDoNotFit(t *testing.T) {
	one, _ := saved(t)
	other, _ := saved(t)
	base := map[string]bool{}
	for _, file := range []string{one, other} {
		o := ofCluster(t, 1)[0]
		o.ListenPeerURLs, o.InitialCluster = []string{"http://127.0.0.1:1"}, "n0=http://127.0.0.1:1"
		restore(t, o, file, 5, true)
		base[look(t, o.DataDir, false).Log.Groups[0].Base.Hash] = true
	}
	if len(base) != 2 {
		t.Error("their logs begin alike")
	}
}

func TestTheNewClusterIsAnother(t *testing.T) {
	o := alone(t, filepath.Join(t.TempDir(), "data"), freeURL(t))
	s := start(t, o)
	live(t, connect(t, s))
	file := filepath.Join(t.TempDir(), "snapshot")
	_, err := ops.SaveSnapshot(file, func(w io.Writer) error {
		_, err := s.Store().WriteSnapshot(w)
		return err
	}, nil)
	must(t, err)
	must(t, s.Close())
	o.DataDir += "2"
	host, err := o.Founding()
	must(t, err)
	if _, err := ops.Restore(ops.RestoreOptions{File: file, Host: host}); !errors.Is(err, ops.ErrSameCluster) {
		t.Errorf("with the same members and token: %v", err)
	}
	if _, err := os.Stat(o.DataDir + ".restoring"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left over: %v", err)
	}
}
