package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/sim"
)

// runIntoLedger runs the batch chunk by chunk, and writes each down when it is done.
func (f *simFlags) runIntoLedger(ctx context.Context, w *world) error {
	chunks, err := readLedger(f.ledger)
	if err != nil {
		return failed(err)
	}
	if f.commit == "" {
		f.commit = commit()
	}
	b := f.batch
	if f.from == auto {
		b.From = sim.NextSeed(chunks)
	}
	fmt.Fprintf(w.err, "%s, seeds from %d on\n", f.commit, b.From)
	p := progress{w: w, worlds: b.Count, told: time.Now()}
	for left := b.Count; left > 0; left -= b.Count {
		b.Count = min(left, f.chunk)
		before := processorTime()
		c, err := sim.RunChunk(ctx, b, p.add)
		if err != nil {
			return failed(err)
		}
		c.Commit, c.CPU = f.commit, (processorTime() - before).Seconds()
		if err := sim.AppendToLedger(f.ledger, c); err != nil {
			return failed(err)
		}
		chunks = append(chunks, c)
		b.From += uint64(b.Count)
	}
	total := sim.Summarize(chunks)
	fmt.Fprint(w.out, total.String())
	return p.verdict()
}

// summarize adds up a ledger.
func summarize(w *world, name string, format show.Format) error {
	chunks, err := readLedger(name)
	if err != nil {
		return failed(err)
	}
	total := sim.Summarize(chunks)
	if format != show.JSON {
		fmt.Fprint(w.out, total.String())
		return nil
	}
	b, err := json.Marshal(total)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(w.out, "%s\n", b)
	return nil
}

// readLedger reads a ledger; if there is no such file it is empty.
func readLedger(name string) ([]sim.Chunk, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer file.Close()
	return sim.ReadLedger(file)
}
