// Package scenario is the catalogue: scripted stories that anyone can play by name and watch, on the real
// cores of package raft, and that assert their outcome.
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
// The commands are those of rafttest.Stage, and for what is decided only where entries are applied, these:
//
//	stores                    each server has the key/value store of package kv, which is handed what the core
//	                          applies, and loses everything with a crash. Commands are then requests to it:
//	                          open, a session; put:key:value; 2.1:put:key:value, request 1 of session 2
//	expect once=2.1:put:k:x   all servers have applied more than one copy of this request; it has taken effect once
//	                          on each, and all copies were answered alike
//	expect revision=3         all stores are at this revision, and hold the same
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
