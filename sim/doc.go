// Package sim runs a whole cluster in one goroutine, in simulated time, out of one seed.
//
// # What
//
// Run makes a world: servers, each with a disk, a log, a replica and a key/value store, a network
// between them, clients, and everything that can go wrong. Log, replica, wire formats and store are the
// code that ships; the simulator only carries out the work that replicas hand out, as the host does,
// from a queue of events. Everything that is left open is drawn from the seed: the same seed gives the
// same world, event by event, on every machine. After each event package check looks at the server that
// was touched.
//
// A world draws what kind of world it is first (plan.go): how many servers, how they are tuned, how
// fast its disks and links are, and which kinds of faults it has how often. Each kind is left out of
// half of the worlds; one in forty is calm. At the end nothing new goes wrong, and everything must
// come right: a leader, an answer for everybody who waits, service at every server, equal logs and
// states, and then rest. What heals is drawn too, because faults that pass hide what goes on for ever
// only as long as they do:
//
//   - Everything heals, and nobody has an excuse.
//   - A core heals, which is a majority. The others stay down, paused, cut off in one direction or in
//     both, or slow, and are excused.
//   - The servers heal, and only some links. Whoever has no way to the leader, or none back, is excused;
//     everybody is if nobody can be elected (docs/adr/0008).
//   - Everything heals, and then one server becomes gray: its disk is slow, or stands still, or it loses messages. If it
//     does not lead, the others must acknowledge nearly as many writes as just before.
//
// In half of the worlds all servers wait equally long for their leader. In the others each has a campaign delay
// of its own, which changes all the time, by chance or by what the replica measures (pace.go); and servers are
// told of links that break, sometimes falsely.
//
// In six worlds of ten voters make promises, and in three quarters of these leaders answer reads by leases that rest on
// them (promise.go): by clocks that go on through pauses, differ in rate by as much as is allowed, and start anywhere. In half of
// these much goes wrong that a lease must not outlive.
//
// Half of the worlds are watched: clients that ask for keys, from now on or from revisions of the past
// or the future, over streams that break, and are opened again at any server; that read slowly, are told
// of progress, and are canceled by compactions. They only look on: the rest of the world is the same
// without them. Hub and backlog are the code that ships (packages watch and watch/feed); what package
// etcdapi does around them with goroutines is done here by events (watch_server.go).
//
// Every world has clients with sessions: they have several writes under way, and send copies of them
// to other servers while they have no answer, and some after. Each copy is a request like any other to the
// world; that they are one the store must find out.
//
// In half of the worlds servers come and go, and somebody asks leaders to hand over (churn.go). It is not every
// world, for three reasons. The model that explains each step (M1) knows no changes of members. An ending that leaves
// something broken must know which servers are a majority, and with a change under way nobody does: there everything
// heals, and V2, V3, V4 and W1 look at the other half. And calm worlds are calm (B1).
//
// # Units
//
// Time in the world is nanoseconds since its beginning; probabilities are per million; servers and
// clients are counted from 1 in what is told, and from 0 in slices.
//
// # Shape
//
//	                     ┌────────── server ──────────┐
//	clients ── requests ─┤ replica ── work ─┬─ storage ├── wal ── crashdisk
//	           answers   │    ▲             ├─ machine ├── kv  ── treekv
//	                     │  inputs          └─ network ├── other servers
//	                     └────────────────────────────┘
//	queue of events ─► world ─► happen ─► check            dice: every choice, by name
//	faults: crash, pause, cut, clog, slow disk, disk that stands still, disk error, clocks that drift, leap or stand still
//	ending: heal some, drain, (load), serve, agree, rest
//
// Choices are asked for by name and entity ("net.drop 2>3"), so that a world in which one kind of fault
// is switched off is otherwise the same. Rules can fix single choices. With that Shrink makes a failing
// world small: what is left is a Script, a text that names it and replays it. Scripts of what once went
// wrong are in testdata/corpus, and are played by the tests.
//
// Marks (marks.go) name the rare situations that a thousand worlds must have got into. A ledger
// (ledger.go) adds up what long runs have seen.
//
// # Errors
//
// Run returns a *Failure if anything was wrong: it has the seed, the check, the facts, and the command
// that replays the world and tells its story. To the checks of package check come these:
//
//	B1  in a calm world, an election or an unknown outcome without a cause
//	E1  what a watcher is told breaks a promise of etcd's watch
//	E2  a stream answers something else than what was asked
//	E3  a watcher waits for what will never come, or all is well and it is not told of everything in time
//	F2  a lease ends too early by its holder's clock
//	F3  a lease does not end, or a session
//	I1  an invariant of the code under test is broken
//	I2  it panics
//	K3  stores with the same log do not hold the same
//	K4  a server goes on with a state that has rotted, or gives one up with which nothing is wrong
//	L2  a leader would answer a read by its lease, and there is a leader of a later term
//	L3  a leader would answer a read by its lease, and a quorum without it is free to vote
//	N1  a message to nobody
//	N2  a message that cannot be read, or that was damaged and was read
//	T1  what a test of the simulator itself looks for has come up
//	R1  a server does not start again from what a crash has left, or would not
//	R2  a server gives up though its disk works
//	V1  everything has healed, and does not come right in time, or does not come to rest
//	V2  a core has healed, and does not
//	V3  some links remain over which somebody reaches a majority, and it does not
//	V4  one server stays gray, and it does not, or the others become much slower
//	V5  everything has healed, and no preferred server leads in the end; or a leader that is removed does
//	    not hand over first; or leadership is handed over for no reason
//	V6  one server's disk stands still, all others are well, and it goes on leading; or a server goes on
//	    though a write is never done
//	W1  terms grow though a majority is well and has had the time to elect a leader
//	W2  messages go round though nothing is asked for, decided or written
//	W3  a server gives its vote, or says that it would, though it has just heard its leader
//	W4  a server gives its vote, also to itself, though it has promised that to nobody
//
// # Concurrency
//
// A world has one goroutine. Many runs worlds side by side, which share nothing.
//
// # Source
//
// The idea is that of FoundationDB's and TigerBeetle's simulators; drawing the kinds of faults is
// swarm testing (Groce and others, 2012).
package sim
