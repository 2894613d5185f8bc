package crashdisk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
)

// errTest is an error that nothing but a test makes.
var errTest = errors.New("planned by the test")

// stopNext cuts the power at the next operation.
func stopNext(d *crashdisk.Disk) { d.StopAt(d.Operation() + 1) }

// failNext makes the next operation fail.
func failNext(d *crashdisk.Disk, err error) { d.FailAt(d.Operation()+1, err) }

// programSteps returns a program that does one operation after the other, of each kind.
func programSteps(d vfs.FS) []func() error {
	var f vfs.File
	return []func() error{
		func() error { return d.MkdirAll("d") },
		func() (err error) { f, err = d.Create("d/f"); return err },
		func() error { _, err := f.WriteAt([]byte("abcd"), 0); return err },
		func() error { return f.Sync() },
		func() error { return d.SyncDir("d") },
		func() error { return d.SyncDir(".") },
		func() error { _, err := f.ReadAt(make([]byte, 4), 0); return err },
		func() error { _, err := f.Size(); return err },
		func() error { return f.Truncate(2) },
		func() error { return d.Rename("d/f", "d/g") },
		func() (err error) { f, err = d.Open("d/g"); return err },
		func() error { _, err := d.List("d"); return err },
		func() error { return d.Remove("d/g") },
		func() error { _, err := d.Lock("LOCK"); return err },
	}
}

// program runs programSteps, and returns how many were done and the error that ended it.
func program(d vfs.FS) (done int, err error) {
	for i, step := range programSteps(d) {
		if err := step(); err != nil {
			return i, err
		}
	}
	return len(programKinds), nil
}

var programKinds = []crashdisk.Kind{
	crashdisk.Mkdir, crashdisk.Create, crashdisk.Write, crashdisk.Sync, crashdisk.SyncDir, crashdisk.SyncDir, crashdisk.Read,
	crashdisk.Size, crashdisk.Truncate, crashdisk.Rename, crashdisk.Open, crashdisk.List, crashdisk.Remove, crashdisk.Lock,
}

func TestEveryOperationIsCountedAndListed(t *testing.T) {
	d := tiny()
	done, err := program(d)
	must(t, err)
	operations := d.Operations()
	if d.Operation() != done || len(operations) != done || done != len(programKinds) {
		t.Fatalf("got %d operations counted and %d listed, want %d", d.Operation(), len(operations), done)
	}
	for i, op := range operations {
		if op.Number != i+1 || op.Kind != programKinds[i] || op.Err != nil {
			t.Errorf("operation %d is %v", i+1, op)
		}
	}
	want := []string{
		"1 mkdir d", "2 create d/f", "3 write d/f 0+4", "4 sync d/f", "5 syncdir d", "6 syncdir .", "7 read d/f 0+4", "8 size d/f",
		"9 truncate d/f 2", "10 rename d/f d/g", "11 open d/g", "12 list d", "13 remove d/g", "14 lock LOCK",
	}
	if got := fmt.Sprint(operations); got != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOperationsKeepsTheLatest(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{KeepOperations: 3})
	for i := range 20 {
		must(t, d.MkdirAll(fmt.Sprint(i)))
		got := d.Operations()
		if want := min(3, i+1); len(got) != want || got[want-1].Number != i+1 || got[0].Number != i+2-want {
			t.Fatalf("after %d operations: got %v", i+1, got)
		}
	}
}

func TestOperationSaysWhatItCameTo(t *testing.T) {
	d := tiny()
	_, _ = d.Open("x")
	failNext(d, errTest)
	_ = d.MkdirAll("y")
	want := "[1 open x: file does not exist 2 mkdir y: planned by the test]"
	if got := fmt.Sprint(d.Operations()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrorsSayWhatWasDoneToWhat(t *testing.T) {
	d := tiny()
	f := create(t, d, "f", "")
	_, openErr := d.Open("x")
	failNext(d, syscall.EIO)
	syncErr := f.Sync()
	renameErr := d.Rename("x", "y")
	var path *fs.PathError
	if !errors.As(openErr, &path) || path.Op != "open" || path.Path != "x" {
		t.Errorf("got %v", openErr)
	}
	if !errors.As(syncErr, &path) || path.Op != "sync" || path.Path != "f" || path.Err != syscall.EIO {
		t.Errorf("got %v", syncErr)
	}
	var link *os.LinkError
	if !errors.As(renameErr, &link) || link.Old != "x" || link.New != "y" {
		t.Errorf("got %v", renameErr)
	}
}

func TestOnlyChangesAreMomentsForACrash(t *testing.T) {
	images := func(d *crashdisk.Disk) string {
		return fmt.Sprint(list(t, d, func(d *crashdisk.Disk) string { return tree(t, d, ".") }))
	}
	for i, k := range programKinds {
		before, cut := tiny(), tiny()
		for _, step := range programSteps(before)[:i] {
			must(t, step())
		}
		cut.StopAt(i + 1)
		_, _ = program(cut)
		// A sync at which the power goes changes nothing either, but it is a moment of interest: what
		// it would have made durable must not have been acknowledged.
		want := k.Changes() && k != crashdisk.Sync && k != crashdisk.SyncDir
		if changed := images(before) != images(cut); changed != want {
			t.Errorf("%v: what may be left changed: %v, want %v", k, changed, want)
		}
	}
}

func TestAfterThePowerCutEverythingFails(t *testing.T) {
	for n := 1; n <= len(programKinds); n++ {
		d := tiny()
		d.StopAt(n)
		done, err := program(d)
		if done != n-1 || !errors.Is(err, crashdisk.ErrCrashed) || !d.Stopped() {
			t.Fatalf("cut at %d: %d operations done, %v", n, done, err)
		}
		if done, err := program(d); done != 0 || !errors.Is(err, crashdisk.ErrCrashed) {
			t.Errorf("cut at %d: later %d operations done, %v", n, done, err)
		}
		if got := d.Operation(); got != n {
			t.Errorf("cut at %d: %d operations counted", n, got)
		}
		d.Crash(nil, crashdisk.Strict)
		if _, err := d.List("."); err != nil || d.Stopped() {
			t.Errorf("cut at %d: after the crash: %v", n, err)
		}
	}
}

func TestOpenFilesFailAfterThePowerCut(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	d.StopAt(d.Operation())
	if n, err := f.WriteAt([]byte("AB"), 0); n != 0 || !errors.Is(err, crashdisk.ErrCrashed) {
		t.Errorf("write: got %d, %v", n, err)
	}
	if err := f.Sync(); !errors.Is(err, crashdisk.ErrCrashed) {
		t.Errorf("sync: got %v", err)
	}
	wantOutcomes(t, d, crashdisk.Weak, "ab", file(t, "f"))
}

func TestOperationAtThePowerCutMayHaveHappened(t *testing.T) {
	show := func(d *crashdisk.Disk) string { return names(t, ".")(d) + file(t, "f")(d) }
	for name, c := range map[string]struct {
		do   func(d *crashdisk.Disk, f vfs.File) error
		want string
	}{
		"write":    {func(_ *crashdisk.Disk, f vfs.File) error { _, err := f.WriteAt([]byte("A"), 0); return err }, "[f]ab [f]Ab [f].b"},
		"truncate": {func(_ *crashdisk.Disk, f vfs.File) error { return f.Truncate(1) }, "[f]ab [f]a"},
		"create":   {func(d *crashdisk.Disk, _ vfs.File) error { _, err := d.Create("g"); return err }, "[f]ab [f,g]ab"},
		"rename":   {func(d *crashdisk.Disk, _ vfs.File) error { return d.Rename("f", "g") }, "[f]ab [g]absent"},
		"remove":   {func(d *crashdisk.Disk, _ vfs.File) error { return d.Remove("f") }, "[f]ab []absent"},
		"mkdir":    {func(d *crashdisk.Disk, _ vfs.File) error { return d.MkdirAll("g") }, "[f]ab [f,g]ab"},
		"lock":     {func(d *crashdisk.Disk, _ vfs.File) error { _, err := d.Lock("g"); return err }, "[f]ab [f,g]ab"},
	} {
		t.Run(name, func(t *testing.T) {
			d := tiny()
			f := createDurable(t, d, "f", "ab")
			stopNext(d)
			if err := c.do(d, f); !errors.Is(err, crashdisk.ErrCrashed) {
				t.Fatalf("got %v", err)
			}
			wantOutcomes(t, d, crashdisk.Weak, c.want, show)
			wantOutcomes(t, d, crashdisk.Strict, "[f]ab", show)
		})
	}
}

func TestWriteAtThePowerCutClaimsNothing(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	stopNext(d)
	if n, err := f.WriteAt([]byte("AB"), 0); n != 0 || !errors.Is(err, crashdisk.ErrCrashed) {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestSyncAtThePowerCutPromisesNothing(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	write(t, f, 0, "A")
	create(t, d, "g", "")
	stopNext(d)
	if err := f.Sync(); !errors.Is(err, crashdisk.ErrCrashed) {
		t.Fatalf("got %v", err)
	}
	show := func(d *crashdisk.Disk) string { return names(t, ".")(d) + file(t, "f")(d) }
	want := "[f]ab [f]Ab [f].b [f,g]ab [f,g]Ab [f,g].b"
	wantOutcomes(t, d, crashdisk.Weak, want, show)
	d.StopAt(0)
	stopNext(d)
	if err := d.SyncDir("."); !errors.Is(err, crashdisk.ErrCrashed) {
		t.Fatalf("got %v", err)
	}
	wantOutcomes(t, d, crashdisk.Weak, want, show)
}

func TestStopAtMayBeTakenBack(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("a"))
	d.StopAt(1)
	if !d.Stopped() {
		t.Error("operation 1 is past, and the power is on")
	}
	d.StopAt(0)
	must(t, d.MkdirAll("b"))
}

func TestCrashCallsPlannedFaultsOff(t *testing.T) {
	d := tiny()
	d.StopAt(2)
	d.FailAt(1, errTest)
	d.Crash(nil, crashdisk.Strict)
	must(t, d.MkdirAll("a"))
	must(t, d.MkdirAll("b"))
}

func TestExactlyThePlannedOperationFails(t *testing.T) {
	for n := 1; n <= len(programKinds); n++ {
		d := tiny()
		d.FailAt(n, errTest)
		done, err := program(d)
		if done != n-1 || !errors.Is(err, errTest) {
			t.Errorf("planned for %d: %d operations done, %v", n, done, err)
		}
		if _, err := d.List("."); err != nil {
			t.Errorf("planned for %d: the next one failed as well: %v", n, err)
		}
	}
}

func TestFailAtMayBeTakenBackAndPlannedTwice(t *testing.T) {
	d := tiny()
	d.FailAt(1, errTest)
	d.FailAt(2, errTest)
	d.FailAt(3, errTest)
	d.FailAt(2, nil)
	var got []string
	for _, dir := range []string{"a", "b", "c", "d"} {
		got = append(got, fmt.Sprint(errors.Is(d.MkdirAll(dir), errTest)))
	}
	if want := "true false true false"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestFailedOperationLeavesNothingBehind(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	for name, do := range map[string]func() error{
		"write":    func() error { _, err := f.WriteAt([]byte("xyz"), 0); return err },
		"truncate": func() error { return f.Truncate(0) },
		"create":   func() error { _, err := d.Create("g"); return err },
		"remove":   func() error { return d.Remove("f") },
		"rename":   func() error { return d.Rename("f", "g") },
		"mkdir":    func() error { return d.MkdirAll("g/h") },
		"lock":     func() error { _, err := d.Lock("g"); return err },
	} {
		failNext(d, syscall.ENOSPC)
		if err := do(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: got %v", name, err)
		}
		if got := tree(t, d, "."); got != `f="ab" ` || d.Pending() != 0 {
			t.Errorf("%s: left %s, and %d pending", name, got, d.Pending())
		}
	}
}

func TestShortWriteWritesHalf(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcdef")
	failNext(d, io.ErrShortWrite)
	n, err := f.WriteAt([]byte("ABCDE"), 1)
	if n != 2 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %d, %v", n, err)
	}
	if got := read(t, d, "f"); got != "aABdef" {
		t.Errorf("got %q", got)
	}
}

func TestFailedSyncLeavesContentUnknownForEver(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "AB")
	failNext(d, syscall.EIO)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	if got := read(t, d, "f"); got != "ABcd" {
		t.Errorf("reads see %q: the page is still in memory", got)
	}
	must(t, f.Sync()) // the kernel calls the page clean
	wantOutcomes(t, d, crashdisk.Strict, "abcd", file(t, "f"))
	wantOutcomes(t, d, crashdisk.Weak, "abcd ABcd Abcd ..cd", file(t, "f"))
	if d.Pending() != 1 {
		t.Errorf("got %d pending, want the lost write", d.Pending())
	}
}

func TestWriteAfterAFailedSyncIsDurableWithTheNext(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "AB")
	failNext(d, syscall.EIO)
	_ = f.Sync()
	write(t, f, 1, "XY")
	write(t, f, 4, "ef")
	must(t, f.Sync())
	wantOutcomes(t, d, crashdisk.Strict, "aXYdef", file(t, "f"))
	// The lost write cannot come over what was synced after it.
	wantOutcomes(t, d, crashdisk.Weak, "aXYdef AXYdef .XYdef", file(t, "f"))
	must(t, f.Truncate(2))
	must(t, f.Sync())
	wantOutcomes(t, d, crashdisk.Strict, "aX", file(t, "f"))
	wantOutcomes(t, d, crashdisk.Ordered, "aX AX .X", file(t, "f"))
}

func TestCrashAfterAFailedSyncDecidesForGood(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "AB")
	failNext(d, syscall.EIO)
	_ = f.Sync()
	d.Crash(nil, crashdisk.Strict)
	if d.Pending() != 0 {
		t.Errorf("got %d pending", d.Pending())
	}
	wantOutcomes(t, d, crashdisk.Weak, "abcd", file(t, "f"))
}

func TestFailedSyncDirLeavesNamesUnknownForEver(t *testing.T) {
	d := tiny()
	create(t, d, "a", "")
	create(t, d, "b", "")
	failNext(d, syscall.EIO)
	if err := d.SyncDir("."); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	create(t, d, "c", "")
	must(t, d.Rename("b", "d"))
	must(t, d.SyncDir("."))
	wantOutcomes(t, d, crashdisk.Strict, "[c]", names(t, "."))
	// The rename builds on a name that nobody can make durable any more.
	wantOutcomes(t, d, crashdisk.Weak, "[c] [a,c] [b,c] [c,d] [a,b,c] [a,c,d]", names(t, "."))
}

func TestWriteBeyondTheCapacityWritesWhatFits(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{CapacityBytes: 10})
	f := create(t, d, "f", "abcdef")
	g := create(t, d, "g", "12")
	n, err := f.WriteAt([]byte("EFGHIJ"), 4)
	if n != 4 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %d, %v; want 4 bytes and ENOSPC", n, err)
	}
	if got := read(t, d, "f"); got != "abcdEFGH" {
		t.Errorf("got %q", got)
	}
	write(t, f, 0, "ABCD") // overwriting takes no room
	if n, err := g.WriteAt([]byte("x"), 5); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("beyond the end: got %d, %v", n, err)
	}
	if err := g.Truncate(3); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("truncate: got %v", err)
	}
}

func TestRoomComesBackWhenTheLastNameAndHandleAreGone(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{CapacityBytes: 10})
	f := create(t, d, "f", "abcdef")
	g := create(t, d, "g", "1234")
	more := func() error { _, err := g.WriteAt([]byte("5"), 4); return err }
	if err := more(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("full: got %v", err)
	}
	must(t, d.Remove("f"))
	if err := more(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("removed but open: got %v", err)
	}
	must(t, f.Close())
	must(t, more())
	must(t, g.Truncate(1))
	write(t, g, 0, "0123456789")
}

func TestFlipRotsOneByteForGood(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	must(t, d.Flip("f", 2, 0x20))
	if got := read(t, d, "f"); got != "abCd" {
		t.Errorf("reads see %q", got)
	}
	wantOutcomes(t, d, crashdisk.Weak, "abCd", file(t, "f"))
	write(t, f, 2, "x")
	must(t, d.Flip("f", 2, 0x20))
	if got := read(t, d, "f"); got != "abxd" {
		t.Errorf("what was written and not synced: reads see %q", got)
	}
	wantOutcomes(t, d, crashdisk.Weak, "abcd abxd ab.d", file(t, "f"))
	must(t, f.Sync())
	wantOutcomes(t, d, crashdisk.Weak, "abxd", file(t, "f"))
}

func TestFlipUnderAFailedSyncReachesWhatIsDurable(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "A")
	failNext(d, syscall.EIO)
	_ = f.Sync()
	write(t, f, 1, "B")
	must(t, f.Sync())
	for offset := range int64(4) {
		must(t, d.Flip("f", offset, 0x80))
	}
	wantOutcomes(t, d, crashdisk.Strict, "\xe1B\xe3\xe4", file(t, "f"))
	wantOutcomes(t, d, crashdisk.Weak, "\xe1B\xe3\xe4 AB\xe3\xe4 .B\xe3\xe4", file(t, "f"))
}

func TestFlipRefusesWhatIsNotThere(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("d"))
	createDurable(t, d, "f", "ab")
	got := []string{kind(d.Flip("x", 0, 1)), kind(d.Flip("d", 0, 1)), kind(d.Flip("f", 2, 1)), kind(d.Flip("f", -1, 1))}
	want := []string{"file does not exist", "is a directory", "invalid argument", "invalid argument"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknownKindHasAName(t *testing.T) {
	for _, kind := range []crashdisk.Kind{0, crashdisk.Sync + 1, 99} {
		if got, want := kind.String(), fmt.Sprint("kind ", uint8(kind)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := crashdisk.Personality(9).String(); got != "personality 9" {
		t.Errorf("got %q", got)
	}
}
