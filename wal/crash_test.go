package wal

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
)

var (
	crashDeep   = flag.Bool("crash.deep", false, "check every image of a crash, and every image of a crash during recovery from it, not a sample")
	crashDepth  = flag.Int("crash.depth", 1, "how many crashes during recovery may follow one another")
	crashLedger = flag.String("crash.ledger", "", "append a line of JSON about the run to this file")
)

// TestNoCrashLosesOrInventsAnything runs each workload, cuts the power at each operation, and opens
// what a crash there may leave.
func TestNoCrashLosesOrInventsAnything(t *testing.T) {
	began, cpu := time.Now().UTC(), cpuSeconds(t)
	var total tally
	sectors := []int{512}
	if *crashDeep {
		sectors = append(sectors, 4096)
	}
	for _, workload := range workloads {
		t.Run(workload.name, func(t *testing.T) {
			for _, sectorBytes := range sectors {
				e := enumeration{deep: *crashDeep, sectorBytes: sectorBytes, verdicts: map[uint64]*verdict{}}
				e.run(t, workload.run)
				total.add(e.tally)
				t.Logf("sectors of %d bytes: %v", sectorBytes, e.tally)
			}
		})
	}
	t.Log(total)
	if whole := total.Workloads == len(sectors)*len(workloads); whole && (total.Images < 10_000 || total.InRecovery < 5000) {
		t.Error("there must be more to check")
	}
	if *crashLedger != "" {
		appendToLedger(t, ledgerLine{
			Began: began, Commit: commit(t), Deep: *crashDeep, tally: total, CPUSeconds: cpuSeconds(t) - cpu, Failed: t.Failed(),
		})
	}
}

// tally counts what was checked.
type tally struct {
	Workloads  int `json:"workloads"`
	Operations int `json:"operations"`
	// Images is how many images crashes of the workloads have left, and InRecovery how many crashes
	// during recovery from these have, and crashes during recovery from those, and so on. Opened is how many of all of them were different, and opened.
	Images     int `json:"images"`
	InRecovery int `json:"images_in_recovery"`
	Opened     int `json:"opened"`
}

func (c *tally) add(d tally) {
	c.Workloads += d.Workloads
	c.Operations += d.Operations
	c.Images += d.Images
	c.InRecovery += d.InRecovery
	c.Opened += d.Opened
}

func (c tally) String() string {
	return fmt.Sprintf("%d workloads, %d operations, %d images and %d of crashes in recovery, %d of them different",
		c.Workloads, c.Operations, c.Images, c.InRecovery, c.Opened)
}

// enumeration checks what crashes of one workload may leave.
type enumeration struct {
	deep        bool
	sectorBytes int
	tally       tally
	verdicts    map[uint64]*verdict // by what is on the disk
}

// verdict is what became of an image. It does not depend on what should be there, so that images that
// are the same, as most are, need be opened only once: whether what is there is right is then a
// question to the history of the world.
type verdict struct {
	found fingerprint
	again bool       // crashes during recovery were tried
	next  []*verdict // of what these have left
}

// run cuts the power at each operation of a workload.
func (e *enumeration) run(t *testing.T, run func(*world)) {
	t.Helper()
	operations := operationsOf(t, run)
	e.tally.Workloads++
	e.tally.Operations += operations
	for k := 1; k <= operations; k++ {
		w := newWorld(crashdisk.New(crashdisk.Options{SectorBytes: e.sectorBytes}))
		w.disk.StopAt(k)
		run(w)
		if !errors.Is(w.err, crashdisk.ErrCrashed) {
			t.Fatalf("stopped at operation %d of %d: %v", k, operations, w.err)
		}
		w.options.Boot++
		e.checkAll(t, w, fmt.Sprintf("power cut at operation %d", k))
	}
}

// checkAll checks what a crash may leave of a world in which the power has gone.
func (e *enumeration) checkAll(t *testing.T, w *world, at string) {
	t.Helper()
	n := 0
	for what, image := range w.disk.Images() {
		if n++; !e.deep && n > 60 && n%11 != 0 && strings.Contains(what, "sector") {
			continue // large writes have some for each of many sectors
		}
		e.tally.Images++
		e.check(t, w, at+", "+what, image, e.deep || e.tally.Images%16 == 0)
	}
}

// check opens an image, unless one like it was opened before, and says whether what is there may be.
func (e *enumeration) check(t *testing.T, w *world, what string, image *crashdisk.Disk, again bool) {
	t.Helper()
	v, isNew := e.verdictOn(t, image)
	if isNew {
		v.found = openTwice(t, w, what, image.Clone())
	}
	if again {
		e.crashAgain(t, w, crashed{what: what, image: image, verdict: v})
	}
	for after := range v.all() {
		if _, err := w.find(after.found); err != nil {
			t.Fatalf("%s, and maybe again during recovery: %v", what, err)
		}
	}
}

// verdictOn returns the verdict on an image, and whether it is new, and still to be found.
func (e *enumeration) verdictOn(t *testing.T, image *crashdisk.Disk) (v *verdict, isNew bool) {
	t.Helper()
	content := contentHash(t, image)
	if v := e.verdicts[content]; v != nil {
		return v, false
	}
	v = &verdict{}
	e.verdicts[content] = v
	e.tally.Opened++
	return v, true
}

// all yields a verdict and those on what crashes during recovery may leave, and so on.
func (v *verdict) all() iter.Seq[*verdict] {
	return func(yield func(*verdict) bool) {
		seen := map[*verdict]bool{v: true}
		for todo := []*verdict{v}; len(todo) > 0; {
			v := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !yield(v) {
				return
			}
			for _, next := range v.next {
				if !seen[next] {
					seen[next] = true
					todo = append(todo, next)
				}
			}
		}
	}
}

// openTwice opens an image, and again after a crash that loses everything that it may: what Open has
// returned is durable, and changes no more.
func openTwice(t *testing.T, w *world, what string, image *crashdisk.Disk) fingerprint {
	t.Helper()
	l, at, found, err := w.reopen(image)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	must(t, l.Close())
	synced := w.synced
	w.synced = at
	for _, next := range []*crashdisk.Disk{image, image.CrashNow()} {
		l, now, _, err := w.reopen(next)
		if err != nil || now != at {
			t.Fatalf("%s: opened step %d; then step %d: %v", what, at, now, err)
		}
		must(t, l.Close())
	}
	w.synced = synced
	return found.fingerprint()
}

// crashed is an image, how it came about, and the verdict on it.
type crashed struct {
	what    string
	image   *crashdisk.Disk
	verdict *verdict
	depth   int // how many crashes during recovery have led here
}

// crashAgain opens an image with the power going at each operation of that, and opens what may be left
// then; and with what is left the same, if more than one such crash may follow another.
func (e *enumeration) crashAgain(t *testing.T, w *world, first crashed) {
	t.Helper()
	for todo := []crashed{first}; len(todo) > 0; {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if c.verdict.again || c.depth == *crashDepth {
			continue
		}
		c.verdict.again = true
		for next := range e.crashesOf(t, w, c) {
			v, isNew := e.verdictOn(t, next.image)
			if isNew {
				l, _, found, err := w.reopen(next.image.Clone())
				if err != nil {
					t.Fatalf("%s: %v", next.what, err)
				}
				must(t, l.Close())
				v.found = found.fingerprint()
			}
			if !slices.Contains(c.verdict.next, v) {
				c.verdict.next = append(c.verdict.next, v)
			}
			next.verdict, next.depth = v, c.depth+1
			todo = append(todo, next)
		}
	}
}

// crashesOf yields what is left if the power goes at an operation of recovery.
func (e *enumeration) crashesOf(t *testing.T, w *world, c crashed) iter.Seq[crashed] {
	t.Helper()
	whole := c.image.Clone()
	l, _, _, err := w.reopen(whole)
	if err != nil {
		t.Fatalf("%s: %v", c.what, err)
	}
	must(t, l.Close())
	return func(yield func(crashed) bool) {
		for _, op := range whole.Operations() {
			if !op.Kind.Changes() {
				continue
			}
			d := c.image.Clone()
			d.StopAt(op.Number)
			if l, _, _, err := w.reopen(d); err == nil {
				must(t, l.Close())
				continue // it was of the reading that followed
			} else if !errors.Is(err, crashdisk.ErrCrashed) {
				t.Fatalf("%s, again at %v: %v", c.what, op, err)
			}
			n := 0
			for whatElse, next := range d.Images() {
				if n++; !e.deep && (n+op.Number)%4 != 0 {
					continue
				}
				e.tally.InRecovery++
				if !yield(crashed{what: fmt.Sprintf("%s, again at %v, %s", c.what, op, whatElse), image: next}) {
					return
				}
			}
		}
	}
}

var contentSeed = maphash.MakeSeed()

// contentHash returns a hash of all that is on a disk with nothing pending: names, lengths and bytes.
func contentHash(t *testing.T, image *crashdisk.Disk) uint64 {
	t.Helper()
	var h maphash.Hash
	h.SetSeed(contentSeed)
	disk := image.Durable()
	names, err := disk.List(testDir)
	if err != nil {
		return 0 // there is no directory yet
	}
	var b [32 << 10]byte
	for _, base := range names {
		name := testDir + "/" + base
		size, err := disk.Size(name)
		must(t, err)
		fmt.Fprintf(&h, "%s %d\n", base, size)
		for at := int64(0); at < size; at += int64(len(b)) {
			n := min(int64(len(b)), size-at)
			if _, err := disk.ReadAt(name, b[:n], at); err != nil {
				t.Fatal(err)
			}
			h.Write(b[:n])
		}
	}
	return h.Sum64()
}

// ledgerLine is what is kept of a run, so that runs add up.
type ledgerLine struct {
	Began  time.Time `json:"began"`
	Commit string    `json:"commit"`
	Deep   bool      `json:"deep"`
	tally
	CPUSeconds float64 `json:"cpu_seconds"`
	Failed     bool    `json:"failed"`
}

func appendToLedger(t *testing.T, line ledgerLine) {
	t.Helper()
	b, err := json.Marshal(line)
	must(t, err)
	f, err := os.OpenFile(*crashLedger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(t, err)
	_, err = f.Write(append(b, '\n'))
	must(t, errors.Join(err, f.Close()))
}

// commit names the sources.
func commit(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// cpuSeconds returns how much this process has used.
func cpuSeconds(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
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
