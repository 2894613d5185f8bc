package crashdisk_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
)

// ledger is what a test remembers of a file, in the plainest way: which bytes are sure, which
// pending writes touch which bytes, and which lengths the file may have.
type ledger struct {
	sure    []byte
	now     []byte
	touched map[int]bool // by an unsynced write, or cut off by an unsynced truncation
	lengths []int
}

func (l *ledger) write(offset int, data []byte) {
	if missing := offset + len(data) - len(l.now); missing > 0 {
		l.now = append(l.now, make([]byte, missing)...)
	}
	copy(l.now[offset:], data)
	for i := range data {
		l.touched[offset+i] = true
	}
	l.lengths = append(l.lengths, len(l.now))
}

func (l *ledger) truncate(size int) {
	for i := size; i < max(len(l.now), len(l.sure)); i++ {
		l.touched[i] = true
	}
	if missing := size - len(l.now); missing > 0 {
		l.now = append(l.now, make([]byte, missing)...)
	}
	l.now = l.now[:size]
	l.lengths = append(l.lengths, size)
}

func (l *ledger) sync() {
	l.sure = bytes.Clone(l.now)
	l.touched, l.lengths = make(map[int]bool), []int{len(l.now)}
}

// check compares what a crash left with what it may have left.
func (l *ledger) check(got []byte) error {
	if !slices.Contains(l.lengths, len(got)) {
		return fmt.Errorf("got length %d, want one of %v", len(got), l.lengths)
	}
	for i, b := range got {
		var want byte
		if i < len(l.sure) {
			want = l.sure[i]
		}
		if b != want && !l.touched[i] {
			return fmt.Errorf("byte %d was durable as %#x, and is %#x", i, want, b)
		}
	}
	return nil
}

func TestCrashNeverTouchesWhatIsDurable(t *testing.T) {
	for seed := range uint64(50) {
		source := choice.FromSeed(seed)
		d := crashdisk.New(crashdisk.Options{SectorBytes: []int{512, 4096}[source.Choose("sector", 2)]})
		f := createDurable(t, d, "f", "")
		l := &ledger{touched: make(map[int]bool), lengths: []int{0}}
		for range 1 + source.Choose("steps", 30) {
			offset := source.Choose("offset", 20_000)
			switch source.Choose("what", 6) {
			case 0:
				must(t, f.Truncate(int64(offset)))
				l.truncate(offset)
			case 1:
				must(t, f.Sync())
				l.sync()
			default:
				data := bytes.Repeat([]byte{byte(source.Choose("fill", 256))}, 1+source.Choose("length", 9000))
				write(t, f, int64(offset), string(data))
				l.write(offset, data)
			}
		}
		if got := read(t, d, "f"); got != string(l.now) {
			t.Fatalf("seed %d: reads do not see what was written", seed)
		}
		for _, p := range []crashdisk.Personality{crashdisk.Strict, crashdisk.Ordered, crashdisk.Weak} {
			c := d.Clone()
			c.Crash(source, p)
			if err := l.check([]byte(read(t, c, "f"))); err != nil {
				t.Fatalf("seed %d: %v: %v", seed, p, err)
			}
		}
		images := 0
		for what, image := range d.Images() {
			if images++; images > 60 {
				break // the others differ from these by the sector only
			}
			if err := l.check([]byte(read(t, image, "f"))); err != nil {
				t.Fatalf("seed %d: %s: %v", seed, what, err)
			}
		}
	}
}

func TestWriterMayReuseItsBuffer(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "")
	buffer := bytes.Repeat([]byte{1}, 8192)
	want := bytes.Clone(buffer)
	_, err := f.WriteAt(buffer, 0)
	must(t, err)
	clear(buffer)
	must(t, f.Sync())
	if got := read(t, d, "f"); got != string(want) {
		t.Error("the file changed with the buffer")
	}
	d.Crash(nil, crashdisk.Strict)
	if got := read(t, d, "f"); got != string(want) {
		t.Error("the durable file changed with the buffer")
	}
}

func TestRemovedFileLivesOnInItsHandle(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	must(t, d.Remove("f"))
	must(t, d.SyncDir("."))
	for i := range 1000 { // enough to need the place of what is gone
		g := create(t, d, fmt.Sprint(i), "x")
		must(t, g.Close())
		must(t, d.Remove(fmt.Sprint(i)))
		must(t, d.SyncDir("."))
	}
	write(t, f, 2, "cd")
	p := make([]byte, 4)
	if _, err := f.ReadAt(p, 0); err != nil || string(p) != "abcd" {
		t.Errorf("got %q, %v", p, err)
	}
}

func TestFilesMayBeUsedByManyAtOnce(t *testing.T) {
	d := crashdisk.New(crashdisk.Options{})
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			name := fmt.Sprint("f", i)
			f, err := d.Create(name)
			if err != nil {
				t.Error(err)
				return
			}
			for j := range int64(100) {
				_, writeErr := f.WriteAt([]byte{byte(i)}, j)
				_, listErr := d.List(".")
				for _, err := range []error{writeErr, listErr, f.Sync(), d.SyncDir(".")} {
					if err != nil {
						t.Error(err)
					}
				}
				d.CrashNow()
			}
		})
	}
	users.Wait()
	d.Crash(nil, crashdisk.Strict)
	for i := range 8 {
		if got, want := read(t, d, fmt.Sprint("f", i)), string(bytes.Repeat([]byte{byte(i)}, 100)); got != want {
			t.Errorf("file %d: got %q", i, got)
		}
	}
}

func TestNamesAreRelativeToTheRoot(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("/a/b"))
	create(t, d, "a/b/f", "x")
	for _, name := range []string{"a/b/f", "/a/b/f", "./a//b/f", "a/b/../b/f", "../a/b/f"} {
		if got := read(t, d, name); got != "x" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for _, root := range []string{"", ".", "/", "a/.."} {
		if got := names(t, root)(d); got != "[a]" {
			t.Errorf("%q: got %s", root, got)
		}
	}
	must(t, d.MkdirAll("a/b"))
	_, createErr := d.Create("/")
	got := []string{kind(createErr), kind(d.Remove(".")), kind(d.Rename("/", "x")), kind(d.MkdirAll("/"))}
	if want := []string{"is a directory", "is a directory", "is a directory", "ok"}; !slices.Equal(got, want) {
		t.Errorf("the root: got %q, want %q", got, want)
	}
}
