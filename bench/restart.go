package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/bench/internal/proc"
	"github.com/quorate/quorate/bench/internal/report"
)

// restarts is how often each kind of restart is measured in a run.
const restarts = 3

// runRestart stores so many keys, kills servers and starts them again.
func runRestart(ctx context.Context, b *bed, r *report.Run) error {
	return b.restarting(ctx, r, b.size, b.size)
}

// runRewritten does it after so many writes over all keys.
func runRewritten(ctx context.Context, b *bed, r *report.Run) error {
	return b.restarting(ctx, r, b.options.keys, b.size)
}

func (b *bed) restarting(ctx context.Context, r *report.Run, keys, writes int) error {
	if keys <= bulkOps || writes < keys {
		return fmt.Errorf("%d writes over %d keys: there must be as many writes as keys, and more than %d keys", writes, keys, bulkOps)
	}
	if err := b.load(ctx, r, writes, b.putInOrder(keys)); err != nil {
		return err
	}
	state, err := b.cluster.WaitWhole(ctx)
	if err != nil {
		return err
	}
	revision, err := b.revision(ctx)
	if err != nil {
		return err
	}
	one := func(kind string, servers ...int) {
		for range restarts {
			if err == nil {
				err = b.killAndStart(ctx, r, kind, revision, servers)
			}
		}
	}
	if len(b.cluster.Servers) == 1 {
		one("the only server", 0)
	} else {
		one("one of three", (state.Leader+1)%len(b.cluster.Servers))
		one("all of three", 0, 1, 2)
	}
	if err != nil {
		return err
	}
	bytes, err := directoryBytes(b.cluster.DataDir(0))
	r.Add("data directory, MB", float64(bytes)/1e6)
	r.AddMedians()
	return errors.Join(err, b.inspect(ctx, r))
}

// killAndStart kills servers at once, starts them at once, and measures the time until each serves: that of the
// last counts. What that took in CPU and memory is per server, the most that any took.
func (b *bed) killAndStart(ctx context.Context, r *report.Run, kind string, revision int64, servers []int) error {
	for _, i := range servers {
		b.cluster.Kill(i)
	}
	began := time.Now()
	for _, i := range servers {
		if err := b.cluster.Restart(i); err != nil {
			return err
		}
	}
	var first, last time.Duration
	var cpu time.Duration
	var anon, peak int64
	for _, i := range servers {
		server := b.cluster.Servers[i]
		if err := untilServes(ctx, server, keyName(0), revision); err != nil {
			return err
		}
		last = time.Since(began)
		if first == 0 {
			first = last
		}
		used, err := proc.ReadCPU(server.PID)
		memory, memoryErr := proc.ReadMemory(server.PID)
		most, peakErr := proc.ReadPeak(server.PID)
		if err := errors.Join(err, memoryErr, peakErr); err != nil {
			return err
		}
		cpu, anon, peak = max(cpu, used.Total()), max(anon, memory.Anon), max(peak, most)
	}
	b.tell("%s: serves after %v, %v of CPU, %d MiB of its own, %d MiB at most", kind, rounded(last), cpu, anon>>20, peak>>20)
	r.AddSample(kind+": until it serves, ms", millis(last))
	r.AddSample(kind+": CPU until then, ms", millis(cpu))
	r.AddSample(kind+": memory of its own by then, MiB", mebi(anon))
	r.AddSample(kind+": most resident by then, MiB", mebi(peak))
	_, err := b.cluster.WaitWhole(ctx)
	return err
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// directoryBytes adds up the files of a directory; those that vanish meanwhile count nothing.
func directoryBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return unlessGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return unlessGone(err)
	})
	if err == nil && total == 0 {
		err = fmt.Errorf("%s has no files", dir)
	}
	return total, err
}
