package server

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/quorate/quorate/kv/pebblekv"
)

// Compactions wait for the log that a start applies, and no longer: else level 0 would grow until commits stop.
func TestStateIsCompactedOnceAStartHasAppliedItsLog(t *testing.T) {
	ctx := testContext(t)
	o := clusterOptions(t, 1)[0]
	s := start(t, o)
	client := connect(t, s)
	for i := range 2 {
		if _, err := client.Put(ctx, "k", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.machine.flushNowAndWait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.engine.Compact(ctx); err != nil { // it waits until it may
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(o.DataDir, stateDir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Errorf("nothing is on the disk that could have been compacted: %v", err)
	}
}

func TestDefragmentingWaitsForNoLeader(t *testing.T) {
	engine, err := pebblekv.Open(t.TempDir(), pebblekv.Options{HoldCompactions: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for range 2 {
		b := engine.NewBatch()
		b.Set([]byte("k"), []byte("v"))
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := engine.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Server{engine: engine}).defragment(testContext(t)); err != nil {
		t.Error(err)
	}
}
