package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// workbench is a machine on an engine in memory.
type workbench struct {
	*machine
	engine *treekv.Engine
	fatals []error
	index  raft.Index
}

func newWorkbench(t *testing.T) *workbench {
	t.Helper()
	w := &workbench{engine: treekv.New()}
	store, err := kv.Open(w.engine, kv.Options{Cluster: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.machine = newMachine(store, defaultKeepLogBytes, func(err error) { w.fatals = append(w.fatals, err) })
	<-w.compact // that of the start
	return w
}

// apply applies one command.
func (w *workbench) apply(t *testing.T, kind kv.Kind, request []byte) {
	t.Helper()
	w.index++
	answers := w.Apply([]quorate.Entry{{Index: w.index, Term: 1, Command: wire.Command{Kind: uint8(kind), Request: request}}})
	if answer, err := kv.ParseAnswer(answers[0]); err != nil || answer.Err != kv.CodeOK {
		t.Fatalf("command %d: %v, %v", w.index, answer.Err, err)
	}
}

// putRequest encodes a PutRequest{key, value}; more are bytes to put behind it.
func putRequest(key string, value []byte, more ...byte) []byte {
	b := append([]byte{1<<3 | 2, byte(len(key))}, key...)
	b = binary.AppendUvarint(append(b, 2<<3|2), uint64(len(value)))
	return append(append(b, value...), more...)
}

// compactRequest encodes a CompactionRequest{revision}.
func compactRequest(revision uint64) []byte { return binary.AppendUvarint([]byte{1 << 3}, revision) }

func isSignalled(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAnswersAreThoseOfTheirEntries(t *testing.T) {
	w := newWorkbench(t)
	put := func(key string) []byte { return putRequest(key, nil, 4<<3, 1) } // prev_kv
	answers := w.Apply([]quorate.Entry{
		{Index: 1, Term: 1}, // the host's own
		{Index: 2, Term: 1, Command: wire.Command{Kind: uint8(kv.KindPut), Request: put("a")}},
		{Index: 3, Term: 1, Command: wire.Command{Kind: uint8(kv.KindPut), Request: put("")}},
		{Index: 4, Term: 1, Command: wire.Command{Kind: uint8(kv.KindPut), Request: put("a")}},
		{Index: 5, Term: 1, Command: wire.Command{Kind: 0, Request: []byte("not for the store")}},
	})
	if len(answers) != 5 || w.store.AppliedIndex() != 5 {
		t.Fatalf("%d answers, applied up to %d", len(answers), w.store.AppliedIndex())
	}
	for i, want := range []struct {
		code     kv.Code
		revision int64
		hasBody  bool
	}{{0, 1, false}, {0, 2, false}, {kv.CodeKeyNotProvided, 2, false}, {0, 3, true}, {0, 3, false}} {
		a, err := kv.ParseAnswer(answers[i])
		if err != nil || a.Err != want.code || a.Revision != want.revision || len(a.Body) > 0 != want.hasBody {
			t.Errorf("answer %d: %+v, %v; want %+v", i, a, err, want)
		}
		if cap(answers[i]) != len(answers[i]) {
			t.Errorf("answer %d can be appended to, over the next one", i)
		}
	}
}

func TestStoreThatFailsIsFatalAndGivesNoAnswers(t *testing.T) {
	w := newWorkbench(t)
	if err := w.engine.Close(); err != nil {
		t.Fatal(err)
	}
	answers := w.Apply([]quorate.Entry{{Index: 1, Command: wire.Command{Kind: uint8(kv.KindPut), Request: putRequest("a", nil)}}})
	if len(answers) != 0 || len(w.fatals) != 1 || !errors.Is(w.fatals[0], treekv.ErrClosed) {
		t.Errorf("%d answers, fatal %v", len(answers), w.fatals)
	}
}

func TestFlushIsAskedForWhenEnoughHasGathered(t *testing.T) {
	w := newWorkbench(t)
	value := make([]byte, 1<<20)
	for i := range 200 {
		w.apply(t, kv.KindPut, putRequest("k", value))
		asked := isSignalled(w.flushNow)
		if want := i%64 == 63; asked != want {
			t.Fatalf("after %d puts of a megabyte: flush asked for is %v, want %v", i+1, asked, want)
		}
	}
}

func TestFlushAdvancesTheDurableIndex(t *testing.T) {
	w := newWorkbench(t)
	w.apply(t, kv.KindPut, putRequest("k", nil))
	if got := w.DurableIndex(); got != 0 {
		t.Errorf("before the flush: %d", got)
	}
	if err := w.flushOnce(); err != nil {
		t.Fatal(err)
	}
	if got := w.DurableIndex(); got != 1 {
		t.Errorf("after the flush: got %d, want 1", got)
	}
}

func TestFailedFlushIsFatal(t *testing.T) {
	w := newWorkbench(t)
	if err := w.engine.Close(); err != nil {
		t.Fatal(err)
	}
	signal(w.flushNow)
	w.flush(context.Background()) // returns, because it fails
	if len(w.fatals) != 1 || !errors.Is(w.fatals[0], treekv.ErrClosed) {
		t.Errorf("fatal: %v", w.fatals)
	}
}

// fullEngine is an engine whose disk is full.
type fullEngine struct{ *treekv.Engine }

func (fullEngine) Flush() error { return fmt.Errorf("flush: %w", syscall.ENOSPC) }

// TestAFullDiskIsNoFatalFlush: neither of one that was asked for by somebody, nor of the machine's own, which goes on with
// the next entry.
func TestAFullDiskIsNoFatalFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := kv.Open(fullEngine{treekv.New()}, kv.Options{Cluster: 1})
		if err != nil {
			t.Fatal(err)
		}
		m := newMachine(store, 1000, func(err error) { t.Errorf("fatal: %v", err) })
		if index, err := m.flushNowAndWait(t.Context()); index != 0 || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("durable up to %d, %v", index, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var flusher sync.WaitGroup
		flusher.Go(func() { m.flush(ctx) })
		signal(m.flushNow)
		synctest.Wait()
		m.Apply([]quorate.Entry{{Index: 1}})
		synctest.Wait()
		if len(m.flushNow) != 0 || m.unflushed != 1000 {
			t.Errorf("asked for: %d, %d bytes to flush", len(m.flushNow), m.unflushed)
		}
		stop()
		flusher.Wait()
	})
}

// TestAStateThatIsInstalledIsDurable: what it has need not be flushed, and what is compacted in it is removed.
func TestAStateThatIsInstalledIsDurable(t *testing.T) {
	from, to := newWorkbench(t), newWorkbench(t)
	for range 10 {
		from.apply(t, kv.KindPut, putRequest("k", nil))
	}
	from.apply(t, kv.KindCompact, compactRequest(11))
	to.apply(t, kv.KindPut, putRequest("k", nil))
	request, err := to.SnapshotRequest()
	for complete := false; !complete && err == nil; {
		var chunk []byte
		if chunk, _, err = from.ServeSnapshot(request, 100); err == nil {
			request, complete, err = to.StageSnapshot(chunk)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := to.InstallSnapshot([]byte("position")); err != nil {
		t.Fatal(err)
	}
	if to.DurableIndex() != 11 || to.unflushed != 0 || string(to.InstalledPosition()) != "position" {
		t.Errorf("durable up to %d, %d bytes to flush, position %q", to.DurableIndex(), to.unflushed, to.InstalledPosition())
	}
	if !isSignalled(to.compact) {
		t.Error("what is compacted is not removed")
	}
}

func TestFailedRemovalIsFatal(t *testing.T) {
	w := newWorkbench(t)
	w.apply(t, kv.KindPut, putRequest("k", nil))
	w.apply(t, kv.KindCompact, compactRequest(2))
	if err := w.engine.Close(); err != nil {
		t.Fatal(err)
	}
	w.remove(context.Background())
	if len(w.fatals) != 1 || !errors.Is(w.fatals[0], treekv.ErrClosed) {
		t.Errorf("fatal: %v", w.fatals)
	}
}

// count returns how many versions the engine holds.
func (w *workbench) count(t *testing.T) (n int) {
	t.Helper()
	it, err := w.engine.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n
}

func TestCompactionRemovesInStepsAndTellsWhoWaits(t *testing.T) {
	w := newWorkbench(t)
	const puts = 3 * stepChanges
	for range puts {
		w.apply(t, kv.KindPut, putRequest("k", nil))
	}
	if isSignalled(w.compact) {
		t.Error("puts asked for a compaction")
	}
	before := w.count(t)
	w.apply(t, kv.KindCompact, compactRequest(puts+1))

	ctx, cancel := context.WithCancel(testContext(t))
	stopping := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.remove(ctx)
	}()
	if err := w.removed.wait(ctx, puts+1, stopping); err != nil {
		t.Fatal(err)
	}
	if after := w.count(t); before-after < 2*(puts-1)-2 {
		t.Errorf("%d records before, %d after", before, after)
	}
	if isSignalled(w.compact) {
		t.Error("nothing is left to remove, and it was asked for")
	}

	close(stopping)
	if err := w.removed.wait(ctx, puts+2, stopping); !errors.Is(err, errStopping) {
		t.Errorf("a wait while the server closes: %v", err)
	}
	cancel()
	if err := w.removed.wait(ctx, puts+2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that is given up: %v", err)
	}
	<-ended
	if len(w.fatals) != 0 {
		t.Errorf("fatal: %v", w.fatals)
	}
}

func TestLeadersAreCountedOnceInTheirTerms(t *testing.T) {
	var l clientGroup
	for _, seen := range []struct {
		term   raft.Term
		leader quorate.ServerID
	}{{1, 0}, {1, 7}, {1, 7}, {2, 0}, {3, 8}, {3, 8}, {4, 8}, {3, 8}} {
		l.note(seen.term, seen.leader)
	}
	if got := l.seen.Load(); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}
