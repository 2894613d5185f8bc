// Package quorate makes a Go program a replicated service: Raft, whole.
//
// # What
//
// A Host is a server: one data directory, one log, one key pair, links to the other servers. On it run
// any number of groups, each a replicated state machine of the program's own. A command that Propose
// returned an answer for is on the disks of a majority, and has been applied once and in the same
// order everywhere. Read makes a read of the local state linearizable, at any server. Requests may be
// made at any server; while there is no leader, they wait.
//
// Members come and go while the group serves: Group.Reconfigure says who belongs to it, and Join makes a new
// directory that of a server which was added.
//
// It does not look into commands, and it does not yet take snapshots or drop the log: docs/guarantees.md and
// the README say what holds today.
//
// # Units
//
// Spans of time are time.Duration; sizes are bytes.
//
// # Shape
//
//	host, err := quorate.Open(quorate.Options{Dir: dir, Name: "a", Members: members})
//	group, err := host.Start(1, &counter{})
//	answer, err := group.Propose(ctx, []byte("add"))   // replicate, apply, answer
//	err = group.Read(ctx)                              // now read the state machine
//
//	clients ──> Group ──> inbox ──> worker: replica.Step ─┬─> log writer ──> disk
//	              ^                    ^                  ├─> links ──> other servers
//	              └────── answers ─────┴─ Persisted, … ───┴─> applier ──> StateMachine
//
// # Errors
//
// What certainly did not happen (ErrBusy, ErrTooLarge, ErrCanceled) is told apart from what may have
// (ErrOutcomeUnknown). Open tells ErrOtherCluster and ErrNewerFormat apart from damage. A disk that
// fails ends the process, through Options.OnFatal: it is never tried again.
//
// # Concurrency
//
// Everything exported may be called from any goroutine. The StateMachine's Apply is called by one
// goroutine at a time. ARCHITECTURE.md lists the goroutines and what each owns.
//
// # Source
//
// Thesis chapters 6 and 10.
package quorate
