// Package rafttest is a group of real cores on a stage: simulated disks, a bag of messages, somebody who
// decides what happens next, and an observer who sees everything.
//
// # What
//
// A Cluster holds cores of package raft and does with what they put out what a replica would do: it
// writes, holds messages back until their write is durable, delivers, applies. Time and order are the
// caller's: nothing happens until it is asked for. After each step every invariant of the algorithm is
// checked against what the observer remembers. The random walk and the exploration of package raft, its
// stories, and the scenarios that anyone can play (package scenario) all work on it.
//
// # Units
//
// Those of package raft: ticks, bytes, and counts from 1.
//
// # Shape
//
//	script command ──> Stage ──┐
//	random walk ───────────────┼──> Cluster ──Input──> raft.Core
//	exploration ───────────────┘       │  └──<─Output──────┘
//	                                   └──> checks against History ──> Broken
//
// The files, in reading order: cluster (disks, network, crashes); checks and members (the invariants); words (what
// happened, in words); stage and expect (the commands of a script).
//
// # Errors
//
// A broken invariant is noted in Cluster.Broken, and nothing goes on after it. A command of a script that
// makes no sense fails with its file and line.
//
// # Concurrency
//
// A Cluster and a Stage belong to one goroutine. Forks share nothing that changes.
//
// # Source
//
// The invariants are those of Figure 3 of the Raft paper, and what follows for disks and messages.
package rafttest
