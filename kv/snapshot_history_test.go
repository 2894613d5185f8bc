package kv_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

var snapshotSeeds = flag.Int64("snapshot.seeds", 150, "number of random histories of TestAStoreIsBroughtUpToDate")

// fed is a history in which one store is left behind, and brought up to date by two others.
type fed struct {
	t        *testing.T
	rng      *rand.Rand
	commands []kv.Command
	rev      int64 // of the newest command, roughly
	sessions []wire.Session
	leases   []int64
	tokens   []uint64
	a, b, c  *copyOf
	seen     *fedTotals
}

// fedTotals is what all histories together have met.
type fedTotals struct {
	full, delta, installs                      int // dialogues that began, and that came to their end
	restarts, kept, senderRestarts             int // of who is fed, and of these: the stage was not empty after it
	moved, released, cut, refused, old, behind int
}

// copyOf is a store that can lose power.
type copyOf struct {
	f       *fed
	name    string
	engine  kv.Engine
	fs      *vfs.MemFS // of Pebble
	store   *kv.Store
	answers map[uint64]kv.Answer // what all have answered
}

func (c *copyOf) open() {
	if c.fs != nil {
		e, err := pebblekv.Open("state", pebblekv.Options{FS: c.fs, MemTableBytes: 64 << 10})
		if err != nil {
			c.f.t.Fatalf("%s: %v", c.name, err)
		}
		c.engine = e
	}
	store, err := kv.Open(c.engine, kv.Options{Cluster: 7})
	if err != nil {
		c.f.t.Fatalf("%s: %v", c.name, err)
	}
	c.store = store
}

// restart ends the store as a loss of power would, and opens it again on what is left.
func (c *copyOf) restart() {
	rng := c.f.rng
	if c.fs == nil {
		c.engine = c.engine.(*treekv.Engine).Crash(func(n int) int { return rng.Intn(n + 1) })
		c.open()
		return
	}
	clone := c.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: []int{0, 50, 100}[rng.Intn(3)],
		RNG:                 randv2.New(randv2.NewPCG(uint64(rng.Int63()), 1)),
	})
	if err := c.store.Close(); err != nil {
		c.f.t.Fatalf("%s: close: %v", c.name, err)
	}
	c.fs = clone
	c.open()
}

// applyTo applies what the store lacks, up to an index, in random batches.
func (c *copyOf) applyTo(index uint64) {
	for c.store.AppliedIndex() < index {
		from := c.store.AppliedIndex()
		n := min(1+uint64(c.f.rng.Intn(8)), index-from)
		answers, err := c.store.Apply(c.f.commands[from : from+n])
		if err != nil {
			c.f.t.Fatalf("%s: %v", c.name, err)
		}
		for i, a := range answers {
			at := from + 1 + uint64(i)
			if before, ok := c.answers[at]; ok && (before.Err != a.Err || before.Revision != a.Revision || !bytes.Equal(before.Body, a.Body)) {
				c.f.t.Fatalf("%s: command %d is answered %+v, was %+v", c.name, at, a, before)
			}
			c.answers[at] = a
		}
		switch c.f.rng.Intn(12) {
		case 0:
			if err := c.store.Flush(); err != nil {
				c.f.t.Fatal(err)
			}
		case 1, 2, 3:
			if _, err := c.store.CompactStep(1 + c.f.rng.Intn(20)); err != nil {
				c.f.t.Fatalf("%s: %v", c.name, err)
			}
		}
	}
}

func (f *fed) key() []byte {
	if f.rng.Intn(3) == 0 {
		return []byte(someKeys[f.rng.Intn(len(someKeys))])
	}
	return fmt.Appendf(nil, "key%02d", f.rng.Intn(60))
}

func pick[T any](rng *rand.Rand, of []T) (x T) {
	if len(of) > 0 {
		x = of[rng.Intn(len(of))]
	}
	return x
}

// grow adds commands, and lets the senders apply them.
func (f *fed) grow(n int) {
	for range n {
		c := f.command()
		c.Index = uint64(len(f.commands) + 1)
		c.Time = c.Index * 100_000_000
		f.commands = append(f.commands, c)
		f.a.applyTo(c.Index)
		f.rev = f.a.store.Revision()
	}
	f.b.applyTo(uint64(len(f.commands)))
}

func (f *fed) put() *pb.PutRequest {
	p := &pb.PutRequest{Key: f.key(), Value: make([]byte, f.rng.Intn(50)), PrevKv: f.rng.Intn(3) == 0}
	f.rng.Read(p.Value)
	if f.rng.Intn(3) == 0 {
		p.Lease = pick(f.rng, f.leases)
	}
	return p
}

func (f *fed) command() kv.Command {
	t, next := f.t, uint64(len(f.commands)+1)
	switch f.rng.Intn(24) {
	case 0, 1:
		end := f.key()
		if f.rng.Intn(2) == 0 {
			end = nil
		}
		return kv.Command{Kind: kv.KindDeleteRange, Request: marshal(t, &pb.DeleteRangeRequest{Key: f.key(), RangeEnd: end})}
	case 2, 3:
		txn := &pb.TxnRequest{}
		used := map[string]bool{}
		for range f.rng.Intn(4) {
			if p := f.put(); !used[string(p.Key)] {
				used[string(p.Key)] = true
				txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: p}})
			}
		}
		return kv.Command{Kind: kv.KindTxn, Request: marshal(t, txn)}
	case 4:
		if f.rng.Intn(2) == 0 {
			return kv.Command{Kind: kv.KindCompact, Request: marshal(t, &pb.CompactionRequest{Revision: f.rev - f.rng.Int63n(60)})}
		}
	case 5:
		id := int64(next) - 2*int64(next)*f.rng.Int63n(2) // some are below zero
		f.leases = append(f.leases, id)
		return kv.Command{Kind: kv.KindLeaseGrant, Request: kv.GrantRequest(id, 1+f.rng.Int63n(100))}
	case 6:
		return kv.Command{Kind: kv.KindLeaseRevoke, Request: marshal(t, &pb.LeaseRevokeRequest{ID: pick(f.rng, f.leases)})}
	case 7:
		return kv.Command{Kind: kv.KindLeaseRenew, Request: kv.LeaseList([]int64{pick(f.rng, f.leases), pick(f.rng, f.leases)})}
	case 8:
		return kv.Command{Kind: kv.KindLeaseExpire, Request: kv.LeaseList([]int64{pick(f.rng, f.leases), pick(f.rng, f.leases)})}
	case 9:
		if f.rng.Intn(3) == 0 {
			f.sessions = append(f.sessions, wire.Session{ID: next})
			return kv.Command{Kind: kv.KindSessionOpen, Request: session.OpenRequest(60)}
		}
	case 10:
		if s := pick(f.rng, f.sessions); f.rng.Intn(8) == 0 {
			return kv.Command{Kind: kv.KindSessionClose, Request: session.CloseRequest(s.ID)}
		} else if f.rng.Intn(2) == 0 {
			return kv.Command{Kind: kv.KindSessionKeepAlive, Request: session.KeepAliveRequest(s.ID, s.Sequence/2)}
		}
	case 11:
		r := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: uint64(1 + f.rng.Intn(3)), Alarm: pb.AlarmType_NOSPACE}
		if f.rng.Intn(4) == 0 {
			r.Action = pb.AlarmRequest_ACTIVATE
		}
		return kv.Command{Kind: kv.KindAlarm, Request: marshal(t, r)}
	case 12:
		f.tokens = append(f.tokens, next)
		return kv.Command{Kind: kv.KindTokenCreate, Request: kv.TokenCreateRequest(next, bytes.Repeat([]byte{byte(next)}, 32), 1+f.rng.Int63n(60))}
	case 13:
		return kv.Command{Kind: kv.KindTokenUse, Request: kv.TokenUseRequest(pick(f.rng, f.tokens), bytes.Repeat([]byte{9}, 32), next)}
	}
	c := kv.Command{Kind: kv.KindPut, Request: marshal(t, f.put())}
	if len(f.sessions) > 0 && f.rng.Intn(3) == 0 {
		s := &f.sessions[f.rng.Intn(len(f.sessions))]
		s.Sequence++
		c.Session = wire.Session{ID: s.ID, Sequence: s.Sequence - uint64(f.rng.Intn(2)), Acknowledged: s.Sequence / 3}
		c.Session.Acknowledged = min(c.Session.Acknowledged, max(c.Session.Sequence, 1)-1)
	}
	return c
}

// dialogue feeds c until it has a complete stage, and returns where that will bring it. Everything that may go wrong
// does now and then.
func (f *fed) dialogue() uint64 {
	t := f.t
	sender := f.a
	request := f.request()
	for steps := 0; ; steps++ {
		if steps > 3000 {
			t.Fatal("the dialogue does not end")
		}
		quiet := steps > 400 // it must end
		if !quiet && f.rng.Intn(6) == 0 {
			if sender = f.disturb(sender); f.rng.Intn(2) == 0 {
				request = f.request()
			}
		}
		chunk, index, err := sender.store.ServeSnapshot(request, 1+f.rng.Intn(600))
		if errors.Is(err, kv.ErrSnapshotBehind) {
			f.seen.behind++
			f.grow(3)
			request = f.request()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !quiet && f.rng.Intn(15) == 0 { // it is lost, or damaged on the way
			f.seen.cut++
			spoilt := slices.Clone(chunk)
			spoilt[f.rng.Intn(len(spoilt))] ^= byte(1 + f.rng.Intn(255))
			if _, _, err := f.c.store.StageSnapshot(spoilt); !errors.Is(err, kv.ErrSnapshotChunk) && !errors.Is(err, kv.ErrNewerFormat) {
				t.Fatalf("a damaged chunk: %v", err)
			}
			request = f.request()
			continue
		}
		if !quiet && f.rng.Intn(25) == 0 { // the log comes after all
			f.c.applyTo(uint64(len(f.commands)))
		}
		next, complete, err := f.c.store.StageSnapshot(chunk)
		if errors.Is(err, kv.ErrSnapshotChunk) {
			f.seen.refused++ // the request is from before a restart
			request = f.request()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		f.note(chunk)
		if f.rng.Intn(20) == 0 && chunk[5]&1 == 0 && !(complete && len(chunk) < 150) {
			if _, _, err := f.c.store.StageSnapshot(chunk); !errors.Is(err, kv.ErrSnapshotChunk) {
				t.Fatalf("the same chunk once more: %v", err)
			}
		}
		if complete {
			if index <= f.c.store.AppliedIndex() {
				f.old()
				f.grow(3)
				request = f.request()
				continue
			}
			return index
		}
		request = next
	}
}

// note counts what a chunk says in its flags.
func (f *fed) note(chunk []byte) {
	switch {
	case chunk[5]&1 == 0:
	case chunk[5]&2 != 0:
		f.seen.full++
	default:
		f.seen.delta++
	}
}

func (f *fed) request() []byte {
	request, err := f.c.store.SnapshotRequest()
	if err != nil {
		f.t.Fatal(err)
	}
	return request
}

// emptyRequest is how long a request is of a store that has nothing staged.
const emptyRequest = 5 + 8 + 48 + 1 + 1 + 1

// disturb lets something happen, and returns who sends from now on.
func (f *fed) disturb(sender *copyOf) *copyOf {
	switch f.rng.Intn(9) {
	case 0:
		f.seen.restarts++
		at := f.c.store.AppliedIndex()
		f.c.restart()
		if len(f.request()) > emptyRequest {
			f.seen.kept++
		}
		if f.rng.Intn(2) == 0 { // its own log is applied again
			f.c.applyTo(at)
		}
	case 1:
		f.seen.senderRestarts++
		at := sender.store.AppliedIndex()
		sender.restart()
		sender.applyTo(at)
	case 2, 3:
		f.seen.moved++
		f.grow(1 + f.rng.Intn(20))
	case 4:
		f.seen.released++
		sender.store.ReleaseSnapshots()
		sender.store.ReleaseSnapshots()
	case 5:
		if sender == f.a {
			return f.b
		}
		return f.a
	case 6:
		f.c.applyTo(min(f.c.store.AppliedIndex()+uint64(f.rng.Intn(10)), uint64(len(f.commands))))
	case 7:
		if _, err := f.c.store.CompactStep(1 + f.rng.Intn(50)); err != nil {
			f.t.Fatal(err)
		}
	case 8:
		if f.rng.Intn(4) == 0 {
			if err := f.c.store.DropStaged(); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	return sender
}

// old checks that a stage is refused that is behind the state.
func (f *fed) old() {
	f.seen.old++
	before, _ := f.c.store.Digest()
	if err := f.c.store.InstallSnapshot(nil); !errors.Is(err, kv.ErrSnapshotOld) {
		f.t.Fatalf("installed: %v", err)
	}
	if after, _ := f.c.store.Digest(); after != before {
		f.t.Fatal("it has changed something")
	}
}

// sameRecords compares all that two stores say of themselves.
func (f *fed) sameRecords(a, b *copyOf) {
	t := f.t
	t.Helper()
	same(t, &server{name: a.name, store: a.store, rng: f.rng}, &server{name: b.name, store: b.store, rng: f.rng})
	equal(t, "leases", b.store.Leases(), a.store.Leases())
	equal(t, "due leases", b.store.DueLeases(1<<62, 1000), a.store.DueLeases(1<<62, 1000))
	for _, l := range f.leases {
		ka, err := a.store.LeaseKeys(l)
		kb, err2 := b.store.LeaseKeys(l)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		equal(t, fmt.Sprintf("keys of lease %d", l), kb, ka)
	}
	equal(t, "alarms", b.store.Alarms(), a.store.Alarms())
	equal(t, "sessions", b.store.SessionCount(), a.store.SessionCount())
	equal(t, "bytes of answers", b.store.SessionBytes(), a.store.SessionBytes())
	equal(t, "due sessions", b.store.DueSessions(1<<62, 1000), a.store.DueSessions(1<<62, 1000))
	for _, s := range f.sessions {
		sa, oka := a.store.Session(s.ID)
		sb, okb := b.store.Session(s.ID)
		equal(t, "session", fmt.Sprint(sb, okb), fmt.Sprint(sa, oka))
	}
	for _, id := range f.tokens {
		ta, oka := a.store.Token(id)
		tb, okb := b.store.Token(id)
		equal(t, "token", fmt.Sprint(tb, okb), fmt.Sprint(ta, oka))
	}
	equal(t, "time", b.store.Time(), a.store.Time())
	if t.Failed() {
		t.FailNow()
	}
}

// install installs what is staged. A reader that has begun goes on with what was there.
func (f *fed) install(position string) {
	t := f.t
	before := dump(t, f.c.engine)
	pinned, err := f.c.engine.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.c.store.InstallSnapshot([]byte(position)); err != nil {
		t.Fatal(err)
	}
	f.seen.installs++
	if got := dumpOf(t, pinned); !bytes.Equal(got, before) {
		t.Fatal("a view that was pinned shows something else")
	}
	if stage, err := f.c.engine.OpenStage(false); stage != nil || err != nil {
		t.Fatalf("the stage is still there: %v, %v", stage, err)
	}
	if durable, err := f.c.store.DurableIndex(); err != nil || durable != f.c.store.AppliedIndex() {
		t.Fatalf("durable %d, %v, applied %d", durable, err, f.c.store.AppliedIndex())
	}
	if f.rng.Intn(2) == 0 {
		f.c.restart()
	}
	if got := f.c.store.InstalledPosition(); string(got) != position {
		t.Fatalf("position %q, want %q", got, position)
	}
}

func dumpOf(t *testing.T, it kv.Iterator) []byte {
	t.Helper()
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

// replicated is the dump of an engine without its server's own records.
func replicated(t *testing.T, e kv.Engine) string {
	t.Helper()
	var kept [][]byte
	for _, line := range bytes.Split(dump(t, e), []byte("\n")) {
		if !bytes.HasPrefix(line, []byte("4870=")) {
			kept = append(kept, line)
		}
	}
	return string(bytes.Join(kept, []byte("\n")))
}

// TestAStoreIsBroughtUpToDate lets a store fall behind, and be brought up to date by others, which compact,
// remove what is compacted, go on, and restart meanwhile, as it does itself. In the end it holds what they do,
// to the byte, and does with further commands as they do.
func TestAStoreIsBroughtUpToDate(t *testing.T) {
	var seen fedTotals
	for seed := range *snapshotSeeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { feedHistory(t, seed, &seen) })
	}
	t.Logf("%+v", seen)
	if seen.full == 0 || seen.delta == 0 || seen.moved == 0 || seen.cut == 0 || seen.kept == 0 || seen.kept == seen.restarts ||
		seen.senderRestarts == 0 || seen.old == 0 || seen.behind == 0 || seen.released == 0 || seen.refused == 0 {
		t.Error("not everything has happened")
	}
}

func feedHistory(t *testing.T, seed int64, seen *fedTotals) {
	f := &fed{t: t, rng: rand.New(rand.NewSource(seed)), seen: seen}
	answers := map[uint64]kv.Answer{}
	for i, p := range []**copyOf{&f.a, &f.b, &f.c} {
		c := &copyOf{f: f, name: string("abc"[i]), answers: answers}
		if seed%3 == 0 {
			c.fs = vfs.NewCrashableMem()
		} else {
			c.engine = treekv.New()
		}
		c.open()
		*p = c
	}
	f.grow(f.rng.Intn(300))
	for round := range 1 + f.rng.Intn(3) {
		f.c.applyTo(max(f.c.store.AppliedIndex(), uint64(f.rng.Intn(len(f.commands)+1))))
		f.grow(1 + f.rng.Intn([]int{20, 100, 300}[f.rng.Intn(3)]))
		index := f.dialogue()
		if lacks := index - f.c.store.AppliedIndex(); f.rng.Intn(2) == 0 { // the log is ahead of the install
			f.c.applyTo(index - 1 - uint64(f.rng.Int63n(int64(lacks))))
		}
		f.install(fmt.Sprint("position ", round))
		f.grow(f.rng.Intn(40))
		f.c.applyTo(uint64(len(f.commands)))
		f.sameRecords(f.a, f.c)
	}
	f.grow(50)
	f.c.applyTo(uint64(len(f.commands)))
	f.sameRecords(f.a, f.c)
	for _, c := range []*copyOf{f.a, f.c} {
		for done := false; !done; {
			var err error
			if done, err = c.store.CompactStep(30); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, c := replicated(t, f.a.engine), replicated(t, f.c.engine); a != c {
		t.Fatalf("the engines hold different things:\n%s\n\n%s", a, c)
	}
	for _, c := range []*copyOf{f.a, f.b, f.c} {
		if err := c.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
