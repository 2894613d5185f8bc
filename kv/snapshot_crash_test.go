package kv_test

import (
	"errors"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/kv/treekv"
)

// lagging makes a store with a complete stage: of everything, or of what it lacks.
func lagging(t *testing.T, engine kv.Engine, full bool) (*bulk, *kv.Store) {
	t.Helper()
	b := newBulk(t, treekv.New())
	b.fill(200)
	to, err := kv.Open(engine, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	if full {
		if _, err := to.Apply([]kv.Command{{Index: 1, Kind: kv.KindLeaseGrant, Request: kv.GrantRequest(1, 1000)}}); err != nil {
			t.Fatal(err)
		}
	} else {
		b.feed(to)
	}
	b.change(100, 200)
	b.feedUpTo(to, 1<<62)
	return b, to
}

// requireEither fails unless an engine holds the old state or the new one, whole, and of the new one also what
// the host has stored with it.
func requireEither(t *testing.T, what string, e kv.Engine, before, after string) (installed bool) {
	t.Helper()
	store, err := kv.Open(e, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	switch got := replicated(t, e); got {
	case before:
	case after:
		if p := store.InstalledPosition(); string(p) != "new" {
			t.Fatalf("%s: position %q", what, p)
		}
		if request, err := store.SnapshotRequest(); err != nil || len(request) != emptyRequest {
			t.Fatalf("%s: something is still staged", what)
		}
		return true
	default:
		t.Fatalf("%s: neither the old state nor the new one:\n%s", what, got)
	}
	return false
}

// TestACrashDuringAnInstallLeavesTheOldStateOrTheNewOne takes the file system at each operation that an install
// does on it, as a loss of power there would leave it.
func TestACrashDuringAnInstallLeavesTheOldStateOrTheNewOne(t *testing.T) {
	for _, full := range []bool{true, false} {
		t.Run(fmt.Sprintf("full=%v", full), func(t *testing.T) {
			memory := vfs.NewCrashableMem()
			var mu sync.Mutex
			var clones []*vfs.MemFS
			watching := false
			rng := randv2.New(randv2.NewPCG(1, 2))
			injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if watching {
					for _, percent := range []int{0, 50, 100} {
						clones = append(clones, memory.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
					}
				}
				return nil
			})
			engine, err := pebblekv.Open("state", pebblekv.Options{FS: errorfs.Wrap(memory, injector)})
			if err != nil {
				t.Fatal(err)
			}
			b, to := lagging(t, engine, full)
			// Something is applied meanwhile, so that there is something to flush as well.
			before, after := replicated(t, engine), ""
			if err := to.Flush(); err != nil {
				t.Fatal(err)
			}
			watch := func(on bool) { mu.Lock(); watching = on; mu.Unlock() }
			watch(true)
			err = to.InstallSnapshot([]byte("new"))
			watch(false)
			if err != nil {
				t.Fatal(err)
			}
			b.requireSame(to)
			after = replicated(t, engine)
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			installed := 0
			for i, clone := range clones {
				e, err := pebblekv.Open("state", pebblekv.Options{FS: clone})
				if err != nil {
					t.Fatalf("crash %d: %v", i, err)
				}
				if requireEither(t, fmt.Sprint("crash ", i), e, before, after) {
					installed++
				}
				for _, name := range []string{"stage", "stage-dropped"} {
					if _, err := clone.Stat("state/" + name); err == nil && (name == "stage-dropped" || i == len(clones)-1) {
						t.Fatalf("crash %d: there still is a %s", i, name)
					}
				}
			}
			t.Logf("%d crashes, %d after the install", len(clones), installed)
			if installed == 0 || installed == len(clones) {
				t.Error("not before and after")
			}
		})
	}
}

var errPower = errors.New("no power")

// powerlessEngine is an engine of which the stage fails at a step of the install.
type powerlessEngine struct {
	kv.Engine
	at string
}

type powerlessStage struct {
	kv.Stage
	at string
}

func (e *powerlessEngine) OpenStage(create bool) (kv.Stage, error) {
	s, err := e.Engine.OpenStage(create)
	if s == nil || err != nil {
		return nil, err
	}
	return &powerlessStage{s, e.at}, nil
}

func (s *powerlessStage) Install(apart []kv.Pair) error {
	if s.at == "before" {
		return errPower
	}
	if err := s.Stage.Install(apart); err != nil || s.at == "installed" {
		return errors.Join(err, errPower)
	}
	return nil
}

func (s *powerlessStage) Drop() error {
	if s.at == "drop" {
		return errPower
	}
	return s.Stage.Drop()
}

func TestATreeThatCrashesDuringAnInstallIsOldOrNew(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for at, want := range map[string]bool{"before": false, "installed": true, "drop": true} {
		for range 5 {
			tree := treekv.New()
			b, to := lagging(t, tree, false)
			if err := to.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			engine := &powerlessEngine{tree.Crash(func(n int) int { return n }), at}
			to, err := kv.Open(engine, kv.Options{Cluster: 7})
			if err != nil {
				t.Fatal(err)
			}
			before := replicated(t, engine)
			b.feedUpTo(to, 1<<62)
			if err := to.InstallSnapshot([]byte("new")); !errors.Is(err, errPower) {
				t.Fatalf("%s: %v", at, err)
			}
			if _, err := to.Apply([]kv.Command{{Index: 1 << 40}}); !errors.Is(err, errPower) {
				t.Fatalf("%s: it goes on after a failed install: %v", at, err)
			}
			if err := to.InstallSnapshot(nil); !errors.Is(err, errPower) {
				t.Fatalf("%s: installed a second time: %v", at, err)
			}
			crashed := engine.Engine.(*treekv.Engine).Crash(func(n int) int { return rng.Intn(n + 1) })
			after := replicated(t, crashed)
			if got := requireEither(t, at, crashed, before, after); got != want && before != after {
				t.Fatalf("%s: installed %v, want %v", at, got, want)
			}
			if (before != after) != want {
				t.Fatalf("%s: changed %v, want %v", at, before != after, want)
			}
		}
	}
}

// rottenEngine is an engine whose state cannot be read once at says at which step, unlike its stage.
type rottenEngine struct {
	kv.Engine
	at string
}

type rottenIterator struct {
	kv.Iterator
	at string
}

func (e *rottenEngine) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	if e.at == "open" {
		return nil, kv.ErrCorrupt
	}
	it, err := e.Engine.NewIterator(lo, hi)
	return &rottenIterator{it, e.at}, err
}

func (it *rottenIterator) Error() error {
	if it.at == "read" {
		return kv.ErrCorrupt
	}
	return it.Iterator.Error()
}

func (it *rottenIterator) Close() error {
	err := it.Iterator.Close()
	if it.at == "close" {
		return kv.ErrCorrupt
	}
	return err
}

// TestDamageOfTheStateIsNotTakenForDamageOfTheStage: to begin a stage anew helps nothing if it is the state below a delta
// that cannot be read.
func TestDamageOfTheStateIsNotTakenForDamageOfTheStage(t *testing.T) {
	for _, at := range []string{"open", "read", "close"} {
		engine := &rottenEngine{Engine: treekv.New()}
		b := newBulk(t, treekv.New())
		b.fill(200)
		to, _ := b.follow(engine)
		b.change(20, 200)
		engine.at = at
		request, err := to.SnapshotRequest()
		for complete := false; !complete && err == nil; {
			var chunk []byte
			if chunk, _, err = b.store.ServeSnapshot(request, testChunk); err != nil {
				t.Fatal(err)
			}
			request, complete, err = to.StageSnapshot(chunk)
		}
		if !errors.Is(err, kv.ErrCorrupt) || errors.Is(err, kv.ErrSnapshotChunk) {
			t.Errorf("%s: %v", at, err)
		}
		if err := to.InstallSnapshot(nil); !errors.Is(err, kv.ErrSnapshotIncomplete) {
			t.Errorf("%s: installed all the same: %v", at, err)
		}
	}
}
