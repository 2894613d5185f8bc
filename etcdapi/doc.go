// Package etcdapi is what clients of etcd see: the gRPC services of etcd's v3 API, and the pages on
// the same port that operators and load balancers ask for, over a group and a store.
//
// # What
//
// These are served, as etcd 3.7 does:
//
//	etcdserverpb.KV            Range, RangeStream, Put, DeleteRange, Txn, Compact
//	etcdserverpb.Watch         Watch
//	etcdserverpb.Lease         LeaseGrant, LeaseRevoke, LeaseKeepAlive, LeaseTimeToLive, LeaseLeases
//	etcdserverpb.Maintenance   Status, HashKV, Hash, Alarm, Defragment, Snapshot, MoveLeader
//	etcdserverpb.Cluster       MemberList, MemberAdd, MemberRemove, MemberUpdate, MemberPromote
//	v3lockpb.Lock              Lock, Unlock
//	v3electionpb.Election      Campaign, Proclaim, Leader, Observe, Resign
//	grpc.health.v1.Health      Check, Watch, for the service ""
//	quorate.v1.Sessions        Open, KeepAlive, Close: ours, for clients that repeat writes (package session)
//	quorate.v1.Preference      Preferred, Prefer: ours, for who is to lead rather than others (prefer.go)
//	HTTP, GET                  /health /livez /readyz /version /quorate/status /metrics /debug/pprof (if enabled)
//
// Everything else of etcd's API is registered nowhere, so that gRPC itself answers Unimplemented and
// nothing is pretended: Maintenance's Downgrade, the service Auth, and the JSON gateway. What a snapshot
// has in it is our own format, not etcd's (kv/doc.go).
//
// A request's bytes are not decoded into etcd's types and encoded again: package kv reads them where
// they are, they go into the log as they came, and what kv says to them goes behind a header as the
// response. Only rare calls use the generated messages.
//
// # Units
//
// Sizes are bytes; spans of time are time.Duration; revisions, terms and indexes are counted from 1.
//
// # Shape
//
//	            ┌─ "PRI * HTTP/2.0…" ─> gRPC ── handler ─┬─ Check (kv, pure) ── refused: a status
//	one port ───┤                                        ├─ Group.ProposeCommand ─> Answer ─┐
//	            └─ anything else ─────> HTTP             └─ Group.Read ─> Store.Range ──────┤
//	                                                          header + body, as they are <──┘
//
// Who watches is served by one goroutine, which drives a watch.Hub: the applier leaves what it has changed
// in a Feed and goes on; each client's stream has a receiver, which asks the hub for one thing at a time,
// and a sender, which is given one batch of responses at a time.
//
//	applier ──> Feed ──┐            ┌──> batch ──> sender ──> client
//	Store.Changes ─────┼──> hub ────┤
//	client ──> receiver┘            └──> accepted ──> receiver
//
// # Errors
//
// Clients tell etcd's errors apart by their texts, and decide by their codes whether to try again: both
// are etcd's to the letter (errors.go), but for ResourceExhausted of "too many requests", which leaves
// etcd as Unknown by accident. A request that was not answered in time fails with "request timed out",
// or with the caller's own DeadlineExceeded: of a write, or a change of members, neither says that it did
// not happen.
//
// # Concurrency
//
// Everything exported may be called from any goroutine. gRPC runs a goroutine for each call; nothing
// here relies on that, but for waiting in it. Close returns when the last one is gone.
//
// # Source
//
// The behaviour is that of etcd 3.7 as its clients know it; docs/guarantees.md says what is promised.
package etcdapi
