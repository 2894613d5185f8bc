package crashdisk_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
)

// randomly returns a disk on which a user has done random things, some of which failed.
func randomly(seed uint64, sectorBytes, steps int) *crashdisk.Disk {
	d := crashdisk.New(crashdisk.Options{SectorBytes: sectorBytes})
	source := choice.FromSeed(seed)
	u := &user{source: source, fs: d, dir: "/"}
	for range steps {
		if choice.Chance(source, "fail", 1, 10) {
			d.FailAt(d.Operation()+1, errTest)
		}
		u.step()
	}
	d.FailAt(d.Operation()+1, nil)
	return d
}

// list shows every image of a disk, as "what: tree".
func list(t *testing.T, d *crashdisk.Disk, show func(*crashdisk.Disk) string) []string {
	t.Helper()
	var shown []string
	for what, image := range d.Images() {
		shown = append(shown, what+": "+show(image))
	}
	return shown
}

func TestImagesAreThoseThatTheyClaimToBe(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "ABCD")
	create(t, d, "g", "")
	must(t, d.Rename("g", "h"))
	must(t, f.Truncate(3))
	show := func(d *crashdisk.Disk) string { return names(t, ".")(d) + " " + file(t, "f")(d) }
	want := []string{
		"all lost: [f] abcd",
		"first 1 of 4 kept: [f] ABCD",
		"first 2 of 4 kept: [f,g] ABCD",
		"first 3 of 4 kept: [f,h] ABCD",
		"all kept: [f,h] ABC",
		"all kept but write of f 0+4: [f,h] abc",
		"all kept, sector 0 of write of f 0+4 lost: [f,h] abC",
		"nothing after, sector 0 of write of f 0+4 lost: [f] abCD",
		"all kept, sector 0 of write of f 0+4 torn: [f,h] AbC",
		"nothing after, sector 0 of write of f 0+4 torn: [f] AbCD",
		"all kept, sector 1 of write of f 0+4 lost: [f,h] ABc",
		"nothing after, sector 1 of write of f 0+4 lost: [f] ABcd",
		"all kept, sector 1 of write of f 0+4 torn: [f,h] ABC",
		"nothing after, sector 1 of write of f 0+4 torn: [f] ABCd",
		"all kept but change of g: [f] ABC",
		"all kept but change of g to h: [f,g] ABC",
	}
	if got := list(t, d, show); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestImagesOfASyncedDiskAreOne(t *testing.T) {
	d := tiny()
	createDurable(t, d, "f", "abcd")
	if got, want := list(t, d, file(t, "f")), []string{"all kept: abcd"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSectorsOfZerosOverZerosGiveNoImages(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 4, "\x00\x00\x00\x00")
	if got, want := list(t, d, file(t, "f")), []string{"all lost: abcd", "all kept: abcd...."}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	write(t, f, 2, "\x00\x00")
	want := []string{
		"all lost: abcd",
		"first 1 of 2 kept: abcd....",
		"all kept: ab......",
		"all kept but write of f 4+4: ab..",
		"all kept, sector 0 of write of f 2+2 torn: ab.d....",
	}
	if got := list(t, d, file(t, "f")); !slices.Equal(got, want) {
		t.Errorf("over text: got %q, want %q", got, want)
	}
	must(t, f.Sync())
	write(t, f, 4, "\x00\x00")
	write(t, f, 4, "xy")
	write(t, f, 4, "\x00\x00")
	got, torn := list(t, d, file(t, "f")), "all kept, sector 0 of write of f 4+2 torn: ab...y.."
	if !slices.Contains(got, torn) {
		t.Errorf("zeros over text: got %q, want among them %q", got, torn)
	}
}

func TestEachSectorOfAWriteGivesImages(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcdef")
	write(t, f, 1, "BCDE")
	want := []string{
		"all lost: abcdef", "all kept: aBCDEf",
		"all kept, sector 0 of write of f 1+4 lost: abCDEf", "all kept, sector 0 of write of f 1+4 torn: abCDEf",
		"all kept, sector 1 of write of f 1+4 lost: aBcdEf", "all kept, sector 1 of write of f 1+4 torn: aBCdEf",
		"all kept, sector 2 of write of f 1+4 lost: aBCDef", "all kept, sector 2 of write of f 1+4 torn: aBCDef",
	}
	if got := list(t, d, file(t, "f")); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestImagesMayBeLeftAtAnyOfThem(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "ABCD")
	create(t, d, "g", "")
	total := 0
	for range d.Images() {
		total++
	}
	for stop := 1; stop <= total; stop++ {
		seen := 0
		for range d.Images() {
			if seen++; seen == stop {
				break
			}
		}
	}
}

func TestImagesDoNotDoubtWhatWasSynced(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "A")
	failNext(d, errTest)
	_ = f.Sync()
	write(t, f, 1, "B")
	must(t, f.Sync())
	want := []string{"all lost: aBcd", "all kept: ABcd", "all kept, sector 0 of write of f 0+1 torn: aBcd"}
	if got := list(t, d, file(t, "f")); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryImageIsOneThatACrashCouldGive(t *testing.T) {
	show := func(d *crashdisk.Disk) string { return tree(t, d, ".") }
	for name, build := range map[string]func(*crashdisk.Disk){
		"overlapping writes": func(d *crashdisk.Disk) {
			f := createDurable(t, d, "f", "abcd")
			write(t, f, 1, "BCDE")
			write(t, f, 2, "12")
		},
		"names": func(d *crashdisk.Disk) {
			createDurable(t, d, "f", "x")
			create(t, d, "a", "")
			must(t, d.Rename("a", "f"))
			must(t, d.MkdirAll("d/e"))
			must(t, d.Remove("f"))
		},
		"truncations": func(d *crashdisk.Disk) {
			f := createDurable(t, d, "f", "abcd")
			must(t, f.Truncate(1))
			write(t, f, 3, "DE")
			must(t, f.Truncate(6))
		},
		"a new file": func(d *crashdisk.Disk) {
			f := create(t, d, "tmp", "abc")
			must(t, f.Sync())
			write(t, f, 3, "d")
			must(t, d.Rename("tmp", "f"))
		},
		"failed syncs": func(d *crashdisk.Disk) {
			f := createDurable(t, d, "f", "abcd")
			create(t, d, "g", "")
			write(t, f, 0, "AB")
			d.FailAt(d.Operation()+1, errTest)
			_ = f.Sync()
			d.FailAt(d.Operation()+1, errTest)
			_ = d.SyncDir(".")
			write(t, f, 1, "XY")
			must(t, f.Sync())
			create(t, d, "h", "")
			write(t, f, 4, "e")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := tiny()
			build(d)
			possible := outcomes(d, crashdisk.Weak, show)
			images := 0
			for what, image := range d.Images() {
				images++
				if got := show(image); !slices.Contains(possible, got) {
					t.Errorf("no crash gives %s: %s", what, got)
				}
			}
			if images < 5 {
				t.Errorf("got %d images", images)
			}
		})
	}
}

func TestImagesHoldAllLostAndAllKept(t *testing.T) {
	for seed := range uint64(30) {
		d := randomly(seed, 512, 60)
		shown := make(map[string]string)
		for what, image := range d.Images() {
			shown[what] = tree(t, image, ".")
			if image.Pending() != 0 {
				t.Fatalf("seed %d: in the image %q, %d changes are pending", seed, what, image.Pending())
			}
			if len(shown) > 50 {
				break
			}
		}
		if got, want := shown["all kept"], tree(t, d, "."); got != want {
			t.Errorf("seed %d: all kept: got\n%.500s\nwant\n%.500s", seed, got, want)
		}
		if got, want := shown["all lost"], tree(t, d.CrashNow(), "."); d.Pending() > 0 && got != want {
			t.Errorf("seed %d: all lost: got\n%.500s\nwant\n%.500s", seed, got, want)
		}
	}
}

func TestImagesAreDisksOfTheirOwn(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcd")
	write(t, f, 0, "AB")
	images := maps.Collect(d.Images())
	write(t, f, 2, "CD")
	for what, image := range images {
		if image.Operation() != 0 {
			t.Errorf("%s: %d operations counted", what, image.Operation())
		}
		g, err := image.Open("f")
		must(t, err)
		write(t, g, 0, "XXXX")
		must(t, g.Sync())
		must(t, image.Remove("f"))
		must(t, image.SyncDir("."))
	}
	if got := read(t, d, "f"); got != "ABCD" {
		t.Errorf("the disk holds %q", got)
	}
	wantOutcomes(t, d, crashdisk.Strict, "abcd", file(t, "f"))
}

func TestCrashNowEqualsStrict(t *testing.T) {
	for seed := range uint64(100) {
		d := randomly(seed, 512, 80)
		before := tree(t, d, ".")
		now, crashed := d.CrashNow(), d.Clone()
		crashed.Crash(nil, crashdisk.Strict)
		want := tree(t, crashed, ".")
		if got := tree(t, now, "."); got != want {
			t.Errorf("seed %d: CrashNow gives\n%.500s\na strict crash\n%.500s", seed, got, want)
		}
		if got := durableTree(t, d.Durable(), "."); got != want {
			t.Errorf("seed %d: Durable shows\n%.500s\na strict crash gives\n%.500s", seed, got, want)
		}
		if now.Pending() != 0 {
			t.Errorf("seed %d: %d changes pending after CrashNow", seed, now.Pending())
		}
		now.Crash(choice.FromSeed(seed), crashdisk.Weak)
		if got := tree(t, now, "."); got != want {
			t.Errorf("seed %d: what CrashNow gave was not durable", seed)
		}
		if got := tree(t, d, "."); got != before {
			t.Errorf("seed %d: the disk itself changed", seed)
		}
	}
}

// durableTree is tree, of a view.
func durableTree(t *testing.T, v crashdisk.Durable, dir string) string {
	t.Helper()
	var shown strings.Builder
	names, err := v.List(dir)
	must(t, err)
	for _, name := range names {
		full := dir + "/" + name
		if _, err := v.List(full); err == nil {
			fmt.Fprintf(&shown, "%s{ %s} ", name, durableTree(t, v, full))
			continue
		}
		size, err := v.Size(full)
		must(t, err)
		p := make([]byte, size)
		n, err := v.ReadAt(full, p, 0)
		if n != len(p) {
			t.Fatalf("read %d of %d bytes: %v", n, size, err)
		}
		fmt.Fprintf(&shown, "%s=%q ", name, p)
	}
	return shown.String()
}

func TestDurableRefusesWhatIsNotDurable(t *testing.T) {
	d := tiny()
	must(t, d.MkdirAll("d"))
	createDurable(t, d, "f", "ab")
	create(t, d, "g", "ab")
	v := d.Durable()
	p := make([]byte, 2)
	_, sizeErr := v.Size("g")
	_, readErr := v.ReadAt("g", p, 0)
	_, listErr := v.List("g")
	_, inFile := v.Size("f/g")
	_, sizeOfDir := v.Size("d")
	_, listOfFile := v.List("f")
	_, before := v.ReadAt("f", p, -1)
	got := []string{kind(sizeErr), kind(readErr), kind(listErr), kind(inFile), kind(sizeOfDir), kind(listOfFile), kind(before)}
	absent := "file does not exist"
	want := []string{absent, absent, absent, "not a directory", "is a directory", "not a directory", "invalid argument"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCloneHasTheSamePendingAndGoesItsOwnWay(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "ab")
	lock, err := d.Lock("LOCK")
	must(t, err)
	defer lock.Close()
	write(t, f, 0, "AB")
	d.StopAt(100)
	c := d.Clone()
	if c.Pending() != d.Pending() || c.Operation() != 0 || len(c.Operations()) != 0 {
		t.Errorf("the clone has %d pending and %d operations", c.Pending(), c.Operation())
	}
	if _, err := c.Lock("LOCK"); err != nil {
		t.Errorf("the clone is locked: %v", err)
	}
	g, err := c.Open("f")
	must(t, err)
	write(t, g, 0, "X")
	write(t, f, 1, "Y")
	wantOutcomes(t, d, crashdisk.Weak, "ab AB Ab .. aY AY A. .Y a.", file(t, "f"))
	must(t, g.Sync())
	must(t, f.Sync())
	wantOutcomes(t, c, crashdisk.Weak, "XB", file(t, "f"))
	wantOutcomes(t, d, crashdisk.Weak, "AY", file(t, "f"))
}

func TestClonesDoNotWriteIntoEachOthersPending(t *testing.T) {
	d := tiny()
	f := createDurable(t, d, "f", "abcdefgh")
	for i, name := range []string{"1", "2", "3"} { // slices grow to 4, so there is room for one more
		create(t, d, name, "")
		write(t, f, int64(i), name)
	}
	c := d.Clone()
	g, err := c.Open("f")
	must(t, err)
	write(t, f, 3, "d")
	write(t, g, 4, "clone")
	create(t, d, "of d", "")
	create(t, c, "of c", "")
	for what, disk := range map[string]*crashdisk.Disk{"of d": d, "of c": c} {
		want := map[string]string{"of d": "123defgh", "of c": "123dclone"}[what]
		var last *crashdisk.Disk
		for name, image := range disk.Images() {
			if name == "all kept" {
				last = image
			}
		}
		if got := read(t, last, "f"); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		if got, want := names(t, ".")(last), "[1,2,3,f,"+what+"]"; got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
}

func TestPendingCountsWhatACrashMayLose(t *testing.T) {
	d := tiny()
	steps := []struct {
		do   func(f vfs.File) error
		want int
	}{
		{func(f vfs.File) error { return nil }, 2}, // the name, and the text
		{func(f vfs.File) error { return f.Truncate(9) }, 3},
		{func(f vfs.File) error { return d.MkdirAll("a/b") }, 5},
		{func(f vfs.File) error { return f.Sync() }, 3},
		{func(f vfs.File) error { return d.SyncDir(".") }, 1},
		{func(f vfs.File) error { return d.SyncDir("a") }, 0},
	}
	f := create(t, d, "f", "ab")
	for i, step := range steps {
		must(t, step.do(f))
		if got := d.Pending(); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
}
