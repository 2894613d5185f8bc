package quorate

import "time"

// The clock by which servers promise their leader not to vote for another, and leaders hold leases for reads
// (docs/adr/0015). That of package time is CLOCK_MONOTONIC where it is Linux, and so stands still while the
// machine sleeps; a leader that wakes up then would believe in a lease that has ended long ago. One that does not
// stand still is read here, where there is one; elsewhere nobody may hold a lease. Promises only get longer.

// began is when the process was.
var began = time.Now()

// goesOn reads the clock, in nanoseconds, never 0.
func goesOn() uint64 {
	if t, ok := bootTime(); ok {
		return max(t, 1)
	}
	return max(uint64(time.Since(began)), 1)
}

// canHoldLeases reports whether the clock counts the time in which the machine sleeps.
func canHoldLeases() bool {
	_, ok := bootTime()
	return ok
}
