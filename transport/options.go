package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/quorate/quorate/raft"
)

// Options are what New needs. Identity, Cluster, Self, Boot, Handler and one of Listener and
// ListenAddress must be given; the zero value of the others is the default.
type Options struct {
	// Identity is this server's key pair.
	Identity *Identity
	// Cluster is the cluster's id, not 0. Servers of two clusters never talk.
	Cluster uint64
	// Self is this server's id, not 0.
	Self raft.ServerID
	// Boot is this start's number, from NextStart.
	Boot uint64
	// Starts are those that this directory has been through, as NextStart returns them: the last is this one, of
	// number Boot. Without them this server cannot be told from a copy of its directory that has been started as often.
	Starts []Start
	// Features is the feature level that the hello announces; Status shows those of the peers.
	Features uint32

	// Listener accepts the peers' connections; Close closes it.
	Listener net.Listener
	// ListenAddress is where to listen (TCP) if Listener is nil, as "127.0.0.1:2380".
	ListenAddress string
	// Dial connects to an address of a peer, until ctx ends. Default: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// Trust decides about the first key of a member that has none. Default: none is trusted.
	Trust Trust
	// Claim makes the first key of a member durable; needed if Trust is given. The link is used
	// only after it returned nil; an error refuses the link, and its text is told to the other side.
	// It may call SetPeers, and it may take longer than HandshakeTimeout: the peer then comes again.
	Claim func(id raft.ServerID, key PublicKey) error

	// Meet makes durable which start of a peer has been met; Peer.Met is where the owner tells it after a restart of
	// ours. A link is used only after it returned nil; an error refuses the link, and its text is told to the other side. It is
	// called for every link, and may be called by several at once. Default: it is remembered for as long as the process lives.
	Meet func(id raft.ServerID, key PublicKey, start Start) error
	// OnExpelled is told when a peer, which has proved its key, says of this server that it must not be: that its
	// key is another, or that its directory is a copy. It must not wait nor call Close. Default: nobody is told.
	OnExpelled func(by raft.ServerID, why *Refusal)

	// Handler takes messages, one call at a time for each peer, from the goroutine that receives
	// from that peer: while it waits, that peer waits. The bytes are valid only during the call. boot
	// is the number of the sender's start. It must not call Close.
	Handler func(from raft.ServerID, boot uint64, messages [][]byte)
	// OnLink is told when our link to a peer comes up and when it is gone, in this order for each
	// peer, from the goroutine that sends to it; reason is nil for up. It must not wait nor call Close.
	OnLink func(peer raft.ServerID, up bool, reason error)

	// Answer answers those who are no peers and ask: servers that want to join. ctx ends
	// within HandshakeTimeout. An error is told to the other side. A few calls at a time. Default: nobody is answered.
	Answer func(ctx context.Context, q Question) ([]byte, error)

	// QueueMessages and QueueBytes bound what waits for one peer; what does not fit is dropped. A
	// single message always fits. Defaults: 4096 and 64 MiB.
	QueueMessages, QueueBytes int

	// KeepAlive is how often each link is probed in each direction. Default: 500 ms.
	KeepAlive time.Duration
	// IdleTimeout is after how long without a byte a link is given up; more than KeepAlive. It also
	// bounds how long Handler may take. Default: 5 s.
	IdleTimeout time.Duration
	// WriteTimeout is after how long a link is given up whose other side takes no byte. Default: 5 s.
	WriteTimeout time.Duration
	// HandshakeTimeout bounds everything before a link carries messages. Default: 5 s.
	HandshakeTimeout time.Duration
	// DialTimeout bounds one attempt to connect. Default: 2 s.
	DialTimeout time.Duration
	// RedialMin and RedialMax bound the pause between two attempts, which doubles with each failure;
	// each pause is drawn between half of that and all. Defaults: 50 ms and 2 s.
	RedialMin, RedialMax time.Duration

	// MaxHandshakes bounds the accepted connections that have not proven themselves; one more closes
	// the oldest of them. Default: 64.
	MaxHandshakes int
	// AcceptRate bounds the connections accepted per second, in the long run; a burst of as many is
	// let through, and others wait in the kernel. Default: 200.
	AcceptRate int

	// Random gives the 16 bytes that tell this process from others. Default: crypto/rand.
	Random io.Reader
	// Logger gets what an operator should know. Default: none.
	Logger *slog.Logger

	// renewAfter replaces maxLinkBytes in tests.
	renewAfter uint64
}

// Peer is a row of the table of peers.
type Peer struct {
	// ID is the server's id, not 0. Ids are never used for two servers, one after the other.
	ID raft.ServerID
	// Addresses are where it may be reached, tried in turn. Without any it is only waited for.
	Addresses []string
	// Key is the server's key. Zero if none is known yet: then Trust decides about the first one.
	Key PublicKey
	// Boot is the highest boot of Key that the owner knows of, or 0. A lower one is refused.
	Boot uint64
	// Met is the last start of Key that Options.Meet was told of; zero if none was.
	Met Start
}

// maxLinkBytes is how much one link carries before it is made anew. AES-GCM should not protect more
// than about 2^24.5 full records with one key (RFC 8446 §5.5), and crypto/tls does not renew keys.
const maxLinkBytes = 256 << 30

func (o *Options) withDefaults() Options {
	d := *o
	orElse(&d.QueueMessages, 4096)
	orElse(&d.QueueBytes, 64<<20)
	orElse(&d.KeepAlive, 500*time.Millisecond)
	orElse(&d.IdleTimeout, 5*time.Second)
	orElse(&d.WriteTimeout, 5*time.Second)
	orElse(&d.HandshakeTimeout, 5*time.Second)
	orElse(&d.DialTimeout, 2*time.Second)
	orElse(&d.RedialMin, 50*time.Millisecond)
	orElse(&d.RedialMax, max(2*time.Second, d.RedialMin))
	orElse(&d.MaxHandshakes, 64)
	orElse(&d.AcceptRate, 200)
	orElse(&d.renewAfter, maxLinkBytes)
	if d.Dial == nil {
		d.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.OnLink == nil {
		d.OnLink = func(raft.ServerID, bool, error) {}
	}
	return d
}

func orElse[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Validate reports everything that is wrong with the options at once, or nil.
func (o *Options) Validate() error {
	d := o.withDefaults()
	var wrong []error
	need := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, errors.New(what))
		}
	}
	need(d.Identity != nil, "Identity is missing")
	need(d.Cluster != 0, "Cluster is 0")
	need(d.Self != 0, "Self is 0")
	need(d.Boot != 0, "Boot is 0")
	need(d.Handler != nil, "Handler is missing")
	need(d.Listener != nil || d.ListenAddress != "", "Listener and ListenAddress are missing")
	need(d.Trust == nil || d.Claim != nil, "Trust is given without Claim")
	need(d.QueueMessages > 0 && d.QueueBytes > 0, "QueueMessages or QueueBytes is negative")
	need(min(d.KeepAlive, d.WriteTimeout, d.HandshakeTimeout, d.DialTimeout, d.RedialMin) > 0,
		"a span of time is negative")
	need(d.IdleTimeout > d.KeepAlive, "IdleTimeout is not above KeepAlive")
	need(d.RedialMax >= d.RedialMin, "RedialMax is below RedialMin")
	need(d.MaxHandshakes > 0 && d.AcceptRate > 0, "MaxHandshakes or AcceptRate is negative")
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("transport options: %w", err)
	}
	return nil
}

// checkPeers reports everything that is wrong with a table of peers.
func checkPeers(self KnownKey, peers []Peer) error {
	if len(peers) > MaxPeers {
		return fmt.Errorf("table of peers: %d peers, at most %d are allowed", len(peers), MaxPeers)
	}
	var wrong []error
	for i, p := range peers {
		switch {
		case p.ID == 0:
			wrong = append(wrong, errors.New("a peer has id 0"))
		case p.ID == self.ID && !p.Key.IsZero() && p.Key != self.Key:
			wrong = append(wrong, fmt.Errorf("server %x, this one, has key %s and not %s",
				self.ID, self.Key.Fingerprint(), p.Key.Fingerprint()))
		case p.ID != self.ID && p.Key == self.Key:
			wrong = append(wrong, fmt.Errorf("peer %x has the key of server %x, our own", p.ID, self.ID))
		}
		for _, q := range peers[:i] {
			if q.ID == p.ID {
				wrong = append(wrong, fmt.Errorf("peer %x is there twice", p.ID))
			}
			if q.Key == p.Key && !p.Key.IsZero() {
				wrong = append(wrong, fmt.Errorf("peers %x and %x have the same key", q.ID, p.ID))
			}
		}
		if slices.Contains(p.Addresses, "") {
			wrong = append(wrong, fmt.Errorf("peer %x has an empty address", p.ID))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("table of peers: %w", err)
	}
	return nil
}
