// Package spec is Raft as a specification: a small state, the actions that Figure 2 of the paper
// allows in it, and a judge that explains each step of a real server by these actions or says that
// none does.
//
// # What
//
// It is an independent statement of the rules, written from the paper and the thesis, for comparing
// package raft with: it shares the names of terms, indexes and roles with it, and no logic. It is a
// relation where the product is a function: a timeout may happen at any tick, and everything that
// depends on how long ago something was is left open. What Figure 2 says must happen, must happen.
//
// Two things are done with it. A test walks through everything that a very small group can do and
// checks the properties of Figure 3 in every state, which shows that the rules as written here are
// safe. And package check lets a Shadow run beside each simulated server, which shows that what the
// server does follows these rules.
//
// Left out: when timers fire, nextIndex and the window, forwarding, reads, changes of membership.
//
// # Units
//
// Terms and indexes are the log's. Time does not occur.
//
// # Shape
//
//	State     what one server has in memory       actions: elect.go, replicate.go
//	Disk      what it has on its disk             actions: disk.go
//	Messages  everything that ever was sent       what may be sent when: send.go
//
//	inputs, writes, view ──> Shadow: the States that the actions lead to ──> one of them is the view,
//	                                                                         or an error
//
// An action is a method that returns what it needs and does not have; if that is "", it has taken
// effect.
//
// # Errors
//
// A Shadow says which step has no explanation, with the state before, what was seen, and the action
// that came nearest with the precondition that it lacks.
//
// # Concurrency
//
// Everything belongs to one goroutine.
//
// # Source
//
// Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (2014), Figure 2; Ongaro's
// thesis, sections 3 (3.10 among them), 4.2.3, 6.2 and 9.6.
package spec
