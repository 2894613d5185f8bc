package kv_test

import (
	"flag"
	"runtime"
	"testing"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

var snapshotKeys = flag.Int("snapshot.keys", 20_000, "number of keys of BenchmarkSnapshotTransfer")

// BenchmarkSnapshotTransfer measures, on the machine's own disk, a copy of everything and a delta after 1 % has
// changed: the time of the dialogue, of the install, and the bytes sent, also as multiples of the data's.
//
//	go test ./kv -run '^$' -bench SnapshotTransfer -benchtime 1x -snapshot.keys 1000000
func BenchmarkSnapshotTransfer(b *testing.B) {
	open := func() kv.Engine {
		e, err := pebblekv.Open(b.TempDir(), pebblekv.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	for range b.N {
		from := newBulk(b, open())
		from.fill(*snapshotKeys)
		to, err := kv.Open(open(), kv.Options{Cluster: 7})
		if err != nil {
			b.Fatal(err)
		}
		measure := func(what string) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			began := time.Now()
			sent := from.feedUpTo(to, 1<<62)
			staged := time.Now()
			if err := to.InstallSnapshot([]byte("position")); err != nil {
				b.Fatal(err)
			}
			installed := time.Now()
			runtime.ReadMemStats(&after)
			b.ReportMetric(staged.Sub(began).Seconds(), what+"-s")
			b.ReportMetric(installed.Sub(staged).Seconds(), what+"-install-s")
			b.ReportMetric(float64(sent), what+"-bytes")
			b.ReportMetric(float64(sent)/float64(from.changed), what+"-ratio")
			from.requireSame(to)
			from.changed = 0
		}
		measure("full")
		from.change(*snapshotKeys/100, *snapshotKeys)
		measure("delta")
		for _, s := range []*kv.Store{from.store, to} {
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
