package ops_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/internal/freeport"
	"github.com/quorate/quorate/ops"
	"github.com/quorate/quorate/server"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testContext ends long before the test binary's own time-out, so that a call that hangs says where.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// freeURL returns an address at which nobody listens.
func freeURL(t testing.TB) string {
	t.Helper()
	addresses, err := freeport.Addresses(1)
	must(t, err)
	return "http://" + addresses[0]
}

// alone are the options of a server that is a cluster of its own.
func alone(t testing.TB, dir, peerURL string) server.Options {
	return server.Options{
		Name: "n0", DataDir: dir, ListenClientURLs: []string{"http://127.0.0.1:0"}, ListenPeerURLs: []string{peerURL},
		HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond,
		OnFatal: func(err error) { t.Errorf("fatal: %v", err) },
	}
}

// start starts a server. Whoever calls it closes it.
func start(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	s, err := server.Start(o)
	must(t, err)
	return s
}

func connect(t testing.TB, servers ...*server.Server) *clientv3.Client {
	t.Helper()
	var endpoints []string
	for _, s := range servers {
		endpoints = append(endpoints, s.ClientAddrs()[0].String())
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// lived makes the data directory of a server that has had a life, and returns it.
func lived(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, alone(t, dir, freeURL(t)))
	live(t, connect(t, s))
	must(t, s.Close())
	return dir
}

// live does a bit of everything.
func live(t testing.TB, c *clientv3.Client) {
	t.Helper()
	ctx := testContext(t)
	put := func(key, value string, o ...clientv3.OpOption) {
		t.Helper()
		_, err := c.Put(ctx, key, value, o...)
		must(t, err)
	}
	for i := range 50 {
		put(fmt.Sprintf("k%02d", i%20), strings.Repeat("v", 100+i))
	}
	lease, err := c.Grant(ctx, 1000)
	must(t, err)
	put("leased", "x", clientv3.WithLease(lease.ID))
	_, err = c.Delete(ctx, "k03")
	must(t, err)
	_, err = c.Txn(ctx).If(clientv3.Compare(clientv3.Version("k04"), ">", 0)).
		Then(clientv3.OpPut("t1", "1"), clientv3.OpPut("t2", "2")).Commit()
	must(t, err)
	_, err = c.Compact(ctx, 30, clientv3.WithCompactPhysical())
	must(t, err)
	put("last", "one")
}

// look opens a directory, and returns the report.
func look(t testing.TB, dir string, verify bool) *ops.Report {
	t.Helper()
	d, err := ops.Open(dir, ops.Options{Verify: verify})
	must(t, err)
	r, err := d.Report()
	must(t, err)
	must(t, d.Close())
	return r
}

// treeOf sums up every name, time and byte in a directory.
func treeOf(t testing.TB, dir string) string {
	t.Helper()
	sum := sha256.New()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %v %v %d\n", path, info.Mode(), info.ModTime(), info.Size())
		if entry.Type().IsRegular() {
			b, err := os.ReadFile(path)
			sum.Write(b)
			return err
		}
		return nil
	}))
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// copyOf copies a directory.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}
