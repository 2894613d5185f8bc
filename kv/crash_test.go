package kv_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/kv/treekv"
)

var crashSeeds = flag.Int64("crash.seeds", 6, "number of random histories of TestPebbleCrashesToAPrefixAgainAndAgain")

// crashTotals is what all histories together have met.
type crashTotals struct {
	histories, commands, flushes, clones, crashes, deepest int
	lost, between                                          int // of the clones: lost something, and not all
}

// TestPebbleCrashesToAPrefixAgainAndAgain runs a history on the tree, which never crashes, and on Pebble
// on a file system that loses power again and again: each clone of it, with a part of what was not
// synced, is opened in its place, and clones of the clone after it. Pebble must come back to the end of
// one of its batches, not before the index that it called durable, with what the tree held there; answer
// the commands that it lost as it did before; and hold the same bytes in the end.
func TestPebbleCrashesToAPrefixAgainAndAgain(t *testing.T) {
	var total crashTotals
	for seed := range *crashSeeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { crashHistory(t, seed, &total) })
	}
	t.Logf("%+v", total)
	if total.lost == 0 || total.between == 0 || total.deepest < 3 || total.flushes == 0 {
		t.Error("not everything has happened")
	}
}

// crashing is the store over Pebble that crashes.
type crashing struct {
	*server
	seed    int64
	fs      *vfs.MemFS
	truth   map[uint64]kv.Digest // by index
	depth   int                  // how many crashes lie behind
	flushes sync.WaitGroup
	total   *crashTotals
}

func crashHistory(t *testing.T, seed int64, total *crashTotals) {
	const length = 300
	steady := openServer(t, "tree", treekv.New(), kv.Options{}, seed, 1, 100, 5)
	g := &generator{rng: rand.New(rand.NewSource(seed)), large: 30}
	h := makeHistory(t, g, length, []*server{steady})
	c := &crashing{seed: seed, fs: vfs.NewCrashableMem(), truth: digests(t, h), total: total}
	c.server = c.open(t, c.fs)
	c.stood = map[uint64]bool{0: true}
	for c.next < len(h.commands) {
		part := &history{h.commands[:min(c.next+1+c.rng.Intn(40), len(h.commands))], h.requests, h.results}
		c.catchUp(t, part)
		if c.rng.Intn(3) == 0 {
			total.flushes++
			c.flushes.Go(func() {
				if err := c.store.Flush(); err != nil {
					t.Error(err)
				}
			})
		}
		c.crash(t, h)
	}
	c.flushes.Wait()
	steady.removeAll(t)
	c.removeAll(t)
	same(t, steady, c.server)
	if !bytes.Equal(dump(t, steady.engine), dump(t, c.engine)) {
		t.Fatal("the engines' contents differ")
	}
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
	total.histories++
	total.commands += len(h.commands)
}

// digests returns what the digest is after each command.
func digests(t *testing.T, h *history) map[uint64]kv.Digest {
	t.Helper()
	store, err := kv.Open(treekv.New(), kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	truth := map[uint64]kv.Digest{0: {}}
	truth[0], _ = store.Digest()
	for _, command := range h.commands {
		if _, err := store.Apply([]kv.Command{command}); err != nil {
			t.Fatal(err)
		}
		truth[command.Index], _ = store.Digest()
	}
	return truth
}

// open opens a store on a file system, with memory tables so small that many are flushed unasked, and
// tables merged.
func (c *crashing) open(t *testing.T, fs vfs.FS) *server {
	t.Helper()
	engine, err := pebblekv.Open("state", pebblekv.Options{FS: fs, MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatalf("after %d crashes: %v", c.depth, err)
	}
	seed := c.seed + int64(c.depth)<<32
	return openServer(t, fmt.Sprintf("pebble after %d crashes", c.depth), engine, kv.Options{}, seed, 6, 30, 5)
}

// crash clones the file system, as a loss of power now might leave it, a few times. One of the clones
// takes its place in two of three cases.
func (c *crashing) crash(t *testing.T, h *history) {
	t.Helper()
	for n := range 1 + c.rng.Intn(3) {
		durable, applied := durableIndex(t, c.store), c.store.AppliedIndex()
		clone := c.clone(c.fs)
		s := c.check(t, clone, durable, applied)
		if n > 0 || c.rng.Intn(3) == 0 {
			c.crashAtOnce(t, clone, s)
			if err := s.store.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		c.flushes.Wait() // the machine that has lost power goes on a little, and nobody sees it
		if err := c.store.Close(); err != nil {
			t.Fatal(err)
		}
		s.stood = c.stood
		c.server, c.fs = s, clone
		c.total.crashes++
		c.depth++
		c.total.deepest = max(c.total.deepest, c.depth)
		for c.next = 0; c.next < len(h.commands) && h.commands[c.next].Index <= c.store.AppliedIndex(); {
			c.next++
		}
	}
}

// crashAtOnce cuts the power again as soon as the store is open: what it came back with stays.
func (c *crashing) crashAtOnce(t *testing.T, fs *vfs.MemFS, s *server) {
	t.Helper()
	index := s.store.AppliedIndex()
	again := c.check(t, c.clone(fs), index, index)
	if err := again.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func (c *crashing) clone(fs *vfs.MemFS) *vfs.MemFS {
	c.total.clones++
	return fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: []int{0, 10, 50, 90, 100}[c.rng.Intn(5)],
		RNG:                 randv2.New(randv2.NewPCG(uint64(c.rng.Int63()), uint64(c.seed))),
	})
}

// check opens a clone and says whether what it holds may be.
func (c *crashing) check(t *testing.T, clone *vfs.MemFS, durable, applied uint64) *server {
	t.Helper()
	s := c.open(t, clone)
	digest, index := s.store.Digest()
	switch {
	case index < durable || index > applied:
		t.Fatalf("%s: came back at %d; %d was durable, and %d applied", s.name, index, durable, applied)
	case !c.stood[index]:
		t.Fatalf("%s: came back at %d, in the middle of a batch", s.name, index)
	case digest != c.truth[index]:
		t.Fatalf("%s: came back at %d with digest %x, want %x", s.name, index, digest, c.truth[index])
	}
	if now := durableIndex(t, s.store); now != index {
		t.Fatalf("%s: came back at %d, and calls %d durable", s.name, index, now)
	}
	if index < applied {
		c.total.lost++
	}
	if index > 0 && index < applied {
		c.total.between++
	}
	return s
}
