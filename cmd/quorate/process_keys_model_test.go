package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model of single keys, for histories that are too long to be judged as a whole: what is linearizable key by
// key is linearizable. Every write has a value of its own, so whoever sees it tells who wrote.
//
// A counter is a key that is only put: its version is the number, and a put that is told what was there before
// knows which number it has made. So every number up to the last must have been made by somebody, once. A register
// is put and deleted, and has the revision of its last change.

type keyKind int

const (
	keyRead keyKind = iota
	keyPut
	keyDelete
)

// keyName is one key of the model.
type keyName struct {
	counter bool
	number  int
}

func (k keyName) String() string {
	if k.counter {
		return fmt.Sprint("counter/", k.number)
	}
	return fmt.Sprint("register/", k.number)
}

// keyCell is what is stored: of a counter, with its number; of a register, with the revision. The other is 0. All
// zero is nothing.
type keyCell struct {
	value    string
	number   int64
	revision int64
}

func (k keyName) cellOf(c cell) keyCell {
	if k.counter {
		return keyCell{value: c.value, number: c.version}
	}
	return keyCell{value: c.value, revision: c.changed}
}

type keyInput struct {
	key   keyName
	kind  keyKind
	value string
}

// keyOutput is what an operation has found, and what it has made of that. Without an answer, neither is known; the
// latter is found out from the answers of others.
type keyOutput struct {
	unknown     bool
	found, made keyCell
}

// stepKey tells whether an operation may come next, and what is there then.
func stepKey(now keyCell, in keyInput, out keyOutput) (bool, keyCell) {
	if !out.unknown && out.found != now {
		return false, now
	}
	switch in.kind {
	case keyRead:
		return true, now
	case keyDelete:
		return true, keyCell{}
	}
	if in.key.counter {
		return out.made.number == now.number+1, out.made
	}
	return out.made.revision > now.revision, out.made
}

func keyModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return keyCell{} },
		Step: func(state, input, output any) (bool, any) {
			return stepKey(state.(keyCell), input.(keyInput), output.(keyOutput))
		},
	}
}

// checkKeys judges a history key by key. Not to know is a failure, too.
func checkKeys(limit time.Duration, history []porcupine.Operation) error {
	byKey := map[keyName][]porcupine.Operation{}
	for _, o := range history {
		key := o.Input.(keyInput).key
		byKey[key] = append(byKey[key], o)
	}
	for _, key := range slices.SortedFunc(maps.Keys(byKey), func(a, b keyName) int { return cmp.Compare(a.String(), b.String()) }) {
		known, err := findOutcomes(key, byKey[key])
		if err != nil {
			return err
		}
		switch result := porcupine.CheckOperationsTimeout(keyModel(), known, limit); result {
		case porcupine.Ok:
		case porcupine.Illegal:
			return fmt.Errorf("%v: the history of %d operations is not linearizable", key, len(known))
		default:
			return fmt.Errorf("%v: the check of %d operations did not end: %v", key, len(known), result)
		}
	}
	return nil
}

// findOutcomes finds out what became of the puts without an answer to one key. What somebody has seen took effect,
// as it was seen. A number of a counter that nobody else has made was made by one of the others: by the first that
// was asked for, because whoever could have made it in its place may make a later one. What is left was never
// seen: it may as well come behind everything else, and is left out.
func findOutcomes(key keyName, history []porcupine.Operation) (known []porcupine.Operation, err error) {
	seen, taken, last := map[string]keyCell{}, map[int64]bool{}, int64(0)
	for _, o := range history {
		if out := o.Output.(keyOutput); !out.unknown {
			seen[out.found.value] = out.found
			for _, c := range []keyCell{out.found, out.made} {
				taken[c.number], last = true, max(last, c.number)
			}
		}
	}
	var holes []int64
	for number := int64(1); number <= last; number++ {
		if !taken[number] {
			holes = append(holes, number)
		}
	}
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, o := range history {
		in, out := o.Input.(keyInput), o.Output.(keyOutput)
		if out.unknown {
			if c, ok := seen[in.value]; ok {
				out.made = c
			} else if len(holes) > 0 {
				out.made, holes = keyCell{value: in.value, number: holes[0]}, holes[1:]
			} else {
				continue
			}
			o.Output = out
		}
		known = append(known, o)
	}
	if len(holes) > 0 {
		return nil, fmt.Errorf("%v: nobody has made the numbers %v", key, holes)
	}
	return known, nil
}

// keyRecord is an operation on a key in a history made by hand.
func keyRecord(call, end int64, in keyInput, out keyOutput) porcupine.Operation {
	return porcupine.Operation{Input: in, Output: out, Call: call, Return: end}
}

func TestHandMadeHistoriesOfKeysAreJudged(t *testing.T) {
	counter, register := keyName{counter: true}, keyName{}
	add := func(from, to int64, value, before string, number int64) porcupine.Operation {
		found := keyCell{value: before, number: number - 1}
		return keyRecord(from, to, keyInput{counter, keyPut, value}, keyOutput{found: found, made: keyCell{value: value, number: number}})
	}
	put := func(from, to int64, value string, revision int64, found keyCell) porcupine.Operation {
		return keyRecord(from, to, keyInput{register, keyPut, value}, keyOutput{found: found, made: keyCell{value: value, revision: revision}})
	}
	lost := func(key keyName, from int64, value string) porcupine.Operation {
		return keyRecord(from, never, keyInput{key, keyPut, value}, keyOutput{unknown: true})
	}
	read := func(key keyName, from, to int64, found keyCell) porcupine.Operation {
		return keyRecord(from, to, keyInput{key: key}, keyOutput{found: found})
	}
	del := func(from, to int64, found keyCell) porcupine.Operation {
		return keyRecord(from, to, keyInput{register, keyDelete, ""}, keyOutput{found: found})
	}
	none := keyCell{}
	number := func(value string, n int64) keyCell { return keyCell{value: value, number: n} }
	at := func(value string, revision int64) keyCell { return keyCell{value: value, revision: revision} }

	for _, test := range []struct {
		name    string
		history []porcupine.Operation
		right   bool
	}{
		{"counted one after the other", []porcupine.Operation{add(1, 2, "a", "", 1), add(3, 4, "b", "a", 2), read(counter, 5, 6, number("b", 2))}, true},
		{"counted at once, the second before the first", []porcupine.Operation{add(1, 5, "b", "a", 2), add(1, 5, "a", "", 1)}, true},
		{"the second before the first, but later", []porcupine.Operation{add(1, 2, "b", "a", 2), add(3, 4, "a", "", 1)}, false},
		{"one took effect twice", []porcupine.Operation{add(1, 2, "a", "", 1), read(counter, 3, 4, number("a", 2))}, false},
		{"one took effect twice, and the next one tells", []porcupine.Operation{add(1, 2, "a", "", 1), add(3, 4, "b", "a", 3)}, false},
		{"one took effect twice while another's outcome is unknown", []porcupine.Operation{
			lost(counter, 0, "x"), add(1, 2, "a", "", 1), add(3, 4, "b", "a", 3)}, false},
		{"two were told the same number", []porcupine.Operation{add(1, 5, "a", "", 1), add(1, 5, "b", "", 1)}, false},
		{"a lost one happened", []porcupine.Operation{lost(counter, 1, "x"), add(3, 4, "a", "x", 2)}, true},
		{"a lost one never happened", []porcupine.Operation{lost(counter, 1, "x"), add(3, 4, "a", "", 1)}, true},
		{"two lost ones happened, of which one was seen", []porcupine.Operation{
			lost(counter, 1, "x"), lost(counter, 1, "y"), add(3, 4, "a", "x", 3)}, true},
		{"a lost one is seen before it was asked for", []porcupine.Operation{add(1, 2, "a", "x", 2), lost(counter, 3, "x"), lost(counter, 0, "y")}, false},
		{"nobody made a number", []porcupine.Operation{read(counter, 1, 2, number("x", 1))}, false},
		{"a number is read late", []porcupine.Operation{add(1, 2, "a", "", 1), add(3, 4, "b", "a", 2), read(counter, 5, 6, number("a", 1))}, false},

		{"written, deleted and read", []porcupine.Operation{put(1, 2, "a", 2, none), del(3, 4, at("a", 2)), read(register, 5, 6, none)}, true},
		{"a stale read", []porcupine.Operation{put(1, 2, "a", 2, none), put(3, 4, "b", 3, at("a", 2)), read(register, 5, 6, at("a", 2))}, false},
		{"a read during a write", []porcupine.Operation{put(1, 2, "a", 2, none), put(3, 7, "b", 3, at("a", 2)), read(register, 5, 6, at("a", 2))}, true},
		{"what was deleted is read", []porcupine.Operation{put(1, 2, "a", 2, none), del(3, 4, at("a", 2)), read(register, 5, 6, at("a", 2))}, false},
		{"a write comes back", []porcupine.Operation{
			put(1, 2, "a", 2, none), put(3, 4, "b", 3, at("a", 2)), read(register, 5, 6, at("a", 4))}, false},
		{"a lost write is seen", []porcupine.Operation{lost(register, 1, "x"), read(register, 3, 4, at("x", 2)), put(5, 6, "a", 3, at("x", 2))}, true},
		{"a lost write is seen and then not", []porcupine.Operation{lost(register, 1, "x"), read(register, 3, 4, at("x", 2)), read(register, 5, 6, none)}, false},
		{"a lost write is seen twice over", []porcupine.Operation{
			lost(register, 1, "x"), read(register, 3, 4, at("x", 2)), put(5, 6, "a", 3, at("x", 2)), read(register, 7, 8, at("x", 4))}, false},
		{"an acknowledged write is lost", []porcupine.Operation{put(1, 2, "a", 2, none), read(register, 3, 4, none)}, false},
	} {
		err := checkKeys(time.Minute, test.history)
		if (err == nil) != test.right {
			t.Errorf("%s: got %v, want it to be right: %v", test.name, err, test.right)
		}
	}
}
