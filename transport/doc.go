// Package transport carries opaque messages between servers that can prove who they are.
//
// What: a server's identity (an Ed25519 key, a boot counter and its last starts, in three small files), the handshake
// by which two servers convince each other, and framed, checksummed links with bounded queues. It
// knows nothing of Raft's messages, sees no disk but for the key files, and never waits for a slow
// peer: what does not fit into a queue is dropped and counted, since Raft sends it again. It
// promises order within one link and nothing across links: messages are lost when a link is.
//
// Units: sizes and offsets are bytes, spans are time.Duration. Integers on the wire and in files are
// little-endian. A boot is the number of starts of a server, from 1.
//
// Shape: each server dials each peer and only sends messages on the connection it dialled; on the
// connections it accepts it only receives. So there is nothing to break ties about.
//
//	        Send            per peer                               per accepted connection
//	owner ────────▶ queue ───▶ sender ═══ TLS 1.3, frames ═══▶ receiver ───▶ Handler
//	                             ▲                                │
//	                             └───────── echoes, farewell ─────┘
//
//	Identity    the key pair; LoadOrCreateIdentity, NextStart
//	Transport   New, SetPeers, Send, Status, Close
//	Trust       how a member without a known key may prove its first one
//	Ask         what a server that is no peer yet has to know; Options.Answer answers
//	Refusal     why a connection may not be, in words that both sides' logs share
//
// Trust: TLS proves that the other side holds a key, and nothing else: there are no names, no CA and
// no dates. The registry says whose key that is; then a hello in both directions compares clusters,
// ids, starts and the keys that both sides know. Every refusal is said to the other side.
//
// Errors: ErrDamaged and ErrTooNew for the key files. A link that may not be ends with a *Refusal,
// which Status and OnLink show; its Reason tells the kinds apart.
//
// Concurrency: every exported method of Transport may be called from any goroutine. One goroutine
// accepts; each connection accepted has one that shakes hands and then receives; each peer has one
// that dials and sends, and while its link is up one more that reads echoes. Close waits for all of
// them. No callback is made with a lock held. Time is package time's, so tests run in a
// testing/synctest bubble over in-memory connections, where it is virtual.
//
// Source: none; the Raft paper leaves authentication out. The handshake is drawn in handshake.go.
package transport
