// Package load drives a closed loop of clients and says how long their operations took; or an open one.
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
// Open begins operations evenly instead, whatever becomes of those before, up to a bound on how many are
// under way: what it shows is when servers answer again, not how fast they are.
//
// Errors: an operation that fails is counted in Result.Errors in whichever phase, never as an
// operation, and its client pauses for 10 ms so that a dead server is not answered with a storm.
//
// Concurrency: Run and Open return when the last of their goroutines is gone. An Operation is called by
// one goroutine only; what Open calls is called by many.
package load
