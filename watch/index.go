package watch

import (
	"cmp"
	"slices"
	"strings"
)

// interval is an interval of keys.
type interval struct {
	key, end string // no end: the one key
	from     bool   // every key from key on
}

func (i *interval) isPoint() bool { return i.end == "" }

func (i *interval) isEmpty() bool { return !i.isPoint() && !i.from && i.key >= i.end }

// endsAfter tells whether a range ends behind a key.
func (i *interval) endsAfter(key []byte) bool { return i.from || string(key) < i.end }

// compareEnds puts the range that goes on for ever last.
func (i *interval) compareEnds(o *interval) int {
	if i.from || o.from {
		return cmp.Compare(oneIf(i.from), oneIf(o.from))
	}
	return strings.Compare(i.end, o.end)
}

// groupKey is what the watchers of a group have in common: they are told the same.
type groupKey struct {
	interval
	previous, noPut, noDelete bool
}

func (k *groupKey) compare(o *groupKey) int {
	return cmp.Or(strings.Compare(k.key, o.key), strings.Compare(k.end, o.end), cmp.Compare(k.wishes(), o.wishes()))
}

// wishes are what tells groups of one interval apart, as a number.
func (k *groupKey) wishes() int { return oneIf(k.previous) + 2*oneIf(k.noPut) + 4*oneIf(k.noDelete) }

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// group is all watchers of one interval with the same wishes.
type group struct {
	groupKey
	at       int        // in index.all
	watchers int        // how many there are
	synced   []*watcher // those that are up to date
	reading  int        // how many the read under way is for

	events []int   // of the batch under way, those that concern the group
	chunks []chunk // their encoding from event number first on; nil: none yet
	first  int
}

func (g *group) add(w *watcher) {
	w.at, w.state = len(g.synced), synced
	g.synced = append(g.synced, w)
}

// remove takes out a synced watcher; the last one takes its place.
func (g *group) remove(w *watcher) {
	last := len(g.synced) - 1
	g.synced[w.at] = g.synced[last]
	g.synced[w.at].at = w.at
	g.synced[last] = nil
	g.synced = g.synced[:last]
}

// index finds the groups that a key concerns. Groups of one key are in a map. Those of ranges are in a
// slice, ordered by where they begin, which is read as a balanced tree: its root is in the middle. Beside
// it stands, for each subtree, which range in it ends last, so that subtrees that end before a key are
// passed over. This is made anew when a range has come or gone and something is looked for: cheap for
// thousands of ranges, and most watchers share a few.
type index struct {
	all      []*group
	points   map[string][]*group
	ranges   []*group
	lastEnd  []int // in ranges
	stale    bool  // lastEnd is
	previous int   // groups that want what was before
}

func newIndex() index { return index{points: make(map[string][]*group)} }

// take returns the group of a key, for one watcher more.
func (x *index) take(key groupKey) *group {
	var g *group
	if key.isPoint() {
		for _, other := range x.points[key.key] {
			if other.groupKey == key {
				g = other
			}
		}
	} else if i, found := x.find(&key); found {
		g = x.ranges[i]
	}
	if g == nil {
		g = x.add(key)
	}
	g.watchers++
	return g
}

func (x *index) find(key *groupKey) (int, bool) {
	return slices.BinarySearchFunc(x.ranges, key, func(g *group, key *groupKey) int { return g.compare(key) })
}

func (x *index) add(key groupKey) *group {
	g := &group{groupKey: key, at: len(x.all)}
	x.all = append(x.all, g)
	if key.previous {
		x.previous++
	}
	if key.isPoint() {
		x.points[key.key] = append(x.points[key.key], g)
		return g
	}
	i, _ := x.find(&key)
	x.ranges = slices.Insert(x.ranges, i, g)
	x.stale = true
	return g
}

// release gives back what take has returned. A group without watchers is forgotten.
func (x *index) release(g *group) {
	g.watchers--
	if g.watchers > 0 {
		return
	}
	last := len(x.all) - 1
	x.all[g.at] = x.all[last]
	x.all[g.at].at = g.at
	x.all[last] = nil
	x.all = x.all[:last]
	if g.previous {
		x.previous--
	}
	if !g.isPoint() {
		i, _ := x.find(&g.groupKey)
		x.ranges = slices.Delete(x.ranges, i, i+1)
		x.stale = true
		return
	}
	others := slices.DeleteFunc(x.points[g.key], func(other *group) bool { return other == g })
	if x.points[g.key] = others; len(others) == 0 {
		delete(x.points, g.key)
	}
}

// visit visits the groups that a key concerns, always in the same order.
func (x *index) visit(key []byte, visit func(*group)) {
	for _, g := range x.points[string(key)] {
		visit(g)
	}
	if x.stale {
		x.lastEnd = slices.Grow(x.lastEnd[:0], len(x.ranges))[:len(x.ranges)]
		x.measure(0, len(x.ranges))
		x.stale = false
	}
	x.visitRanges(0, len(x.ranges), key, visit)
}

// measure finds which range of ranges[lo:hi] ends last, and of all subtrees in it.
func (x *index) measure(lo, hi int) int {
	root := (lo + hi) / 2
	if lo == hi {
		return -1
	}
	last := root
	for _, other := range [...]int{x.measure(lo, root), x.measure(root+1, hi)} {
		if other >= 0 && x.ranges[last].compareEnds(&x.ranges[other].interval) < 0 {
			last = other
		}
	}
	x.lastEnd[root] = last
	return last
}

func (x *index) visitRanges(lo, hi int, key []byte, visit func(*group)) {
	if lo == hi {
		return
	}
	root := (lo + hi) / 2
	if !x.ranges[x.lastEnd[root]].endsAfter(key) {
		return
	}
	x.visitRanges(lo, root, key, visit)
	g := x.ranges[root]
	if g.key > string(key) {
		return // and so is everything right of it
	}
	if g.endsAfter(key) {
		visit(g)
	}
	x.visitRanges(root+1, hi, key, visit)
}
