package raft

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage pile up higher than usual: the exploration makes little else.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
