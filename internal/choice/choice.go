package choice

import "fmt"

// Source decides.
type Source interface {
	// Choose returns one of 0 to n-1; n is at least 1. The label says what is being decided.
	Choose(label string, n int) int
}

// Choice is a decision that was made.
type Choice struct {
	Label  string // what was decided
	N      int    // among how many possibilities
	Result int    // which it was, below N
}

// String writes a choice as "crash.sector 2/5": the third of five.
func (c Choice) String() string { return fmt.Sprintf("%s %d/%d", c.Label, c.Result, c.N) }

// Chance is true in numerator of denominator cases. What is certain is not asked. The choice 0
// means false, so ask for the unusual: shrinking then takes it away. Under Enumerate it costs
// denominator branches: keep that small there.
func Chance(s Source, label string, numerator, denominator int) bool {
	switch {
	case denominator < 1:
		panic(fmt.Sprintf("choice: %s: a chance of %d in %d", label, numerator, denominator))
	case numerator <= 0:
		return false
	case numerator >= denominator:
		return true
	}
	return s.Choose(label, denominator) >= denominator-numerator
}

// Uint64 returns any number, by four choices among 65536.
func Uint64(s Source, label string) uint64 {
	var v uint64
	for range 4 {
		v = v<<16 | uint64(s.Choose(label, 1<<16))
	}
	return v
}

// mustBePositive refuses a choice among nothing.
func mustBePositive(label string, n int) {
	if n < 1 {
		panic(fmt.Sprintf("choice: %s: among %d possibilities", label, n))
	}
}
