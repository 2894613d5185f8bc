// Package session decides whether a client's request is new: who asked what, and was answered already.
//
// # What
//
// A client that is not answered in time cannot know whether its request took effect, and must not send it
// again, unless somebody notices the repetition. So it opens a session, numbers its requests in it, and
// says with each up to which number it needs nothing any more. Table is the replicated half of it: of each
// session, the numbers that have taken effect and are not acknowledged, and how large their answers are.
// Table.Decide tells what is to be done with a request; Table.Record notes that it was executed.
//
// The table is part of a state machine's state. Whoever owns it (package kv) keeps its rows and the answers,
// writes them in the same batch as what the request itself writes, and calls the methods in the order of the
// log, so that all servers decide alike. The package keeps no answers, and no clock: a session ends by a
// command, which takes effect only if the session's deadline has passed by the log time of that command.
//
// # Units
//
// Times are log time in nanoseconds; times to live are seconds. Sequence numbers begin at 1. Bytes where a
// name says so.
//
// # Shape
//
//	wire.Session{ID, Sequence, Acknowledged} ─► Table.Decide ─► Fresh:    execute, Table.Record ─► rows to write
//	                                                        ├─► Repeated: the answer that is kept
//	                                                        └─► anything else: refused, without effect
//	rows ─► Table.Load                          (at a restart)
//
//	AppendMetadata, AppendOpenRequest, ... ─► what clients and servers say to each other
//
// # Bounds
//
// There are at most MaxSessions. A number may be at most Window above what is acknowledged. A request is
// refused while its session keeps MaxSessionBytes of answers, or all sessions together MaxBytes; an answer of
// more than MaxAnswerBytes is not kept: that the request took effect is, and whoever repeats it is told so. So
// a session keeps less than MaxSessionBytes and one answer more.
//
// # Formats
//
// Rows of the state, which their owner puts behind the byte of a space of keys. Keys are big-endian.
//
//	key of a session     id(8)
//	session              01  time to live(uvarint)  deadline(uvarint)  acknowledged(uvarint)
//	key of an answer     id(8)  sequence(8)
//	answer               01  check(4, big-endian)  acknowledged(uvarint)  the answer, to the end
//	                     02  check(4, big-endian)  acknowledged(uvarint)           (it was too large)
//
// acknowledged in an answer's row is what was acknowledged when it was recorded. A session's own row is not
// written with every request, so what is acknowledged is the largest number of all its rows: that of the last
// request to raise it is there, for a request's number is above what it acknowledges.
//
// In a gRPC call, a request's number is the metadata "quorate-session":
//
//	id.sequence.acknowledged.cluster       hexadecimal, lower case, no leading zeros
//
// and if the call fails by what the state machine has answered, and not before, the trailer
// "quorate-session-answer" says how: one of the Answer constants. A server of another cluster answers as if
// there were no such session, which is true. The service that opens sessions:
//
//	service quorate.v1.Sessions {
//	  rpc Open(OpenRequest) returns (OpenResponse);
//	  rpc KeepAlive(KeepAliveRequest) returns (KeepAliveResponse);
//	  rpc Close(CloseRequest) returns (CloseResponse);
//	}
//	message OpenRequest       { uint64 ttl = 1; }
//	message OpenResponse      { etcdserverpb.ResponseHeader header = 1; uint64 id = 2; uint64 ttl = 3;
//	                            uint64 window = 4; uint64 cluster = 5; }
//	message KeepAliveRequest  { uint64 id = 1; uint64 acknowledged = 2; }
//	message KeepAliveResponse { etcdserverpb.ResponseHeader header = 1; uint64 ttl = 2; }
//	message CloseRequest      { uint64 id = 1; }
//	message CloseResponse     { etcdserverpb.ResponseHeader header = 1; }
//
// # Errors
//
// ErrRow: a row is not as it is written here. ErrMessage: neither is a message.
//
// # Concurrency
//
// None: whoever has a Table calls it from one goroutine at a time. No clock, no chance.
//
// # Source
//
// Chapter 6.3 of the Raft thesis. docs/adr/0013-sessions.md says what is done otherwise, and why.
package session
