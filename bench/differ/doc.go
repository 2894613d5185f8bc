// Command differ asks etcd and Quorate the same, one random request after the other, and compares the
// answers and the errors field by field.
//
// # What
//
// Both start empty, and every request goes to both before the next one goes to any: so they must be at
// the same revision all the time, and all that may differ in an answer is who gave it (the ids and the
// term in its header). Requests are drawn from a seed: a small set of keys that often collide, ranges of
// every shape, transactions nested three deep, compactions, and now and then something that is wrong.
// What is known to differ is in differences.go, with the reason; anything else ends the run with exit
// status 1, with both answers and the requests before it.
//
// # Use
//
//	make differ                                # from the project's root: 5,000 requests
//	make differ ARGS="-n 100000 -seed 7"
//
// # Source
//
// etcd 3.7 as it answers; docs/etcd.md explains the differences to those who use them.
package main
