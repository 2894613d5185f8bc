package wal

import (
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

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
	{"segments that take several writes to make", func(w *world) {
		w.options.SegmentBytes = 2 * int64(len(zeros))
		w.start(1)
		w.append(w.entries(1, 2, 1500))
		w.sync()
		w.prepare()
		w.kill()
		w.append(w.entries(1, 1, 100))
		w.seal()
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
	{"configuration change", func(w *world) {
		w.start(1, 2)
		w.append(w.entries(1, 1, 100), w.configuration(2, "two of two"))
		w.append(w.configuration(1, "old and new"))
		w.sync()
		w.append(w.hardState(1, 3, 0), w.truncate(1, 2)) // a new leader undoes it
		w.append(w.entries(1, 1, 100), w.configuration(1, "old and new, again"))
		w.sync()
		w.append(w.configuration(1, "new"))
		w.sync()
		w.append(w.compact(1, 3)) // after the first of them, before the second
		w.append(w.compact(2, 1))
		w.sync()
		w.kill()
		w.append(w.configuration(1, "newer"))
		w.append(w.compact(1, w.model.groups[1].last()))
		w.seal()
		w.kill()
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

// configuration appends a configuration, and says that all before it is committed.
func (w *world) configuration(id wire.GroupID, payload string) Write {
	return w.replaceBy(id, w.model.groups[id].last()+1, wire.RecordConfiguration, [][]byte{[]byte(payload)})
}

// start opens a new log with some groups.
func (w *world) start(ids ...wire.GroupID) {
	w.open()
	for _, id := range ids {
		w.append(w.create(id), w.hardState(id, 2, 1))
	}
	w.sync()
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
