// Package show prints answers of servers for people and for programs.
//
// What: pure functions from an answer of etcd's API to text, in three formats; and what the states of
// several servers mean together. It asks nobody anything.
//
// Units: sizes are bytes, shown in powers of 1000 as etcdctl does.
//
// Shape:
//
//	Printer   where to, in which Format: Put, Range, Delete, Txn, Compact, Members, Statuses and more
//	Simple    what etcdctl prints, to the byte; scripts rely on it
//	JSON      what etcdctl prints with -w json: keys and values in base64, one line
//	Table     columns for people
//	Endpoint  one server's state, or why there is none; Judge says what several of them mean
//
// Errors: those of writing, and a format that does not exist.
//
// Concurrency: a Printer is used by one goroutine at a time.
//
// Source: the formats are etcdctl's, observed.
package show
