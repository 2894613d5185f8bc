// Package kv is the replicated key/value store: a state machine that takes etcd's requests as they
// came off the wire, keeps every version of every key until it is compacted, and answers in etcd's
// bytes.
//
// # What
//
// Apply executes committed commands in log order; the same commands give the same answers and the
// same state on every server. Range and ReadOnlyTxn read beside it. The package decides nothing
// about who may ask, whether a read is recent enough, or when to compact; it never sees a clock,
// chance, gRPC, files or goroutines of its own.
//
// # Units
//
// Index: place in the Raft log. Revision: etcd's main revision; 1 in an empty store, and one more
// for each command that changed something (for each lease, where one command ends several). Sub revision: counts the changes within one revision
// from 0. Bytes where a name says so.
//
// # Shape
//
//	requests ─► Check ─► (the log) ─► Store.Apply ─► Batch ─┐
//	                        session.Table┤ overlay          ▼
//	                                     └── reader ◄── Iterator ── Engine: pebblekv | treekv
//	reads ──► Store.Range, ReadOnlyTxn ─── reader ◄── Iterator ──────┘ │
//	host ───► Flush, DurableIndex, CompactStep ◄────────────────────────┘
//	peers ──► ServeSnapshot ─ chunks of a pinned view ─► StageSnapshot, InstallSnapshot ── Stage
//
// A command of a client's session is executed once, however often it is in the log: a repetition gets
// the answer that was given. What that takes is part of the state, and is written in the batch in which
// the command's own writes are.
//
// Check is the pure half of deciding on a request: strict decoding, bounds, etcd's rules. It runs
// where a request comes in, held to the operator's Limits, and again at apply, held to the widest
// limits there are, so that no command of the log can do harm and no setting makes servers differ.
// A reader finds versions "as of a revision" in an ordered cursor: the engine's iterator, or, within
// a batch, that merged with the overlay of what the batch has written.
//
// # Formats
//
// The engine's keys, integers big-endian. The first byte is the space.
//
//	01 'f'                                    format record
//	01 'a'                                    applied record: in every batch of commands
//	02 'c'                                    how far removal after compaction is; this server's own
//	02 'p'                                    in a stage only: its plan
//	10 escaped key  00 01  ^main(8) ^sub(4)   one version of a key
//	11 main(8) sub(4)                         what the change of a revision was
//	20 id(8)                                  a lease
//	21 id(8) key                              that a key has this lease; nothing is stored under it
//	38 member(8) type(1)                      an alarm that is on
//	40 id(8)                                  a session
//	41 id(8) sequence(8)                      what a request of a session was answered
//	48 'p'                                    the host's position, with a state that was installed; this server's own
//	50 id(8)                                  a token by which a server may join
//	f0 generation(4) key                      in a stage only: a record of another space
//	30 auth: reserved, not written yet
//
// In an escaped key 00 is written 00 ff. With the end mark 00 01 the order of the bytes is the order
// of the keys ("a" before "a\x00" before "aa"), and no key's versions are among another's. Main and
// sub are inverted, so that newer versions come first: the version of a key as of revision r is the
// first at or after (key, r, last sub), which is one seek. The sub revision is part of the key,
// because a transaction may delete a key and put it again.
//
//	version             01  create(uvarint) version(uvarint) lease(uvarint) value...
//	                    02  (a tombstone)
//	revision's change   01 key...  (put)     02 key...  (tombstone)
//	format              "qkv\x00"  format number(4)  cluster(8)
//	applied             applied index(8)  revision(8)  compaction revision(8)  digest(16)  log time(8)
//	lease               01  time to live in seconds(uvarint)  deadline(uvarint), a log time
//	removal             target(8)  next main(8)  next sub(4)  done(1)
//	alarm               01
//	session, and its answers: drawn in package session
//	token               01  proof(32)  deadline(uvarint)  server(uvarint)  its key(32, or 0 if it is not used)
//
// What is sent of a state, and the plan of a stage, begin with their layout. The checksum is the CRC-32C of all that
// is behind it. Sized is a uvarint, and so many bytes.
//
//	position            phase(1): 1 keys, 2 changes, 3 other records, 4 end
//	                    next main(8)  next sub(4): all changes before are there
//	                    sized key of the engine: the last that is there, in phases 1 and 3
//	request             01  checksum(4)  cluster(8)  the requester's applied record(48)
//	                    sized key  sized range end, as in etcd's RangeRequest; both empty: all keys
//	                    00 (nothing is staged), or 01  applied index(8)  digest(16) of the view  position
//	chunk               01  checksum(4)  flags(1): 1 it begins, 2 and is full, 4 its phase is done
//	                    format number(4)  cluster(8)  the view's applied record(48)
//	                    sized key  sized range end, as in the request  position: where the chunk begins
//	                    pairs: shared(uvarint)  rest(uvarint)  size(uvarint)  rest bytes of key  value
//	                    (shared is how many bytes the key has from the key before)
//	plan of a stage     01  checksum(4)  flags(1): 1 full  base revision(8)  generation(4)
//	                    the view's applied record(48)  position
//	lease's key, there  01 the lease has the key   00 it has not (any more)
//	file                "qkvsnap\x00"  layout(4): 1  cluster(8)
//	                    size(4) chunk, again and again   00000000
//	                    keys(8)  versions(8)  zeros up to a multiple of 512  SHA-256(32) of all before
//
// Answers are described at Answer.Append, the digest at Digest; layouts are pinned by
// testdata/layout.golden, and testdata/snapshot.golden.
//
// # Errors
//
// What is wrong with a request is a Code in its Answer, one for each of etcd's errors that a
// key/value request can meet, and ours. An error means that the engine failed or that this
// version must not go on: ErrOtherCluster, ErrNewerFormat, ErrCorrupt. After an
// error of Apply or CompactStep the store applies nothing more; open it again. Errors about what peers
// send are named ErrSnapshot..., and change nothing.
//
// # Concurrency
//
// One goroutine, the writer, calls Apply, CompactStep, InstallSnapshot and Close. One calls StageSnapshot
// and DropStaged, and not while the writer installs or closes. All other methods may be called
// from any goroutine. A read sees exactly the revision that was current when it began, or the older
// one that it asked for, also while newer ones are written and what is compacted is removed.
//
// # Source
//
// etcd's API and its server's behaviour, version 3.7; where that is surprising, the place in the
// code says so. Multi-version storage over an ordered map is common knowledge.
package kv
