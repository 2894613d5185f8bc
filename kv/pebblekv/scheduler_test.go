package pebblekv

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// layer makes one more layer in level 0.
func layer(t *testing.T, e *Engine) {
	t.Helper()
	b := e.NewBatch()
	b.Set([]byte("k"), []byte("v"))
	if err := b.Commit(); err != nil {
		t.Error(err)
	}
	if err := e.Flush(); err != nil {
		t.Error(err)
	}
}

// awaitCompaction returns when one is done.
func awaitCompaction(t *testing.T, e *Engine) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for e.db.Metrics().Compact.Count == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("no compaction: %v", e.db.Metrics())
		}
		<-time.After(time.Millisecond) // and look again
	}
}

func TestCompactionsAreHeldUntilTheyAreLet(t *testing.T) {
	e, err := Open("state", Options{FS: vfs.NewMem(), HoldCompactions: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range l0Threshold {
		layer(t, e)
	}
	if e.scheduler.begin() {
		t.Error("the goroutine begins one")
	}
	if m := e.db.Metrics(); m.Levels[0].TablesCount != l0Threshold || m.Compact.Count != 0 || m.Compact.NumInProgress != 0 {
		t.Errorf("%d tables in level 0, %d compactions, and %d under way", m.Levels[0].TablesCount, m.Compact.Count, m.Compact.NumInProgress)
	}
	e.LetCompact()
	awaitCompaction(t, e)
}

// Whoever opens an engine need not know of it.
func TestCompactionsBeginByThemselves(t *testing.T) {
	e, err := Open("state", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range l0Threshold {
		layer(t, e)
	}
	awaitCompaction(t, e)
}

// Commits that wait for a compaction would wait for ever: what lets it begin may be behind them.
func TestCompactionsAreNotHeldWhenCommitsWaitForThem(t *testing.T) {
	e, err := Open("state", Options{FS: vfs.NewMem(), HoldCompactions: true})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range l0Stop + 4 {
			layer(t, e)
		}
	}()
	select {
	case <-done:
		awaitCompaction(t, e)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("commits wait for ever: %v", e.db.Metrics())
	}
}

// What is asked for by hand waits as long, and goes on then.
func TestAskedForCompactionsAreDoneWhenTheyAreLet(t *testing.T) {
	e, err := Open("state", Options{FS: vfs.NewMem(), HoldCompactions: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	layer(t, e)
	layer(t, e)
	done := make(chan error, 1)
	go func() { done <- e.Compact(t.Context()) }()
	e.LetCompact()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if m := e.db.Metrics(); m.Levels[0].TablesCount != 0 {
		t.Errorf("%d tables in level 0", m.Levels[0].TablesCount)
	}
}
