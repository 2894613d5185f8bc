package main

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/proc"
	"github.com/quorate/quorate/bench/internal/report"
)

// readPage is how many keys are read at a time when all are.
const readPage = 1000

// runMemory stores so many keys and looks at what each server holds in memory: at once, after it has been idle, and
// after every key was read at every server.
func runMemory(ctx context.Context, b *bed, r *report.Run) error {
	if b.size <= bulkOps {
		return fmt.Errorf("the size of memory is a number of keys, and more than %d", bulkOps)
	}
	if err := b.load(ctx, r, b.size, b.putInOrder(b.size)); err != nil {
		return err
	}
	if _, err := b.cluster.WaitWhole(ctx); err != nil {
		return err
	}
	if err := b.holds(ctx, r, "when stored"); err != nil {
		return err
	}
	if pauseFor(ctx, b.options.idle); ctx.Err() != nil {
		return ctx.Err()
	}
	if err := b.holds(ctx, r, "when idle"); err != nil {
		return err
	}
	for _, server := range b.cluster.Servers {
		if err := b.readAll(ctx, server.URL, b.size); err != nil {
			return fmt.Errorf("read all keys at %s: %w", server.Name, err)
		}
	}
	if err := b.holds(ctx, r, "when all was read"); err != nil {
		return err
	}
	return b.inspect(ctx, r)
}

// holds adds what a server holds, the most of all servers for each measure by itself.
func (b *bed) holds(ctx context.Context, r *report.Run, when string) error {
	var resident, anon, heap, runtime, peak float64
	for _, server := range b.cluster.Servers {
		memory, err := proc.ReadMemory(server.PID)
		most, peakErr := proc.ReadPeak(server.PID)
		page, metricsErr := scrape(ctx, server)
		if err := errors.Join(err, peakErr, metricsErr); err != nil {
			return err
		}
		resident, anon = max(resident, mebi(memory.Anon+memory.File)), max(anon, mebi(memory.Anon))
		peak = max(peak, mebi(most))
		heap = max(heap, page["go_memstats_heap_alloc_bytes"]/(1<<20))
		runtime = max(runtime, page["go_memstats_sys_bytes"]/(1<<20))
	}
	b.tell("%s: %.0f MiB resident, %.0f of its own, %.0f at most so far; %.0f in Go's heap, %.0f for Go", when, resident, anon, peak, heap, runtime)
	r.Add("resident "+when+", MiB", resident)
	r.Add("of its own "+when+", MiB", anon)
	r.Add("Go's heap "+when+", MiB", heap)
	r.Add("most resident until "+when+", MiB", peak)
	return nil
}

// readAll reads all keys of a server page by page. Pages are asked for by their ends: with a limit the answer would say
// each time how many keys there are behind it.
func (b *bed) readAll(ctx context.Context, url string, keys int) error {
	connection, err := cluster.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	read := 0
	for from := 0; from < keys; from += readPage {
		end := clientv3.GetPrefixRangeEnd(keyPrefix)
		if from+readPage < keys {
			end = keyName(from + readPage)
		}
		bounded, cancel := context.WithTimeout(ctx, readBackTimeout)
		got, err := connection.Get(bounded, keyName(from), clientv3.WithRange(end), clientv3.WithSerializable())
		cancel()
		if err != nil {
			return err
		}
		read += len(got.Kvs)
	}
	if read != keys {
		return fmt.Errorf("%d keys are there, %d were stored", read, keys)
	}
	return nil
}
