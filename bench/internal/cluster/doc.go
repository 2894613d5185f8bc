// Package cluster runs the servers under comparison: three processes of one subject on loopback, or one.
//
// What: it starts fresh servers with fresh directories, waits until they agree on a leader, and ends
// them. It ends only processes that it started itself, and in the end with SIGKILL: their data are
// thrown away afterwards, so there is nothing they could save. In between servers can be made to fail,
// and be started again with the data that they left.
//
// Units: none but time.Duration.
//
// Shape:
//
//	Subject   which binary, and what to say to it       Etcd(binary), Quorate(binary, flags)
//	Cluster   its three servers and who leads           Start(ctx, subject, dir, servers) ... Close()
//	          Kill, Pause, Resume, Terminate, Restart   of one server
//	          Newcomer, Join, Leave                     of servers that come and go
//	State     what all say: who leads, the term         Look, WaitWhole
//	Server    one process: addresses, pid, log file
//
//	dir/n0       data directory of the first server
//	dir/n0.log   what it printed
//
// Errors: a server that ends by itself is reported with the end of its log.
//
// Concurrency: a Cluster belongs to one goroutine, which must be locked to its operating system
// thread (runtime.LockOSThread): the kernel kills the servers when the thread that started them
// ends, so that they do not outlive a harness that was killed.
package cluster
