// Counter is a durable, replicated, linearizable counter with TLS between its servers.
//
// What: run it three times, with the same list of members, and type anything on any of them:
//
//	go run ./examples/counter a a=127.0.0.1:7001,b=127.0.0.1:7002,c=127.0.0.1:7003
//
// Each line adds one. Kill any of them, start it again: nothing is lost and nothing counted twice.
//
// Units: none. Shape: a state machine of one number, and a main. Errors: printed. Concurrency: the
// host calls Apply from one goroutine.
package main
