// Command bench compares Quorate with etcd, side by side in one run on one machine.
//
// What: for every case of scenario, number of clients and subject it starts three fresh servers,
// stores the same keys, puts them under the same closed loop of clients and reads from the kernel
// what that cost. Rates depend on the machine and its neighbours, so figures of different runs of
// this program must not be compared; CPU time per operation is the steadiest of them.
//
// This is a module of its own: nothing of etcd's server is a dependency of the product.
//
// Units: in the names of flags, fields and columns.
//
// Shape:
//
//	main.go      from flags to report           options.go   the flags
//	compare.go   rounds x scenarios x clients x targets x subjects, A B A B
//	bed.go       one run: servers, stored keys, connections
//	measure.go   the closed loop and what it cost
//	scenario.go  what can be run; one file for each, or for each kind:
//	             put.go, lrange.go, nested.go, range.go, watchers.go, leases.go
//	hostile.go   puts with and without a client that should not hurt: unread.go, history.go, burst.go
//	failover.go, transfer.go, rolling.go: writes while leaders fail, change, and servers are restarted
//	replace.go   writes while servers are replaced       members.go   who joins, who leaves, who holds what
//	restart.go, resident.go, snapshot.go, lagging.go, syncs.go: what storage costs; bulk.go: large loads
//	page.go, metrics.go   pages over HTTP     serving.go   from when on a server serves
//	crowd.go     a closed loop of writers                ours.go      Quorate's own client
//	steady.go    an open loop and one client           writes.go    what was acknowledged must be there
//	meter.go     what others used while servers came and went
//	watching.go  many watchers on a few streams          memory.go    what the servers hold at most
//	profile.go   CPU profiles of leaders        machine.go   where this ran
//
//	internal/cluster  the servers as processes  internal/load  the closed loop, and an open one
//	internal/outage   acknowledgements and gaps
//	internal/proc     CPU and memory in /proc   internal/hist  latencies
//	internal/report   medians and tables        internal/raw   etcd's API, answers counted only
//
// Errors: a run that fails is reported with its reason, the others go on, and the exit status is 1.
// Status 2 is a mistake in the flags.
//
// Concurrency: the main goroutine starts and ends all processes; it is locked to its thread, which
// package cluster asks for.
package main
