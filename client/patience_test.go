package client

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPatienceIsTwiceTheSlowestAnswerOfLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p patience
		is := func(want time.Duration, when string) {
			t.Helper()
			if got := p.after(0); got != want {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		is(leastPatience, "at first")
		p.answered(200 * time.Millisecond)
		p.answered(10 * time.Millisecond)
		is(400*time.Millisecond, "after a slow answer")
		time.Sleep(slowestFor)
		is(400*time.Millisecond, "a quarter of a minute later")
		p.answered(180 * time.Millisecond)
		is(400*time.Millisecond, "after one that was not as slow")
		time.Sleep(slowestFor)
		is(360*time.Millisecond, "when the slowest is too long ago")
		time.Sleep(2 * slowestFor)
		is(leastPatience, "after a long rest")
		p.answered(time.Minute)
		is(mostPatience, "after a very slow answer")
	})
}

func TestPatienceGrowsWithEachServerThatIsSilent(t *testing.T) {
	measured, fixed := patience{}, patience{fixed: 2 * time.Second}
	fixed.answered(time.Minute)
	for _, c := range []struct {
		of     *patience
		silent int
		want   time.Duration
	}{
		{&measured, 0, 300 * time.Millisecond},
		{&measured, 1, 450 * time.Millisecond},
		{&measured, 2, 675 * time.Millisecond},
		{&measured, 1000, longestSilence},
		{&fixed, 0, 2 * time.Second},
		{&fixed, 1, 3 * time.Second},
		{&fixed, 1000, 16 * time.Second},
	} {
		if got := c.of.after(c.silent); got != c.want {
			t.Errorf("fixed %v, after %d: %v, want %v", c.of.fixed, c.silent, got, c.want)
		}
	}
}
