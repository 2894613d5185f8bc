package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/check/watchcheck"
	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/watch"
)

// TestWatchersOnlyLookOn: a world is the same, whether it is watched or not, until its ending has come
// right. So whatever seeds without watchers have shown, they show again.
func TestWatchersOnlyLookOn(t *testing.T) {
	run := func(seed uint64, result int) Counts {
		t.Helper()
		r, err := Run(Options{Seed: seed, Simulated: 5 * time.Second, Rules: []choice.Rule{{Label: "plan.watch", Result: result}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Counts
	}
	for seed := uint64(1); seed <= 12; seed++ {
		with, without := run(seed, choice.Yes), run(seed, choice.No)
		if with.Watched != 1 || without.Watched+without.Watchers > 0 {
			t.Fatalf("seed %d: watched %d and %d", seed, with.Watched, without.Watched)
		}
		of := func(c *Counts) []int {
			return []int{c.Crashes, c.Elections, c.Truncations, c.Commits, c.Applies, c.Requests, c.Done, c.Unknown, c.Compactions}
		}
		if a, b := of(&with), of(&without); !slices.Equal(a, b) {
			t.Errorf("seed %d: with watchers %v, without %v", seed, a, b)
		}
	}
}

// watchedStream is a stream with two watchers: of everything from revision 5 on, open under id 0, who
// wants progress; and of one key from now on, which is not created yet.
func watchedStream() *watchStream {
	p := quietPlan(1, everythingHeals)
	p.keys, p.watch = 3, watchPlan{clients: 1, watchers: 2, delay: 1, act: 3600 * second, tick: 3600 * second, feedBytes: 1 << 20, maxChanges: 100}
	w := newPlannedWorld(Options{}, dice{source: choice.FromSeed(1)}, p)
	w.begin()
	c := w.watching.clients[0]
	c.watchers[0].create = watch.Create{End: []byte{0}, Start: 5, Notify: true}
	c.watchers[1].create = watch.Create{Key: []byte("k00")}
	for c.stream == nil || c.stream.hub == nil {
		c.openStream()
		w.runUntil(w.now + second)
	}
	s := c.stream
	s.creating, s.open, s.ended, s.asked = c.watchers[1:2], nil, nil, 1
	x := c.watchers[0]
	x.state, x.id, x.told.Start, x.asked, x.through, x.seen = openWatcher, 0, 5, 5, 4, 4
	x.told.Responses = nil
	s.open = append(s.open, x)
	return s
}

// TestAStreamIsHeldToWhatWasAsked: each answer that nobody can have asked for is found.
func TestAStreamIsHeldToWhatWasAsked(t *testing.T) {
	event := func(revision byte) []byte { // of a put of k00
		return []byte{11<<3 | 2, 11, 2<<3 | 2, 9, 1<<3 | 2, 3, 'k', '0', '0', 2 << 3, revision, 3 << 3, revision}
	}
	for _, test := range []struct {
		responses []watch.Response
		wrong     string // "": nothing
	}{
		{[]watch.Response{{WatchID: 1, Revision: 5, Created: true}, {WatchID: -1, Revision: 6}, {WatchID: 0, Revision: 7},
			{WatchID: 0, Revision: 8, Events: event(8), Count: 1}}, ""},
		{[]watch.Response{{WatchID: 1, Revision: 5, Created: true}, {WatchID: 2, Revision: 5, Created: true}}, "created what nobody has asked for"},
		{[]watch.Response{{WatchID: -1, Revision: 5, Created: true, Canceled: true}}, "was refused"},
		{[]watch.Response{{WatchID: 0, Revision: 5, Created: true}}, "an id that is taken"},
		{[]watch.Response{{WatchID: 1, Revision: 5}}, "told of a watcher that is not open"},
		{[]watch.Response{{WatchID: -1, Revision: 5}, {WatchID: -1, Revision: 5}}, "progress that nobody has asked for"},
		{[]watch.Response{{WatchID: -1, Revision: 4}}, "is told of progress"},
		{[]watch.Response{{WatchID: 0, Revision: 4}}, "is told of progress"},
		{[]watch.Response{{WatchID: 1, Revision: 5, Created: true}, {WatchID: 1, Revision: 6}}, "progress that was not wanted"},
		{[]watch.Response{{WatchID: 0, Revision: 8, Events: event(8), Count: 2}}, "1 events that are announced as 2"},
		{[]watch.Response{{WatchID: 0, Revision: 8, Events: event(8)[:4], Count: 1}}, "malformed"},
		{[]watch.Response{{WatchID: 0, Revision: 7, Events: event(8), Count: 1}}, "the header is of revision 7, and an event of 8"},
		{[]watch.Response{{WatchID: 0, Canceled: true}}, "canceled for no reason"},
		{[]watch.Response{{WatchID: 0, Canceled: true, CompactRevision: 9}}, "compacted is only -1"},
	} {
		s, wrong := watchedStream(), ""
		for i := range test.responses {
			if wrong == "" {
				wrong = s.receive(&test.responses[i])
			}
		}
		if (wrong == "") != (test.wrong == "") || !strings.Contains(wrong, test.wrong) {
			t.Errorf("%+v: found %q, want %q", test.responses, wrong, test.wrong)
		}
	}
}

// TestEventsAreReadAsEtcdWritesThem holds the decoder of events against what is no event.
func TestEventsAreReadAsEtcdWritesThem(t *testing.T) {
	whole := []byte{
		11<<3 | 2, 27,
		1 << 3, 1,
		2<<3 | 2, 5, 1<<3 | 2, 1, 'k', 3 << 3, 9,
		3<<3 | 2, 16, 1<<3 | 2, 1, 'k', 2 << 3, 7, 3 << 3, 8, 4 << 3, 2, 5<<3 | 2, 1, 'v', 6 << 3, 3,
	}
	whole[1], whole[12] = byte(len(whole)-2), byte(len(whole)-13)
	events, err := decodeEvents(whole)
	want := watchcheck.Event{Pair: watchcheck.Pair{Key: "k", Mod: 9}, Deleted: true,
		Previous: &watchcheck.Pair{Key: "k", Value: "v", Create: 7, Mod: 8, Version: 2, Lease: 3}}
	if err != nil || len(events) != 1 || events[0].Pair != want.Pair || !events[0].Deleted || events[0].Previous == nil || *events[0].Previous != *want.Previous {
		t.Errorf("got %+v, %v", events, err)
	}
	for name, b := range map[string][]byte{
		"another field":          {10<<3 | 2, 0},
		"a number":               {11 << 3, 0},
		"cut off":                whole[:len(whole)-1],
		"a field of no event":    {11<<3 | 2, 2, 4 << 3, 1},
		"a field of no key":      {11<<3 | 2, 4, 2<<3 | 2, 2, 7 << 3, 1},
		"a key that is a number": {11<<3 | 2, 4, 2<<3 | 2, 2, 1 << 3, 1},
	} {
		if events, err := decodeEvents(b); err == nil {
			t.Errorf("%s: read as %+v", name, events)
		}
	}
}
