// Command differ asks etcd and Quorate the same, one random request after the other, and compares the
// answers and the errors field by field.
//
// # What
//
// Both start empty, and every request goes to both before the next one goes to any: so they must be at
// the same revision all the time, and all that may differ in an answer is who gave it (the ids and the
// term in its header). Requests are drawn from a seed: a small set of keys that often collide, ranges of
// every shape, transactions nested three deep, compactions, watches, leases with which keys are put, and
// now and then something that is wrong. When all have been asked, there are two fixed parts: one about
// locks and elections, and one in which leases of the shortest time end by themselves.
//
// What is known to differ is in differences.go, with the reason; anything else ends the run with exit
// status 1, with both answers and the requests before it.
//
// # What is not compared, or not exactly
//
//   - The ids that servers pick for leases: each gets a name, which stands for it from then on (ids.go).
//   - The time that a lease has left: within two seconds, and what was lost where the machine stalled: all
//     the time spent on waiting for answers that took half a second or longer. The time it was granted for
//     is compared exactly. No lease that is drawn ends by itself during the run.
//   - The order of LeaseLeases, which is that of the time left.
//   - When leases end, and in which order: only that each ends in a revision of its own, with the same
//     events in the same order (expire.go).
//   - How events are divided into the responses of a watch, and the revisions in their headers.
//   - A put that keeps the value of a key which its transaction has deleted is not asked: etcd dies of it.
//
// # Use
//
//	make differ                                # from the project's root: 5,000 requests
//	make differ ARGS="-n 100000 -seed 7"
//	make differ ARGS="-n 100000 -ledger FILE"  # adds a line to FILE if nothing is found
//
// # Source
//
// etcd 3.7 as it answers; docs/etcd.md explains the differences to those who use them.
package main
