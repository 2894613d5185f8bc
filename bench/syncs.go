package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// diskProbe is how long the disk is measured by itself, before the load and after it. It writes probeBytes at a
	// time, over a file of probeFileBytes that is there already, as a log does that is laid out beforehand.
	diskProbe      = time.Second
	probeBytes     = 4 << 10
	probeFileBytes = 8 << 20
)

// syncCounters are what servers call the number of times they made their log durable.
var syncCounters = []string{"quorate_log_syncs_total", "etcd_disk_wal_fsync_duration_seconds_count"}

// runSyncs puts, and counts how many puts share a sync; the disk alone is asked how many it can do in the same run.
func runSyncs(ctx context.Context, b *bed, r *report.Run) error {
	disk := filepath.Join(b.cluster.DataDir(b.cluster.Leader), "..")
	before, err := syncsPerSecond(disk)
	if err != nil {
		return err
	}
	var edges [][]float64 // at both ends of the window: of each server, how often it has synced
	var wrong error
	operations, hangUp, err := b.operations(r.Clients, b.put)
	if err != nil {
		return err
	}
	defer hangUp()
	_, err = b.measure(ctx, r, loop{operations: operations, edge: func() {
		counts, err := b.syncCounts(ctx)
		edges, wrong = append(edges, counts), errors.Join(wrong, err)
	}})
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	after, err := syncsPerSecond(disk)
	if err != nil {
		return err
	}
	var leader, all float64
	for i := range edges[0] {
		delta := edges[1][i] - edges[0][i]
		if all += delta; i == b.cluster.Leader {
			leader = delta
		}
	}
	limit := max(before, after)
	r.Add("puts per sync of the leader", float64(r.Ops)/max(leader, 1))
	r.Add("syncs/s of the leader", leader/r.Seconds)
	r.Add("syncs/s of all servers", all/r.Seconds)
	r.Add("syncs/s of the disk alone", limit)
	r.Add("syncs of all servers, in % of the disk's", 100*all/r.Seconds/limit)
	return b.inspect(ctx, r)
}

func (b *bed) syncCounts(ctx context.Context) ([]float64, error) {
	var counts []float64
	for _, server := range b.cluster.Servers {
		page, err := scrape(ctx, server)
		if err != nil {
			return nil, err
		}
		count, found := page.first(syncCounters...)
		if !found {
			return nil, skip{fmt.Sprintf("%s does not say how often it syncs (%v)", server.Name, syncCounters)}
		}
		counts = append(counts, count)
	}
	return counts, nil
}

// syncsPerSecond is how often the disk under dir can make a small write durable, one after the other.
func syncsPerSecond(dir string) (perSecond float64, err error) {
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, probeFileBytes)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	block := make([]byte, probeBytes)
	count, began := 0, time.Now()
	for time.Since(began) < diskProbe {
		block[0] = byte(count)
		if _, err := f.WriteAt(block, int64(count)*probeBytes%probeFileBytes); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("sync %s: %w", f.Name(), err)
		}
		count++
	}
	return float64(count) / time.Since(began).Seconds(), nil
}
