// Package scenario is the catalogue: scripted stories that anyone can play by name and watch, on the code that
// ships, and that assert their outcome.
//
// # What
//
// A scenario shows one or more of the claims about Raft: what happens when the vote is split, when the
// leader is cut off, when most servers crash. It is one text file in scripts, named as the scenario is: a
// title, the claims, an introduction, then commands, each with everything that it brought about, word for
// word. Adding a file adds a scenario. The test of this package plays all of them, as "quorate lab" does.
//
//	# title: Split votes
//	# claims: A4
//
//	# The introduction stands apart from the first command.
//
//	# Prose stands with the command below it.
//	group voters=4
//	----
//
//	campaign 1 2
//	----
//	1: pre-candidate in term 0: no word from a leader
//
// There are two kinds of stage. On the first one are cores of package raft, each with a plain list for a log. Its commands are
// those of rafttest.Stage, and for what is decided only where entries are applied, these:
//
//	stores                    each server has the key/value store of package kv, which is handed what the core
//	                          applies, and loses everything with a crash. Commands are then requests to it: see
//	                          parseRequest
//	expect once=2.1:put:k:x   all servers have applied more than one copy of this request; it has taken effect once
//	                          on each, and all copies were answered alike
//	expect revision=3         all stores are at this revision, and hold the same
//
// On the other one are servers with disks in memory, for stories of disks. Each has a log of package wal, a replica,
// which heals its log, and a store, in memory; package check looks at every step. What a server does with goroutines,
// sockets and timers is done by the script: nothing happens by itself.
//
//	servers voters=3          brings them on, with empty disks; segment= bytes of a segment of the log, room= bytes of a disk,
//	                          election= and heartbeat= ticks
//	propose 1 put:a:x         a client's commands, each by itself, for the leader or not
//	read 1 key=a              a client's linearizable read
//	tick, silence, campaign   as on the other stage
//	transfer 1                a leader is to hand over, to=2 or to whoever can take over soonest
//	settle                    everything is delivered, until nothing is on its way, and all logs are sealed; with ticks=3 so much
//	                          time passes then. lose: what is on its way is lost
//	disk 3 slow               from now on it syncs nothing; disk 3 fast ends that
//	crash 3                   the power goes; with tear=100 the first 100 bytes of a write that was not synced are there
//	restart 3                 a server starts from its disk
//	flip 3 entry=4 bytes=8    the last 8 bytes of an entry in the log of a server that is down are inverted
//	fill 3                    something else takes all the room on a disk; leave= bytes of it. free 3: gives it back
//	logs                      what everybody has
//	expect leader=2, expect committed=(put:a:x, put:b:y), expect 1 2 3 same, as on the other stage
//	expect 3 last=7           it takes part, and its log ends with entry 7
//	expect 3 lost=(4, 5)      it takes no part: it has lost these entries, and knows which they were
//	expect 3 down
//	expect 3 waits            a client of it waits for an answer
//	expect executed=put:a:x   all servers that are up have applied that, and executed it the last time; refused=: or not
//	expect answer=x to="read a"    what a client was told last
//
// With the flag brief a command's messages and writes are not told, with quiet nothing is.
//
// Outputs are not typed: go test ./scenario -update writes them
// into the files, and they are reviewed as a diff. What the story is about is said by hand, with the command
// expect: who leads, what is committed, what is lost. -update cannot make that true.
//
// # Units
//
// Those of package raft: time is in ticks.
//
// # Shape
//
//	scripts/*.txt ──List, Find──> Scenario ──Play──> Moment, Moment, ...
//	                                           │
//	                                           └── stage ──> rafttest.Stage, or servers
//
// # Errors
//
// Play ends with an error if a command makes no sense or an invariant of the algorithm breaks. Find says
// whether there is such a scenario.
//
// # Concurrency
//
// Scenarios do not change. Each Play has a stage of its own.
package scenario
