package wal

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// feed makes writes of entries that follow each other.
type feed struct {
	index   raft.Index
	hash    wire.Hash
	payload []byte
	entries int
}

func newFeed(entries, payloadBytes int) *feed {
	return &feed{hash: wire.GenesisHash(testCluster, 1), payload: make([]byte, payloadBytes), entries: entries}
}

func (f *feed) next() []Write {
	w := Write{Group: 1, HardState: &raft.HardState{CurrentTerm: 1, Commit: f.index}, First: f.index + 1}
	for range f.entries {
		f.index++
		r := wire.Record{Kind: wire.RecordCommand, Group: 1, Index: f.index, Term: 1, Payload: f.payload}
		r.Hash = wire.EntryHash(f.hash, &r)
		f.hash = r.Hash
		w.Records = append(w.Records, wire.AppendRecord(nil, &r))
	}
	return []Write{w}
}

func benchmark(b *testing.B, fs vfs.FS, dir string, entries int, sync bool) {
	l, _, err := Open(Options{FS: fs, Dir: dir, Cluster: testCluster, Server: testServer, Boot: 1})
	must(b, err)
	defer l.Close()
	must(b, l.Append([]Write{{Group: 1, Base: &Base{}}}))
	f := newFeed(entries, 300)
	b.ReportAllocs()
	b.SetBytes(int64(entries * wire.Size(300)))
	var batches [][]Write
	for b.Loop() {
		if len(batches) == 0 {
			b.StopTimer()
			if f.index > 0 {
				must(b, l.Compact(1, Base{EntryID: raft.EntryID{Index: f.index, Term: 1}, Hash: f.hash}))
			}
			must(b, l.Seal())
			must(b, l.Seal())
			must(b, l.Release())
			must(b, l.Prepare())
			for range 500 {
				batches = append(batches, f.next())
			}
			b.StartTimer()
		}
		must(b, l.Append(batches[0]))
		batches = batches[1:]
		if sync {
			must(b, l.Sync())
		}
	}
}

func BenchmarkAppendSyncOnRealDisk(b *testing.B) {
	for _, entries := range []int{1, 64} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) { benchmark(b, vfs.OS{}, b.TempDir(), entries, true) })
	}
}

func BenchmarkAppendOnRealDisk(b *testing.B) {
	for _, entries := range []int{1, 64} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) { benchmark(b, vfs.OS{}, b.TempDir(), entries, false) })
	}
}

func BenchmarkAppendInMemory(b *testing.B) {
	for _, entries := range []int{1, 64} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			benchmark(b, crashdisk.New(crashdisk.Options{}), testDir, entries, true)
		})
	}
}

// nowhere is a file that takes everything and keeps nothing.
type nowhere struct{ vfs.File }

func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (nowhere) Sync() error                            { return nil }

// BenchmarkAppendNowhere is what the log itself costs.
func BenchmarkAppendNowhere(b *testing.B) {
	for _, entries := range []int{1, 64} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) { benchmark(b, intoNowhere{vfs.OS{}}, b.TempDir(), entries, true) })
	}
}

type intoNowhere struct{ vfs.OS }

func (o intoNowhere) Create(name string) (vfs.File, error) {
	f, err := o.OS.Create(name)
	return nowhere{f}, err
}

func BenchmarkRead(b *testing.B) {
	l, _, err := Open(Options{FS: vfs.OS{}, Dir: b.TempDir(), Cluster: testCluster, Server: testServer, Boot: 1})
	must(b, err)
	defer l.Close()
	must(b, l.Append([]Write{{Group: 1, Base: &Base{}}}))
	f := newFeed(64, 300)
	for range 100 {
		must(b, l.Append(f.next()))
	}
	b.ReportAllocs()
	b.SetBytes(int64(64 * wire.Size(300)))
	for i := raft.Index(1); b.Loop(); i = 1 + (i+64)%6000 {
		_, err := l.Read(1, i, i+63, 1<<20)
		must(b, err)
	}
}

func BenchmarkOpen(b *testing.B) {
	options := Options{FS: vfs.OS{}, Dir: b.TempDir(), Cluster: testCluster, Server: testServer, Boot: 1}
	l, _, err := Open(options)
	must(b, err)
	must(b, l.Append([]Write{{Group: 1, Base: &Base{}}}))
	f := newFeed(64, 300)
	for range 600 {
		must(b, l.Append(f.next()))
	}
	must(b, l.Seal())
	must(b, l.Close())
	b.SetBytes(int64(600 * 64 * wire.Size(300)))
	for b.Loop() {
		l, _, err := Open(options)
		must(b, err)
		must(b, l.Close())
	}
}

func TestAppendDoesNotAllocateForEachEntry(t *testing.T) {
	l, _, err := Open(Options{FS: intoNowhere{vfs.OS{}}, Dir: t.TempDir(), Cluster: testCluster, Server: testServer, Boot: 1})
	must(t, err)
	defer l.Close()
	must(t, l.Append([]Write{{Group: 1, Base: &Base{}}}))
	f := newFeed(64, 300)
	const runs = 50
	var batches [][]Write
	for range runs + 20 {
		batches = append(batches, f.next())
	}
	for range 15 {
		must(t, l.Append(batches[0]))
		batches = batches[1:]
	}
	allocations := testing.AllocsPerRun(runs, func() {
		must(t, l.Append(batches[0]))
		must(t, l.Sync())
		batches = batches[1:]
	})
	if allocations > 1 {
		t.Errorf("%.0f allocations for 64 entries", allocations)
	}
}
