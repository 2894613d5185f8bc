package enginetest

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/kv"
)

// stageClaims are about the stage.
var stageClaims = []claim{
	{"CloneShowsTheSameView", cloneShowsTheSame},
	{"StageIsBesideTheState", stageIsBeside},
	{"InstallReplacesSpansAndAddsToTheRest", installAdds},
	{"InstallReplacesEverything", installReplaces},
	{"InstallEmptiesWhatIsApart", installEmptiesApart},
	{"InstallIsDurableWithAllBefore", installIsDurable},
	{"SealIsReplacedByTheNext", sealAgain},
	{"InstallOfManyTables", installMuch},
}

func cloneShowsTheSame(t *testing.T, e kv.Engine) {
	commit(t, e, func(b kv.Batch) { b.Set([]byte("a"), []byte("1")); b.Set([]byte("b"), []byte("1")) })
	it := iterate(t, e, nil, nil)
	commit(t, e, func(b kv.Batch) { b.Set([]byte("a"), []byte("2")) })
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	clone, err := it.Clone([]byte("a"), []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	closeIterator(t, it)
	if got, want := all(t, clone), []string{"a=1"}; !slices.Equal(got, want) {
		t.Errorf("the clone shows %v, want %v", got, want)
	}
	closeIterator(t, clone)
}

func openStage(t *testing.T, e kv.Engine) kv.Stage {
	t.Helper()
	s, err := e.OpenStage(true)
	if err != nil || s == nil {
		t.Fatal(s, err)
	}
	return s
}

func stageIsBeside(t *testing.T, e kv.Engine) {
	if s, err := e.OpenStage(false); s != nil || err != nil {
		t.Fatalf("there is a stage: %v, %v", s, err)
	}
	s := openStage(t, e)
	b := s.NewBatch()
	b.Set([]byte("a"), []byte("staged"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	it := iterate(t, e, nil, nil)
	if got := all(t, it); len(got) != 0 {
		t.Errorf("the state shows %v", got)
	}
	closeIterator(t, it)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := e.OpenStage(false); err != nil || s == nil {
		t.Fatal(s, err)
	} else if it, err := s.NewIterator(nil, nil); err != nil {
		t.Fatal(err)
	} else {
		if got := all(t, it); !slices.Equal(got, []string{"a=staged"}) {
			t.Errorf("the stage has %v", got)
		}
		closeIterator(t, it)
		if err := s.Install(nil); err == nil {
			t.Error("installed what was not sealed")
		}
		if err := s.Drop(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := e.OpenStage(false); s != nil || err != nil {
		t.Fatalf("there still is a stage: %v, %v", s, err)
	}
	s = openStage(t, e)
	it, err := s.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, it); len(got) != 0 {
		t.Errorf("a new stage has %v", got)
	}
	closeIterator(t, it)
	if err := s.Drop(); err != nil {
		t.Fatal(err)
	}
}

// words sets a word for each key, "-" deletes.
func words(pairs ...string) func(kv.Sink) error {
	return func(into kv.Sink) error {
		for _, p := range pairs {
			key, value, _ := strings.Cut(p, "=")
			var err error
			if value == "-" {
				err = into.Delete([]byte(key))
			} else {
				err = into.Set([]byte(key), []byte(value))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func span(lo, hi string) kv.Span { return kv.Span{Lo: []byte(lo), Hi: []byte(hi)} }

func fill(t *testing.T, e kv.Engine, names ...string) {
	t.Helper()
	commit(t, e, func(b kv.Batch) {
		for _, name := range names {
			b.Set([]byte(name), []byte("old"))
		}
	})
}

func seal(t *testing.T, s kv.Stage, r kv.Replacement) {
	t.Helper()
	if err := s.Seal(r); err != nil {
		t.Fatal(err)
	}
}

func requireState(t *testing.T, e kv.Engine, want ...string) {
	t.Helper()
	it := iterate(t, e, nil, nil)
	if got := all(t, it); !slices.Equal(got, want) {
		t.Errorf("the state is %v, want %v", got, want)
	}
	closeIterator(t, it)
}

func install(t *testing.T, s kv.Stage, apart ...kv.Pair) {
	t.Helper()
	if err := s.Install(apart); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(); err != nil {
		t.Fatal(err)
	}
}

var oldNames = []string{"a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2", "e1", "e2"}

func installAdds(t *testing.T, e kv.Engine) {
	fill(t, e, oldNames...)
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	fill(t, e, "b3", "e3") // not flushed
	s := openStage(t, e)
	seal(t, s, kv.Replacement{
		Clear: []kv.Span{span("b", "c"), span("d", "d5")}, Apart: span("c", "d"),
		Fill: words("a1=-", "a3=new", "b2=new", "b4=new", "e1=new", "e2=-"),
	})
	requireState(t, e, "a1=old", "a2=old", "b1=old", "b2=old", "b3=old", "c1=old", "c2=old", "d1=old", "d2=old", "e1=old", "e2=old", "e3=old")
	before := iterate(t, e, nil, nil)
	install(t, s, kv.Pair{Key: []byte("c2"), Value: []byte("apart")}, kv.Pair{Key: []byte("c3"), Value: nil})
	requireState(t, e, "a2=old", "a3=new", "b2=new", "b4=new", "c2=apart", "c3=", "e1=new", "e3=old")
	if got := all(t, before); len(got) != 12 || got[0] != "a1=old" {
		t.Errorf("a view opened before shows %v", got)
	}
	closeIterator(t, before)
	commit(t, e, func(b kv.Batch) { b.Set([]byte("a3"), []byte("later")); b.Delete([]byte("b2")) })
	requireState(t, e, "a2=old", "a3=later", "b4=new", "c2=apart", "c3=", "e1=new", "e3=old")
}

func installReplaces(t *testing.T, e kv.Engine) {
	fill(t, e, oldNames...)
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	fill(t, e, "b3", "e3")
	before := iterate(t, e, nil, nil)
	s := openStage(t, e)
	seal(t, s, kv.Replacement{
		Clear: []kv.Span{span("b", "b2"), span("b2", "c"), span("d", "z")}, Apart: span("c", "d"),
		Fill: words("a2=new", "b2=new", "e1=new", "e2=-"),
	})
	install(t, s)
	requireState(t, e, "a1=old", "a2=new", "b2=new", "e1=new")
	if got := all(t, before); len(got) != 12 {
		t.Errorf("a view opened before shows %v", got)
	}
	closeIterator(t, before)
}

// installEmptiesApart has what is apart away from all else that is emptied.
func installEmptiesApart(t *testing.T, e kv.Engine) {
	fill(t, e, oldNames...)
	s := openStage(t, e)
	seal(t, s, kv.Replacement{Clear: []kv.Span{span("b", "c")}, Apart: span("d", "e"), Fill: words("b3=new")})
	install(t, s, kv.Pair{Key: []byte("d3"), Value: []byte("apart")})
	requireState(t, e, "a1=old", "a2=old", "b3=new", "c1=old", "c2=old", "d3=apart", "e1=old", "e2=old")
}

func installIsDurable(t *testing.T, e kv.Engine) {
	fill(t, e, "a1")
	s := openStage(t, e)
	seal(t, s, kv.Replacement{Clear: []kv.Span{span("b", "c")}, Apart: span("c", "d"), Fill: words("b1=new")})
	install(t, s, kv.Pair{Key: []byte("c1"), Value: []byte("apart")})
	for _, key := range []string{"a1", "b1", "c1"} {
		if _, ok, err := e.GetDurable([]byte(key)); err != nil || !ok {
			t.Errorf("%s is not durable: %v", key, err)
		}
	}
}

func sealAgain(t *testing.T, e kv.Engine) {
	fill(t, e, "a1", "b1")
	s := openStage(t, e)
	seal(t, s, kv.Replacement{Clear: []kv.Span{span("a", "b")}, Apart: span("c", "d"), Fill: words("a2=first", "b2=first")})
	seal(t, s, kv.Replacement{Clear: []kv.Span{span("b", "c")}, Apart: span("c", "d"), Fill: words("a3=second")})
	install(t, s)
	requireState(t, e, "a1=old", "a3=second")
}

// installMuch installs more than goes into one table.
func installMuch(t *testing.T, e kv.Engine) {
	const keys, size = 1200, 64 << 10
	s := openStage(t, e)
	value := make([]byte, size) // that cannot be compressed
	rand.New(rand.NewSource(1)).Read(value)
	seal(t, s, kv.Replacement{Clear: []kv.Span{span("a", "c"), span("d", "z")}, Apart: span("c", "d"), Fill: func(into kv.Sink) error {
		for i := range keys {
			space := "b"
			if i >= keys/2 {
				space = "e"
			}
			if err := into.Set(fmt.Appendf(nil, "%s%05d", space, i), value); err != nil {
				return err
			}
		}
		return nil
	}})
	install(t, s, kv.Pair{Key: []byte("c1"), Value: []byte("apart")})
	it := iterate(t, e, nil, nil)
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	closeIterator(t, it)
	if n != keys+1 {
		t.Errorf("%d keys, want %d", n, keys+1)
	}
}
