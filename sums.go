package quorate

import (
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Sums is what a StateMachine may implement besides, so that servers notice if their states differ. A server that
// differs from what a majority of the members say ends: OnFatal gets a DiffersError, and the state must not be used
// any more. Where no majority agrees, it is said in the log and in Status.
type Sums interface {
	// Sums returns what the state was like at some moments that all servers pass, such as indexes: the last of them, a
	// hundred at most, the oldest first. Any goroutine may call it, at any time.
	Sums() []Sum
}

// Sum is what a state was like at a moment. Servers whose sums of the same kind and moment differ have different states.
type Sum = wire.Sum

// DiffersError: this server's state is another than that of a majority.
type DiffersError = replica.DiffersError
