// Package load drives a closed loop of clients and says how long their operations took.
//
// What: every client does one operation at a time, the next as soon as the last is answered. The
// package knows nothing of what an operation is, and nothing of servers. A closed loop hides the
// waiting of those who would have come during a stall; compare its quantiles with those of other
// closed loops only.
//
// Units: time.Duration; operations are counted one by one.
//
// Shape: Run starts one goroutine per client and cuts time into three phases:
//
//	|-- warm-up --|------- window -------|-- grace --|
//	 not counted   counted if it ends here  last answers, not counted
//	              ^ edge()              ^ edge()
//
// Errors: an operation that fails is counted in Result.Errors in whichever phase, never as an
// operation, and its client pauses for 10 ms so that a dead server is not answered with a storm.
//
// Concurrency: Run returns when the last of its goroutines is gone. An Operation is called by one
// goroutine only.
package load
