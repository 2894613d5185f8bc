// Package supervise keeps child processes running, and stops them with their parent.
//
// What: it starts processes, writes down what they print, starts them again after they died, gives
// up on one that dies again and again at once, and stops all in good order. It knows nothing
// of what the processes do.
//
// Units: time.Duration; logs are bounded in bytes.
//
// Shape: one goroutine per child owns the process and tells what happens to it.
//
//	Run ──┬── child: start ──> Started ──> died? ──> Died ──> pause ──┐
//	      │            ^                    │                         │
//	      │            └────────────────────┼─────────────────────────┘
//	      └── child    ...                  ├── too often ──> GivenUp
//	                                        └── told to stop ──> Stopped
//
// A child's standard input is a pipe of which this process alone has the other end, and nothing is
// ever written to it. A child that stops when its input ends therefore stops when its parent
// does, however that ends.
//
// Errors: none are returned. What goes wrong with a child is in its events.
//
// Concurrency: Run may be called once for each set of children, from any goroutine; it waits for all
// goroutines it starts. It needs somebody to receive the events until it returns.
package supervise
