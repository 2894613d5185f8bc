package sim_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/sim"
)

func TestLedgerGoesOnWhereItEnded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger.jsonl")
	batch := sim.Batch{Options: sim.Options{Simulated: 2 * time.Second}, From: 5, Count: 3}
	first, err := sim.RunChunk(context.Background(), batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.AppendToLedger(name, first); err != nil {
		t.Fatal(err)
	}
	cutOff(t, name) // a crash while a line is written: the line is gone, what was there is not
	chunks := readLedger(t, name)
	if len(chunks) != 1 || sim.NextSeed(chunks) != 8 {
		t.Fatalf("%d chunks, next seed %d, want 1 and 8", len(chunks), sim.NextSeed(chunks))
	}
	batch.From = 8
	second, err := sim.RunChunk(context.Background(), batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.AppendToLedger(name, second); err != nil {
		t.Fatal(err)
	}
	chunks = readLedger(t, name)
	if len(chunks) != 2 || chunks[0].Trace != first.Trace || chunks[1].Trace != second.Trace || sim.NextSeed(chunks) != 11 {
		t.Errorf("got %+v, next seed %d", chunks, sim.NextSeed(chunks))
	}
	if first.Events == 0 || first.Simulated < 6 || first.SecondsEach != 2 || len(first.Findings) != 0 {
		t.Errorf("the chunk is %+v", first)
	}
}

func cutOff(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"commit":"` + strings.Repeat("x", 5000)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func readLedger(t *testing.T, name string) []sim.Chunk {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunks, err := sim.ReadLedger(f)
	if err != nil {
		t.Fatal(err)
	}
	return chunks
}

func TestLedgerRefusesLinesThatItCannotRead(t *testing.T) {
	if _, err := sim.ReadLedger(strings.NewReader("{\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v, want an error about line 1", err)
	}
}

func TestInterruptedChunkIsNone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	batch := sim.Batch{Options: sim.Options{Simulated: time.Second}, Count: 50, Workers: 1}
	if _, err := sim.RunChunk(ctx, batch, func(sim.Result, error) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestLedgerAddsUp(t *testing.T) {
	chunk := func(commit string, from uint64, seeds int, seconds float64) sim.Chunk {
		return sim.Chunk{Commit: commit, From: from, Seeds: seeds, SecondsEach: seconds, Simulated: 360, CPU: 1.5, Wall: 1,
			Tally: sim.Tally{Events: 30, Struck: 4, Crashes: 2}, Findings: []sim.Finding{{Seed: from, Check: "C1"}}}
	}
	got := sim.Summarize([]sim.Chunk{
		chunk("a", 1, 10, 30), chunk("a", 11, 10, 30), chunk("b", 1, 10, 30), // other code: other worlds
		chunk("a", 5, 10, 30), // ten of them again
		chunk("a", 1, 10, 60), // longer worlds
	})
	if got.Chunks != 5 || got.Commits != 2 || got.Worlds != 50 || got.Repeated != 10 || got.Crashes != 10 || got.Struck != 20 {
		t.Errorf("got %+v", got)
	}
	if got.EventsPerSecond() != 20 || got.HoursPerMinute() != 4 || len(got.Findings) != 5 {
		t.Errorf("%v events a second, %v hours a minute, %d findings; want 20, 4, 5", got.EventsPerSecond(), got.HoursPerMinute(), len(got.Findings))
	}
	for _, want := range []string{"50 worlds in 5 chunks of 2 commits (10 of them repeated)", "20 worlds with at least 3 faults", "30 worlds with fewer", "5 findings"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the summary does not say %q:\n%s", want, got.String())
		}
	}
}
