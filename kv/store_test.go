package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// TestRestartReplaysFromTheDurableIndex crashes a store again and again, each time keeping any
// number of the batches since the last flush. It must come back at or after the index that it
// called durable, and end where a store ends that never crashed.
func TestRestartReplaysFromTheDurableIndex(t *testing.T) {
	for seed := range int64(10) {
		steady := openServer(t, "steady", treekv.New(), kv.Options{}, seed, 20, 0, 5)
		h := runHistory(t, seed, 300, []*server{steady})
		engine := treekv.New()
		s := openServer(t, "crashing", engine, kv.Options{}, seed, 6, 30, 5)
		crashes, lost := 0, 0
		for s.next < len(h.commands) {
			part := &history{h.commands[:min(s.next+1+s.rng.Intn(40), len(h.commands))], h.requests, h.results}
			s.catchUp(t, part)
			if s.rng.Intn(3) == 0 {
				if err := s.store.Flush(); err != nil {
					t.Fatal(err)
				}
				if durable := durableIndex(t, s.store); durable != s.store.AppliedIndex() {
					t.Fatalf("seed %d: durable index %d after a flush at %d", seed, durable, s.store.AppliedIndex())
				}
			}
			durable, applied := durableIndex(t, s.store), s.store.AppliedIndex()
			engine = engine.Crash(func(batches int) int { return s.rng.Intn(batches + 1) })
			s = openServer(t, "crashing", engine, kv.Options{}, s.rng.Int63(), 6, 30, 5)
			if now := s.store.AppliedIndex(); now < durable || now > applied {
				t.Fatalf("seed %d: came back at %d, durable was %d, applied %d", seed, now, durable, applied)
			} else if now < applied {
				lost++
			}
			crashes++
			for s.next = 0; s.next < len(h.commands) && h.commands[s.next].Index <= s.store.AppliedIndex(); {
				s.next++
			}
		}
		if lost == 0 {
			t.Fatalf("seed %d: %d crashes lost nothing", seed, crashes)
		}
		steady.removeAll(t)
		s.removeAll(t)
		same(t, steady, s)
		if !bytes.Equal(dump(t, steady.engine), dump(t, engine)) {
			t.Fatalf("seed %d: the engines' contents differ", seed)
		}
	}
}

func durableIndex(t *testing.T, s *kv.Store) uint64 {
	t.Helper()
	index, err := s.DurableIndex()
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestDurableIndexIsZeroUntilTheFirstFlush(t *testing.T) {
	c := newClient(t)
	equal(t, "empty", durableIndex(t, c.store), 0)
	c.put("a", "1")
	equal(t, "applied", c.store.AppliedIndex(), 1)
	equal(t, "before a flush", durableIndex(t, c.store), 0)
	if err := c.store.Flush(); err != nil {
		t.Fatal(err)
	}
	c.put("a", "2")
	equal(t, "after it", durableIndex(t, c.store), 1)
}

// reopen closes a store without losing anything and opens its engine again.
func reopen(t *testing.T, c *client, engine *treekv.Engine, o kv.Options) (*kv.Store, error) {
	t.Helper()
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
	return kv.Open(engine.Crash(func(batches int) int { return batches }), o)
}

func TestOtherClustersAndNewerFormatsAreRefused(t *testing.T) {
	engine := treekv.New()
	store, err := kv.Open(engine, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	c.put("a", "1")
	if _, err := reopen(t, c, engine, kv.Options{Cluster: 8}); !errors.Is(err, kv.ErrOtherCluster) {
		t.Errorf("cluster 8: %v", err)
	}
	store, err = reopen(t, c, engine, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatalf("its own cluster: %v", err)
	}
	equal(t, "revision", store.Revision(), 2)
	// The next format, whatever its record looks like.
	newer := engine.Crash(func(batches int) int { return batches })
	b := newer.NewBatch()
	b.Set([]byte{1, 'f'}, []byte("qkv\x00\x00\x00\x00\x02 and more"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Open(newer, kv.Options{Cluster: 7}); !errors.Is(err, kv.ErrNewerFormat) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("newer format: %v", err)
	}
	// Somebody else's keys.
	foreign := treekv.New()
	b = foreign.NewBatch()
	b.Set([]byte("key"), []byte("value"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Open(foreign, kv.Options{}); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("foreign keys: %v", err)
	}
	if _, err := foreign.NewIterator(nil, nil); err != treekv.ErrClosed {
		t.Errorf("a refused engine is closed: %v", err)
	}
}

func TestOptionsReportAllThatIsWrong(t *testing.T) {
	_, err := kv.Open(treekv.New(), kv.Options{Limits: kv.Limits{TxnOps: -1, Depth: kv.MaxTxnDepth + 1, RequestBytes: kv.MaxRequestBytes + 1}})
	for _, name := range []string{"TxnOps", "Depth", "RequestBytes"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
}

// TestLimitsOfAServerDoNotReachItsState: what one server would not have let in, but another did, is
// applied all the same, or their states would differ.
func TestLimitsOfAServerDoNotReachItsState(t *testing.T) {
	store, err := kv.Open(treekv.New(), kv.Options{Limits: kv.Limits{TxnOps: 1, Depth: 1, RequestBytes: 10}})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	txn := &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "1"), putOp("b", "1"), nestedOp(&pb.TxnRequest{})}}
	equal(t, "check", store.Check(kv.KindTxn, marshal(t, txn)), kv.CodeRequestTooLarge)
	if _, rev := c.txn(txn); rev != 2 {
		t.Errorf("revision %d", rev)
	}
	_, code, _ := c.get(rangeOf("a key that is too long", ""))
	equal(t, "a read is held to the limits", code, kv.CodeRequestTooLarge)
	// But what is beyond what any server may be set to is refused everywhere.
	large := &pb.PutRequest{Key: []byte("a"), Value: make([]byte, kv.MaxRequestBytes)}
	code, rev := c.apply(kv.KindPut, large, &pb.PutResponse{})
	equal(t, "beyond all limits", []any{code, rev}, "[etcdserver: request is too large 2]")
}

func TestMalformedCommandsChangeNothingButTheIndex(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	for kind := kv.KindPut; kind <= kv.KindCompact; kind++ {
		for request, want := range map[string]kv.Code{"\x80": kv.CodeMalformed, "\xf8\x01\x01": kv.CodeUnknownField} {
			c.index++
			answers, err := c.store.Apply([]kv.Command{{Index: c.index, Kind: kind, Request: []byte(request)}})
			if err != nil {
				t.Fatal(err)
			}
			if a := answers[0]; a.Err != want || a.Revision != 2 || len(a.Body) > 0 {
				t.Errorf("kind %d, %q: %+v", kind, request, a)
			}
			equal(t, "applied index", c.store.AppliedIndex(), c.index)
		}
	}
	if a, err := c.store.Range([]byte{0x80}); err != nil || a.Err != kv.CodeMalformed {
		t.Errorf("range: %+v, %v", a, err)
	}
	if a, err := c.store.ReadOnlyTxn([]byte{0x80}); err != nil || a.Err != kv.CodeMalformed {
		t.Errorf("transaction: %+v, %v", a, err)
	}
}

// No command may stop the servers one after the other. A later version's kinds come with a feature
// level, which package replica checks.
func TestCommandOfAnUnknownKindIsRefusedLikeAnyOther(t *testing.T) {
	for _, kind := range []kv.Kind{kv.KindRange, 10, 255} {
		c := newClient(t)
		put := func(index uint64, key string) kv.Command {
			return kv.Command{Index: index, Kind: kv.KindPut, Request: marshal(t, &pb.PutRequest{Key: []byte(key)})}
		}
		answers, err := c.store.Apply([]kv.Command{put(1, "a"), {Index: 2, Kind: kind, Request: put(2, "b").Request}, put(3, "c")})
		if err != nil {
			t.Fatalf("kind %d: %v", kind, err)
		}
		if answers[1].Err != kv.CodeMalformed || answers[1].Revision != 2 || answers[2].Revision != 3 || c.store.AppliedIndex() != 3 {
			t.Errorf("kind %d: %+v, applied up to %d", kind, answers, c.store.AppliedIndex())
		}
	}
}

func TestApplyingAnIndexAgainIsOurOwnMistake(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	defer func() {
		if _, ok := recover().(*invariant.Violation); !ok {
			t.Error("it was applied")
		}
	}()
	_, _ = c.store.Apply([]kv.Command{{Index: 1}})
}

func TestApplyOfNothingIsNothing(t *testing.T) {
	c := newClient(t)
	if answers, err := c.store.Apply(nil); err != nil || len(answers) != 0 {
		t.Errorf("%v, %v", answers, err)
	}
}

// failingEngine fails what it is told to.
type failingEngine struct {
	kv.Engine
	commits, iterators, movements, values, durable bool
}

var errDisk = errors.New("disk is on fire")

func (e *failingEngine) NewBatch() kv.Batch {
	if e.commits {
		return &failingBatch{e.Engine.NewBatch()}
	}
	return e.Engine.NewBatch()
}

func (e *failingEngine) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	if e.iterators {
		return nil, errDisk
	}
	it, err := e.Engine.NewIterator(lo, hi)
	if err == nil && (e.movements || e.values) {
		it = &failingIterator{Iterator: it, values: e.values}
	}
	return it, err
}

// failingIterator fails at its first movement, or cannot read values.
type failingIterator struct {
	kv.Iterator
	values bool
	err    error
}

func (it *failingIterator) fail() bool { it.err = errDisk; return false }

func (it *failingIterator) First() bool {
	if it.values {
		return it.Iterator.First()
	}
	return it.fail()
}

func (it *failingIterator) SeekGE(key []byte) bool {
	if it.values {
		return it.Iterator.SeekGE(key)
	}
	return it.fail()
}

func (it *failingIterator) SeekPrefix(key []byte) bool { return it.SeekGE(key) }
func (it *failingIterator) Value() []byte              { it.err = errDisk; return nil }
func (it *failingIterator) Error() error               { return it.err }

func (e *failingEngine) GetDurable(key []byte) ([]byte, bool, error) {
	if e.durable {
		return nil, false, errDisk
	}
	return e.Engine.GetDurable(key)
}

type failingBatch struct{ kv.Batch }

func (b *failingBatch) Commit() error { b.Discard(); return errDisk }

func TestEngineErrorsReachTheCaller(t *testing.T) {
	apply := func(kind kv.Kind, m proto.Message) func(*kv.Store) error {
		return func(s *kv.Store) error {
			_, err := s.Apply([]kv.Command{{Index: s.AppliedIndex() + 1, Kind: kind, Request: marshal(t, m)}})
			return err
		}
	}
	compare := []*pb.Compare{{Key: []byte("a")}}
	keep := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), IgnoreValue: true}}}
	reads := map[string]func(*kv.Store) error{
		"apply, put":             apply(kv.KindPut, &pb.PutRequest{Key: []byte("a"), PrevKv: true}),
		"apply, put, not cached": apply(kv.KindPut, &pb.PutRequest{Key: []byte("a")}),
		"apply, delete":          apply(kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: []byte("a")}),
		"apply, delete range":    apply(kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("b")}),
		"apply, compare":         apply(kv.KindTxn, &pb.TxnRequest{Compare: compare}),
		"apply, nested compare":  apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{nestedOp(&pb.TxnRequest{Compare: compare})}}),
		"apply, check":           apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{keep}}),
		"apply, execute":         apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", ""), putOp("x", "")}}),
		"apply, execute nested":  apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{nestedOp(&pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", "z")}})}}),
		"range": func(s *kv.Store) error {
			_, err := s.Range(marshal(t, rangeOf("a", "")))
			return err
		},
		"range of many": func(s *kv.Store) error {
			_, err := s.Range(marshal(t, rangeOf("a", "z")))
			return err
		},
		"transaction": func(s *kv.Store) error {
			_, err := s.ReadOnlyTxn(marshal(t, &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", "")}}))
			return err
		},
		"hash":    func(s *kv.Store) error { _, _, err := s.HashKV(0); return err },
		"removal": func(s *kv.Store) error { _, err := s.CompactStep(9); return err },
	}
	for name, do := range reads {
		for how, broken := range map[string]failingEngine{"open": {iterators: true}, "move": {movements: true}, "value": {values: true}} {
			checkEngineError(t, name+", "+how, broken, do)
		}
	}
	checkEngineError(t, "apply, commit", failingEngine{commits: true}, reads["apply, put"])
	checkEngineError(t, "removal, commit", failingEngine{commits: true}, reads["removal"])
	checkEngineError(t, "durable index", failingEngine{durable: true}, func(s *kv.Store) error {
		_, err := s.DurableIndex()
		return err
	})
	for _, broken := range []failingEngine{{iterators: true}, {movements: true}} {
		broken.Engine = treekv.New()
		if _, err := kv.Open(&broken, kv.Options{}); !errors.Is(err, errDisk) {
			t.Errorf("open: %v", err)
		}
	}
}

// checkEngineError breaks the engine under a store that has keys, and expects the error of what is
// done then to be the engine's, and the store to be as it was, but for doing no more.
func checkEngineError(t *testing.T, name string, broken failingEngine, do func(*kv.Store) error) {
	t.Helper()
	engine := &failingEngine{Engine: treekv.New()}
	s, err := kv.Open(engine, kv.Options{CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: s}
	c.put("a", "1")
	c.put("b", "1")
	c.compact(2)
	digest, index := s.Digest()
	broken.Engine = engine.Engine
	*engine = broken
	if err := do(s); !errors.Is(err, errDisk) {
		t.Errorf("%s: %v", name, err)
	}
	if after, now := s.Digest(); after != digest || now != index || s.Revision() != 3 {
		t.Errorf("%s: the failure shows", name)
	}
	*engine = failingEngine{Engine: engine.Engine}
	_, err = s.Apply([]kv.Command{{Index: index + 1}})
	if stopped := strings.HasPrefix(name, "apply") || strings.HasPrefix(name, "removal"); errors.Is(err, errDisk) != stopped {
		t.Errorf("%s: and then %v", name, err)
	}
}

func TestDigestTellsApartWhatWasDone(t *testing.T) {
	digest := func(commands ...kv.Command) kv.Digest {
		s, err := kv.Open(treekv.New(), kv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(commands); err != nil {
			t.Fatal(err)
		}
		d, _ := s.Digest()
		return d
	}
	put := func(index uint64, key string) kv.Command {
		return kv.Command{Index: index, Kind: kv.KindPut, Request: marshal(t, &pb.PutRequest{Key: []byte(key)})}
	}
	seen := map[kv.Digest]string{}
	for name, commands := range map[string][]kv.Command{
		"one":              {put(1, "a")},
		"another key":      {put(1, "b")},
		"another index":    {put(2, "a")},
		"another kind":     {{Index: 1, Kind: kv.KindDeleteRange, Request: put(1, "a").Request}},
		"another answer":   {{Index: 1, Kind: kv.KindPut, Request: []byte{0x80}}},
		"two":              {put(1, "a"), put(2, "b")},
		"two, other order": {put(1, "b"), put(2, "a")},
		"none":             {{Index: 1}},
	} {
		d := digest(commands...)
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[d] = name
		equal(t, name+", again", digest(commands...), d)
	}
}

func TestHashKV_BoundsAndMeaning(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	c.put("b", "1")
	hash := func(rev int64) kv.KVHash {
		h, code, err := c.store.HashKV(rev)
		if err != nil || code != kv.CodeOK {
			t.Fatal(code, err)
		}
		return h
	}
	at3 := hash(3)
	equal(t, "zero is the newest", hash(0), at3)
	equal(t, "revision and compaction revision", []int64{at3.Revision, at3.Compact}, "[3 -1]")
	if hash(2).Hash == at3.Hash {
		t.Error("a put does not show")
	}
	c.put("a", "2")
	equal(t, "of an old revision, later", hash(3), at3)
	if _, code, err := c.store.HashKV(5); code != kv.CodeFutureRevision || err != nil {
		t.Errorf("future: %v, %v", code, err)
	}
	c.compact(3)
	if _, code, err := c.store.HashKV(2); code != kv.CodeCompacted || err != nil {
		t.Errorf("compacted: %v, %v", code, err)
	}
	equal(t, "at the compaction revision", hash(3).Hash, at3.Hash) // nothing was replaced up to it
}

// TestHashKV_HasTheTombstonesThatAreRetained: two stores without a key, which still differ in what
// a watch from the compaction revision would be told.
func TestHashKV_HasTheTombstonesThatAreRetained(t *testing.T) {
	var hashes []kv.KVHash
	for _, order := range []string{"xy", "yx"} {
		c := newClient(t)
		c.put("x", "")
		c.put("y", "")
		c.delete(order[:1], "")
		c.delete(order[1:], "")
		c.compact(5)
		h, code, err := c.store.HashKV(0)
		if err != nil || code != kv.CodeOK {
			t.Fatal(code, err)
		}
		hashes = append(hashes, h)
	}
	if hashes[0].Hash == hashes[1].Hash {
		t.Error("the tombstone at the compaction revision is not in the hash")
	}
}

// TestReadsBesideWritesAndRemovalSeeOneRevision has a writer that gives all keys the same value in
// one revision, compacts and removes, while readers read the newest and older revisions.
func TestReadsBesideWritesAndRemovalSeeOneRevision(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			s, err := kv.Open(engine.open(t), kv.Options{})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			var readers sync.WaitGroup
			for i := range 3 {
				readers.Go(func() { readWhile(t, s, done, rand.New(rand.NewSource(int64(i)))) })
			}
			writeRounds(t, s, 300)
			close(done)
			readers.Wait()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

const sameKeys = 12

// writeRounds writes revision r as the value of all keys, at revision r; every tenth revision
// deletes them instead.
func writeRounds(t *testing.T, s *kv.Store, rounds int) {
	index := uint64(0)
	apply := func(kind kv.Kind, m proto.Message) {
		index++
		if _, err := s.Apply([]kv.Command{{Index: index, Kind: kind, Request: marshal(t, m)}}); err != nil {
			t.Error(err)
		}
	}
	for range rounds {
		rev := s.Revision() + 1
		if rev%10 == 0 {
			apply(kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		} else {
			txn := &pb.TxnRequest{}
			for k := range sameKeys {
				txn.Success = append(txn.Success, putOp(fmt.Sprintf("key %02d", k), fmt.Sprint(rev)))
			}
			apply(kv.KindTxn, txn)
		}
		if rev%3 == 0 {
			apply(kv.KindCompact, &pb.CompactionRequest{Revision: rev - rev%7})
		}
		for range 2 {
			if _, err := s.CompactStep(5); err != nil {
				t.Error(err)
			}
		}
	}
}

func readWhile(t *testing.T, s *kv.Store, done <-chan struct{}, rng *rand.Rand) {
	for {
		select {
		case <-done:
			return
		default:
		}
		atLeast := s.Revision()
		r := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}
		if rng.Intn(2) == 0 {
			r.Revision = max(s.CompactRevision(), 1) + rng.Int63n(10)
		}
		a, err := s.Range(marshal(t, r))
		var response pb.RangeResponse
		if err == nil {
			err = proto.Unmarshal(a.Body, &response)
		}
		if err != nil {
			t.Error(err)
			return
		}
		rev := r.Revision
		if rev == 0 {
			rev = a.Revision
		}
		switch {
		case r.Revision == 0 && (a.Err != kv.CodeOK || a.Revision < atLeast):
			t.Errorf("newest: %v at %d, was %d before", a.Err, a.Revision, atLeast)
		case a.Err != kv.CodeOK && a.Err != kv.CodeCompacted && a.Err != kv.CodeFutureRevision:
			t.Errorf("at %d: %v", rev, a.Err)
		case a.Err == kv.CodeOK:
			checkRound(t, &response, rev)
		}
	}
}

// checkRound checks that a response has exactly what was written at rev.
func checkRound(t *testing.T, response *pb.RangeResponse, rev int64) {
	want := sameKeys
	if rev%10 == 0 || rev == 1 {
		want = 0
	}
	if len(response.Kvs) != want {
		t.Errorf("at %d: %d keys, want %d", rev, len(response.Kvs), want)
	}
	for _, p := range response.Kvs {
		if string(p.Value) != fmt.Sprint(rev) || p.ModRevision != rev || p.CreateRevision != max(rev-rev%10+1, 2) {
			t.Errorf("at %d: %v", rev, pair(p))
		}
	}
}
