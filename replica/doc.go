// Package replica is one server's copy of one group, ordered.
//
// # What
//
// A Replica steps the core of package raft and keeps, in memory and in one goroutine, everything that
// has to happen in some order between the core, the disk, the network and the state machine: messages
// that must wait for a write, entries that have to be applied, requests that wait for their answers,
// requests that have to be forwarded to the leader. It does no work itself: Step returns Work, which
// the host carries out with goroutines and the simulator from a seeded queue. So persist, send and
// apply stand in one order, once.
//
// It never sees a clock, a socket, a file or the state machine's type.
//
// # Units
//
// Time comes as ticks of Options.TickNanoseconds, and, for leases of leaders alone, as what a clock shows. How long the core waits for a leader is measured here,
// if Options.Pace says so (pace.go). Sizes are bytes. Handles are the caller's numbers
// for its requests; each is used once per boot.
//
// # Shape
//
//	Receive, Tick, Persisted, Applied,    ┌─────────┐   Write    to the log; answer with Persisted
//	Propose, Read, Cancel, Fetched    ──> │ Replica │ ─> Send    encoded messages, ripe to leave
//	KeyKnown                              └─────────┘   Apply    to the state machine; answer with Applied
//	                                                    Fetch    from the log; answer with Fetched
//	                                                    Answers  to the callers
//
// A client's command takes this way. Propose gives it a sequence number, and with this server's id
// and boot counter that names it among all commands ever. At the leader it goes into the log as soon
// as fewer than MaxWritesInFlight writes are under way; what comes meanwhile makes the next batch.
// Elsewhere it is forwarded to the leader in numbered batches. It is answered when this server has
// applied it.
//
// A command is handed to a leader for one term only: the leader takes a forwarded batch in the term
// that it was addressed to, or not at all. So once an entry of a later term has been applied here, a
// command that was handed over in an earlier term, and has not been applied, never will be: it can be
// handed to the next leader, and takes effect once. That is why callers wait for an election and do
// not fail, and why nothing is ever sent again on mere suspicion.
//
// # Errors
//
// An Answer says whether its request was done, certainly did not happen, or may have: the three
// outcomes of a request. Work.Fatal says that this server must not go on.
//
// # Concurrency
//
// A Replica belongs to one goroutine. What Step returns is the caller's.
//
// # Source
//
// Thesis chapter 6 (client interaction) and §10.2 (what may run in parallel).
package replica
