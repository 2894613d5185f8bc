package wal

import (
	"testing"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
)

const (
	testCluster = 0xC1
	testServer  = 0x51
)

func testOptions(fs vfs.FS, dir string) Options {
	return Options{FS: fs, Dir: dir, SegmentBytes: 32 << 10, Cluster: testCluster, Server: testServer, Boot: 1}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheRealFileSystemWillDo runs the workloads on the real thing, as far as it can be killed.
func TestTheRealFileSystemWillDo(t *testing.T) {
	for _, workload := range workloads {
		dir := t.TempDir() + "/some/where"
		w := newWorld(nil)
		w.options.FS, w.options.Dir = vfs.OS{}, dir
		workload.run(w)
		w.seal()
		w.close()
		w.open()
		w.close()
		if w.err != nil {
			t.Errorf("%s: %v", workload.name, w.err)
		}
	}
}

func TestStateTellsWhatWasAppended(t *testing.T) {
	w := newWorld(nil)
	w.options.FS, w.options.Dir = vfs.OS{}, t.TempDir()
	w.start(1, 7)
	w.append(w.entries(7, 6, 10))
	w.append(w.hardState(7, 4, 2), w.replace(7, 4, 3, 10))
	w.append(w.compact(7, 2))
	if w.err != nil {
		t.Fatal(w.err)
	}
	got, ok := w.log.State(7)
	if !ok || got.Base != (raft.EntryID{Index: 2, Term: 2}) || got.Last != 6 || got.HardState.CurrentTerm != 4 {
		t.Errorf("got %+v", got)
	}
	if err := w.model.groups[7].agrees(&got); err != nil {
		t.Error(err)
	}
	if _, ok := w.log.State(2); ok {
		t.Error("there is no group 2")
	}
	w.close()
}
