// Package check decides whether what a cluster did was right.
//
// # What
//
// A Checker is told of everything that happens in one group: what servers write, sync, send, commit
// and apply, and what clients ask and are told. After each event it checks what can be wrong because
// of it, at the server that was touched. It knows more than any server may: what would be on every disk
// after a crash now, and what has ever been committed. It looks at nothing by itself, and
// decides nothing: whoever drives the cluster, the simulator above all, calls it.
//
// The checks have the names that docs/testing.md gives them:
//
//	C1   one leader in a term, elected by the votes of a quorum
//	C2   one vote in a term, also across restarts; what is durable comes back
//	C3   a leader never drops entries of its own log
//	C4   equal index and term, equal log up to there
//	C5   a new leader has all that is committed
//	C6   what is committed never changes, and is what servers apply
//	C7   what is committed is durable at a quorum
//	C8   a leader commits by counting in its own term only
//	C9   acknowledgements and votes are backed by the disk when they leave
//	C10  applied <= commit <= last, durable <= last, and what counts as durable is
//	C11  no message has a term that is not durable at its sender
//	C12  what a leader believes of its peers was said by them; followers commit what was verified
//	C15  a state of another server is what was committed up to where it is; a log drops what the state has durably
//	L1   a read sees all that was acknowledged to anybody before it was called
//	S1   a command is applied once
//	S2   an outcome is what happened
//	S3   all copies of a request of a session are answered alike, and it has one effect
//	K1   answers are those of a sequential store, equal on all servers
//	K2   servers with the same log have the same digest
//	M1   every step and message is one that the model of package spec allows
//
// # Units
//
// Indexes and terms are the log's. Events are counted by the caller's calls; there is no clock.
//
// # Shape
//
//	        Restored, Appended, Synced        (the disk)      ┌─────────┐
//	Server: Stepped, Sent                     (the replica) ─►│ Checker │─► Violation, the first one
//	        Applied, Reopened, Flushed        (the state)     └─────────┘
//	Op:     Called, Returned                  (the clients)        │
//	                                                               └── Model: the sequential store
//
// # Errors
//
// The first violation is kept, with the facts that contradict each other; what is handed in after it
// is not looked at.
//
// # Concurrency
//
// A Checker and all that hangs on it belong to one goroutine.
//
// # Source
//
// Figure 3 of the Raft paper and the argument of its section 5.4; Herlihy and Wing (1990) for
// linearizability, which is easy to check here, since the log says in which order things happened.
package check
