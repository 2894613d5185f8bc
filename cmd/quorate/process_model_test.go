package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model of a small etcd: a few keys and a revision, one operation after the other. A history is
// linearizable if its operations can be put in an order that this accepts, each between its call and its
// return. Answers carry revisions, so nearly every place in the order is known; what has no answer
// may have happened at a revision of which nobody else was told, or never.

const modelKeys = 5

// cell is what is stored under a key; version 0 is nothing.
type cell struct {
	value   string
	created int64
	changed int64
	version int64
}

// modelState is compared with ==.
type modelState struct {
	revision int64
	cells    [modelKeys]cell
}

type operationKind int

const (
	opGet    operationKind = iota // key
	opScan                        // all keys
	opPut                         // key, value
	opDelete                      // key
	opSwap                        // if key has changed at ifChanged, put value to key and to other; else read both
)

type operation struct {
	kind       operationKind
	key, other int
	value      string
	ifChanged  int64
	history    *historyFacts // filled in before the check
}

type outcome struct {
	unknown  bool // no answer: what follows is empty
	revision int64
	found    []cell // as read, or as it was before; of the keys asked for, in order
	done     bool   // a swap happened, or something was deleted
}

// historyFacts is what is known of a whole history.
type historyFacts struct {
	last  int64          // revision at the end
	taken map[int64]bool // by operations with an answer
}

// factsOf collects the revisions that operations with an answer have made.
func factsOf(history []porcupine.Operation, last int64) *historyFacts {
	facts := &historyFacts{last: last, taken: make(map[int64]bool)}
	for _, o := range history {
		in, out := o.Input.(operation), o.Output.(outcome)
		changes := in.kind == opPut || (in.kind == opDelete || in.kind == opSwap) && out.done
		if changes && !out.unknown {
			facts.taken[out.revision] = true
		}
	}
	return facts
}

// apply does an operation on a state: what it should answer, and the state after it.
func (s modelState) apply(in operation) (outcome, modelState) {
	next := s
	put := func(key int) {
		c := &next.cells[key]
		if c.version == 0 {
			c.created = next.revision
		}
		*c = cell{value: in.value, created: c.created, changed: next.revision, version: c.version + 1}
	}
	switch in.kind {
	case opGet:
		return outcome{revision: s.revision, found: []cell{s.cells[in.key]}}, next
	case opScan:
		return outcome{revision: s.revision, found: s.cells[:]}, next
	case opPut:
		next.revision++
		put(in.key)
		return outcome{revision: next.revision, found: []cell{s.cells[in.key]}}, next
	case opDelete:
		before := s.cells[in.key]
		if before.version == 0 {
			return outcome{revision: s.revision, found: []cell{before}}, next
		}
		next.revision++
		next.cells[in.key] = cell{}
		return outcome{revision: next.revision, found: []cell{before}, done: true}, next
	case opSwap:
		if s.cells[in.key].changed != in.ifChanged {
			return outcome{revision: s.revision, found: []cell{s.cells[in.key], s.cells[in.other]}}, next
		}
		next.revision++
		put(in.key)
		put(in.other)
		return outcome{revision: next.revision, done: true}, next
	}
	panic("no such operation")
}

// step tells whether an operation may come next with the outcome that it had.
func (s modelState) step(in operation, out outcome) (bool, modelState) {
	want, next := s.apply(in)
	if !out.unknown {
		ok := want.revision == out.revision && want.done == out.done && slices.Equal(want.found, out.found)
		return ok, next
	}
	// Either it took a revision that nobody else had, or it never happened. What never happens may as
	// well not happen at the end, where trying it is cheap.
	if next != s && next.revision <= in.history.last && !in.history.taken[next.revision] {
		return true, next
	}
	return s.revision == in.history.last, s
}

func linearizableModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return modelState{revision: 1} },
		Step: func(state, input, output any) (bool, any) {
			return state.(modelState).step(input.(operation), output.(outcome))
		},
		Hash: func(state any) uint64 {
			s := state.(modelState)
			h := uint64(s.revision)
			for _, c := range s.cells {
				h = h*1099511628211 + uint64(c.changed)
			}
			return h
		},
	}
}

// checkLinearizable judges a whole history that ended at a revision. Not to know is a failure, too.
func checkLinearizable(history []porcupine.Operation, last int64) error {
	return checkLinearizableWithin(2*time.Minute, history, last)
}

func checkLinearizableWithin(limit time.Duration, history []porcupine.Operation, last int64) error {
	facts := factsOf(history, last)
	unknown := 0
	for i := range history {
		in := history[i].Input.(operation)
		in.history = facts
		history[i].Input = in
		if history[i].Output.(outcome).unknown {
			unknown++
		}
	}
	holes := 0
	for r := int64(2); r <= last; r++ {
		if !facts.taken[r] {
			holes++
		}
	}
	if holes > unknown {
		return fmt.Errorf("%d revisions were made by nobody: there are %d operations without an answer", holes-unknown, unknown)
	}
	switch result := porcupine.CheckOperationsTimeout(linearizableModel(), history, limit); result {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return fmt.Errorf("the history of %d operations is not linearizable", len(history))
	default:
		return fmt.Errorf("the check of %d operations did not end: %v", len(history), result)
	}
}

// did is an operation of a hand-made history.
func did(from, to int64, in operation, out outcome) porcupine.Operation {
	return porcupine.Operation{Input: in, Call: from, Output: out, Return: to}
}

const never = int64(1) << 40

func TestHandMadeHistoriesAreJudged(t *testing.T) {
	put := func(key int, value string) operation { return operation{kind: opPut, key: key, value: value} }
	get := func(key int) operation { return operation{kind: opGet, key: key} }
	del := func(key int) operation { return operation{kind: opDelete, key: key} }
	swap := func(key, other int, value string, ifChanged int64) operation {
		return operation{kind: opSwap, key: key, other: other, value: value, ifChanged: ifChanged}
	}
	at := func(revision int64, found ...cell) outcome { return outcome{revision: revision, found: found} }
	none := cell{}
	lost := outcome{unknown: true}
	a2 := cell{"a", 2, 2, 1}

	for _, test := range []struct {
		name    string
		last    int64
		history []porcupine.Operation
		right   bool
	}{
		{"one after the other", 4, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, get(0), at(2, a2)), did(5, 6, put(0, "b"), at(3, a2)),
			did(7, 8, del(0), outcome{revision: 4, found: []cell{{"b", 2, 3, 2}}, done: true}), did(9, 10, get(0), at(4, none)),
			did(11, 12, del(0), at(4, none))}, true},
		{"a read that began later is stale", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, put(0, "b"), at(3, a2)), did(5, 6, get(0), at(2, a2))}, false},
		{"a read during the write may see either", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 7, put(0, "b"), at(3, a2)), did(4, 6, get(0), at(2, a2))}, true},
		{"two reads during a write go back", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 9, put(0, "b"), at(3, a2)),
			did(4, 5, get(0), at(3, cell{"b", 2, 3, 2})), did(6, 7, get(0), at(2, a2))}, false},
		{"an acknowledged write is lost", 2, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, get(0), at(1, none))}, false},
		{"a write that was acknowledged twice over", 2, []porcupine.Operation{
			did(1, 5, put(0, "a"), at(2, none)), did(1, 5, put(1, "b"), at(2, none))}, false},
		{"a write happened twice", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, get(0), at(3, cell{"a", 2, 3, 2}))}, false},
		{"a lost write happened", 3, []porcupine.Operation{
			did(1, never, put(0, "a"), lost), did(3, 4, get(0), at(2, a2)), did(5, 6, put(1, "b"), at(3, none))}, true},
		{"a lost write never happened", 2, []porcupine.Operation{
			did(1, never, put(0, "x"), lost), did(3, 4, put(0, "a"), at(2, none)), did(5, 6, get(0), at(2, a2))}, true},
		{"a lost write happened later", 3, []porcupine.Operation{
			did(1, never, put(0, "b"), lost), did(3, 4, put(0, "a"), at(2, none)), did(5, 6, get(0), at(2, a2)),
			did(7, 8, get(0), at(3, cell{"b", 2, 3, 2}))}, true},
		{"a lost write is seen and then not", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, never, put(0, "b"), lost),
			did(5, 6, get(0), at(3, cell{"b", 2, 3, 2})), did(7, 8, get(0), at(2, a2))}, false},
		{"of two lost writes the second happened", 2, []porcupine.Operation{
			did(1, never, put(0, "x"), lost), did(1, never, put(0, "a"), lost), did(3, 4, get(0), at(2, a2))}, true},
		{"a lost write is seen before it was asked for", 2, []porcupine.Operation{
			did(1, 2, get(0), at(2, a2)), did(3, never, put(0, "a"), lost)}, false},
		{"a swap changes both keys at once", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, swap(0, 1, "b", 2), outcome{revision: 3, done: true}),
			did(5, 6, operation{kind: opScan}, at(3, cell{"b", 2, 3, 2}, cell{"b", 3, 3, 1}, none, none, none))}, true},
		{"half of a swap is seen", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 8, swap(0, 1, "b", 2), outcome{revision: 3, done: true}),
			did(5, 6, operation{kind: opScan}, at(3, cell{"b", 2, 3, 2}, none, none, none, none))}, false},
		{"a swap happened whose condition did not hold", 4, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, put(0, "c"), at(3, a2)),
			did(5, 6, swap(0, 1, "b", 2), outcome{revision: 4, done: true})}, false},
		{"a swap is refused and tells why", 3, []porcupine.Operation{
			did(1, 2, put(0, "a"), at(2, none)), did(3, 4, put(0, "c"), at(3, a2)),
			did(5, 6, swap(0, 1, "b", 2), at(3, cell{"c", 2, 3, 2}, none))}, true},
		{"a revision that nobody made", 3, []porcupine.Operation{did(1, 2, put(0, "a"), at(2, none))}, false},
	} {
		err := checkLinearizable(test.history, test.last)
		if (err == nil) != test.right {
			t.Errorf("%s: got %v, want it to be right: %v", test.name, err, test.right)
		}
	}
}

// A check that gives up has shown nothing. The history is one that takes long: there are far too many
// orders of unknown writes, and the read at the end rules out all of them.
func TestCheckThatDoesNotEndIsAFailure(t *testing.T) {
	const writes = 24
	var history []porcupine.Operation
	for i := range writes {
		history = append(history, did(1, never, operation{kind: opPut, key: i % modelKeys, value: fmt.Sprint(i)}, outcome{unknown: true}))
	}
	seen := outcome{revision: writes + 1, found: []cell{{value: "nobody wrote it", created: 2, changed: 3, version: 2}}}
	history = append(history, did(2, 3, operation{kind: opGet}, seen))
	err := checkLinearizableWithin(time.Millisecond, history, writes+1)
	if err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("got %v, want that the check did not end", err)
	}
}
