package kv_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// events are the changes of a model from one revision up to another, as a watcher is told of them.
func (m *model) events(from, to int64, wants func(key []byte) bool, previous bool) []*mvccpb.Event {
	var events []*mvccpb.Event
	for _, c := range m.changes {
		if rev := c.kv.ModRevision; rev < from || rev >= to || !wants(c.kv.Key) {
			continue
		}
		e := &mvccpb.Event{Kv: c.kv}
		if c.tombstone {
			e.Type = mvccpb.Event_DELETE
		}
		if created := !c.tombstone && c.kv.CreateRevision == c.kv.ModRevision; previous && !created && c.kv.ModRevision-1 >= m.compact {
			e.PrevKv = m.at(c.kv.Key, c.kv.ModRevision-1)
		}
		events = append(events, e)
	}
	return events
}

// wantEvents fails the test unless changes are exactly these events.
func wantEvents(t *testing.T, what string, got []kv.Change, want []*mvccpb.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d changes, want %d", what, len(got), len(want))
	}
	for i, c := range got {
		if encoded := slices.Concat(c.Event, c.Previous); !bytes.Equal(encoded, marshal(t, want[i])) {
			var event mvccpb.Event
			t.Fatalf("%s: change %d: got %v (%v), want %v", what, i, &event, proto.Unmarshal(encoded, &event), want[i])
		}
		pair := want[i].Kv
		deleted := want[i].Type == mvccpb.Event_DELETE
		if !bytes.Equal(c.Key, pair.Key) || c.Revision != pair.ModRevision || c.Deleted != deleted ||
			c.Created != (!deleted && pair.CreateRevision == pair.ModRevision) {
			t.Fatalf("%s: change %d: got %+v, want %v", what, i, c, want[i])
		}
	}
}

// TestChangesAreThoseOfTheModel: what an apply tells, and what is read later, from any revision to any
// other, whole or in pieces, is what happened, in order, also while what is compacted is removed.
func TestChangesAreThoseOfTheModel(t *testing.T) {
	pieces, compacted := 0, 0
	for seed := range int64(60) {
		g := &generator{rng: rand.New(rand.NewSource(seed))}
		m := newModel()
		store, err := kv.Open(spoilingEngine{treekv.New()}, kv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		index, before := uint64(0), int64(2)
		var commands []kv.Command
		for range 150 {
			g.rev, g.compact = m.rev, m.compact
			kind, request := g.write()
			index++
			command := kv.Command{Index: index, Kind: kind}
			if request != nil {
				command.Request = marshal(t, request)
			}
			m.apply(kind, request)
			commands = append(commands, command)
			if !g.oneIn(5) {
				continue
			}
			what := fmt.Sprintf("seed %d, up to revision %d", seed, m.rev)
			var told kv.Changes
			if _, err := store.ApplyAndTell(commands, &told); err != nil {
				t.Fatal(err)
			}
			for _, c := range commands {
				spoil(c.Request)
			}
			all := func([]byte) bool { return true }
			wantEvents(t, what+": told", told.List, m.events(before, m.rev+1, all, false))
			if err := store.AddPrevious(told.List, func(c *kv.Change) bool { return true }); err != nil {
				t.Fatal(err)
			}
			wantEvents(t, what+": told with what was before", told.List, m.events(before, m.rev+1, all, true))
			commands, before = commands[:0], m.rev+1
			if _, err := store.CompactStep(g.rng.Intn(20)); err != nil {
				t.Fatal(err)
			}
			p, c := readChanges(t, what, g, m, store)
			pieces, compacted = pieces+p, compacted+c
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if pieces < 1000 || compacted < 100 {
		t.Errorf("%d pieces, %d compacted: the histories do not try it", pieces, compacted)
	}
}

// readChanges reads a random stretch of changes piece by piece.
func readChanges(t *testing.T, what string, g *generator, m *model, store *kv.Store) (pieces, compacted int) {
	t.Helper()
	to := m.rev + 1 - g.rng.Int63n(3)
	from := max(to-g.rng.Int63n(m.rev+1), 1)
	part, previous := byte(g.rng.Intn(4)), g.oneIn(2)
	wants := func(key []byte) bool { return part == 0 || key[0]%4 == part }
	query := kv.ChangesQuery{From: from, To: to, MaxChanges: 1 + g.rng.Intn(10), MaxBytes: g.rng.Intn(200),
		Wants: func(key []byte) (bool, bool) { return wants(key), previous }}
	for query.From < to {
		list, through, code, err := store.Changes(query)
		if err != nil {
			t.Fatal(err)
		}
		if query.From < m.compact {
			if code != kv.CodeCompacted || len(list.List) > 0 {
				t.Fatalf("%s: from %d, compacted at %d: %v, %d changes", what, query.From, m.compact, code, len(list.List))
			}
			return pieces, 1
		}
		if code != kv.CodeOK || through < query.From || through >= to {
			t.Fatalf("%s: %d to %d: %v, through %d", what, query.From, to, code, through)
		}
		wantEvents(t, fmt.Sprintf("%s: %d to %d", what, query.From, through), list.List, m.events(query.From, through+1, wants, previous))
		if looked := m.events(query.From, through, func([]byte) bool { return true }, false); len(looked) >= query.MaxChanges {
			t.Fatalf("%s: %d to %d: looked at %d changes and went on, the bound is %d", what, query.From, through, len(looked), query.MaxChanges)
		}
		query.From = through + 1
		pieces++
	}
	return pieces, compacted
}

func TestChangesOfTheFutureAreNone(t *testing.T) {
	c := newClient(t)
	rev := c.put("a", "1")
	all := func([]byte) (bool, bool) { return true, false }
	list, through, code, err := c.store.Changes(kv.ChangesQuery{From: rev, To: rev + 9, MaxChanges: 9, MaxBytes: 9, Wants: all})
	if err != nil || code != kv.CodeOK || through != rev || len(list.List) != 1 {
		t.Errorf("got %d changes through %d, %v, %v; want the one of revision %d", len(list.List), through, code, err, rev)
	}
	list, through, code, err = c.store.Changes(kv.ChangesQuery{From: rev + 3, To: rev + 9, MaxChanges: 9, MaxBytes: 9, Wants: all})
	if err != nil || code != kv.CodeOK || through != rev+2 || len(list.List) != 0 {
		t.Errorf("got %d changes through %d, %v, %v; want none", len(list.List), through, code, err)
	}
}
