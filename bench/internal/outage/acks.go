package outage

import (
	"slices"
	"sync"
	"time"
)

// Acks are acknowledgements of writes.
type Acks struct {
	base time.Time

	mu     sync.Mutex
	at     []time.Duration          // of each; nearly in order
	terms  []termStart              // of each term, its first; in the order in which they came
	latest map[uint64]time.Duration // of each member, its last
}

type termStart struct {
	term uint64
	at   time.Duration
}

// New returns Acks that count moments from base.
func New(base time.Time) *Acks { return &Acks{base: base, latest: map[uint64]time.Duration{}} }

// Like returns others that count moments from the same one.
func (a *Acks) Like() *Acks { return New(a.base) }

// Now is the present moment.
func (a *Acks) Now() time.Duration { return time.Since(a.base) }

// Add notes that a member has acknowledged a write, in what it holds to be the term.
func (a *Acks) Add(at time.Duration, member, term uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, at)
	a.latest[member] = max(a.latest[member], at)
	i := slices.IndexFunc(a.terms, func(t termStart) bool { return t.term == term })
	if i < 0 {
		a.terms = append(a.terms, termStart{term, at})
		return
	}
	a.terms[i].at = min(a.terms[i].at, at)
}

// Count is how many there are.
func (a *Acks) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

// FirstAbove returns when the first was of a later term.
func (a *Acks) FirstAbove(term uint64) (at time.Duration, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.terms {
		if t.term > term && (!found || t.at < at) {
			at, found = t.at, true
		}
	}
	return at, found
}

// Members tells how many members have acknowledged a write since then.
func (a *Acks) Members(since time.Duration) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, at := range a.latest {
		if at >= since {
			n++
		}
	}
	return n
}

// Since tells whether there is any from then on.
func (a *Acks) Since(moment time.Duration) bool { return a.Members(moment) > 0 }

// LongestGap returns the longest time without any that touches the time between from and to. Where there
// is none before from or after to, the time ends there.
func (a *Acks) LongestGap(from, to time.Duration) time.Duration {
	a.mu.Lock()
	sorted := slices.Clone(a.at)
	a.mu.Unlock()
	slices.Sort(sorted)
	return longestGap(sorted, from, to)
}

// Rates returns how many there are per second, in one window after the other from a moment on, as long as whole
// windows fit before another.
func (a *Acks) Rates(from, to, window time.Duration) []float64 {
	rates := make([]float64, max(0, (to-from)/window))
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.at {
		if at < from {
			continue
		}
		if i := int((at - from) / window); i < len(rates) {
			rates[i] += float64(time.Second) / float64(window)
		}
	}
	return rates
}

// Rate returns how many there are per second, from a moment to another.
func (a *Acks) Rate(from, to time.Duration) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, at := range a.at {
		if from <= at && at < to {
			n++
		}
	}
	return float64(n) / (to - from).Seconds()
}

// longestGap is LongestGap of moments in order.
func longestGap(at []time.Duration, from, to time.Duration) time.Duration {
	first, _ := slices.BinarySearch(at, from) // the first that is not before from
	previous := from
	if first > 0 {
		previous = at[first-1]
	}
	var longest time.Duration
	for _, moment := range at[first:] {
		longest = max(longest, moment-previous)
		previous = moment
		if moment >= to {
			return longest
		}
	}
	return max(longest, to-previous)
}
