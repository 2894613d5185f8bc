package supervise

import (
	"testing"
	"time"
)

func TestPauseDoublesWithQuickDeathsAndIsBounded(t *testing.T) {
	policy := Policy{Pause: time.Second, MaxPause: 3 * time.Second, Quick: time.Minute, GiveUp: 9}
	var r record
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		got, giveUp := r.died(policy, 0)
		if got != want || giveUp {
			t.Errorf("quick death %d: pause %v, give up %v; want %v, false", i+1, got, giveUp, want)
		}
	}
}

func TestChildIsGivenUpAfterFiveQuickDeathsInARow(t *testing.T) {
	policy := Policy{}.withDefaults()
	var r record
	for death := 1; death <= 5; death++ {
		_, giveUp := r.died(policy, 9*time.Second)
		if giveUp != (death == 5) {
			t.Errorf("death %d: give up is %v", death, giveUp)
		}
	}
}

func TestALongLifeForgivesQuickDeaths(t *testing.T) {
	policy := Policy{}.withDefaults()
	var r record
	for range 4 {
		r.died(policy, time.Second)
	}
	if pause, giveUp := r.died(policy, 10*time.Second); giveUp || pause != time.Second {
		t.Errorf("after a long life: pause %v, give up %v; want 1s, false", pause, giveUp)
	}
	if _, giveUp := r.died(policy, time.Second); giveUp {
		t.Error("the first quick death after a long life counts as the fifth")
	}
}
