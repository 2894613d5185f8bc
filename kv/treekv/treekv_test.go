package treekv

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/internal/enginetest"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(*testing.T) kv.Engine { return New() })
}

func put(t *testing.T, e *Engine, value int) {
	t.Helper()
	b := e.NewBatch()
	b.Set([]byte("a"), []byte(fmt.Sprint(value)))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

func durable(t *testing.T, e *Engine) string {
	t.Helper()
	value, _, err := e.GetDurable([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func TestCrashKeepsTheChosenPrefixOfBatches(t *testing.T) {
	for left := range 4 {
		e := New()
		put(t, e, 1)
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		for value := 2; value <= 4; value++ {
			put(t, e, value)
		}
		after := e.Crash(func(batches int) int {
			if batches != 3 {
				t.Errorf("asked about %d batches, want 3", batches)
			}
			return left
		})
		if got, want := durable(t, after), fmt.Sprint(1+left); got != want {
			t.Errorf("crash that keeps %d: %s, want %s", left, got, want)
		}
		if after.Unflushed() != 0 {
			t.Error("what survived a crash is not durable")
		}
		put(t, after, 9) // goes on, and does not reach what other crashes would find
		if got := durable(t, after); got == "9" {
			t.Error("durable without a flush")
		}
	}
}

func TestNothingWorksAfterACrashOrClose(t *testing.T) {
	for name, end := range map[string]func(*Engine){
		"crash": func(e *Engine) { e.Crash(func(int) int { return 0 }) },
		"close": func(e *Engine) { _ = e.Close() },
	} {
		e := New()
		b := e.NewBatch()
		end(e)
		if err := b.Commit(); err != ErrClosed {
			t.Errorf("%s: commit: %v", name, err)
		}
		if _, err := e.NewIterator(nil, nil); err != ErrClosed {
			t.Errorf("%s: iterator: %v", name, err)
		}
		if err := e.Flush(); err != ErrClosed {
			t.Errorf("%s: flush: %v", name, err)
		}
		if _, _, err := e.GetDurable(nil); err != ErrClosed {
			t.Errorf("%s: durable: %v", name, err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("%s: close again: %v", name, err)
		}
	}
}
