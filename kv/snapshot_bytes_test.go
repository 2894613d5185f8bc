package kv_test

import (
	"fmt"
	"math/rand"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

const valueBytes = 256

// bulk is a store with many keys, a tenth of them with leases.
type bulk struct {
	t       testing.TB
	store   *kv.Store
	index   uint64
	rng     *rand.Rand
	changed int // bytes of the keys and values of what was put, and of the keys of what was deleted
}

const leaseCount = 100

func newBulk(t testing.TB, engine kv.Engine) *bulk {
	t.Helper()
	store, err := kv.Open(engine, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	b := &bulk{t: t, store: store, rng: rand.New(rand.NewSource(1))}
	for id := range int64(leaseCount) {
		b.apply(kv.Command{Kind: kv.KindLeaseGrant, Request: kv.GrantRequest(id+1, 1000)})
	}
	return b
}

func (b *bulk) apply(commands ...kv.Command) {
	b.t.Helper()
	for i := range commands {
		b.index++
		commands[i].Index = b.index
	}
	if _, err := b.store.Apply(commands); err != nil {
		b.t.Fatal(err)
	}
}

func bulkKey(i int) []byte { return fmt.Appendf(nil, "/registry/pods/default/pod-%08d", i) }

func (b *bulk) put(i int, leased bool) kv.Command {
	p := &pb.PutRequest{Key: bulkKey(i), Value: make([]byte, valueBytes)}
	b.rng.Read(p.Value)
	if leased {
		p.Lease = 1 + b.rng.Int63n(leaseCount)
	}
	b.changed += len(p.Key) + len(p.Value)
	return b.command(kv.KindPut, p)
}

func (b *bulk) command(kind kv.Kind, m proto.Message) kv.Command {
	b.t.Helper()
	return kv.Command{Kind: kind, Request: marshal(b.t, m)}
}

// fill puts keys in batches.
func (b *bulk) fill(keys int) {
	for i := 0; i < keys; {
		var batch []kv.Command
		for ; len(batch) < 500 && i < keys; i++ {
			batch = append(batch, b.put(i, i%10 == 0))
		}
		b.apply(batch...)
	}
}

// change changes n of so many keys: half are updated, a fifth deleted, a fifth new, and a tenth get a lease.
func (b *bulk) change(n, keys int) {
	order := b.rng.Perm(keys)
	var batch []kv.Command
	for i := range n {
		switch i % 10 {
		case 0, 1, 2, 3, 4:
			batch = append(batch, b.put(order[i], false))
		case 5, 6:
			key := bulkKey(order[i])
			b.changed += len(key)
			batch = append(batch, b.command(kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: key}))
		case 7, 8:
			batch = append(batch, b.put(keys+int(b.index)+i, false))
		case 9:
			batch = append(batch, b.put(order[i], true))
		}
		if len(batch) == 500 || i == n-1 {
			b.apply(batch...)
			batch = batch[:0]
		}
	}
}

// follow returns a store that has what b has, by a copy of everything, and how many bytes that was.
func (b *bulk) follow(engine kv.Engine) (*kv.Store, int) {
	b.t.Helper()
	to, err := kv.Open(engine, kv.Options{Cluster: 7})
	if err != nil {
		b.t.Fatal(err)
	}
	sent := b.feed(to)
	return to, sent
}

const testChunk = 64 << 10

func (b *bulk) feed(to *kv.Store) int {
	b.t.Helper()
	sent := b.feedUpTo(to, 1<<62)
	if err := to.InstallSnapshot(nil); err != nil {
		b.t.Fatal(err)
	}
	return sent
}

// feedUpTo runs a dialogue until it is complete, or so many bytes were sent.
func (b *bulk) feedUpTo(to *kv.Store, limit int) (sent int) {
	b.t.Helper()
	for sent < limit {
		request, err := to.SnapshotRequest()
		if err != nil {
			b.t.Fatal(err)
		}
		chunk, _, err := b.store.ServeSnapshot(request, testChunk)
		if err != nil {
			b.t.Fatal(err)
		}
		sent += len(chunk)
		_, complete, err := to.StageSnapshot(chunk)
		if err != nil {
			b.t.Fatal(err)
		}
		if complete {
			break
		}
	}
	return sent
}

func (b *bulk) requireSame(to *kv.Store) {
	b.t.Helper()
	want, _, err := b.store.HashKV(0)
	if err != nil {
		b.t.Fatal(err)
	}
	got, _, err := to.HashKV(0)
	if err != nil || got != want {
		b.t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
}

func TestBytesSentAreCloseToTheBytesOfTheData(t *testing.T) {
	const keys = 20_000
	b := newBulk(t, treekv.New())
	b.fill(keys)
	data := b.changed
	to, sent := b.follow(treekv.New())
	t.Logf("everything: %d bytes of data, %d sent, %.3f times", data, sent, float64(sent)/float64(data))
	if float64(sent) > 1.1*float64(data) {
		t.Error("a copy of everything is too large")
	}
	b.changed = 0
	b.change(keys/100, keys)
	sent = b.feed(to)
	t.Logf("1 %% changed: %d bytes, %d sent, %.3f times", b.changed, sent, float64(sent)/float64(b.changed))
	if float64(sent) > 1.5*float64(b.changed) {
		t.Error("a delta is too large")
	}
	b.requireSame(to)
}

// TestATransferThatIsCutGoesOnWhereItWas: what was staged is not sent again, whatever the sender does meanwhile.
func TestATransferThatIsCutGoesOnWhereItWas(t *testing.T) {
	const keys = 40_000
	for name, meanwhile := range map[string]func(b *bulk){
		"the link is cut": func(*bulk) {},
		"the sender lets go of its view": func(b *bulk) {
			b.store.ReleaseSnapshots()
			b.store.ReleaseSnapshots()
		},
		"and has moved on": func(b *bulk) {
			b.store.ReleaseSnapshots()
			b.store.ReleaseSnapshots()
			b.change(keys/50, keys)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, crash := range []bool{false, true} {
				b := newBulk(t, treekv.New())
				b.fill(keys)
				_, all := b.follow(treekv.New())
				engine := treekv.New()
				to, err := kv.Open(engine, kv.Options{Cluster: 7})
				if err != nil {
					t.Fatal(err)
				}
				first := b.feedUpTo(to, all/2)
				if crash { // of the stage, only what is durable is left
					engine = engine.Crash(func(int) int { return 0 })
					if to, err = kv.Open(engine, kv.Options{Cluster: 7}); err != nil {
						t.Fatal(err)
					}
				}
				meanwhile(b)
				again := b.feed(to)
				t.Logf("crash %v: %d of %d bytes, then %d: %.0f %%", crash, first, all, again, 100*float64(again)/float64(all))
				if again > all*60/100 {
					t.Errorf("too many")
				}
				b.requireSame(to)
			}
		})
	}
}

// TestADeltaIsNotMadeOutOfWhatIsCompacted: below the compaction revision the sender does not know any more what was
// deleted.
func TestADeltaIsNotMadeOutOfWhatIsCompacted(t *testing.T) {
	for _, behind := range []int64{1, 0} {
		b := newBulk(t, treekv.New())
		b.fill(500)
		to, all := b.follow(treekv.New())
		b.change(100, 500)
		b.apply(b.command(kv.KindCompact, &pb.CompactionRequest{Revision: to.Revision() + behind}))
		for done := false; !done; {
			var err error
			if done, err = b.store.CompactStep(100); err != nil {
				t.Fatal(err)
			}
		}
		sent := b.feed(to)
		if isDelta := sent < all/2; isDelta != (behind == 0) {
			t.Errorf("compacted %d above what the receiver has: %d bytes, all were %d", behind, sent, all)
		}
		b.requireSame(to)
	}
}

// TestADeltaIsNotMadeOfMoreThanThereIs: many changes are read one after the other.
func TestADeltaIsNotMadeOfMoreThanThereIs(t *testing.T) {
	for changes, want := range map[int]bool{90: true, 300: false} {
		b := newBulk(t, treekv.New())
		b.fill(200)
		to, _ := b.follow(treekv.New())
		for i := range changes {
			b.apply(b.put(i%10, false))
		}
		request, err := to.SnapshotRequest()
		if err != nil {
			t.Fatal(err)
		}
		chunk, _, err := b.store.ServeSnapshot(request, 1)
		if err != nil || chunk[5]&1 == 0 {
			t.Fatal(err)
		}
		if got := chunk[5]&2 == 0; got != want {
			t.Errorf("%d changes: a delta: %v, want %v", changes, got, want)
		}
	}
}
