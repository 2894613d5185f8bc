// Package raw speaks etcd's API without decoding more of an answer than is counted.
//
// What: the load generator shares its CPUs with the servers it measures. Whoever decodes every key of
// a range, or every event for every watcher, measures himself. So answers are walked over as bytes, and
// nothing of them is kept. It also allows what the official client does not: many watchers on one
// stream without a goroutine each, and a stream that is not read.
//
// Units: revisions, counts, and time.Duration.
//
// Shape:
//
//	Watch   one stream of the Watch service    Create, Receive -> Answer
//	Leases  one stream for keeping alive       KeepAlive
//	Range, RangeStream                         -> Keys
//
// Errors: those of gRPC; answers that are not what the API's definition says are ErrMalformed.
//
// Concurrency: a stream belongs to one goroutine, but one may send while another receives.
//
// Source: rpc.proto and kv.proto of etcd 3.7.
package raw
