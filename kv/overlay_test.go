package kv

import (
	"bytes"
	"fmt"
	"testing"
)

func TestOverlayKeepsSlicesApartUntilReset(t *testing.T) {
	var o overlay
	var keys, want [][]byte
	for i := range 3000 {
		key := bytes.Repeat([]byte(fmt.Sprintf("%04d", i)), 1+i%20)
		kept := o.keep(append(o.room(len(key)), key...))
		keys, want = append(keys, kept), append(want, key)
		o.add(kept, kept)
	}
	large := o.keep(append(o.room(3*arenaBytes), make([]byte, 3*arenaBytes)...))
	for i := range keys {
		if !bytes.Equal(keys[i], want[i]) {
			t.Fatalf("%d became %q", i, keys[i])
		}
		if got, ok := o.index().Get(want[i]); !ok || !bytes.Equal(got, want[i]) {
			t.Fatalf("%d: %q, %v", i, got, ok)
		}
	}
	if len(large) != 3*arenaBytes {
		t.Fatal(len(large))
	}
	o.reset()
	o.add([]byte("a"), []byte("1"))
	if n := o.index().Len(); n != 1 {
		t.Fatalf("%d entries after a reset", n)
	}
	if len(o.arena) != 0 || cap(o.arena) > arenaBytes {
		t.Fatalf("reset keeps %d bytes of %d", len(o.arena), cap(o.arena))
	}
}
