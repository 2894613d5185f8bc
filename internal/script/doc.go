// Package script runs golden scripts: files of commands, each followed by the whole of what it
// printed, which read as prose and assert their outcome.
//
// What: a story is a file. Play hands each command to a handler, and yields what comes back beside what
// the file expects; Rewrite writes what came back into the text, to be reviewed as a diff. The package
// knows nothing about Raft: package rafttest handles the commands, package scenario has the files.
//
// Units: numbers in a script have the units of the command that reads them.
//
// Shape: a file is a list of commands, with comments and empty lines between them.
//
//	# Server 2 stands for election, and server 3 has the shorter log.   a comment, kept by Rewrite
//	campaign 2 reason=timeout votes=(1, 3)                              name, then arguments
//	----                                                                the separator
//	2: becomes candidate of term 4                                      the expected output,
//	2 -> 3: RequestVote last=(7, term 3)                                up to an empty line
//
//	text ──Parse──> Script ──Play──> Command{Name, Args, Body} ──> handler ──> Outcome{Got, Want}
//
// An argument is a flag ("force"), a pair ("votes=3"), or a pair whose value is quoted as in Go
// ("name=\"a b\"") or is a list ("votes=(1, 3)"). Lines between the command and the separator are
// its Body. Output that itself has an empty line stands between two pairs of separators.
//
// Errors: everything wrong is reported with the file and line: an argument that is missing, is no number,
// is given twice, or that no handler ever asked for; and whatever a handler calls Failf for.
//
// Concurrency: a Command belongs to the handler that received it, for the length of that call. A Script does not change, and may be
// played by many at once.
//
// Source: none; the style is that of many data-driven tests.
package script
