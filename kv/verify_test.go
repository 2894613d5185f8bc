package kv_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// verify returns what is wrong with what an engine holds.
func verify(t *testing.T, e kv.Engine) (kv.Census, []string) {
	t.Helper()
	store, err := kv.Open(e, kv.Options{})
	if err != nil {
		return kv.Census{}, []string{err.Error()}
	}
	var wrong []string
	told := int64(0)
	census, err := store.Verify(func(rows int64) { told = rows }, func(err error) { wrong = append(wrong, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	if want := census.Rows &^ 0xfff; told != want {
		t.Errorf("progress was told of %d rows, want %d", told, want)
	}
	return census, wrong
}

// row is one of an engine's.
type row struct{ key, value []byte }

func rowsOf(t *testing.T, e kv.Engine) (rows []row) {
	t.Helper()
	it, err := e.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		rows = append(rows, row{slices.Clone(it.Key()), slices.Clone(it.Value())})
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func meddle(t *testing.T, e kv.Engine, write func(kv.Batch)) {
	t.Helper()
	b := e.NewBatch()
	write(b)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// leased makes a store that has a bit of everything.
func leased(t *testing.T) *treekv.Engine {
	t.Helper()
	e := treekv.New()
	store, err := kv.Open(e, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	c.put("a", "1")
	c.put("a\x00", "zero")
	c.want(c.grant(0, 7, 10), kv.CodeOK)
	c.want(c.grant(0, -9, 10), kv.CodeOK)
	c.want(c.putLeased("b", 7), kv.CodeOK)
	c.want(c.putLeased("b", -9), kv.CodeOK)
	c.want(c.putLeased("c", 7), kv.CodeOK)
	c.put("a", "2")
	c.put("a", "3")
	c.delete("a", "")
	c.put("a", "4")
	c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("x", "1"), putOp("y", "2"), putOp("z", "3"), deleteOp("c", "")}})
	return e
}

func TestVerifyFindsNothingWrongWithWhatIsRight(t *testing.T) {
	census, wrong := verify(t, leased(t))
	if len(wrong) > 0 {
		t.Error(wrong)
	}
	got := fmt.Sprintf("%d keys, %d versions, %d tombstones, %d leases, %d leased keys", census.Keys, census.Versions, census.Tombstones, census.Leases, census.LeaseKeys)
	equal(t, "census", got, "6 keys, 13 versions, 2 tombstones, 2 leases, 1 leased keys")
	for seed := range int64(20) {
		s := openServer(t, "tree", treekv.New(), kv.Options{}, seed, 20, 30, 2)
		runHistory(t, seed, 300, []*server{s})
		for _, removed := range []bool{false, true} {
			if removed {
				s.removeAll(t)
			}
			if _, wrong := verify(t, s.engine); len(wrong) > 0 {
				t.Errorf("seed %d, removed %v: %v", seed, removed, wrong)
			}
		}
	}
}

// TestVerifyMissesNoRow takes away each row in turn, and then changes each byte of each.
func TestVerifyMissesNoRow(t *testing.T) {
	spaces := map[byte]int{}
	for i, r := range rowsOf(t, leased(t)) {
		e := leased(t)
		meddle(t, e, func(b kv.Batch) { b.Delete(r.key) })
		_, wrong := verify(t, e)
		if r.key[0] == 0x20 && r.key[1] != 0xff || r.key[0] == 0x01 && r.key[1] == 'f' {
			continue // a lease without keys is missed by nobody; without a format nothing can be opened
		}
		spaces[r.key[0]]++
		if len(wrong) == 0 {
			t.Errorf("row %d, %x, is gone, and nothing is wrong", i, r.key)
		}
		if r.key[0] == 0x01 {
			continue // the applied record has a digest, which nothing here can tell from another
		}
		for at := range r.key {
			changed := bytes.Clone(r.key)
			changed[at] ^= 0x20
			e := leased(t)
			meddle(t, e, func(b kv.Batch) { b.Delete(r.key); b.Set(changed, r.value) })
			if _, wrong := verify(t, e); len(wrong) == 0 {
				t.Errorf("row %d, %x, is %x, and nothing is wrong", i, r.key, changed)
			}
		}
	}
	for _, space := range []byte{0x01, 0x10, 0x11, 0x20, 0x21} {
		if spaces[space] == 0 {
			t.Errorf("no row of space %02x was taken away", space)
		}
	}
}

func TestVerifyTellsHowFarItIs(t *testing.T) {
	e := leased(t)
	meddle(t, e, func(b kv.Batch) {
		for i := range 10_000 {
			b.Set(fmt.Appendf([]byte{0x02}, "%d", i), nil) // a server's own
		}
	})
	if census, wrong := verify(t, e); census.Rows < 10_000 || len(wrong) > 0 {
		t.Errorf("%d rows, %v", census.Rows, wrong)
	}
}

// TestVerifyFindsWhatOneComparisonFinds: each of these is seen in one way only.
func TestVerifyFindsWhatOneComparisonFinds(t *testing.T) {
	rows := rowsOf(t, leased(t))
	of := func(prefix string, n int) row {
		for _, r := range rows {
			if bytes.HasPrefix(r.key, []byte(prefix)) {
				if n == 0 {
					return r
				}
				n--
			}
		}
		t.Fatalf("no row %x", prefix)
		return row{}
	}
	index := func(version row) []byte {
		key := []byte{0x11}
		for _, c := range version.key[len(version.key)-12:] {
			key = append(key, ^c)
		}
		return key
	}
	x, a := of("\x10x\x00\x01", 0), of("\x10a\x00\x01", 2) // a's before the tombstone
	for what, change := range map[string]func(b kv.Batch){
		"a key is older than its first version": func(b kv.Batch) {
			earlier := bytes.Clone(x.value)
			earlier[1]--
			b.Set(x.key, earlier)
		},
		"a key is deleted twice": func(b kv.Batch) {
			b.Set(a.key, []byte{2})
			b.Set(index(a), []byte("\x02a"))
		},
		"the index calls a put a deletion":        func(b kv.Batch) { b.Set(index(x), []byte("\x02x")) },
		"a key is among those of another's lease": func(b kv.Batch) { b.Set([]byte("\x21\x00\x00\x00\x00\x00\x00\x00\x07b"), nil) },
		"a row of a space that nobody knows":      func(b kv.Batch) { b.Set([]byte{0x60}, nil) },
	} {
		e := leased(t)
		meddle(t, e, change)
		if _, wrong := verify(t, e); len(wrong) != 1 {
			t.Errorf("%s: %q", what, wrong)
		}
	}
}

func TestHashStateIsEqualWhereAllIsEqual(t *testing.T) {
	for seed := range int64(10) {
		a := openServer(t, "one by one", treekv.New(), kv.Options{CacheBytes: -1}, seed, 1, 100, 3)
		b := openServer(t, "in batches", treekv.New(), kv.Options{}, seed+1, 30, 10, 1)
		runHistory(t, seed, 300, []*server{a, b})
		one, err := a.store.HashState()
		if err != nil {
			t.Fatal(err)
		}
		if other, err := b.store.HashState(); err != nil || one != other || one.Applied != a.store.AppliedIndex() {
			t.Errorf("seed %d: %+v and %+v, %v", seed, one, other, err)
		}
	}
}

// TestHashStateDependsOnEveryRow but on those that are a server's own.
func TestHashStateDependsOnEveryRow(t *testing.T) {
	hash := func(e kv.Engine) (kv.StateHash, error) {
		store, err := kv.Open(e, kv.Options{})
		if err != nil {
			return kv.StateHash{}, err
		}
		return store.HashState()
	}
	want, err := hash(leased(t))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewSource(1))
	for _, r := range rowsOf(t, leased(t)) {
		for _, part := range []int{0, 1, 2} {
			e := leased(t)
			key, value := bytes.Clone(r.key), bytes.Clone(r.value)
			switch {
			case part == 0 && len(value) > 0:
				value[rng.Intn(len(value))] ^= 1
			case part == 1:
				key[len(key)-1] ^= 1
			}
			meddle(t, e, func(b kv.Batch) {
				b.Delete(r.key)
				if part < 2 {
					b.Set(key, value)
				}
			})
			same := part == 0 && len(value) == 0 || r.key[0] == 0x11
			if got, err := hash(e); err == nil && (got == want) != same {
				t.Errorf("change %d of row %x: %+v, was %+v", part, r.key, got, want)
			}
		}
	}
	e := leased(t)
	meddle(t, e, func(b kv.Batch) { b.Set([]byte{0x02, 'x'}, []byte("own")); b.Set([]byte{0x48}, []byte("own")) })
	if got, err := hash(e); err != nil || got != want {
		t.Errorf("with what is a server's own: %+v, %v, was %+v", got, err, want)
	}
}

// TestVerifyMissesAVersionThatIsGoneEverywhere: one between two others, and its entry in the revision index.
func TestVerifyMissesAVersionThatIsGoneEverywhere(t *testing.T) {
	e := leased(t)
	var between []row // puts of "a" that were replaced by one, and the tombstone
	for _, r := range rowsOf(t, e) {
		if bytes.HasPrefix(r.key, []byte("\x10a\x00\x01")) {
			between = append(between, r)
		}
	}
	if len(between) != 5 {
		t.Fatalf("%d versions", len(between))
	}
	// Not the last before a tombstone, which does not say what it follows.
	for _, r := range []row{between[1], between[3]} {
		e := leased(t)
		meddle(t, e, func(b kv.Batch) {
			index := []byte{0x11}
			for _, c := range r.key[len(r.key)-12:] {
				index = append(index, ^c)
			}
			b.Delete(r.key)
			b.Delete(index)
		})
		if _, wrong := verify(t, e); len(wrong) != 1 {
			t.Errorf("without %x: %v", r.key, wrong)
		}
	}
}
