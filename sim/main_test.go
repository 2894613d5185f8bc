package sim_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets worlds make more garbage before it is collected, as quorate sim does.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	os.Exit(m.Run())
}
