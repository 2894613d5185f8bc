package hist

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits   = 6 // 64 buckets for each power of two
	sub       = 1 << subBits
	limitBits = 37
	buckets   = (limitBits - subBits + 1) * sub
)

// Limit is the largest value a histogram tells apart, in nanoseconds.
const Limit = time.Duration(1<<limitBits - 1)

// Histogram counts durations. The zero value is empty and ready.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
}

// Add counts d once. A negative d counts as 0, one above Limit as Limit.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(min(max(d, 0), Limit))]++
	h.total++
}

// Merge adds everything other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Count returns how many values were added.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns the smallest duration d of which the histogram can say that at least the part q
// (0 to 1) of all values is at or below d. It returns 0 if there are no values.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return highest(i)
		}
	}
	return Limit
}

// bucket returns where d is counted. Above 64 ns a value keeps its seven leading bits.
func bucket(d time.Duration) int {
	v := uint64(d)
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift*sub + int(v>>shift)
}

// highest returns the largest value counted in bucket i.
func highest(i int) time.Duration {
	shift := max(i/sub-1, 0)
	lead := i - shift*sub
	return time.Duration((lead+1)<<shift - 1)
}
