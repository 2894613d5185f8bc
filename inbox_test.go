package quorate

import (
	"testing"
	"time"

	"github.com/quorate/quorate/replica"
)

func TestTicksThatAreMissedCountForLogTimeOnly(t *testing.T) {
	g := &Group{worker: newWorker(nil)}
	var passed time.Duration
	elapsed := func() (ticks int, elapsed time.Duration) {
		for _, in := range g.inbox.take() {
			if tick, ok := in.(replica.Tick); ok {
				ticks++
				elapsed += time.Duration(tick.Elapsed)
				passed += time.Duration(tick.Passed)
			}
		}
		return ticks, elapsed
	}
	for range 3 {
		g.putTick(0, 10*time.Millisecond, 0)
	}
	if n, d := elapsed(); n != 1 || d != 10*time.Millisecond {
		t.Errorf("%d ticks of %v", n, d)
	}
	g.putTick(0, 11*time.Millisecond, 0)
	if n, d := elapsed(); n != 1 || d != 31*time.Millisecond {
		t.Errorf("%d ticks of %v after two were missed", n, d)
	}
	g.putTick(0, time.Hour, 0)
	if n, d := elapsed(); n != 1 || d != maxElapsed {
		t.Errorf("%d ticks of %v after a long pause", n, d)
	}
	if want := time.Hour + 41*time.Millisecond; passed != want {
		t.Errorf("%v have passed, want %v", passed, want)
	}
}
