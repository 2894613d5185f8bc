// Command quorate is a server that speaks etcd's v3 API, a cluster of three for one machine, and the
// commands to talk to either.
//
//	quorate serve            one server, with etcd's flags
//	quorate up               three servers on this machine, until Ctrl-C
//	quorate put, get, del    keys; txn and compact too
//	quorate status           who answers, who leads, how far everyone is
//	quorate doctor           what is wrong, since when and why, and what to do
//	quorate lab              scenarios on the code of Raft, step by step
//
// Each command is a file of its own name: it declares flags, turns what was typed into a request, and
// prints the answer. What can be wrong on the way lives in packages with tests of their own:
//
//	internal/request     words and text -> requests
//	internal/show        answers -> text
//	internal/supervise   child processes that are kept running
//
// A new command is a function in a file of its name, and a line in commands (main.go).
//
// Called by the name of etcd, it is quorate serve.
package main
