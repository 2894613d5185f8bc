package watch

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// TestIndexFindsWhatALookAtAllFinds: with ranges that nest, touch, overlap and come and go.
func TestIndexFindsWhatALookAtAllFinds(t *testing.T) {
	for seed := range int64(50) {
		rng := rand.New(rand.NewSource(seed))
		x := newIndex()
		var taken []*group
		word := func() string {
			b := make([]byte, 1+rng.Intn(3))
			for i := range b {
				b[i] = byte('a' + rng.Intn(3))
			}
			return string(b)
		}
		for range 300 {
			if rng.Intn(3) > 0 || len(taken) == 0 {
				k := groupKey{interval: interval{key: word()}, noPut: rng.Intn(4) == 0}
				switch rng.Intn(4) {
				case 0:
					k.from, k.end = true, "\x00"
				case 1, 2:
					if k.end = word(); k.isEmpty() {
						continue
					}
				}
				taken = append(taken, x.take(k))
			} else {
				i := rng.Intn(len(taken))
				x.release(taken[i])
				taken = slices.Delete(taken, i, i+1)
			}
			key := []byte(word())
			want := map[*group]bool{}
			for _, g := range taken {
				if g.isPoint() && g.key == string(key) || !g.isPoint() && g.key <= string(key) && g.endsAfter(key) {
					want[g] = true
				}
			}
			got := 0
			x.visit(key, func(g *group) {
				if got++; !want[g] {
					t.Fatalf("seed %d: %q is not for %+v", seed, key, g.groupKey)
				}
			})
			if got != len(want) || len(x.all) < len(want) {
				t.Fatalf("seed %d: %q is for %d groups, want %d", seed, key, got, len(want))
			}
		}
		for _, g := range taken {
			x.release(g)
		}
		if len(x.all)+len(x.points)+len(x.ranges) != 0 {
			t.Fatalf("seed %d: groups without watchers stay", seed)
		}
	}
}

// BenchmarkApply: an event for 10,000 watchers of one prefix, and one among 10,000 watchers of keys and
// of ranges of their own.
func BenchmarkApply(b *testing.B) {
	for _, test := range []struct {
		name   string
		create func(i int) Create
	}{
		{"prefix", func(int) Create { return Create{Key: []byte("k"), End: []byte("l")} }},
		{"keys", func(i int) Create { return Create{Key: fmt.Appendf(nil, "k%05d", i)} }},
		{"ranges", func(i int) Create {
			return Create{Key: fmt.Appendf(nil, "k%05d", i), End: fmt.Appendf(nil, "k%05d", i+1)}
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			h := New(Options{}, 1, -1)
			var streams []*Stream
			for i := range 10_000 {
				if i%100 == 0 {
					streams = append(streams, h.Open(nil))
				}
				h.Create(streams[i/100], test.create(i))
			}
			for _, s := range streams {
				h.Take(s)
			}
			h.Ready()
			event := Event{Key: []byte("k00123"), Body: make([]byte, 200)}
			b.ReportAllocs()
			for b.Loop() {
				event.Revision = h.Revision() + 1
				h.Apply([]Event{event}, event.Revision)
				for _, s := range h.Ready() {
					h.Take(s)
				}
			}
		})
	}
}
