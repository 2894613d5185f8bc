package treekv

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/kv"
)

// filled returns an engine with a state that is flushed, and one that is not.
func filled(t *testing.T) *Engine {
	t.Helper()
	e := New()
	for i, value := range []string{"1", "one"} {
		b := e.NewBatch()
		b.Set([]byte("a"), []byte(value))
		b.Set([]byte("b"), []byte("2"))
		b.Set([]byte("c"), nil)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := e.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return e
}

func iterate(t *testing.T, e *Engine) kv.Iterator {
	t.Helper()
	it, err := e.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func TestRotChangesOneBitOfAValue(t *testing.T) {
	e := filled(t)
	asked := []int{}
	pick := func(of int) int { asked = append(asked, of); return of - 1 }
	if !e.Rot(nil, []byte("b"), pick) {
		t.Fatal("nothing has rotted")
	}
	if len(asked) != 3 || asked[0] != 1 || asked[1] != len("one") || asked[2] != 8 {
		t.Errorf("asked to choose among %v", asked)
	}
	it := iterate(t, e)
	if !it.First() || string(it.Value()) != "on\xe5" {
		t.Errorf("reads %q", it.Value())
	}
	if value, ok, err := e.GetDurable([]byte("a")); string(value) != "1" || !ok || err != nil {
		t.Errorf("durable is %q, %v, %v", value, ok, err)
	}
	if e.Rot([]byte("c"), nil, pick) {
		t.Error("a key without a value has rotted")
	}
}

func TestWhatIsDamagedIsNotRead(t *testing.T) {
	e := filled(t)
	if !e.Damage([]byte("b"), nil, func(of int) int { return of - 1 }) {
		t.Fatal("nothing was damaged")
	}
	for _, crashed := range []bool{false, true} {
		if crashed {
			e = e.Crash(func(batches int) int { return batches })
		}
		it := &iterator{state: &e.states[len(e.states)-1]}
		it.Init(it.state, nil, nil)
		for move, found := range map[string]func() bool{
			"a seek":        func() bool { return it.SeekGE([]byte("b")) },
			"a prefix":      func() bool { return it.SeekPrefix([]byte("b")) },
			"a seek before": func() bool { return it.SeekLT([]byte("c")) },
			"a step":        func() bool { return it.First() && it.Next() },
			"a step back":   func() bool { return it.Last() && it.Prev() },
		} {
			if found() || it.Valid() || !errors.Is(it.Error(), ErrDamaged) || !errors.Is(it.Close(), ErrDamaged) {
				t.Errorf("%s: valid %v, error %v", move, it.Valid(), it.Error())
			}
		}
		if !it.First() || !it.Valid() || string(it.Key()) != "a" || it.Error() != nil || it.Close() != nil {
			t.Errorf("what is well: %q, %v", it.Key(), it.Error())
		}
		if _, ok, err := e.GetDurable([]byte("b")); ok || !errors.Is(err, ErrDamaged) {
			t.Errorf("durable: %v, %v", ok, err)
		}
	}
	e = filled(t)
	e.Damage([]byte("b"), nil, func(of int) int { return 0 })
	b := e.NewBatch()
	b.Set([]byte("b"), []byte("3"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if it := iterate(t, e); !it.SeekGE([]byte("b")) || string(it.Value()) != "3" {
		t.Errorf("written anew: %q, %v", it.Value(), it.Error())
	}
}
