package main

import (
	"context"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

var processPowerCuts = flag.Int("process.powercuts", 0, "how many power cuts there are in the test of them; 0: a few")

// powerDisk is a file system of its own, of which the power can be cut: what was not flushed to it is gone then, as with
// the machine. kill -9 alone proves nothing about syncs, for the kernel keeps what was written.
type powerDisk struct {
	image, mount string
}

const (
	diskBytes = 512 << 20

	// goingDown asks ext4 to stop as if the power were gone: its journal is not written out.
	goingDown         = 0x8004587d
	withoutFlushingIt = 2
)

// newPowerDisk puts a server's directory on a file system of its own; an error if this machine does not let us.
func newPowerDisk(t *testing.T, s *serverProcess) (*powerDisk, error) {
	t.Helper()
	dir := t.TempDir()
	d := &powerDisk{image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "disk")}
	file, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(diskBytes); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.mount, 0o700); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs.ext4: %w\n%s", err, out)
	}
	if err := d.power(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { // after the server's own, which is registered later
		_ = syscall.Unmount(d.mount, 0) // It is unmounted where a test has failed in between.
	})
	s.dir = filepath.Join(d.mount, "data")
	s.with("--data-dir", s.dir)
	return d, nil
}

// power mounts the file system, which recovers from what was cut.
func (d *powerDisk) power() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w\n%s", err, out)
	}
	return nil
}

// cut lets everything be lost that was not flushed.
func (d *powerDisk) cut(t *testing.T) {
	t.Helper()
	f, err := os.Open(d.mount)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	how := uint32(withoutFlushingIt)
	if _, _, wrong := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), goingDown, uintptr(unsafe.Pointer(&how))); wrong != 0 {
		t.Fatalf("cut the power of %s: %v", d.mount, wrong)
	}
}

// unplug takes the file system away, once no process uses it.
func (d *powerDisk) unplug(t *testing.T) {
	t.Helper()
	eventually(t, "the file system is not in use", func() error { return syscall.Unmount(d.mount, 0) })
}

// TestProcessPowerCutsLoseNothingAcknowledged cuts the power of one of three servers, of a majority or of all at once, at
// moments of chance, while clients write. Whatever was acknowledged is there afterwards.
func TestProcessPowerCutsLoseNothingAcknowledged(t *testing.T) {
	cuts := *processPowerCuts
	switch {
	case cuts > 0:
	case askedForByName():
		cuts = 20
	default:
		cuts = 3
	}
	began := time.Now()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 1))
	servers := newServers(t, 3, append(slices.Clone(quick), soon...)...)
	disks := map[*serverProcess]*powerDisk{}
	for _, s := range servers {
		d, err := newPowerDisk(t, s)
		if err != nil {
			lacking(t, "ext4 on a loop device", err, "processes are killed instead")
			continue
		}
		disks[s] = d
	}
	startAll(t, servers)
	l := startUnique(t, servers)
	for n := range cuts {
		l.waitProgress(t)
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond) // chance; nothing is waited for
		var hit []*serverProcess
		for _, i := range random.Perm(3)[:1+random.IntN(3)] {
			hit = append(hit, servers[i])
		}
		for _, s := range hit {
			s.expectDeath()
			if d := disks[s]; d != nil {
				d.cut(t)
			}
		}
		for _, s := range hit {
			_ = s.command.Process.Kill() // Its disk may have ended it.
			<-s.gone
			s.disconnect()
			if d := disks[s]; d != nil {
				d.unplug(t)
				if err := d.power(); err != nil {
					t.Fatalf("cut %d: %v", n, err)
				}
			}
		}
		for _, s := range hit {
			s.start(t)
		}
		for _, s := range hit {
			s.waitServing(t)
		}
		l.expectAcknowledged(t, n)
	}
	l.stop()
	for _, s := range servers {
		waitCaughtUp(t, s, waitLeader(t, servers))
	}
	expectSameHashes(t, servers)
	t.Logf("%d power cuts, %d writes acknowledged, in %v", cuts, l.count.Load(), time.Since(began).Round(time.Millisecond))
	addToLedger(t, powerCutsEntry{
		When: began.UTC().Format(time.RFC3339), Seed: seed, PowerCuts: cuts, Real: len(disks) == len(servers), Acknowledged: l.count.Load(),
		Seconds: time.Since(began).Seconds(), Passed: !t.Failed(),
	})
}

type powerCutsEntry struct {
	When      string `json:"when"`
	Seed      uint64 `json:"seed"`
	PowerCuts int    `json:"powerCuts"`
	// Real: file systems lost what was not flushed; otherwise processes were killed.
	Real         bool    `json:"real"`
	Acknowledged int64   `json:"acknowledged"`
	Seconds      float64 `json:"seconds"`
	Passed       bool    `json:"passed"`
}

// uniqueLoad is clients that each count up keys of their own, through any server.
type uniqueLoad struct {
	servers []*serverProcess
	count   atomic.Int64 // acknowledged
	cancel  context.CancelFunc
	running sync.WaitGroup

	guard sync.Mutex
	keys  []*countedKey
}

// countedKey is a key that one client counts up, until a number gets no answer: that may take effect any time, so the client
// goes on with another key.
type countedKey struct {
	key                 string
	tried, acknowledged atomic.Int64
}

func startUnique(t *testing.T, servers []*serverProcess) *uniqueLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &uniqueLoad{servers: servers, cancel: cancel}
	t.Cleanup(l.stop)
	for i := range 8 {
		l.running.Go(func() {
			c := l.next()
			for turn := i; ctx.Err() == nil; turn++ {
				if !l.write(ctx, c, servers[turn%len(servers)]) {
					c = l.next()
				}
			}
		})
	}
	return l
}

// next returns a key that nobody has.
func (l *uniqueLoad) next() *countedKey {
	l.guard.Lock()
	defer l.guard.Unlock()
	c := &countedKey{key: fmt.Sprint("counted", len(l.keys))}
	l.keys = append(l.keys, c)
	return c
}

// write writes the next number; false if there is no telling whether it has.
func (l *uniqueLoad) write(ctx context.Context, c *countedKey, s *serverProcess) bool {
	conn, _, up := s.present()
	if !up {
		select {
		case <-time.After(time.Millisecond): // and try another
		case <-ctx.Done():
		}
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	n := c.tried.Add(1)
	if _, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte(c.key), Value: strconv.AppendInt(nil, n, 10)}); err != nil {
		return false
	}
	c.acknowledged.Store(n)
	l.count.Add(1)
	return true
}

func (l *uniqueLoad) stop() {
	l.cancel()
	l.running.Wait()
}

// waitProgress waits until some more writes are acknowledged.
func (l *uniqueLoad) waitProgress(t *testing.T) {
	t.Helper()
	goal := l.count.Load() + 200
	eventually(t, "writes are acknowledged", func() error {
		if now := l.count.Load(); now < goal {
			return fmt.Errorf("%d more", goal-now)
		}
		return nil
	})
}

// expectAcknowledged reads what the clients have written: the latest keys at every server, and all of them at one.
func (l *uniqueLoad) expectAcknowledged(t *testing.T, cut int) {
	t.Helper()
	l.guard.Lock()
	keys := slices.Clone(l.keys)
	l.guard.Unlock()
	for k, c := range keys {
		for i, s := range l.servers {
			if i == cut%len(l.servers) || k+32 > len(keys) {
				c.expect(t, s, cut)
			}
		}
	}
}

// expect reads a key at a server.
func (c *countedKey) expect(t *testing.T, s *serverProcess, cut int) {
	t.Helper()
	least := c.acknowledged.Load()
	conn, _, up := s.present()
	if !up {
		t.Fatalf("after cut %d %s is not up", cut, s.name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte(c.key)})
	if err != nil {
		t.Fatalf("after cut %d %s does not answer: %v", cut, s.name, err)
	}
	found := int64(0)
	if len(answer.Kvs) > 0 {
		if found, err = strconv.ParseInt(string(answer.Kvs[0].Value), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if most := c.tried.Load(); found < least || found > most {
		t.Fatalf("after cut %d %s has %d of %s; %d was acknowledged, and %d the last to be tried", cut, s.name, found, c.key, least, most)
	}
}
