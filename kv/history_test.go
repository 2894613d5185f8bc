package kv_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/wire"
)

// server is a store that takes part in a history, with its own way of cutting it into batches and
// its own pace of removing what is compacted.
type server struct {
	name    string
	engine  kv.Engine
	store   *kv.Store
	rng     *rand.Rand
	batch   int             // largest number of commands in a batch
	steps   int             // percent of batches after which a step of removal runs
	entries int             // how many entries a step looks at
	flush   int             // percent of batches after which the engine is flushed
	next    int             // how much of the history is applied
	stood   map[uint64]bool // if not nil: at which indexes a batch has ended
}

// history is committed commands and what the model says of them.
type history struct {
	commands []kv.Command
	requests []proto.Message
	results  []result
}

// nextIndex is that of the next command. Some are left out: those of entries that are not commands.
func (h *history) nextIndex() uint64 {
	n := len(h.commands)
	if n == 0 {
		return 1
	}
	return h.commands[n-1].Index + 1 + uint64(n%7)/6
}

func (h *history) append(kind kv.Kind, request proto.Message, bytes []byte, r result, n wire.Session) {
	h.commands = append(h.commands, kv.Command{Index: h.nextIndex(), Kind: kind, Request: bytes, Session: n})
	h.requests = append(h.requests, request)
	h.results = append(h.results, r)
}

// catchUp applies what the server has not applied yet, and compares every answer.
func (s *server) catchUp(t *testing.T, h *history) {
	t.Helper()
	for s.next < len(h.commands) {
		n := min(1+s.rng.Intn(s.batch), len(h.commands)-s.next)
		commands := slices.Clone(h.commands[s.next : s.next+n])
		for i := range commands {
			commands[i].Request = slices.Clone(commands[i].Request)
		}
		answers, err := s.store.Apply(commands)
		if err != nil {
			t.Fatalf("%s: apply: %v", s.name, err)
		}
		for i := range commands { // nothing may still refer to a request
			spoil(commands[i].Request)
		}
		for i, a := range answers {
			at := s.next + i
			compareAnswer(t, fmt.Sprintf("%s: command %d: %s", s.name, at,
				describe(h.commands[at].Kind, h.requests[at])), a, h.results[at])
		}
		s.next += n
		if s.flush > 0 && s.rng.Intn(100) < s.flush {
			if err := s.store.Flush(); err != nil {
				t.Fatalf("%s: flush: %v", s.name, err)
			}
		}
		if s.stood != nil {
			s.stood[commands[n-1].Index] = true
		}
		if s.rng.Intn(100) < s.steps {
			if _, err := s.store.CompactStep(s.entries); err != nil {
				t.Fatalf("%s: remove: %v", s.name, err)
			}
		}
	}
}

// spoil overwrites bytes that nobody may look at any more.
func spoil(b []byte) {
	for i := range b {
		b[i] = 0xcc
	}
}

// spoilingEngine is an engine of which the iterators overwrite what they last gave out, as soon as
// they move: the contract lets them, and some engines do, now and then.
type spoilingEngine struct{ kv.Engine }

func (e spoilingEngine) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	it, err := e.Engine.NewIterator(lo, hi)
	return &spoilingIterator{Iterator: it}, err
}

type spoilingIterator struct {
	kv.Iterator
	key, value []byte
}

// moved spoils what was given out and takes copies of what there is now.
func (it *spoilingIterator) moved(ok bool) bool {
	spoil(it.key)
	spoil(it.value)
	it.key, it.value = nil, nil
	if ok {
		it.key, it.value = slices.Clone(it.Iterator.Key()), slices.Clone(it.Iterator.Value())
	}
	return ok
}

func (it *spoilingIterator) First() bool                { return it.moved(it.Iterator.First()) }
func (it *spoilingIterator) Next() bool                 { return it.moved(it.Iterator.Next()) }
func (it *spoilingIterator) SeekGE(key []byte) bool     { return it.moved(it.Iterator.SeekGE(key)) }
func (it *spoilingIterator) SeekPrefix(key []byte) bool { return it.moved(it.Iterator.SeekPrefix(key)) }
func (it *spoilingIterator) Key() []byte                { return it.key }
func (it *spoilingIterator) Value() []byte              { return it.value }
func (it *spoilingIterator) Close() error               { it.moved(false); return it.Iterator.Close() }

// compareAnswer puts a header in front of the answer's body, decodes the whole, and compares it
// with the expected response.
func compareAnswer(t *testing.T, what string, got kv.Answer, want result) {
	t.Helper()
	if got.Err != want.code || got.Revision != want.rev {
		t.Fatalf("%s: %v at revision %d, want %v at %d", what, got.Err, got.Revision, want.code, want.rev)
	}
	if want.response == nil {
		if len(got.Body) != 0 {
			t.Fatalf("%s: body %x with code %v", what, got.Body, got.Err)
		}
		return
	}
	header := &pb.ResponseHeader{ClusterId: 7, MemberId: 8, Revision: got.Revision, RaftTerm: 9}
	decoded := want.response.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(append(marshal(t, &pb.PutResponse{Header: header}), got.Body...), decoded); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	expected := proto.Clone(want.response)
	field := expected.ProtoReflect().Descriptor().Fields().ByName("header")
	expected.ProtoReflect().Set(field, protoValue(header))
	if !proto.Equal(decoded, expected) {
		t.Fatalf("%s:\ngot  %v\nwant %v", what, decoded, expected)
	}
	// The bytes are those that protobuf's own encoder makes, not merely equivalent ones.
	if canonical := marshal(t, want.response); !bytes.Equal(got.Body, canonical) {
		t.Fatalf("%s: encoded as\n%x, want\n%x", what, got.Body, canonical)
	}
}

// read compares a few random reads with the model.
func (s *server) read(t *testing.T, g *generator, m *model) {
	t.Helper()
	for range 2 {
		r := g.rangeRequest()
		want := result{code: modelCheckRange(r), rev: m.rev}
		if want.code == kv.CodeOK {
			code, response := m.read(r, m.rev)
			if want.code = code; code == kv.CodeOK {
				want.response = response
			}
		}
		got, err := s.store.Range(marshal(t, r))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		compareAnswer(t, fmt.Sprintf("%s: %v", s.name, r), got, want)
	}
	txn := g.txnRequest(0, false)
	request := marshal(t, txn)
	if !kv.IsReadOnlyTxn(request) { // an empty operation makes it something else
		return
	}
	want := result{code: modelCheckTxn(txn), rev: m.rev}
	if want.code == kv.CodeOK {
		code, response := m.txn(txn)
		if want.code = code; code == kv.CodeOK {
			want.response = response
		}
	}
	got, err := s.store.ReadOnlyTxn(request)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	compareAnswer(t, fmt.Sprintf("%s: %v", s.name, txn), got, want)
}

// dump returns everything in an engine but what is a server's own.
func dump(t *testing.T, e kv.Engine) []byte {
	t.Helper()
	it, err := e.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for ok := it.First(); ok; ok = it.Next() {
		if it.Key()[0] != 0x02 {
			b = fmt.Appendf(b, "%x=%x\n", it.Key(), it.Value())
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// removeAll lets the removal of what is compacted run to its end.
func (s *server) removeAll(t *testing.T) {
	t.Helper()
	for n := 0; ; n++ {
		done, err := s.store.CompactStep(s.entries)
		if err != nil {
			t.Fatalf("%s: remove: %v", s.name, err)
		}
		if done {
			return
		}
		if n > 100_000 {
			t.Fatalf("%s: removal does not end", s.name)
		}
	}
}

// same compares two servers that have applied the same, at every revision that can be read.
func same(t *testing.T, a, b *server) {
	t.Helper()
	digestA, indexA := a.store.Digest()
	digestB, indexB := b.store.Digest()
	if digestA != digestB || indexA != indexB || a.store.Revision() != b.store.Revision() ||
		a.store.CompactRevision() != b.store.CompactRevision() {
		t.Fatalf("%s at %d/%d digest %x, %s at %d/%d digest %x", a.name, indexA, a.store.Revision(), digestA,
			b.name, indexB, b.store.Revision(), digestB)
	}
	for rev := max(a.store.CompactRevision(), 1); rev <= a.store.Revision(); rev += 1 + int64(a.rng.Intn(20)) {
		hashA, codeA, errA := a.store.HashKV(rev)
		hashB, codeB, errB := b.store.HashKV(rev)
		if errA != nil || errB != nil || codeA != kv.CodeOK || codeA != codeB {
			t.Fatalf("hash at %d: %v %v, %v %v", rev, codeA, errA, codeB, errB)
		}
		if hashA != hashB {
			t.Fatalf("hashes at revision %d differ: %s %+v, %s %+v", rev, a.name, hashA, b.name, hashB)
		}
	}
}

func openServer(t *testing.T, name string, e kv.Engine, o kv.Options, seed int64, batch, steps, entries int) *server {
	t.Helper()
	store, err := kv.Open(e, o)
	if err != nil {
		t.Fatal(err)
	}
	return &server{name: name, engine: e, store: store, rng: rand.New(rand.NewSource(seed)),
		batch: batch, steps: steps, entries: entries}
}

var seeds = flag.Int64("seeds", 40, "number of random histories of TestServersAgreeWithModel")

// TestServersAgreeWithModel runs random histories on the model and on servers that differ in
// everything that must not matter: engine, size of batches, size of the cache, and how and when
// what is compacted is removed. All answers, reads, digests, hashes and in the end all bytes agree.
func TestServersAgreeWithModel(t *testing.T) {
	const length = 300
	seen := map[kv.Kind]map[kv.Code]int{}
	for kind := range repeated + 1 {
		seen[kind] = map[kv.Code]int{}
	}
	for seed := range *seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			servers := []*server{
				openServer(t, "tree, one by one", treekv.New(), kv.Options{CacheBytes: -1}, seed, 1, 100, 3),
				openServer(t, "tree, spoiling", spoilingEngine{treekv.New()}, kv.Options{CacheBytes: 300}, seed+1, 30, 20, 1),
				openServer(t, "pebble", engines[1].open(t), kv.Options{}, seed+2, 20, 10, 7),
			}
			servers[2].flush = 15 // most of it is read from tables, then, and these are merged
			h := runHistory(t, seed, length, servers)
			for _, s := range servers {
				s.removeAll(t)
			}
			want := dump(t, servers[0].engine)
			for _, s := range servers {
				same(t, servers[0], s)
				if got := dump(t, s.engine); !bytes.Equal(got, want) {
					t.Fatalf("%s holds\n%s, want\n%s", s.name, got, want)
				}
			}
			for _, s := range servers {
				if err := s.store.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for i, r := range h.results {
				seen[h.commands[i].Kind][r.code]++
				if r.repeated {
					seen[repeated][r.code]++
				}
			}
		})
	}
	requireSeen(t, seen)
}

// requireSeen fails if the histories have not met everything that they are there for.
func requireSeen(t *testing.T, seen map[kv.Kind]map[kv.Code]int) {
	t.Helper()
	for kind, codes := range map[kv.Kind][]kv.Code{
		kv.KindNone:        {kv.CodeOK},
		kv.KindPut:         {kv.CodeOK, kv.CodeKeyNotProvided, kv.CodeKeyNotFound, kv.CodeValueProvided, kv.CodeLeaseProvided, kv.CodeLeaseNotFound},
		kv.KindDeleteRange: {kv.CodeOK, kv.CodeKeyNotProvided},
		kv.KindTxn: {kv.CodeOK, kv.CodeKeyNotProvided, kv.CodeKeyNotFound, kv.CodeValueProvided, kv.CodeLeaseProvided,
			kv.CodeLeaseNotFound, kv.CodeDuplicateKey, kv.CodeInvalidSortOption, kv.CodeCompacted, kv.CodeFutureRevision, kv.CodeMalformed},
		kv.KindCompact:     {kv.CodeOK, kv.CodeCompacted, kv.CodeFutureRevision},
		kv.KindSessionOpen: {kv.CodeOK},
		repeated:           {kv.CodeOK, kv.CodeKeyNotFound, kv.CodeCompacted, kv.CodeRequestStale, kv.CodeSessionNotFound, kv.CodeRequestMismatch},
	} {
		for _, code := range codes {
			if seen[kind][code] == 0 {
				t.Errorf("no command of kind %d came to %v: the histories do not try it", kind, code)
			}
		}
	}
	t.Logf("commands by kind and code: %v", seen)
}

// runHistory makes a random history with the model and lets the servers follow it.
func runHistory(t *testing.T, seed int64, length int, servers []*server) *history {
	t.Helper()
	return makeHistory(t, &generator{rng: rand.New(rand.NewSource(seed))}, length, servers)
}

// makeHistory does so with a generator.
func makeHistory(t *testing.T, g *generator, length int, servers []*server) *history {
	t.Helper()
	m, h := newModel(), &history{}
	clients := sessionClients{}
	for range length {
		g.rev, g.compact = m.rev, m.compact
		if !clients.step(t, g, m, h) {
			kind, request := g.write()
			if request == nil {
				h.append(kind, nil, nil, m.apply(kind, nil), wire.Session{})
			} else {
				h.append(kind, request, marshal(t, request), m.apply(kind, request), wire.Session{})
			}
		}
		if g.oneIn(12) {
			for _, s := range servers {
				s.catchUp(t, h)
				s.read(t, g, m)
			}
			if g.oneIn(6) {
				for _, s := range servers[1:] {
					same(t, servers[0], s)
				}
			}
		}
	}
	for _, s := range servers {
		s.catchUp(t, h)
	}
	return h
}
