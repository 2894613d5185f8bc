package choice

import "fmt"

// Enumerate calls run once for each sequence of choices that it can make, depth first, choice 0
// before 1, and returns how many there were. run must be a function of its choices, must end for
// each of them, and stops the enumeration only by panicking (or by t.FailNow).
func Enumerate(run func(Source)) int {
	var e enumerator
	for runs := 1; ; runs++ {
		run(&e)
		if e.at != len(e.path) {
			panic(fmt.Sprintf("choice: the run ended after %d choices, and asked for %d before: it is not a function of its choices", e.at, len(e.path)))
		}
		if !e.advance() {
			return runs
		}
	}
}

// enumerator follows path, and continues it with zeros.
type enumerator struct {
	path []Choice
	at   int // how many choices of path this run has made
}

// Choose implements Source.
func (e *enumerator) Choose(label string, n int) int {
	mustBePositive(label, n)
	if e.at == len(e.path) {
		e.path = append(e.path, Choice{Label: label, N: n})
	}
	c := e.path[e.at]
	if c.Label != label || c.N != n {
		panic(fmt.Sprintf("choice: number %d was %s, and is now among %d for %s: the run is not a function of its choices", e.at, c, n, label))
	}
	e.at++
	return c.Result
}

// advance moves to the next path in depth-first order; false if this was the last.
func (e *enumerator) advance() bool {
	e.at = 0
	for last := len(e.path) - 1; last >= 0; last-- {
		if e.path[last].Result+1 < e.path[last].N {
			e.path[last].Result++
			return true
		}
		e.path = e.path[:last]
	}
	return false
}
