// Lock is a replicated lock service with fencing tokens, and a storage that they protect.
//
// What: run it; it tells the story of two clients of a cluster of three servers, all of them in this process:
//
//	go run ./examples/lock
//
// No lock service can make sure that only one client acts. A holder may stop for a minute, between making sure
// that the lock is its own and writing, and not notice; meanwhile its time ends and the lock is granted to
// somebody else. What a service can do is to number its grants. The number, the fencing token, only grows: it is
// the index of the entry that granted the lock. The holder shows it with each write, and whoever guards the
// resource refuses a token that is smaller than the largest it has seen. So what a stalled holder sends late
// arrives, and does nothing.
//
// What fencing does not do: it protects nothing that does not look at tokens. It does not undo what an earlier
// holder left half done: the next one finds it. The guard must keep the largest token together with what it
// guards, and compare and write in one step. Until the new holder has come to the guard, it lets the old one
// write; that is as if it had written before the grant.
//
// Time is the log's (Entry.Command.Time), the same on all servers; no clock of a client or a server is asked. So
// nothing expires while the group has no leader, and a holder cannot know to the millisecond when its time ends.
// It renews long before.
//
// A client that was not answered asks again, through any server, with the same request id: as long as the grant
// lives it is given the same one. A copy that comes in only after the grant has ended is granted the lock anew,
// with a token that nobody uses. That costs time and does no harm: the lock is free again when the grant has
// expired, or when its owner, whose own name is then in the way, releases it.
//
// Units: tokens are indexes of the log; times are nanoseconds of log time. Shape: machine.go is what is
// replicated, service.go what clients call, storage.go who checks tokens, main.go the story. Errors: errHeld and
// errStale say that nothing happened; others are those of Group.Propose. Concurrency: the host calls Apply from one
// goroutine; everything else may be called from any.
package main
