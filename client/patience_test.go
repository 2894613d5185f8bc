package client

import (
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestPatienceWithReadsIsTwiceTheSlowestOfLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p patience
		is := func(want time.Duration, when string) {
			t.Helper()
			if got := p.forRead(0, false); got != want {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		is(300*ms, "at first")
		p.read(200 * ms)
		p.read(10 * ms)
		is(400*ms, "after a slow answer")
		<-time.After(slowestFor)
		is(400*ms, "a quarter of a minute later")
		p.read(180 * ms)
		is(400*ms, "after one that was not as slow")
		<-time.After(slowestFor)
		is(360*ms, "when the slowest is too long ago")
		<-time.After(2 * slowestFor)
		is(300*ms, "after a long rest")
		p.read(time.Minute)
		is(time.Second, "after a very slow answer")
	})
}

func TestPatienceWithWritesIsTheMeanAndFourDeviations(t *testing.T) {
	var p patience
	is := func(want time.Duration, when string) {
		t.Helper()
		if got := p.forWrite(0, false); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	is(100*ms, "at first")
	p.wrote(100 * ms) // deviation 50 ms
	is(300*ms, "after the first")
	p.wrote(180 * ms) // mean 110, deviation 57.5
	is(340*ms, "after a slower one")
	p.wrote(30 * ms) // mean 100, deviation 63.125
	is(352*ms+500*time.Microsecond, "after a fast one")
	for range 100 {
		p.wrote(2 * ms)
	}
	is(100*ms, "when nothing is slow")
	p.wrote(time.Minute)
	is(time.Second, "after a very slow one")
}

func TestPatienceGrowsWithEachServerThatIsSilent(t *testing.T) {
	measured, fixed := patience{}, patience{fixed: 2 * time.Second}
	fixed.read(time.Minute)
	fixed.wrote(time.Minute)
	for _, c := range []struct {
		of          *patience
		silent      int
		all         bool
		write, read time.Duration
	}{
		{&measured, 0, false, 100 * ms, 300 * ms},
		{&measured, 1, false, 150 * ms, 450 * ms},
		{&measured, 1, true, 1500 * ms, 1500 * ms},
		{&measured, 1000, true, longestSilence, longestSilence},
		{&fixed, 0, true, 2 * time.Second, 2 * time.Second},
		{&fixed, 1, false, 3 * time.Second, 3 * time.Second},
		{&fixed, 1000, true, 16 * time.Second, 16 * time.Second},
	} {
		if w, r := c.of.forWrite(c.silent, c.all), c.of.forRead(c.silent, c.all); w != c.write || r != c.read {
			t.Errorf("fixed %v, after %d: %v and %v, want %v and %v", c.of.fixed, c.silent, w, r, c.write, c.read)
		}
	}
}
