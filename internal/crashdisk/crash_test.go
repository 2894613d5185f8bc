package crashdisk_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
)

// quiet passes choices on, but lets garbage always be the same noise: one kind of it is enough.
type quiet struct{ choice.Source }

func (q quiet) Choose(label string, n int) int {
	if label == "crash.noise" {
		return 0
	}
	return q.Source.Choose(label, n)
}

// clean passes choices on, and lets no sector become garbage, which is the last of their fates.
type clean struct{ choice.Source }

func (c clean) Choose(label string, n int) int {
	if label == "crash.sector" {
		n--
	}
	return c.Source.Choose(label, n)
}

// outcomes returns all that crashes of a disk may leave but for garbage, as shown, sorted.
func outcomes(d *crashdisk.Disk, personality crashdisk.Personality, show func(*crashdisk.Disk) string) []string {
	seen := make(map[string]bool)
	choice.Enumerate(func(s choice.Source) {
		crashed := d.Clone()
		crashed.Crash(clean{s}, personality)
		seen[show(crashed)] = true
	})
	return slices.Sorted(maps.Keys(seen))
}

// wantOutcomes checks all that crashes may leave; want is separated by spaces, in any order.
func wantOutcomes(t *testing.T, d *crashdisk.Disk, personality crashdisk.Personality, want string, show func(*crashdisk.Disk) string) {
	t.Helper()
	wanted := strings.Fields(want)
	slices.Sort(wanted)
	if got := outcomes(d, personality, show); !slices.Equal(got, wanted) {
		t.Errorf("%v: got %d outcomes:\n%s\nwant %d:\n%s", personality, len(got), strings.Join(got, " "), len(wanted), strings.Join(wanted, " "))
	}
	if personality == crashdisk.Strict {
		if got := show(d.CrashNow()); got != want {
			t.Errorf("CrashNow: got %s, want %s", got, want)
		}
	}
}

// file returns a function that shows a file, its zeros as dots, and an empty one as "empty".
func file(t *testing.T, name string) func(*crashdisk.Disk) string {
	return func(d *crashdisk.Disk) string {
		t.Helper()
		text := strings.ReplaceAll(read(t, d, name), "\x00", ".")
		if text == "" {
			return "empty"
		}
		return text
	}
}

// names returns a function that shows which names are in a directory.
func names(t *testing.T, dir string) func(*crashdisk.Disk) string {
	return func(d *crashdisk.Disk) string {
		t.Helper()
		list, err := d.List(dir)
		if err != nil {
			return "absent"
		}
		return "[" + strings.Join(list, ",") + "]"
	}
}

// tiny is a disk whose sectors have two bytes, so that all outcomes can be told by hand.
func tiny() *crashdisk.Disk { return crashdisk.New(crashdisk.Options{SectorBytes: 2}) }

var arbitrary = []crashdisk.Personality{crashdisk.Ordered, crashdisk.Weak}

func TestSyncedWriteSurvivesEveryCrash(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcdef")
	write(t, f, 2, "XYZ")
	must(t, f.Sync())
	for _, p := range append(arbitrary, crashdisk.Strict) {
		wantOutcomes(t, d, p, "abXYZf", file(t, "f"))
	}
}

func TestPendingSectorBecomesOldNewTornOrZeros(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		f := createDurable(t, d, "f", "abcdef")
		write(t, f, 2, "CD")
		wantOutcomes(t, d, p, "abcdef abCDef abCdef ab..ef", file(t, "f"))
	}
}

func TestEachSectorOfAWriteHasItsOwnFate(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		f := createDurable(t, d, "f", "abcd")
		write(t, f, 0, "ABCD")
		var want []string
		for _, first := range []string{"ab", "AB", "Ab", ".."} {
			for _, second := range []string{"cd", "CD", "Cd", ".."} {
				want = append(want, first+second)
			}
		}
		wantOutcomes(t, d, p, strings.Join(want, " "), file(t, "f"))
	}
}

func TestBytesOfASectorThatTheWriteDoesNotMeanAreSafe(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		f := createDurable(t, d, "f", "abcdef")
		write(t, f, 1, "BCD")
		var want []string
		for _, first := range []string{"ab", "aB", "a."} {
			for _, second := range []string{"cd", "CD", "Cd", ".."} {
				want = append(want, first+second+"ef")
			}
		}
		wantOutcomes(t, d, p, strings.Join(want, " "), file(t, "f"))
	}
}

func TestWithoutPowersafeOverwriteTheWholeSectorMayBeDamaged(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{SectorBytes: 4, DamageNeighbours: true})
	f := createDurable(t, d, "f", "abcdefghij")
	write(t, f, 5, "FG")
	wantOutcomes(t, d, crashdisk.Weak, "abcdefghij abcdeFGhij abcdeFghij abcd....ij", file(t, "f"))
}

func TestTwoWritesOfASectorMayArriveInAnyOrderOrNot(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	write(t, f, 0, "12")
	write(t, f, 0, "XY")
	// "Xb" and "X2": the second is torn over the old, or over the first, which may be torn itself.
	wantOutcomes(t, d, crashdisk.Weak, "ab 12 1b .. XY Xb X2 X.", file(t, "f"))
}

func TestAppendMayLoseItsLengthItsDataOrBoth(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		f := createDurable(t, d, "f", "ab")
		write(t, f, 2, "cd")
		wantOutcomes(t, d, p, "ab abcd abc. ab..", file(t, "f"))
	}
}

func TestTruncationHappensOrNot(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		f := createDurable(t, d, "f", "abcdef")
		must(t, f.Truncate(3))
		wantOutcomes(t, d, p, "abcdef abc", file(t, "f"))
		must(t, f.Sync())
		wantOutcomes(t, d, p, "abc", file(t, "f"))
		must(t, f.Truncate(5))
		wantOutcomes(t, d, p, "abc abc..", file(t, "f"))
	}
}

func TestTruncationsOfOneFileKeepTheirOrder(t *testing.T) {
	// Down and up again: what was cut off must not come back once the cut is kept.
	d := tiny()
	f := createDurable(t, d, "f", "abcdef")
	must(t, f.Truncate(2))
	must(t, f.Truncate(4))
	wantOutcomes(t, d, crashdisk.Ordered, "abcdef ab ab..", file(t, "f"))
	wantOutcomes(t, d, crashdisk.Weak, "abcdef ab ab.. abcd", file(t, "f"))
}

func TestWriteAfterATruncationIsNotCutByIt(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	must(t, f.Truncate(0))
	write(t, f, 0, "XY")
	must(t, f.Sync())
	wantOutcomes(t, d, crashdisk.Weak, "XY", file(t, "f"))
	must(t, f.Truncate(0))
	write(t, f, 0, "12")
	wantOutcomes(t, d, crashdisk.Ordered, "XY 12 1Y .. empty 1.", file(t, "f"))
}

func TestNewFileNeedsItsOwnSyncAndThatOfItsDirectory(t *testing.T) {
	for _, p := range arbitrary {
		for _, c := range []struct {
			name          string
			sync, syncDir bool
			want          string
		}{
			{"neither", false, false, "absent empty ab a. .."},
			{"sync only", true, false, "absent ab"},
			{"directory only", false, true, "empty ab a. .."},
			{"both", true, true, "ab"},
		} {
			d := tiny()
			f := create(t, d, "f", "ab")
			if c.sync {
				must(t, f.Sync())
			}
			if c.syncDir {
				must(t, d.SyncDir("."))
			}
			t.Run(fmt.Sprintf("%v %s", p, c.name), func(t *testing.T) {
				wantOutcomes(t, d, p, c.want, file(t, "f"))
			})
		}
	}
}

func TestRenameIsOldOrNewAndNeverNeither(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		createDurable(t, d, "f", "old")
		tmp := create(t, d, "tmp", "new")
		must(t, tmp.Sync())
		must(t, d.Rename("tmp", "f"))
		both := func(d *crashdisk.Disk) string { return read(t, d, "f") + "/" + read(t, d, "tmp") }
		wantOutcomes(t, d, p, "old/absent old/new new/absent", both)
		must(t, d.SyncDir("/"))
		wantOutcomes(t, d, p, "new/absent", both)
	}
}

func TestRenameOfAnUnsyncedFileMayLeaveItEmpty(t *testing.T) {
	d := tiny()
	createDurable(t, d, "f", "ol")
	create(t, d, "tmp", "nw")
	must(t, d.Rename("tmp", "f"))
	must(t, d.SyncDir("."))
	wantOutcomes(t, d, crashdisk.Weak, "empty nw n. ..", file(t, "f"))
}

func TestChainOfRenamesLosesNothing(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		createDurable(t, d, "a", "x")
		must(t, d.Rename("a", "b"))
		must(t, d.Rename("b", "c"))
		wantOutcomes(t, d, p, "[a] [b] [c]", names(t, "."))
	}
}

func TestRemovedNameMayComeBackUntilSyncDir(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		createDurable(t, d, "f", "ab")
		must(t, d.Remove("f"))
		wantOutcomes(t, d, p, "ab absent", file(t, "f"))
		must(t, d.SyncDir("."))
		wantOutcomes(t, d, p, "absent", file(t, "f"))
	}
}

func TestOrderedKeepsNamesUpToAMomentAndWeakAnyOfThem(t *testing.T) {
	d := tiny()
	for _, name := range []string{"a", "b", "c"} {
		create(t, d, name, "")
	}
	wantOutcomes(t, d, crashdisk.Ordered, "[] [a] [a,b] [a,b,c]", names(t, "."))
	wantOutcomes(t, d, crashdisk.Weak, "[] [a] [b] [c] [a,b] [a,c] [b,c] [a,b,c]", names(t, "."))
}

func TestOrderedKeepsNamesAndLengthsInOneOrder(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "")
	create(t, d, "a", "")
	must(t, f.Truncate(2))
	create(t, d, "b", "")
	both := func(d *crashdisk.Disk) string { return names(t, ".")(d) + file(t, "f")(d) }
	wantOutcomes(t, d, crashdisk.Ordered, "[f]empty [a,f]empty [a,f].. [a,b,f]..", both)
	wantOutcomes(t, d, crashdisk.Weak, "[f]empty [a,f]empty [b,f]empty [a,b,f]empty [f].. [a,f].. [b,f].. [a,b,f]..", both)
}

func TestStrictLosesAllThatIsPending(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	write(t, f, 0, "AB")
	create(t, d, "g", "")
	must(t, d.Rename("f", "h"))
	both := func(d *crashdisk.Disk) string { return names(t, ".")(d) + file(t, "f")(d) }
	wantOutcomes(t, d, crashdisk.Strict, "[f]ab", both)
}

func TestSyncDirMakesOnlyItsOwnNamesDurable(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("d"))
	must(t, d.SyncDir("."))
	create(t, d, "a", "")
	create(t, d, "d/b", "")
	must(t, d.SyncDir("d"))
	both := func(d *crashdisk.Disk) string { return names(t, ".")(d) + names(t, "d")(d) }
	wantOutcomes(t, d, crashdisk.Weak, "[d][b] [a,d][b]", both)
}

func TestDirectoryNeedsItsParentsSynced(t *testing.T) {
	for _, p := range arbitrary {
		d := tiny()
		must(t, d.MkdirAll("a/b"))
		f := create(t, d, "a/b/f", "x")
		must(t, f.Sync())
		must(t, d.SyncDir("a/b"))
		wantOutcomes(t, d, p, "absent x", file(t, "a/b/f"))
		must(t, d.SyncDir("a"))
		wantOutcomes(t, d, p, "absent x", file(t, "a/b/f"))
		wantOutcomes(t, d, crashdisk.Strict, "absent", names(t, "a"))
		must(t, d.SyncDir("."))
		wantOutcomes(t, d, p, "x", file(t, "a/b/f"))
	}
}

func TestRenameBetweenDirectoriesTakesWhatItBuildsOnAlong(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("a"))
	must(t, d.MkdirAll("b"))
	must(t, d.SyncDir("."))
	create(t, d, "a/other", "")
	f := create(t, d, "a/f", "x")
	must(t, f.Sync())
	must(t, d.Rename("a/f", "b/f"))
	must(t, d.SyncDir("b"))
	both := func(d *crashdisk.Disk) string { return names(t, "a")(d) + names(t, "b")(d) }
	wantOutcomes(t, d, crashdisk.Weak, "[][f] [other][f]", both)
}

func TestDirectoryIsRenamedWithWhatIsInIt(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("tmp"))
	must(t, d.SyncDir("."))
	f := create(t, d, "tmp/f", "x")
	must(t, f.Sync())
	must(t, d.SyncDir("tmp"))
	must(t, d.Rename("tmp", "done"))
	both := func(d *crashdisk.Disk) string { return file(t, "tmp/f")(d) + "/" + file(t, "done/f")(d) }
	wantOutcomes(t, d, crashdisk.Weak, "x/absent absent/x", both)
}

func TestSameSeedGivesSameImageAndOthersDiffer(t *testing.T) {
	image := func(seed uint64, p crashdisk.Personality) string {
		d := crashdisk.New(crashdisk.Options{})
		f := createDurable(t, d, "f", strings.Repeat("old ", 4000))
		write(t, f, 700, strings.Repeat("new ", 3000))
		create(t, d, "g", "text")
		must(t, f.Truncate(12000))
		d.Crash(choice.FromSeed(seed), p)
		return tree(t, d, ".")
	}
	for _, p := range arbitrary {
		seen := make(map[string]bool)
		for seed := range uint64(20) {
			first, second := image(seed, p), image(seed, p)
			if first != second {
				t.Fatalf("%v: seed %d gave two images", p, seed)
			}
			seen[first] = true
		}
		if len(seen) < 10 {
			t.Errorf("%v: 20 seeds gave only %d images", p, len(seen))
		}
	}
}

// zero is a source that always chooses the plainest.
type zero struct{}

func (zero) Choose(string, int) int { return 0 }

func TestPlainestCrashLosesAllThatIsPending(t *testing.T) {
	for _, p := range arbitrary {
		for seed := range uint64(30) {
			d := randomly(seed, 512, 60)
			want := tree(t, d.CrashNow(), ".")
			d.Crash(zero{}, p)
			if got := tree(t, d, "."); got != want {
				t.Errorf("%v: seed %d: got\n%.500s\nwant\n%.500s", p, seed, got, want)
			}
		}
	}
}

func TestGarbageIsNoiseOrWhatARemovedFileHadThere(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{SectorBytes: 8})
	createDurable(t, d, "gone", "12345678stalestale")
	must(t, d.Remove("gone"))
	must(t, d.SyncDir("."))
	f := createDurable(t, d, "f", "abcdefgh")
	write(t, f, 8, "ABCDEFGH")
	stale, noise := false, false
	known := []string{"abcdefgh", "abcdefghABCDEFGH", "abcdefgh\x00\x00\x00\x00\x00\x00\x00\x00"}
	choice.Enumerate(func(s choice.Source) {
		c := d.Clone()
		c.Crash(quiet{s}, crashdisk.Weak)
		switch got := read(t, c, "f"); {
		case got == "abcdefghstalesta":
			stale = true
		case !strings.HasPrefix(got, "abcdefgh"):
			t.Fatalf("a durable sector changed: %q", got)
		case !slices.Contains(known, got) && strings.Trim(got[8:], "ABCDEFGH\x00") != "":
			noise = true
		}
	})
	if !stale || !noise {
		t.Errorf("stale content seen: %v, noise seen: %v", stale, noise)
	}
}

func TestWhatWasReplacedOrCutOffShowsThroughToo(t *testing.T) {
	for name, discard := range map[string]func(d *crashdisk.Disk){
		"replaced": func(d *crashdisk.Disk) {
			create(t, d, "other", "")
			must(t, d.Rename("other", "gone"))
		},
		"cut off": func(d *crashdisk.Disk) {
			f, err := d.Open("gone")
			must(t, err)
			must(t, f.Truncate(0))
		},
		"removed before a crash": func(d *crashdisk.Disk) {
			must(t, d.Remove("gone"))
			d.Crash(nil, crashdisk.Strict)
		},
	} {
		d := tiny()
		createDurable(t, d, "gone", "stale!")
		discard(d)
		f := createDurable(t, d, "f", "abcd")
		write(t, f, 4, "EF")
		found := false
		choice.Enumerate(func(s choice.Source) {
			c := d.Clone()
			c.Crash(quiet{s}, crashdisk.Weak)
			found = found || read(t, c, "f") == "abcde!"
		})
		if !found {
			t.Errorf("%s: no crash shows it", name)
		}
	}
}

func TestNoiseFillsItsSectorAndDiffersBySeed(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(300) {
		d := crashdisk.New(crashdisk.Options{})
		f := createDurable(t, d, "f", strings.Repeat("a", 512))
		write(t, f, 0, strings.Repeat("b", 512))
		d.Crash(choice.FromSeed(seed), crashdisk.Weak)
		got := read(t, d, "f")
		if strings.Trim(got, "ab\x00") == "" {
			continue
		}
		seen[got] = true
		distinct := make(map[byte]bool)
		for i := range 512 {
			distinct[got[i]] = true
		}
		if len(distinct) < 100 {
			t.Errorf("seed %d: noise of %d distinct bytes", seed, len(distinct))
		}
	}
	if len(seen) < 10 {
		t.Errorf("got %d different noises in 300 seeds", len(seen))
	}
}

// wantDead checks that all that can be done to a file and a lock is refused with ErrCrashed.
func wantDead(t *testing.T, f vfs.File, lock io.Closer) {
	t.Helper()
	_, readErr := f.ReadAt(make([]byte, 1), 0)
	_, writeErr := f.WriteAt(make([]byte, 1), 0)
	_, sizeErr := f.Size()
	for i, err := range []error{readErr, writeErr, sizeErr, f.Truncate(0), f.Sync(), f.Close(), lock.Close()} {
		if !errors.Is(err, crashdisk.ErrCrashed) {
			t.Errorf("operation %d: got %v, want %v", i, err, crashdisk.ErrCrashed)
		}
	}
}

func TestFilesAndLocksDieWithACrash(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	lock, err := d.Lock("LOCK")
	must(t, err)
	d.Crash(nil, crashdisk.Strict)
	wantDead(t, f, lock)
	if got := read(t, d, "f"); got != "ab" {
		t.Errorf("got %q, want what was durable", got)
	}
	again, err := d.Lock("LOCK")
	must(t, err)
	if err := lock.Close(); !errors.Is(err, crashdisk.ErrCrashed) {
		t.Errorf("the dead lock: got %v", err)
	}
	if _, err := d.Lock("LOCK"); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("the dead lock released the new one: got %v", err)
	}
	must(t, again.Close())
}

func TestKillLosesNothingAndMakesNothingDurable(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	lock, err := d.Lock("LOCK")
	must(t, err)
	write(t, f, 0, "AB")
	d.Kill()
	wantDead(t, f, lock)
	if got := read(t, d, "f"); got != "AB" {
		t.Errorf("after the kill: got %q", got)
	}
	if _, err := d.Lock("LOCK"); err != nil {
		t.Errorf("the lock outlived its process: %v", err)
	}
	d.Crash(nil, crashdisk.Strict)
	if got := read(t, d, "f"); got != "ab" {
		t.Errorf("after the crash: got %q", got)
	}
}

func TestUnknownPersonalityPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	tiny().Crash(nil, 9)
}
