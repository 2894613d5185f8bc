package sim

import (
	"math/bits"

	"github.com/quorate/quorate/internal/choice"
)

// dice asks the source in the ways in which a world asks. Everything is in whole numbers: the same
// seed gives the same world on every machine.
type dice struct {
	source choice.Source
	// scope is added to all labels: what follows from one fault is drawn from streams of its own, so
	// that it stays the same when other faults are left out.
	scope string
}

// Choose implements choice.Source, for those who ask by themselves.
func (d dice) Choose(label string, n int) int {
	if d.scope != "" {
		label += d.scope
	}
	return d.source.Choose(label, n)
}

// million is the scale of probabilities.
const million = 1_000_000

// chance is true in perMillion of a million cases.
func (d dice) chance(label string, perMillion int) bool {
	if d.scope != "" {
		label += d.scope
	}
	return choice.Chance(d.source, label, perMillion, million)
}

// below returns one of 0 to n-1.
func (d dice) below(label string, n int) int { return d.Choose(label, n) }

// between returns one of low to high.
func (d dice) between(label string, low, high int) int {
	return low + d.Choose(label, high-low+1)
}

// spread returns a duration of about that mean, mostly less and sometimes much more: an exponential
// distribution, of which each octave is drawn flat. The choice 0 is the mean itself.
func (d dice) spread(label string, mean int64) int64 {
	if mean <= 0 {
		return 0
	}
	u := uint64(d.Choose(label, 1<<32)) ^ spreadMean
	octave := int64(bits.TrailingZeros64(u&0xffff | 1<<16))
	return mean * (octave<<16 + int64(u>>16)) / (3 << 15)
}

// longestSpread is how many means spread returns at most.
const longestSpread = 12

// spreadMean is what spread makes its mean of: the first octave, the upper half.
const spreadMean = 1<<31 | 1<<1

// scale returns a number from low to high, every power of two between them equally likely.
func (d dice) scale(label string, low, high int64) int64 {
	quarters := 4 * (bits.Len64(uint64(high/low)) - 1)
	k := d.Choose(label, quarters+1)
	return min(high, low<<(k/4)*quarter[k%4]>>10)
}

// quarter[i] is 1024 times two to the power of i/4.
var quarter = [4]int64{1024, 1218, 1448, 1722}

// either is true in half of all cases.
func (d dice) either(label string) bool { return d.Choose(label, 2) == 1 }
