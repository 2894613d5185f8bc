package kv_test

import (
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// scrubStore is a store of some keys, and how to put more.
func scrubStore(t *testing.T) (s *kv.Store, apply func(c kv.Command)) {
	t.Helper()
	s, err := kv.Open(treekv.New(), kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	index := uint64(0)
	return s, func(c kv.Command) {
		t.Helper()
		index++
		c.Index = index
		if _, err := s.Apply([]kv.Command{c}); err != nil {
			t.Fatal(err)
		}
	}
}

func putAt(t *testing.T, i int, time uint64) kv.Command {
	return kv.Command{Time: time, Kind: kv.KindPut, Request: marshal(t, &pb.PutRequest{Key: fmt.Append(nil, "key", i%50), Value: fmt.Append(nil, "value", i)})}
}

// TestScrubHashesAsHashKVDoesWhateverHappensMeanwhile: a scrub in small steps has the hash of the moment that it was
// begun for, though keys are put and compacted while it reads.
func TestScrubHashesAsHashKVDoesWhateverHappensMeanwhile(t *testing.T) {
	s, apply := scrubStore(t)
	for i := range 500 {
		apply(putAt(t, i, 1))
	}
	apply(kv.Command{Time: 1, Kind: kv.KindCompact, Request: marshal(t, &pb.CompactionRequest{Revision: 200})})
	const at = 400
	want, code, err := s.HashKV(at)
	if code != kv.CodeOK || err != nil {
		t.Fatal(code, err)
	}
	scrub, err := s.NewScrub(at)
	if err != nil {
		t.Fatal(err)
	}
	total, steps := 0, 0
	for done := false; !done; steps++ {
		var read int
		if read, done, err = scrub.Step(100); err != nil {
			t.Fatal(err)
		}
		total += read
		apply(putAt(t, steps, 1))
		if steps == 10 {
			apply(kv.Command{Time: 1, Kind: kv.KindCompact, Request: marshal(t, &pb.CompactionRequest{Revision: 450})})
		}
		if _, err := s.CompactStep(50); err != nil {
			t.Fatal(err)
		}
	}
	if got := scrub.Hash(); got != want || total < 10_000 || steps < total/200 {
		t.Errorf("got %v in %d steps of %d bytes in all, want %v", got, steps, total, want)
	}
	if sum := want.Sum(); sum.Kind != kv.SumHash || sum.At != at || sum.Also != 200 || sum.Value != want.Hash {
		t.Errorf("its sum is %v", sum)
	}
	if err := scrub.Close(); err != nil {
		t.Fatal(err)
	}
	for revision, want := range map[int64]kv.Code{300: kv.CodeCompacted, 1 << 40: kv.CodeFutureRevision} {
		if _, err := s.NewScrub(revision); !errors.Is(err, want) {
			t.Errorf("at %d: %v", revision, err)
		}
	}
}

// meanwhile is an engine that lets something happen whenever a view is opened.
type meanwhile struct {
	kv.Engine
	happens func()
}

func (e *meanwhile) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	if happens := e.happens; happens != nil {
		e.happens = nil
		happens()
	}
	return e.Engine.NewIterator(lo, hi)
}

// TestAScrubIsNotOfWhatIsCompactedWhileItsViewIsOpened: what the view has of that may be gone.
func TestAScrubIsNotOfWhatIsCompactedWhileItsViewIsOpened(t *testing.T) {
	e := &meanwhile{Engine: treekv.New()}
	s, err := kv.Open(e, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(index uint64, c kv.Command) {
		c.Index = index
		if _, err := s.Apply([]kv.Command{c}); err != nil {
			t.Fatal(err)
		}
	}
	apply(1, putAt(t, 1, 1))
	e.happens = func() {
		apply(2, putAt(t, 2, 1))
		apply(3, kv.Command{Kind: kv.KindCompact, Request: kv.CompactionRequest(3)})
	}
	if _, err := s.NewScrub(0); !errors.Is(err, kv.CodeCompacted) {
		t.Errorf("of revision 2, with 3 compacted: %v", err)
	}
}

// TestMarksArePassedByLogTime: the mark of a span is what the store was at before the first command of the span.
func TestMarksArePassedByLogTime(t *testing.T) {
	s, apply := scrubStore(t)
	minute := kv.MarkSpan(0)
	for i, at := range []uint64{minute / 2, minute - 1, minute, minute + 1, 5*minute + 7, 5*minute + 8} {
		apply(putAt(t, i, at))
	}
	for span, want := range []kv.Mark{{5, 5}, {2, 5}, {1, 5}, {}} {
		if got := s.Mark(span); got != want {
			t.Errorf("span %d: got %+v, want %+v", span, got, want)
		}
	}
	if s.Mark(-1) != s.Mark(0) || s.Mark(99) != (kv.Mark{}) || kv.MarkSpan(2) != 4*minute {
		t.Error("spans are not what they should be")
	}
	fresh, apply := scrubStore(t)
	apply(putAt(t, 0, 5*minute))
	if got := fresh.Mark(0); got != (kv.Mark{}) {
		t.Errorf("the first command of all passes %+v", got)
	}
}
