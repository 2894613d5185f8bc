// Package choice is where everything that could have gone otherwise is decided.
//
// What: a simulated world asks one Source for each of its decisions: whether a message is lost, which
// of two events comes first, where a sector tears. Who answers is a matter of the driver: a seed
// (random search), an enumeration (all small worlds), a record (replay, shrinking). The same answers
// give the same world. It is for tests and the simulator, and refuses nothing but nonsense.
//
// Units: a choice is among n possibilities, numbered 0 to n-1. By custom 0 is the plainest of them,
// because whoever shrinks a failure replaces choices by 0. Labels are fixed names such as
// "crash.sector"; what belongs to one link or server has it in the label, made once, not per call.
//
// Shape:
//
//	            ┌ FromSeed(seed)      a stream of its own for each label
//	Source  ◄───┼ Enumerate(run)      every sequence of choices, depth first
//	            ├ Record(source)      passes on, and keeps what was chosen
//	            ├ Replay(choices, …)  what was kept, then another source
//	            └ Override(…, rules)  another source, but for some choices that are fixed by name
//
//	Chance(source, …), Uint64(source, …)   common questions, put as choices
//
// Errors: asking for a choice among less than one possibility panics, and so does a run that
// Enumerate finds not to be a function of its choices: both are mistakes in the test.
//
// Concurrency: a Source belongs to one goroutine.
//
// Source: the streams are SplitMix64 (Steele, Lea and Flood, 2014); the reduction to a range is
// Lemire's (2019), which has no bias.
package choice
