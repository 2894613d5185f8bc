package hist

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsTouchAndNeverOverlap(t *testing.T) {
	for i := range buckets {
		top := highest(i)
		if got := bucket(top); got != i {
			t.Fatalf("the highest value of bucket %d (%d ns) is counted in bucket %d", i, top, got)
		}
		if i+1 < buckets && bucket(top+1) != i+1 {
			t.Fatalf("%d ns follows bucket %d but is counted in %d", top+1, i, bucket(top+1))
		}
	}
	if highest(buckets-1) != Limit {
		t.Fatalf("the last bucket ends at %d, want Limit %d", highest(buckets-1), Limit)
	}
}

func TestQuantileIsNeverTooLowAndRightToOnePartIn64(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	values := make([]time.Duration, 20_000)
	for i := range values {
		values[i] = time.Duration(chance.Uint64N(1 << chance.IntN(limitBits+1)))
		h.Add(values[i])
	}
	slices.Sort(values)
	for _, q := range []float64{0.0001, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := values[int(q*float64(len(values)))-1]
		got := h.Quantile(q)
		if got < exact || got > exact+exact/64 {
			t.Errorf("quantile %v: got %d ns, exact value is %d ns", q, got, exact)
		}
	}
}

func TestMergeEqualsOneHistogramFedWithBoth(t *testing.T) {
	var a, b, both Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
		both.Add(d)
	}
	a.Merge(&b)
	if a != both {
		t.Fatalf("merged histogram differs: %d values, want %d", a.Count(), both.Count())
	}
}

func TestValuesOutOfRangeCountAtTheEdges(t *testing.T) {
	var h Histogram
	h.Add(-time.Second)
	h.Add(time.Hour)
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("a negative value: got %v, want 0", got)
	}
	if got := h.Quantile(1); got != Limit {
		t.Errorf("an hour: got %v, want %v", got, Limit)
	}
}

func TestEmptyHistogramHasQuantileZero(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.99); got != 0 {
		t.Fatalf("got %v, want 0", got)
	}
}
