package invariant

import "fmt"

// Violation is what Check panics with, so that a driver which explores states can tell a broken
// invariant from any other panic.
type Violation struct{ Text string }

func (v *Violation) Error() string { return "invariant broken: " + v.Text }

// Check panics with a *Violation unless ok. The message states the facts that contradict each other.
// Callers on hot paths guard expensive arguments themselves: arguments are evaluated always.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic(&Violation{Text: fmt.Sprintf(format, args...)})
	}
}
