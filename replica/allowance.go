package replica

// allowance bounds what is sent of states by Options.CatchUp.States. A piece may be larger than what is left, and then the next
// one waits the longer.
type allowance struct{ left int }

// allowanceTicks is of how many ticks a piece should have the bytes: whoever asks should not have to wait for so long that it asks
// another server.
const allowanceTicks = 16

func (a *allowance) tick(o *Options) { a.left = min(a.left+o.CatchUp.States, o.CatchUp.States) }

// open reports whether a piece may be asked of the state machine now.
func (a *allowance) open(o *Options) bool { return o.CatchUp.States <= 0 || a.left > 0 }

// limit is how large a piece should be.
func (a *allowance) limit(o *Options) int {
	if o.CatchUp.States <= 0 {
		return o.MaxBatchBytes
	}
	return min(o.MaxBatchBytes, allowanceTicks*o.CatchUp.States)
}

func (a *allowance) spend(bytes int) { a.left -= bytes }
