package kv_test

import (
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// kept returns the changes that may still be needed after a compaction, as "main key", in order.
func (m *model) kept() []string {
	var kept []string
	for i, c := range m.changes {
		replaced := false
		for _, later := range m.changes[i+1:] {
			replaced = replaced || string(later.kv.Key) == string(c.kv.Key) && later.kv.ModRevision <= m.compact
		}
		if c.kv.ModRevision >= m.compact || !c.tombstone && !replaced {
			kept = append(kept, fmt.Sprintf("%d %q", c.kv.ModRevision, c.kv.Key))
		}
	}
	return kept
}

// entries returns what the engine's revision index has, as kept does, and the number of versions.
func entries(t *testing.T, e kv.Engine) (index []string, versions int) {
	t.Helper()
	it, err := e.NewIterator([]byte{0x10}, []byte{0x12})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if it.Key()[0] == 0x10 {
			versions++
			continue
		}
		main := int64(0)
		for _, b := range it.Key()[1:9] {
			main = main<<8 | int64(b)
		}
		index = append(index, fmt.Sprintf("%d %q", main, it.Value()[1:]))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return index, versions
}

func TestRemovalLeavesExactlyWhatMayBeNeeded(t *testing.T) {
	for seed := range int64(18) {
		engine := treekv.New()
		s := openServer(t, "server", engine, kv.Options{}, seed, 10, int(seed%4)*30, 1+int(seed%9))
		h := runHistory(t, seed, 250, []*server{s})
		m := newModel()
		for i, c := range h.commands {
			if !h.results[i].repeated {
				m.apply(c.Kind, h.requests[i])
			}
		}
		s.removeAll(t)
		want := m.kept()
		index, versions := entries(t, engine)
		if !slices.Equal(index, want) || versions != len(want) {
			t.Fatalf("seed %d, compacted at %d: %d versions, index\n%v, want\n%v", seed, m.compact, versions, index, want)
		}
	}
}

// TestTombstoneAtTheCompactionRevisionStays: a watch may begin at that revision, and would else
// never hear of the deletion. The next compaction takes it.
func TestTombstoneAtTheCompactionRevisionStays(t *testing.T) {
	engine := treekv.New()
	s, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: s}
	remove := func() string {
		for {
			done, err := s.CompactStep(1)
			if err != nil {
				t.Fatal(err)
			}
			if done {
				index, _ := entries(t, engine)
				return fmt.Sprint(index)
			}
		}
	}
	c.put("a", "1") // 2
	c.put("a", "2") // 3
	c.delete("a", "")
	c.put("b", "1") // 5
	c.put("b", "2") // 6
	equal(t, "never compacted", remove(), `[2 "a" 3 "a" 4 "a" 5 "b" 6 "b"]`)
	c.compact(3)
	equal(t, "at 3", remove(), `[3 "a" 4 "a" 5 "b" 6 "b"]`)
	c.compact(4)
	equal(t, "at the tombstone", remove(), `[4 "a" 5 "b" 6 "b"]`)
	c.compact(5)
	equal(t, "after the tombstone", remove(), `[5 "b" 6 "b"]`)
	c.compact(6)
	equal(t, "at 6", remove(), `[6 "b"]`)
	c.delete("b", "")
	c.compact(7)
	c.put("c", "1") // 8
	equal(t, "at 7", remove(), `[7 "b" 8 "c"]`)
	c.compact(8)
	equal(t, "at 8", remove(), `[8 "c"]`)
}

// TestAllChangesOfTheCompactionRevisionStay: also those of a key that changes twice in it.
func TestAllChangesOfTheCompactionRevisionStay(t *testing.T) {
	engine := treekv.New()
	s, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: s}
	c.put("b", "1")                                                                         // 2
	c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("a", "\x00"), putOp("b", "2")}}) // 3
	c.put("b", "3")                                                                         // 4
	for _, step := range []struct {
		rev  int64
		want string
	}{
		{2, `[2 "b" 3 "b" 3 "b" 4 "b"]`},
		{3, `[3 "b" 3 "b" 4 "b"]`},
		{4, `[4 "b"]`},
	} {
		c.compact(step.rev)
		for done := false; !done; {
			if done, err = s.CompactStep(1); err != nil {
				t.Fatal(err)
			}
		}
		index, _ := entries(t, engine)
		equal(t, fmt.Sprintf("compacted at %d", step.rev), fmt.Sprint(index), step.want)
	}
}

// countingEngine counts the deletes of the batch last committed.
type countingEngine struct {
	kv.Engine
	deletes int
}

func (e *countingEngine) NewBatch() kv.Batch {
	e.deletes = 0
	return &countingBatch{e.Engine.NewBatch(), e}
}

type countingBatch struct {
	kv.Batch
	engine *countingEngine
}

func (b *countingBatch) Delete(key []byte) {
	b.engine.deletes++
	b.Batch.Delete(key)
}

// TestRemovalIsBoundedByWhatChanged: a step does no more than it is told, and all steps together
// look at what has changed since the compaction before, not at the whole store.
func TestRemovalIsBoundedByWhatChanged(t *testing.T) {
	tree := treekv.New()
	engine := &countingEngine{Engine: tree}
	s, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: s}
	steps := func(n int) (steps int) {
		for {
			steps++
			done, err := s.CompactStep(n)
			if err != nil {
				t.Fatal(err)
			}
			if engine.deletes > 4*n {
				t.Fatalf("a step of %d entries deleted %d keys", n, engine.deletes)
			}
			if done {
				return steps
			}
		}
	}
	txn := &pb.TxnRequest{}
	for k := range 100 {
		txn.Success = append(txn.Success, putOp(fmt.Sprintf("%03d", k), ""))
	}
	for range 5 {
		c.txn(txn) // revisions 2 to 6, 100 changes each: larger than a step
	}
	c.compact(6)
	equal(t, "steps of 10 for 500 changes", steps(10), 50)
	_, versions := entries(t, engine)
	equal(t, "versions left", versions, 100)
	equal(t, "steps when all is done", steps(10), 1)
	c.put("050", "")
	c.delete("051", "")
	c.compact(8)
	equal(t, "steps of 10 for 2 changes and the 100 of the last compaction's revision", steps(10), 11)
	c.put("052", "")
	c.compact(9)
	equal(t, "steps of 10 for a change", steps(10), 1)
	_, versions = entries(t, engine)
	equal(t, "versions left", versions, 99)

	// How far it has come outlasts a restart.
	left := tree.Crash(func(batches int) int { return batches })
	engine = &countingEngine{Engine: left}
	if s, err = kv.Open(engine, kv.Options{}); err != nil {
		t.Fatal(err)
	}
	c.store = s
	equal(t, "steps of 10 after a restart, when all is done", steps(10), 1)
	equal(t, "deletes of it", engine.deletes, 0)
	c.put("053", "")
	c.compact(10)
	equal(t, "steps of 10 for a change after a restart", steps(10), 1)
}

// TestNewerCompactionTakesOverAnOlderOne cuts a removal at every place and compacts further.
func TestNewerCompactionTakesOverAnOlderOne(t *testing.T) {
	for stop := range 16 {
		engine := treekv.New()
		s, err := kv.Open(engine, kv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, store: s}
		c.put("a", "1")                                                                   // 2
		c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("b", "1"), putOp("e", "1")}}) // 3
		c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{                                    // 4
			putOp("c", "1"), deleteOp("a", ""), putOp("b", "2"), deleteOp("e", ""), putOp("d", "1"),
		}})
		c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "2"), putOp("b", "3"), deleteOp("d", "")}}) // 5
		c.compact(4)
		for range stop {
			if _, err := s.CompactStep(1); err != nil {
				t.Fatal(err)
			}
		}
		c.compact(5)
		for done := false; !done; {
			if done, err = s.CompactStep(1); err != nil {
				t.Fatal(err)
			}
		}
		index, _ := entries(t, engine)
		equal(t, fmt.Sprintf("stopped after %d", stop), fmt.Sprint(index), `[4 "c" 5 "a" 5 "b" 5 "d"]`)
	}
}

// TestRemovalFindsDamage: an index entry without its version is no reason to go on.
func TestRemovalFindsDamage(t *testing.T) {
	engine := treekv.New()
	s, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: s}
	c.put("a", "1")
	c.compact(2)
	b := engine.NewBatch()
	b.Set([]byte{0x11, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1}, []byte("\x01b"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompactStep(10); err == nil {
		t.Fatal("the removal did not notice")
	}
}
