package kv

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// countingEngine counts the iterators that are open.
type countingEngine struct {
	*mapEngine
	open int
}

type countedIterator struct {
	Iterator
	engine *countingEngine
}

func (e *countingEngine) counted(it Iterator, err error) (Iterator, error) {
	e.open++
	return &countedIterator{it, e}, err
}

func (e *countingEngine) NewIterator(lo, hi []byte) (Iterator, error) {
	return e.counted(e.mapEngine.NewIterator(lo, hi))
}

func (it *countedIterator) Clone(lo, hi []byte) (Iterator, error) {
	return it.engine.counted(it.Iterator.Clone(lo, hi))
}

func (it *countedIterator) Close() error {
	it.engine.open--
	return it.Iterator.Close()
}

// sender is a store that can be moved on without commands.
func sender(t *testing.T) (*Store, *countingEngine, func(index uint64)) {
	t.Helper()
	from := snapshotOf(t)
	e := &countingEngine{mapEngine: from.engine.(*mapEngine)}
	from.engine = e
	move := func(index uint64) {
		now := exampleState()
		now.applied = index
		b := e.NewBatch()
		b.Set(appliedKey(), appendState(nil, &now))
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		from.current.Store(&now)
	}
	move(9)
	return from, e, move
}

func (r snapshotRequest) serve(t *testing.T, from *Store) *snapshotChunk {
	t.Helper()
	b, index, err := from.ServeSnapshot(r.append(nil), 1)
	if err != nil {
		t.Fatal(err)
	}
	var c snapshotChunk
	if err := c.parse(b); err != nil || index != c.view.applied {
		t.Fatal(index, err)
	}
	return &c
}

func TestViewsAreSharedAndLetGo(t *testing.T) {
	from, e, move := sender(t)
	first := snapshotRequest{cluster: 7, have: initialState()}
	first.serve(t, from)
	first.serve(t, from)
	if e.open != 1 {
		t.Errorf("%d iterators for two dialogues at one index, want 1", e.open)
	}
	from.ReleaseSnapshots()
	first.serve(t, from)
	from.ReleaseSnapshots()
	if e.open != 1 {
		t.Errorf("%d: a view that was used since the last call but one is let go", e.open)
	}
	from.ReleaseSnapshots()
	if e.open != 0 {
		t.Errorf("%d: a view that nobody uses is not let go", e.open)
	}
	for index := uint64(10); index < 10+2*maxViews; index++ {
		move(index)
		first.serve(t, from)
	}
	if e.open != maxViews {
		t.Errorf("%d views, want %d", e.open, maxViews)
	}
	if err := from.Close(); err != nil || e.open != 0 {
		t.Errorf("%d views are open after Close, %v", e.open, err)
	}
}

// TestTheViewThatIsUsedLeastGoesFirst: a dialogue that goes on keeps its view, however many others begin.
func TestTheViewThatIsUsedLeastGoesFirst(t *testing.T) {
	from, _, move := sender(t)
	first := snapshotRequest{cluster: 7, have: initialState()}
	c := first.serve(t, from)
	goesOn := first
	goesOn.staged, goesOn.view = true, c.view.id()
	var err error
	if goesOn.at, err = c.check(); err != nil {
		t.Fatal(err)
	}
	for index := uint64(10); index < 10+2*maxViews; index++ {
		move(index)
		first.serve(t, from)
		if c := goesOn.serve(t, from); c.view.applied != 9 {
			t.Fatalf("at %d it goes on in the view at %d", index, c.view.applied)
		}
	}
}

func TestAViewInUseIsLetGoByTheLastWhoUsesIt(t *testing.T) {
	from, e, move := sender(t)
	v, err := from.newestView()
	if err != nil {
		t.Fatal(err)
	}
	from.ReleaseSnapshots()
	from.ReleaseSnapshots()
	if again, err := from.newestView(); again != v || err != nil { // there are two who use it now
		t.Fatalf("a view in use is let go: %v", err)
	}
	for index := uint64(10); index < 10+2*maxViews; index++ {
		move(index)
		snapshotRequest{cluster: 7, have: initialState()}.serve(t, from)
	}
	if e.open != maxViews+1 {
		t.Errorf("%d views, want %d, and the one in use", e.open, maxViews)
	}
	v.done()
	if e.open != maxViews+1 {
		t.Errorf("%d views: the first of two who use one lets it go", e.open)
	}
	v.done()
	if e.open != maxViews {
		t.Errorf("%d views, want %d", e.open, maxViews)
	}
	from.ReleaseSnapshots()
}

func TestADialogueGoesOnInItsViewWhileThatIsThere(t *testing.T) {
	from, _, move := sender(t)
	r := snapshotRequest{cluster: 7, have: initialState()}
	c := r.serve(t, from)
	if !c.begin || !c.full || c.view.applied != 9 {
		t.Fatalf("%+v", c)
	}
	move(20)
	r.staged, r.view = true, c.view.id()
	var err error
	if r.at, err = c.check(); err != nil {
		t.Fatal(err)
	}
	if c = r.serve(t, from); c.begin || c.view.applied != 9 || !c.from.equal(&r.at) {
		t.Errorf("goes on as %+v", c)
	}
	foreign := r
	foreign.view.digest[3]++
	if c = foreign.serve(t, from); c.view.applied != 20 {
		t.Errorf("a view is taken for another of the same index: %+v", c)
	}
	caughtUp := r
	caughtUp.have.applied = 9
	if c = caughtUp.serve(t, from); c.begin || c.view.applied != 20 {
		t.Errorf("a view that is not ahead any more is served: %+v", c)
	}
	from.ReleaseSnapshots()
	from.ReleaseSnapshots()
	if c = r.serve(t, from); c.begin || c.view.applied != 20 {
		t.Errorf("goes on in another view as %+v", c)
	}
	now := exampleState()
	now.applied, now.compact = 30, now.revision+1
	b := from.engine.NewBatch()
	b.Set(appliedKey(), appendState(nil, &now))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	from.current.Store(&now)
	from.ReleaseSnapshots()
	from.ReleaseSnapshots()
	if c = r.serve(t, from); !c.begin {
		t.Errorf("goes on behind a compaction: %+v", c)
	}
}

func TestWhoHasAsMuchIsNotServed(t *testing.T) {
	from, _, _ := sender(t)
	r := snapshotRequest{cluster: 7, have: exampleState()}
	if _, _, err := from.ServeSnapshot(r.append(nil), 1); !errors.Is(err, ErrSnapshotBehind) {
		t.Errorf("served: %v", err)
	}
	r = snapshotRequest{cluster: 7, have: initialState(), staged: true, view: viewID{applied: 10}, at: exampleRequests()[1].at}
	if c := r.serve(t, from); !c.begin {
		t.Errorf("goes on in a stage of a later view than there is here: %+v", c)
	}
	r = snapshotRequest{cluster: 8, have: initialState()}
	if _, _, err := from.ServeSnapshot(r.append(nil), 1); !errors.Is(err, ErrSnapshotRequest) {
		t.Errorf("another cluster is served: %v", err)
	}
	empty := &Store{engine: newMapEngine(), options: Options{Cluster: 7}}
	empty.current.Store(&state{})
	r.cluster = 7
	if _, _, err := empty.ServeSnapshot(r.append(nil), 1); !errors.Is(err, ErrSnapshotBehind) {
		t.Errorf("served by who has nothing: %v", err)
	}
}

func TestOnlyTheKeysThatAreWantedAreSent(t *testing.T) {
	e := newMapEngine()
	s, err := Open(e, Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		put := appendField(appendField(nil, 1, fmt.Appendf(nil, "%02d", i)), 2, []byte("v"))
		if _, err := s.Apply([]Command{{Index: uint64(i + 1), Kind: KindPut, Request: put}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, phase := range []phase{phaseKeys, phaseChanges} {
		for _, want := range []struct {
			keys keyRange
			n    int
		}{
			{keyRange{}, 20}, {keyRange{[]byte("05"), []byte("08")}, 3}, {keyRange{[]byte("07"), nil}, 1},
			{keyRange{[]byte("15"), []byte{0}}, 5}, {keyRange{[]byte("9"), []byte("1")}, 0},
		} {
			now := s.current.Load()
			r := snapshotRequest{cluster: 7, have: initialState(), keys: want.keys}
			r.staged, r.view, r.at = true, now.id(), position{phase: phase, next: revision{main: 2}}
			v, err := s.newestView()
			if err != nil {
				t.Fatal(err)
			}
			b, _, err := s.ServeSnapshot(r.append(nil), 10_000)
			v.done()
			if err != nil {
				t.Fatal(err)
			}
			var c snapshotChunk
			n := 0
			if err := c.parse(b); err != nil {
				t.Fatal(err)
			}
			if err := c.rows.each(func(_, _ []byte) error { n++; return nil }); err != nil || n != want.n || !c.done || !bytes.Equal(c.keys.key, want.keys.key) {
				t.Errorf("phase %d, keys %q: %d, done %v, %v, want %d", phase, want.keys, n, c.done, err, want.n)
			}
		}
	}
}

// TestKeysThatShareMuchAreBounded: few bytes can stand for many.
func TestKeysThatShareMuchAreBounded(t *testing.T) {
	c := exampleChunks()[0]
	user := bytes.Repeat([]byte("k"), 1<<20)
	previous := []byte(nil)
	c.rows = nil
	for i := range 100 {
		key := appendVersionKey(nil, user, revision{7, uint32(100 - i)})
		c.rows = c.rows.append(key, appendVersion(nil, &versionGone), previous)
		previous = key
	}
	if _, err := c.check(); !errors.Is(err, errShort) {
		t.Errorf("%d bytes stand for 100 MiB: %v", len(c.rows), err)
	}
	m := chunkMaker{limit: maxChunkBytes}
	n := 1
	for ; m.add(append(user, byte(n)), nil); n++ {
		if n > 100 {
			t.Fatal("nobody would take the chunk")
		}
	}
	if n < 60 {
		t.Errorf("%d keys", n)
	}
}

func TestADeltaHasABound(t *testing.T) {
	from, err := Open(newMapEngine(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(20) {
		put := appendField(appendField(nil, 1, fmt.Append(nil, i)), 2, []byte("v"))
		if _, err := from.Apply([]Command{{Index: i + 1, Kind: KindPut, Request: put}}); err != nil {
			t.Fatal(err)
		}
	}
	v, err := from.newestView()
	if err != nil {
		t.Fatal(err)
	}
	defer v.done()
	have := state{applied: 17, revision: 18, compact: -1}
	for most, want := range map[int]bool{2: false, 3: true} {
		if got, err := v.hasDelta(&have, most); got != want || err != nil {
			t.Errorf("3 changes, at most %d: %v, %v", most, got, err)
		}
	}
	have.revision = v.state.revision + 1
	if got, err := v.hasDelta(&have, 20); got || err != nil {
		t.Errorf("for who has more than there is: %v, %v", got, err)
	}
}

// TestAChunkIsAboutAsLargeAsItMayBe: one pair at least, and never much more than the most that is ever sent.
func TestAChunkIsAboutAsLargeAsItMayBe(t *testing.T) {
	const value = 1 << 20
	from, err := Open(newMapEngine(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(20) {
		put := appendField(appendField(nil, 1, fmt.Append(nil, i)), 2, make([]byte, value))
		if _, err := from.Apply([]Command{{Index: i + 1, Kind: KindPut, Request: put}}); err != nil {
			t.Fatal(err)
		}
	}
	request := snapshotRequest{have: initialState()}
	for maxBytes, pairs := range map[int]int{-1: 1, 0: 1, 1: 1, value: 1, 2 * value: 2, 1 << 40: maxChunkBytes / value} {
		b, _, err := from.ServeSnapshot(request.append(nil), maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(b) / value; got != pairs {
			t.Errorf("at most %d bytes: %d pairs of a megabyte, want %d", maxBytes, got, pairs)
		}
	}
}
