// Package client is etcd's Go client, of which writes may be sent again: each takes effect once.
//
// # What
//
// Client embeds etcd's client, so all of its API is there, watches and recipes too. What its KV and its Lease
// send is ours. Writes (Put, Delete, Txn, Compact, Grant, Revoke) are numbered in a session, which the servers
// keep (package session). So a write that is not answered is sent again, to one server after the other, for as
// long as the caller's context lasts: through restarts, leader changes, pauses and cut links. Reads are
// repeated as they are. Everything else is as in etcd's client, streams too.
//
// Servers that have no sessions, etcd's own for one, are found out at the first write. Then writes are those
// of etcd's client, which never sends one again whose outcome it does not know.
//
// It does not choose what to do about an outcome that is unknown, keeps no session alive while it has nothing
// to do, and keeps no numbers through a restart of its own process.
//
// # Units
//
// Spans of time are time.Duration.
//
// # Shape
//
//	Client ── KV, Lease of etcd's client ──► keyValues, lease ──► Client.write ── numbering.next
//	                                               └─────► Client.read        │
//	                                                            tries.run ◄───┘
//	               endpoints.pick ──► one copy ──► judge ──► answered | the next endpoint | a pause
//	                      ▲               └── patience: silent for too long
//	                      └───────────────────────┘  the next is asked as well; the first answer counts
//
// # Errors
//
// An error of a write says that it certainly took no effect, but for two:
//
//	ErrOutcomeUnknown  it may have, once, or may still: the context has ended while a copy was under way, or the
//	                   session has ended on the servers. An *OutcomeUnknownError says more.
//	ErrAnswerLost      it did, and its answer is lost
//
// Both only with servers that have sessions. Otherwise errors are those of etcd's client, and mean as little.
// A context without a deadline is tried for until it is canceled. ErrClosed: after Close. Tries that fail are
// warnings in the log of etcd's client; clientv3.Config.Logger says where that goes.
//
// # Concurrency
//
// All methods may be called from any goroutine. At most 1,024 writes are under way at a time: one more waits,
// within its context. Each copy of a request has a goroutine, which ends before the call returns.
//
// # Source
//
// Chapter 6.3 of the Raft thesis, and docs/adr/0013-sessions.md.
package client
