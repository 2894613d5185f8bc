package wal

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
)

// TestEveryErrorOfTheDiskStopsTheLog lets each operation of each workload fail. Nothing is acknowledged
// afterwards, and whoever opens the log then, with the machine still on or after a crash, finds all
// that was acknowledged, durably.
func TestEveryErrorOfTheDiskStopsTheLog(t *testing.T) {
	faults, images := 0, 0
	for _, workload := range workloads {
		operations := operationsOf(t, workload.run)
		for k := 1; k <= operations; k++ {
			for e, fault := range []error{syscall.EIO, syscall.ENOSPC, io.ErrShortWrite} {
				if !*crashDeep && (k+e)%3 != 0 {
					continue
				}
				at := fmt.Sprintf("%s, operation %d: %v", workload.name, k, fault)
				w := newWorld(crashdisk.New(crashdisk.Options{}))
				w.disk.FailAt(k, fault)
				workload.run(w)
				faults++
				again := w.err == nil && fault == syscall.EIO && kindOf(t, w.disk, k) == crashdisk.Read // block by block, of which none failed
				if !again && !errors.Is(w.err, fault) {
					t.Fatalf("%s: got %v", at, w.err)
				}
				images += checkAfterFault(t, at, w)
			}
		}
	}
	t.Logf("%d faults, %d images", faults, images)
}

// kindOf says what an operation was.
func kindOf(t *testing.T, disk *crashdisk.Disk, number int) crashdisk.Kind {
	t.Helper()
	for _, op := range disk.Operations() {
		if op.Number == number {
			return op.Kind
		}
	}
	t.Fatalf("operation %d is not known any more", number)
	return 0
}

func checkAfterFault(t *testing.T, at string, w *world) (images int) {
	t.Helper()
	if w.log != nil && errors.Is(w.err, ErrBroken) {
		mustBeBroken(t, at, w.log)
	}
	for what, image := range w.disk.Images() {
		if images++; images%8 != 0 && !*crashDeep {
			continue
		}
		l, _, _, err := w.reopen(image)
		if err != nil {
			t.Fatalf("%s; then a crash, %s: %v", at, what, err)
		}
		must(t, l.Close())
	}
	w.disk.Kill()
	l, now, _, err := w.reopen(w.disk)
	if err != nil {
		t.Fatalf("%s; then started again: %v", at, err)
	}
	must(t, l.Close())
	w.synced = now
	l, then, _, err := w.reopen(w.disk.CrashNow())
	if err != nil || then != now {
		t.Fatalf("%s; then started again with step %d; then a crash, with step %d: %v", at, now, then, err)
	}
	must(t, l.Close())
	return images
}

// mustBeBroken checks that nothing works any more.
func mustBeBroken(t *testing.T, at string, l *Log) {
	t.Helper()
	_, readErr := l.Read(1, 1, 1, 1)
	_, moveErr := l.MoveForward(1)
	for call, err := range map[string]error{
		"Append": l.Append([]Write{{Group: 1, HardState: &raft.HardState{CurrentTerm: 99}}}), "Sync": l.Sync(), "Seal": l.Seal(),
		"Prepare": l.Prepare(), "Release": l.Release(), "Compact": l.Compact(1, Base{}), "Read": readErr, "MoveForward": moveErr,
	} {
		if !errors.Is(err, ErrBroken) {
			t.Errorf("%s; then %s: %v", at, call, err)
		}
	}
}

func TestAFullDiskWhilePreparingIsNotFinal(t *testing.T) {
	disk := crashdisk.New(crashdisk.Options{})
	w := newWorld(disk)
	w.start(1)
	for _, kind := range []crashdisk.Kind{crashdisk.Create, crashdisk.Write, crashdisk.Sync} {
		before := disk.Operation()
		n := 0
		for _, op := range operationsOfPrepare(t) {
			if n++; op.Kind == kind {
				disk.FailAt(before+n, syscall.ENOSPC)
				break
			}
		}
		if err := w.log.Prepare(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrBroken) {
			t.Fatalf("%v fails: got %v", kind, err)
		}
		w.append(w.entries(1, 1, 10))
		w.seal()
	}
	w.prepare()
	w.close()
	w.open()
	if w.err != nil {
		t.Fatal(w.err)
	}
}

// operationsOfPrepare returns what Prepare does on the disk.
func operationsOfPrepare(t *testing.T) []crashdisk.Operation {
	t.Helper()
	disk := crashdisk.New(crashdisk.Options{})
	w := newWorld(disk)
	w.start(1)
	before := disk.Operation()
	w.prepare()
	if w.err != nil {
		t.Fatal(w.err)
	}
	operations := disk.Operations()
	return operations[before:]
}

func TestReadErrorDuringOpenIsNoDamage(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	w.append(w.entries(1, 5, 100))
	w.append(w.truncate(1, 3))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	refused := 0
	sound := w.disk.Clone()
	l, _, err := Open(testOptions(sound, testDir))
	must(t, err)
	must(t, l.Close())
	for _, op := range sound.Operations() {
		if op.Kind != crashdisk.Read {
			continue
		}
		image := w.disk.Clone()
		image.FailAt(op.Number, syscall.EIO)
		var damage *DamageError
		switch l, recovered, err := Open(testOptions(image, testDir)); {
		case err == nil: // a whole segment was read again, block by block
			found, err := modelOf(l, recovered.Groups)
			must(t, errors.Join(err, l.Close()))
			if op.Bytes != w.options.SegmentBytes || found.fingerprint() != w.history[len(w.history)-1] {
				t.Errorf("%v: the log is another one", op)
			}
		case !errors.Is(err, syscall.EIO) || errors.As(err, &damage):
			t.Errorf("%v: got %v", op, err)
		default:
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing is refused")
	}
}
