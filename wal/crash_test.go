package wal

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

var crashDeep = flag.Bool("crash.deep", false, "check every image of a crash during recovery, not a sample")

// workloads are what a log goes through. Each is run once for every operation on the disk, and the
// power goes there.
var workloads = []struct {
	name string
	run  func(w *world)
}{
	{"first open", func(w *world) {
		w.open()
		w.prepare()
		w.close()
		w.open()
	}},
	{"append", func(w *world) {
		w.start(1)
		for range 5 {
			w.append(w.entries(1, 2, 100))
			w.sync()
		}
		w.append(w.entries(1, 1, 100))
		w.append(w.entries(1, 1, 100))
		w.sync()
		w.seal()
	}},
	{"large append", func(w *world) {
		w.start(1)
		w.append(w.entries(1, 3, 5000))
		w.sync()
		w.appendInFrames(w.entries(1, 20, 3000))
		w.sync()
		w.appendInFrames(w.entries(1, 2, 40_000))
		w.sync()
	}},
	{"several groups in one frame", func(w *world) {
		w.start(1, 2, 3)
		for range 3 {
			w.append(w.entries(3, 2, 200), w.entries(1, 1, 700), w.entries(2, 3, 50))
			w.sync()
		}
		w.append(w.entries(2, 1, 10), w.hardState(1, 9, 3), w.drop(3))
		w.sync()
		w.append(w.create(3), w.hardState(3, 2, 1), w.entries(3, 1, 10))
		w.seal()
	}},
	{"truncate", func(w *world) {
		w.start(1, 2)
		w.append(w.entries(1, 6, 100))
		w.sync()
		w.append(w.hardState(1, 3, 0), w.replace(1, 4, 2, 60), w.entries(2, 1, 10))
		w.sync()
		w.append(w.truncate(1, 3))
		w.append(w.truncate(1, 2))
		w.sync()
		w.append(w.entries(1, 3, 100))
		w.append(w.hardState(1, 4, 2), w.replace(1, 1, 1, 10))
		w.sync()
	}},
	{"segment roll", func(w *world) {
		w.start(1, 2)
		for range 10 {
			w.append(w.entries(1, 2, 1500), w.entries(2, 1, 100))
			w.sync()
		}
		w.prepare()
		for range 6 {
			w.append(w.entries(2, 2, 1500))
		}
		w.sync()
	}},
	{"compaction and reuse", func(w *world) {
		w.start(1, 2)
		for i := range 14 {
			w.append(w.entries(1, 2, 2500), w.entries(2, 1, 100))
			w.sync()
			if i%3 == 2 {
				w.append(w.compact(1, w.model.groups[1].last()), w.compact(2, w.model.groups[2].last()-1))
				w.sync()
				w.release()
			}
		}
		w.seal()
		w.release()
		w.kill()
		w.append(w.entries(1, 2, 2500))
		w.seal()
	}},
	{"copy forward", func(w *world) {
		w.start(1, 2)
		w.append(w.entries(2, 5, 100))
		w.sync()
		for i := range 12 {
			w.append(w.entries(1, 2, 2500))
			w.sync()
			if i%2 == 1 {
				w.append(w.compact(1, w.model.groups[1].last()))
				w.moveForward(250)
				w.sync()
				w.append(w.hardState(2, raft.Term(10+i), 0))
				w.sync()
				w.release()
			}
		}
		w.append(w.entries(2, 1, 10))
		w.seal()
		w.kill()
	}},
	{"votes", func(w *world) {
		w.start(1, 2)
		for term := raft.Term(3); term < 9; term++ {
			w.append(w.hardState(1, term, raft.ServerID(term%3)), w.hardState(2, term, 0))
			w.sync()
			w.append(w.hardState(2, term, 1))
			w.sync()
		}
		w.seal()
		w.append(w.hardState(2, 20, 1))
		w.sync()
	}},
	{"seal", func(w *world) {
		w.start(1)
		w.seal()
		w.seal()
		w.append(w.entries(1, 1, 100))
		w.seal()
		w.append(w.entries(1, 1, 100))
		w.sync()
		w.seal()
	}},
	{"killed and started again", func(w *world) {
		w.start(1)
		w.append(w.entries(1, 3, 100))
		w.sync()
		w.append(w.entries(1, 1, 100))
		w.kill()
		w.append(w.entries(1, 3, 100))
		w.kill()
		w.kill()
		w.append(w.entries(1, 1, 5000))
		w.sync()
		w.seal()
		w.close()
		w.open()
		w.append(w.entries(1, 1, 50))
		w.sync()
	}},
	{"installed snapshot", func(w *world) {
		w.start(1, 2)
		w.append(w.entries(1, 6, 100), w.entries(2, 2, 10))
		w.sync()
		w.append(w.hardState(1, 7, 0), w.install(1, 100, 5))
		w.append(w.entries(1, 2, 100))
		w.sync()
		w.append(w.hardState(2, 7, 0), w.install(2, 2, 5))
		w.append(w.entries(2, 2, 100))
		w.append(w.compact(1, 101))
		w.sync()
	}},
}

// start opens a new log with some groups.
func (w *world) start(ids ...wire.GroupID) {
	w.open()
	for _, id := range ids {
		w.append(w.create(id), w.hardState(id, 2, 1))
	}
	w.sync()
}

// TestNoCrashLosesOrInventsAnything runs each workload, cuts the power at each operation, and opens
// what a crash there may leave.
func TestNoCrashLosesOrInventsAnything(t *testing.T) {
	total := 0
	for _, workload := range workloads {
		t.Run(workload.name, func(t *testing.T) {
			operations := operationsOf(t, workload.run)
			images := 0
			for k := 1; k <= operations; k++ {
				w := newWorld(crashdisk.New(crashdisk.Options{}))
				w.disk.StopAt(k)
				workload.run(w)
				if !errors.Is(w.err, crashdisk.ErrCrashed) {
					t.Fatalf("stopped at operation %d of %d: %v", k, operations, w.err)
				}
				w.options.Boot++
				c := crashes{world: w, at: fmt.Sprintf("power cut at operation %d", k), deep: *crashDeep, images: &images}
				c.checkAll(t)
			}
			total += images
			t.Logf("%d operations, %d images", operations, images)
		})
	}
	t.Logf("%d images", total)
}

// operationsOf runs a workload without any fault and returns how many operations it takes.
func operationsOf(t *testing.T, run func(*world)) int {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	run(w)
	if w.err != nil {
		t.Fatalf("without any fault: %v", w.err)
	}
	return w.disk.Operation()
}

// crashes checks what a crash may leave of a world in which the power has gone.
type crashes struct {
	world  *world
	at     string
	deep   bool
	images *int
}

func (c *crashes) checkAll(t *testing.T) {
	t.Helper()
	n := 0
	for what, image := range c.world.disk.Images() {
		if n++; n > 60 && n%11 != 0 && !c.deep {
			continue // large writes have one for each of many sectors
		}
		*c.images++
		c.check(t, c.at+", "+what, image, c.deep || *c.images%128 == 0)
	}
}

// check opens an image, and again after a crash that loses everything that it may.
func (c *crashes) check(t *testing.T, what string, image *crashdisk.Disk, again bool) {
	t.Helper()
	w := c.world
	before := image.Operation()
	durable := image.CrashNow()
	l, at, _, err := w.reopen(image)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	must(t, l.Close())
	synced := w.synced
	w.synced = at // what Open has returned is durable
	for _, next := range []*crashdisk.Disk{image, image.CrashNow()} {
		l, now, _, err := w.reopen(next)
		if err != nil || now != at {
			t.Fatalf("%s: opened step %d; then step %d: %v", what, at, now, err)
		}
		must(t, l.Close())
	}
	w.synced = synced
	if again {
		c.crashAgain(t, what, durable, image.Operation()-before)
	}
}

// crashAgain opens an image, with the power going at each operation of that.
func (c *crashes) crashAgain(t *testing.T, what string, image *crashdisk.Disk, operations int) {
	t.Helper()
	for k := 1; k <= operations; k++ {
		d := image.CrashNow()
		d.StopAt(d.Operation() + k)
		l, _, _, err := c.world.reopen(d)
		if err == nil {
			must(t, l.Close())
			continue // the rest were of another opening
		}
		if !errors.Is(err, crashdisk.ErrCrashed) {
			t.Fatalf("%s, again at operation %d: %v", what, k, err)
		}
		n := 0
		for whatElse, next := range d.Images() {
			if n++; !c.deep && (n+k)%16 != 0 {
				continue
			}
			*c.images++
			l, _, _, err := c.world.reopen(next)
			if err != nil {
				t.Fatalf("%s, again at operation %d, %s: %v", what, k, whatElse, err)
			}
			must(t, l.Close())
		}
	}
}

// TestNoCrashLosesOrInventsAnythingBySeed is the same with crashes that are drawn, which do several
// wrong things at once.
func TestNoCrashLosesOrInventsAnythingBySeed(t *testing.T) {
	const seeds = 300
	images := 0
	for seed := range uint64(seeds) {
		source := choice.FromSeed(seed)
		workload := workloads[source.Choose("workload", len(workloads))]
		operations := operationsOf(t, workload.run)
		w := newWorld(crashdisk.New(crashdisk.Options{SectorBytes: 512 << source.Choose("sector", 4), DamageNeighbours: true}))
		w.disk.StopAt(1 + source.Choose("stop", operations))
		workload.run(w)
		for range 1 + source.Choose("crashes", 4) {
			w.disk.Crash(source, crashdisk.Personality(source.Choose("personality", 3)))
			w.disk.StopAt(w.disk.Operation() + 1 + source.Choose("stop", 60))
			w.options.Boot++
			images++
			l, at, found, err := w.reopen(w.disk)
			if errors.Is(err, crashdisk.ErrCrashed) {
				continue
			}
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, workload.name, err)
			}
			w.log, w.model, w.history, w.synced, w.err = l, found, w.history[:at+1], at, nil
			if ids := slices.Sorted(maps.Keys(found.groups)); len(ids) > 0 {
				w.append(w.entries(ids[0], 1+source.Choose("entries", 4), 1000))
				w.sync()
			}
		}
	}
	t.Logf("%d images", images)
}
