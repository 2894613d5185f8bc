// Tally counts lines on a cluster of servers, each line once.
//
// What: start a cluster (make up), run it, and type anything. Each line puts one key, whose version is then the
// number of puts:
//
//	go run ./examples/tally http://127.0.0.1:2379 http://127.0.0.1:3379 http://127.0.0.1:4379
//
// Kill servers meanwhile, start them again, restart them one after the other: no line fails, and none counts
// twice.
//
// Units: none. Shape: a main. Errors: printed. Concurrency: none.
package main
