package watchcheck

import (
	"slices"
	"strings"
	"testing"
)

// example is a history of five revisions behind an empty store, and a watch of all of it.
func example() (*History, *Watch) {
	h := NewHistory(1, nil)
	a2 := Pair{Key: "a", Value: "1", Create: 2, Mod: 2, Version: 1}
	a3 := Pair{Key: "a", Value: "2", Create: 2, Mod: 3, Version: 2}
	b3 := Pair{Key: "b", Value: "2", Create: 3, Mod: 3, Version: 1}
	a5 := Pair{Key: "a", Value: "4", Create: 5, Mod: 5, Version: 1}
	h.Step([]Pair{a2})
	h.Step([]Pair{a3, b3})
	h.Step([]Pair{b3})
	h.Step([]Pair{a5, b3})
	h.Step([]Pair{a5})
	return h, &Watch{Name: "all", Key: "a", End: "\x00", Previous: true, Start: 2, Through: 6, Responses: []Response{
		{2, []Event{{Pair: a2}}},
		{4, []Event{{Pair: b3}, {Pair: a3, Previous: &a2}, {Pair: Pair{Key: "a", Mod: 4}, Deleted: true, Previous: &a3}}},
		{4, nil},
		{6, []Event{{Pair: a5}, {Pair: Pair{Key: "b", Mod: 6}, Deleted: true, Previous: &b3}}},
	}}
}

func TestWhatIsPromisedPasses(t *testing.T) {
	h, w := example()
	if found := Check(h, w); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	w.Compacted, w.Responses[3].Events[1].Previous = 6, nil // compacted by then
	if found := Check(h, w); len(found) > 0 {
		t.Errorf("with compaction: found %v", found)
	}
	if h.Last() != 6 {
		t.Errorf("last is %d", h.Last())
	}
	for want, watch := range map[int64]*Watch{
		6: {Key: "a", End: "\x00"}, 5: {Key: "a", NoDelete: true}, 4: {Key: "a", NoPut: true}, 3: {Key: "b", Start: 3, NoDelete: true},
		0: {Key: "b", Start: 4, NoDelete: true},
	} {
		if got := h.LastFor(watch); got != want {
			t.Errorf("the last of %+v is %d, want %d", watch, got, want)
		}
	}
}

func TestEachBrokenPromiseIsFound(t *testing.T) {
	for _, test := range []struct {
		promise string
		spoil   func(w *Watch)
	}{
		{"filter", func(w *Watch) { w.End = "b" }},
		{"filter", func(w *Watch) { w.End = "" }},
		{"filter", func(w *Watch) { w.NoPut = true }},
		{"filter", func(w *Watch) { w.NoDelete = true }},
		{"ordered", func(w *Watch) { w.Responses = append(w.Responses, w.Responses[0]) }},
		{"unique", func(w *Watch) { w.Responses = slices.Insert(w.Responses, 1, w.Responses[0]) }},
		{"unique", func(w *Watch) { w.Responses[0].Events = append(w.Responses[0].Events, w.Responses[0].Events[0]) }},
		{"atomic", func(w *Watch) {
			events := w.Responses[1].Events
			w.Responses = slices.Replace(w.Responses, 1, 2, Response{0, events[:1]}, Response{4, events[1:]})
		}},
		{"atomic", func(w *Watch) { w.Responses[1].Events = w.Responses[1].Events[1:] }},
		{"resumable", func(w *Watch) { w.Responses = w.Responses[1:] }},
		{"resumable", func(w *Watch) { w.Start = 3 }},
		{"reliable", func(w *Watch) { w.Responses[3].Events = w.Responses[3].Events[1:] }},
		{"reliable", func(w *Watch) { w.Responses = w.Responses[:3] }},
		{"bookmarkable", func(w *Watch) { w.Responses[0].Revision = 3 }},
		{"bookmarkable", func(w *Watch) { w.Responses[2].Revision = 9 }},
		{"event", func(w *Watch) { w.Responses[0].Events[0].Value = "9" }},
		{"event", func(w *Watch) { w.Responses[0].Events[0].Create = 1 }},
		{"event", func(w *Watch) { w.Responses[3].Events[1].Mod = 9 }},
		{"previous", func(w *Watch) { w.Responses[1].Events[1].Previous = nil }},
		{"previous", func(w *Watch) { w.Responses[0].Events[0].Previous = &Pair{Key: "a"} }},
		{"previous", func(w *Watch) { w.Responses[1].Events[1].Previous = &Pair{Key: "a"} }},
		{"previous", func(w *Watch) { w.Previous = false }},
	} {
		h, w := example()
		test.spoil(w)
		found := Check(h, w)
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Promise == test.promise }) {
			t.Errorf("want %s violated, got %v", test.promise, found)
		}
		if len(found) > 0 && !strings.HasPrefix(found[0].Error(), "all: "+found[0].Promise+": ") {
			t.Errorf("message %q", found[0].Error())
		}
	}
}
