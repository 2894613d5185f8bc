package ordered

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// model is the obvious ordered map: a sorted slice.
type model []pair

type pair struct{ key, value string }

func (m model) at(key string) int {
	i, _ := slices.BinarySearchFunc(m, key, func(p pair, k string) int { return bytes.Compare([]byte(p.key), []byte(k)) })
	return i
}

func (m model) set(key, value string) model {
	i := m.at(key)
	if i < len(m) && m[i].key == key {
		m[i].value = value
		return m
	}
	return slices.Insert(m, i, pair{key, value})
}

func (m model) delete(key string) model {
	i := m.at(key)
	if i < len(m) && m[i].key == key {
		return slices.Delete(m, i, i+1)
	}
	return m
}

func contents(t *Tree) []pair {
	var it Iter
	it.Init(t, nil, nil)
	var got []pair
	for ok := it.First(); ok; ok = it.Next() {
		got = append(got, pair{string(it.Key()), string(it.Value())})
	}
	return got
}

func TestTreeAgreesWithSortedSlice(t *testing.T) {
	for seed := range int64(20) {
		rng := rand.New(rand.NewSource(seed))
		var tree Tree
		var want model
		keys := 1 << (3 + rng.Intn(9))
		for step := range 3000 {
			key := fmt.Sprintf("%04d", rng.Intn(keys))
			// Phases of growing and of shrinking, so that nodes empty out and the root collapses.
			if rng.Intn(100) < 30+40*(step/700%2) {
				tree.Delete([]byte(key))
				want = want.delete(key)
			} else {
				value := fmt.Sprint(step)
				tree.Set([]byte(key), []byte(value))
				want = want.set(key, value)
			}
			value, ok := tree.Get([]byte(key))
			i := want.at(key)
			if wantOK := i < len(want) && want[i].key == key; ok != wantOK || ok && string(value) != want[i].value {
				t.Fatalf("seed %d step %d: Get(%s) = %q %v, want present %v", seed, step, key, value, ok, wantOK)
			}
			if tree.Len() != len(want) {
				t.Fatalf("seed %d step %d: Len() = %d, want %d", seed, step, tree.Len(), len(want))
			}
		}
		if got := contents(&tree); !slices.Equal(got, []pair(want)) {
			t.Fatalf("seed %d: contents differ:\ngot  %v\nwant %v", seed, got, want)
		}
	}
}

func TestCloneKeepsWhatItWas(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	var tree Tree
	type snapshot struct {
		tree Tree
		want []pair
	}
	var taken []snapshot
	for step := range 4000 {
		key := []byte(fmt.Sprintf("%03d", rng.Intn(400)))
		if rng.Intn(3) == 0 {
			tree.Delete(key)
		} else {
			tree.Set(key, []byte(fmt.Sprint(step)))
		}
		if step%97 == 0 {
			taken = append(taken, snapshot{tree.Clone(), contents(&tree)})
		}
	}
	// Writing to a clone must not reach the tree it came from, nor the other clones.
	before := contents(&tree)
	for i := range taken {
		if got := contents(&taken[i].tree); !slices.Equal(got, taken[i].want) {
			t.Fatalf("clone %d changed after it was taken", i)
		}
		taken[i].tree.Set([]byte("500"), []byte("clone"))
		taken[i].tree.Delete([]byte("200"))
	}
	if got := contents(&tree); !slices.Equal(got, before) {
		t.Fatal("writing to clones changed the tree they came from")
	}
}

func TestIteratorSeeksBothWaysWithinBounds(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	for range 300 {
		var tree Tree
		var all model
		for range rng.Intn(200) {
			key := fmt.Sprintf("%03d", rng.Intn(300))
			tree.Set([]byte(key), []byte(key))
			all = all.set(key, key)
		}
		lo, hi := fmt.Sprintf("%03d", rng.Intn(320)), fmt.Sprintf("%03d", rng.Intn(320))
		var it Iter
		var inside []pair
		if rng.Intn(4) == 0 {
			it.Init(&tree, nil, nil)
			inside = all
		} else {
			it.Init(&tree, []byte(lo), []byte(hi))
			if lo < hi {
				inside = all[all.at(lo):all.at(hi)]
			}
		}
		checkWalk(t, &it, inside, fmt.Sprintf("%03d", rng.Intn(320)))
	}
}

// checkWalk compares every movement of the iterator with the entries it should see.
func checkWalk(t *testing.T, it *Iter, inside []pair, key string) {
	t.Helper()
	expect := func(what string, ok bool, i int) {
		t.Helper()
		if wantOK := i >= 0 && i < len(inside); ok != wantOK || ok != it.Valid() {
			t.Fatalf("%s: valid %v, want %v", what, ok, wantOK)
		} else if ok && (string(it.Key()) != inside[i].key || string(it.Value()) != inside[i].value) {
			t.Fatalf("%s: on %s, want %s", what, it.Key(), inside[i].key)
		}
	}
	at := model(inside).at(key)
	ok := it.SeekGE([]byte(key))
	for i := at; ; i++ {
		expect("SeekGE and on", ok, i)
		if !ok {
			break
		}
		ok = it.Next()
	}
	ok = it.SeekLT([]byte(key))
	for i := at - 1; ; i-- {
		expect("SeekLT and back", ok, i)
		if !ok {
			break
		}
		ok = it.Prev()
	}
	expect("First", it.First(), 0)
	expect("Last", it.Last(), len(inside)-1)
	if ok := it.SeekGE([]byte(key)); ok && it.Prev() { // turning around
		expect("SeekGE, Prev", true, at-1)
		expect("and Next", it.Next(), at)
	}
}
