package transport

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"
)

func TestBootFileHasItsLayout(t *testing.T) {
	disk := newFakeFS()
	for want := uint64(1); want <= 3; want++ {
		if got, err := NextBoot(disk, "data/boots"); err != nil || got != want {
			t.Fatalf("got boot %d, %v, want %d", got, err, want)
		}
	}
	golden(t, "boots", disk.bytes(t, "data/boots"))
}

// The power fails at each operation in turn, start after start; every number given out is higher
// than those before.
func TestBootNeverComesTwice(t *testing.T) {
	for _, keepNames := range []bool{false, true} {
		for _, part := range []int{0, 1, 2, 3} {
			disk := newFakeFS()
			var highest uint64
			for round := range 60 {
				disk.dieAt = round%15 + 1
				boot, err := NextBoot(disk, "data/boots")
				if err == nil && boot <= highest {
					t.Fatalf("keep names %v, part %d, round %d: boot %d after %d", keepNames, part, round, boot, highest)
				}
				if err == nil {
					highest = boot
				}
				disk.crash(keepNames, func(n int) int { return n * part / 3 })
			}
			if boot, err := NextBoot(disk, "data/boots"); err != nil || boot <= highest {
				t.Errorf("keep names %v, part %d: at last boot %d, %v, after %d", keepNames, part, boot, err, highest)
			}
		}
	}
}

// At each instant one copy may rot, and the number still does not fall back.
func TestOneLostCopyLowersNoBoot(t *testing.T) {
	for dieAt := 0; dieAt <= 8; dieAt++ {
		for _, at := range []int{0, bootCopyStride} {
			disk := newFakeFS()
			NextBoot(disk, "data/boots")
			highest, err := NextBoot(disk, "data/boots")
			if err != nil {
				t.Fatal(err)
			}
			disk.ops, disk.dieAt = 0, dieAt
			if boot, err := NextBoot(disk, "data/boots"); err == nil {
				highest = boot
			}
			disk.crash(false, func(n int) int { return n })
			b := disk.bytes(t, "data/boots")
			b[at+13] ^= 0xff
			disk.put("data/boots", b)
			if boot, err := NextBoot(disk, "data/boots"); err != nil || boot <= highest {
				t.Errorf("die at %d, copy at %d lost: boot %d, %v, after %d", dieAt, at, boot, err, highest)
			}
		}
	}
}

func TestUnreadableBootFileGivesNoNumber(t *testing.T) {
	one := append(append(encodeBoot(9), make([]byte, bootCopyStride-bootCopyBytes)...), encodeBoot(9)...)
	damaged := bytes.Clone(one)
	damaged[12], damaged[bootCopyStride+12] = 1, 1
	newer := bytes.Clone(one)
	newer[8], newer[bootCopyStride+8] = 2, 2
	last := append(append(encodeBoot(math.MaxUint64), make([]byte, bootCopyStride-bootCopyBytes)...),
		encodeBoot(math.MaxUint64)...)
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"both copies damaged", damaged, ErrDamaged},
		{"empty", nil, ErrDamaged},
		{"later layout", newer, ErrTooNew},
		{"last number", last, ErrDamaged},
	} {
		disk := newFakeFS()
		disk.put("data/boots", c.file)
		boot, err := NextBoot(disk, "data/boots")
		if boot != 0 || !errors.Is(err, c.want) || !strings.Contains(err.Error(), "data/boots") {
			t.Errorf("%s: got boot %d, error %v, want %v that names the file", c.name, boot, err, c.want)
		}
	}
}

func TestReadBootReadsEitherCopyAndRaisesNothing(t *testing.T) {
	for _, damage := range [][]int{nil, {9}, {bootCopyStride + 9}, {9, bootCopyStride + 9}} {
		disk := newFakeFS()
		if _, _, err := ReadBoot(disk, "data/boots"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is none: %v", err)
		}
		for range 3 {
			if _, err := NextBoot(disk, "data/boots"); err != nil {
				t.Fatal(err)
			}
		}
		f, err := disk.Open("data/boots")
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range damage {
			if _, err := f.WriteAt([]byte{0xff}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		before := bytes.Clone(disk.bytes(t, "data/boots"))
		boot, damaged, err := ReadBoot(disk, "data/boots")
		if len(damage) == 2 {
			if !errors.Is(err, ErrTooNew) && !errors.Is(err, ErrDamaged) {
				t.Errorf("both copies are damaged: %v", err)
			}
			continue
		}
		if err != nil || boot != 3 || (damaged != nil) != (len(damage) == 1) {
			t.Errorf("damage at %v: boot %d, damaged %v, %v", damage, boot, damaged, err)
		}
		if !bytes.Equal(before, disk.bytes(t, "data/boots")) {
			t.Error("the file has changed")
		}
	}
}
