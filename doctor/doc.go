// Package doctor says why there is no progress: it makes a report of what one server knows, and puts the
// reports of several servers together.
//
// # What
//
// Examine judges a server by its own view: whether it can reach a quorum, who is missing, since when and
// with what error. Combine judges a cluster by the reports of those servers that answer, and by who does
// not. Vigil says when a server should log what it finds. All of them are functions of their arguments:
// they ask nobody, and look at no clock.
//
// A peer is reached if the links in both directions are up, and if it has answered lately where this
// server leads. Each half of a joint configuration is counted by itself. A server that follows a leader
// is not said to lack a quorum, whomever it reaches: the leader counts.
//
// # Units
//
// Moments are time.Time, spans time.Duration; in JSON RFC 3339, and seconds. Ids are hexadecimal in
// reports, as in logs.
//
// # Shape
//
//	View ──Examine──> Report ──┬──Vigil──> Notice (a line of the log)
//	                           ├──> GET /quorate/status, /health, metrics
//	                           └──Combine──> Diagnosis (quorate doctor)
//
// A Finding has a code for programs, a sentence for people, and what to do about it. Codes stay what they
// are; new ones may come.
//
// # Errors
//
// None. Reports that come from elsewhere may say anything: Combine believes them, and fails on none.
//
// # Concurrency
//
// Functions of values. A Vigil belongs to one goroutine.
//
// # Source
//
// Ours. Which majorities count is the paper's §6.
package doctor
