package enginetest

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quorate/quorate/kv"
)

// Run runs the claims, each on an engine of its own.
func Run(t *testing.T, open func(t *testing.T) kv.Engine) {
	claims := []claim{
		{"IteratorWalksBothWaysWithinBounds", walksBothWays},
		{"BatchIsAtomicAndLastWriteWins", lastWriteWins},
		{"IteratorIsAPinnedView", pinnedView},
		{"PrefixSeekFindsWhatIsThere", prefixSeek},
		{"DiscardedBatchLeavesNothing", discarded},
		{"FlushMakesDurable", flushMakesDurable},
		{"IteratorsRunBesideCommits", besideCommits},
	}
	for _, c := range append(claims, stageClaims...) {
		t.Run(c.name, func(t *testing.T) {
			e := open(t)
			c.holds(t, e)
			if err := e.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		})
	}
}

type claim struct {
	name  string
	holds func(*testing.T, kv.Engine)
}

// versionKey is a key as kv writes them, to which SeekPrefix applies: space, name, end, revision.
func versionKey(name string, rev byte) []byte {
	k := append([]byte{0x10}, name...)
	k = append(k, 0, 1)
	return append(k, bytes.Repeat([]byte{^rev}, 12)...)
}

func commit(t *testing.T, e kv.Engine, fill func(kv.Batch)) {
	t.Helper()
	b := e.NewBatch()
	fill(b)
	if err := b.Commit(); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func iterate(t *testing.T, e kv.Engine, lo, hi []byte) kv.Iterator {
	t.Helper()
	it, err := e.NewIterator(lo, hi)
	if err != nil {
		t.Fatalf("open iterator: %v", err)
	}
	return it
}

func closeIterator(t *testing.T, it kv.Iterator) {
	t.Helper()
	if err := it.Error(); err != nil {
		t.Fatalf("iterate: %v", err)
	}
	if err := it.Close(); err != nil {
		t.Fatalf("close iterator: %v", err)
	}
}

// all returns the entries as "key=value".
func all(t *testing.T, it kv.Iterator) []string {
	t.Helper()
	var entries []string
	for ok := it.First(); ok; ok = it.Next() {
		entries = append(entries, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
	}
	if err := it.Error(); err != nil {
		t.Fatalf("iterate: %v", err)
	}
	return entries
}

func walksBothWays(t *testing.T, e kv.Engine) {
	rng := rand.New(rand.NewSource(1))
	var want []string
	for round := range 40 {
		commit(t, e, func(b kv.Batch) {
			for range rng.Intn(30) {
				key := fmt.Sprintf("%03d", rng.Intn(300))
				at, found := slices.BinarySearch(want, key)
				if rng.Intn(3) == 0 {
					b.Delete([]byte(key))
					if found {
						want = slices.Delete(want, at, at+1)
					}
				} else {
					b.Set([]byte(key), []byte(key))
					if !found {
						want = slices.Insert(want, at, key)
					}
				}
			}
		})
		if round%10 == 5 {
			if err := e.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		lo, hi := fmt.Sprintf("%03d", rng.Intn(150)), fmt.Sprintf("%03d", 150+rng.Intn(150))
		i, _ := slices.BinarySearch(want, lo)
		j, _ := slices.BinarySearch(want, hi)
		inside := want[i:j]
		it := iterate(t, e, []byte(lo), []byte(hi))
		for range 10 {
			key := fmt.Sprintf("%03d", rng.Intn(310))
			at, _ := slices.BinarySearch(inside, key)
			expect(t, it, "SeekGE "+key, it.SeekGE([]byte(key)), inside, at)
			expect(t, it, "SeekLT "+key, it.SeekLT([]byte(key)), inside, at-1)
			expect(t, it, "First", it.First(), inside, 0)
			for k := 1; it.Valid() && k <= len(inside); k++ {
				expect(t, it, "Next", it.Next(), inside, k)
			}
			expect(t, it, "Last", it.Last(), inside, len(inside)-1)
			for k := len(inside) - 2; it.Valid() && k >= -1; k-- {
				expect(t, it, "Prev", it.Prev(), inside, k)
			}
		}
		closeIterator(t, it)
	}
}

func expect(t *testing.T, it kv.Iterator, what string, ok bool, inside []string, at int) {
	t.Helper()
	if want := at >= 0 && at < len(inside); ok != want || it.Valid() != want {
		t.Fatalf("%s: %v (valid %v), want %v", what, ok, it.Valid(), want)
	} else if want && (string(it.Key()) != inside[at] || string(it.Value()) != inside[at]) {
		t.Fatalf("%s: on %s=%s, want %s", what, it.Key(), it.Value(), inside[at])
	}
}

func lastWriteWins(t *testing.T, e kv.Engine) {
	key, value := []byte("a"), []byte("1")
	commit(t, e, func(b kv.Batch) {
		b.Set(key, value)
		value[0] = '2' // slices are copied
		b.Set([]byte("b"), value)
		b.Set([]byte("c"), nil)
		b.Set([]byte("b"), []byte("3"))
		b.Set([]byte("d"), []byte("4"))
		b.Delete([]byte("d"))
		b.Delete([]byte("never"))
	})
	it := iterate(t, e, nil, nil)
	if got, want := all(t, it), []string{"a=1", "b=3", "c="}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	closeIterator(t, it)
}

func pinnedView(t *testing.T, e kv.Engine) {
	commit(t, e, func(b kv.Batch) { b.Set([]byte("a"), []byte("1")); b.Set([]byte("b"), []byte("1")) })
	it := iterate(t, e, nil, nil)
	want := []string{"a=1", "b=1"}
	for round := range 3 {
		commit(t, e, func(b kv.Batch) {
			b.Set([]byte("a"), []byte(fmt.Sprint(2+round)))
			b.Delete([]byte("b"))
			b.Set([]byte("c"), []byte("new"))
		})
		if round == 1 {
			if err := e.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if got := all(t, it); !slices.Equal(got, want) {
			t.Fatalf("view shows %v, want %v", got, want)
		}
	}
	closeIterator(t, it)
	it = iterate(t, e, nil, nil)
	if got, want := all(t, it), []string{"a=4", "c=new"}; !slices.Equal(got, want) {
		t.Fatalf("a new view shows %v, want %v", got, want)
	}
	closeIterator(t, it)
}

func prefixSeek(t *testing.T, e kv.Engine) {
	for i := range 200 {
		commit(t, e, func(b kv.Batch) {
			for rev := byte(2); rev <= 6; rev += 2 {
				b.Set(versionKey(fmt.Sprintf("%03d", 2*i), rev), []byte{rev})
			}
		})
		if i%50 == 49 {
			if err := e.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	it := iterate(t, e, []byte{0x10}, []byte{0x11})
	for i := range 400 {
		name := fmt.Sprintf("%03d", i)
		for rev := byte(1); rev <= 7; rev++ {
			ok := it.SeekPrefix(versionKey(name, rev))
			hit := ok && bytes.HasPrefix(it.Key(), versionKey(name, 0)[:6])
			if want := i%2 == 0 && rev >= 2; hit != want {
				t.Fatalf("key %s at %d: found %v, want %v", name, rev, hit, want)
			} else if want && it.Value()[0] != rev&^1 {
				t.Fatalf("key %s at %d: found revision %d", name, rev, it.Value()[0])
			}
		}
	}
	closeIterator(t, it)
}

func discarded(t *testing.T, e kv.Engine) {
	b := e.NewBatch()
	b.Set([]byte("a"), []byte("1"))
	b.Discard()
	it := iterate(t, e, nil, nil)
	if got := all(t, it); len(got) != 0 {
		t.Fatalf("found %v", got)
	}
	closeIterator(t, it)
}

func flushMakesDurable(t *testing.T, e kv.Engine) {
	durable := func() string {
		value, ok, err := e.GetDurable([]byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(string(value), ok)
	}
	if got := durable(); got != "false" {
		t.Fatalf("empty engine: %s", got)
	}
	commit(t, e, func(b kv.Batch) { b.Set([]byte("a"), []byte("1")) })
	if got := durable(); got != "false" {
		t.Fatalf("before the flush: %s", got)
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	commit(t, e, func(b kv.Batch) { b.Set([]byte("a"), []byte("2")) })
	if got := durable(); got != "1true" {
		t.Fatalf("after the flush: %s", got)
	}
	commit(t, e, func(b kv.Batch) { b.Delete([]byte("a")) })
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := durable(); got != "false" {
		t.Fatalf("after the delete: %s", got)
	}
	if err := e.Flush(); err != nil {
		t.Fatalf("flush of nothing: %v", err)
	}
}

// besideCommits writes the same round to many keys at once, while readers check that they never
// see two rounds.
func besideCommits(t *testing.T, e kv.Engine) {
	const keys, rounds = 20, 200
	write := func(round int) {
		b := e.NewBatch()
		for k := range keys {
			b.Set([]byte(fmt.Sprintf("%02d", k)), []byte(fmt.Sprint(round)))
		}
		if err := b.Commit(); err != nil {
			t.Error(err)
		}
	}
	write(0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				it, err := e.NewIterator(nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var seen []string
				for ok := it.First(); ok; ok = it.Next() {
					seen = append(seen, string(it.Value()))
				}
				if len(seen) != keys || strings.Join(seen, " ") != strings.TrimSpace(strings.Repeat(seen[0]+" ", keys)) {
					t.Errorf("a view shows parts of several batches: %v", seen)
				}
				if err := it.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for round := 1; round < rounds; round++ {
		write(round)
	}
	close(done)
	readers.Wait()
}
