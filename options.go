package quorate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// Options are what a program sets for its host. Dir and Members are needed; the zero value of
// everything else means its default.
type Options struct {
	// Dir is the server's data directory. It is made if it does not exist. One process uses it at a
	// time; everything that this server has promised is in it.
	Dir string
	// Members are the servers of a new cluster, this one among them, the same list on all of them.
	// For a directory that has been used before they must be the same as then, or none. A server that joins a
	// cluster which exists needs none: see Join.
	Members []Member
	// Name is which of Members this server is. Not needed if Dir has been used before, or if Listen
	// is an address of exactly one of them.
	Name string
	// Token tells clusters apart that have the same members. Default "quorate".
	Token string
	// Listen is the TCP address on which other servers reach this one, as 127.0.0.1:7001. Default:
	// the first address of this server's own entry in Members.
	Listen string
	// Admit decides about a server that wants to join and shows something by which it may: it makes it a member of
	// the groups, and returns the proof that this server may be believed. It is called again if the other asks
	// again, and then it must not make another member. Default: only those who are members already are told so.
	Admit func(ctx context.Context, r JoinRequest) (proof []byte, err error)
	// ClientURLs are where this server's own clients reach it; told to the other servers through the
	// log, and not used here.
	ClientURLs []string

	// ElectionTimeout is the shortest time without a word from the leader before a server campaigns. The
	// default, if neither this nor HeartbeatInterval is set, follows what is measured: from 150 ms where
	// nothing is slow up to 2 s (docs/adr/0012). With HeartbeatInterval alone, 500 ms.
	ElectionTimeout time.Duration
	// HeartbeatInterval is how often an idle leader is heard. Default 50 ms; with ElectionTimeout alone, a
	// tenth of it. All servers should have the same of both.
	HeartbeatInterval time.Duration
	// LeaseReads lets this server, while it leads, answer linearizable reads without asking the others, as long as a
	// majority has promised not to vote for anybody else (docs/adr/0015). Then reads are linearizable only if the
	// clocks of any two servers differ in rate by less than a tenth. What they show does not matter, and this
	// server's goes on while its process or its machine stands still. Each server may have it or not. Default off;
	// on Linux only.
	LeaseReads bool
	// SegmentBytes is the size of the log's files. Default 16 MiB.
	SegmentBytes int64
	// KeepLogBytes is how much of the log's end is kept beyond what a restart needs, so that servers that lag a little
	// get entries and not a state. MaxLogBytes is how much is kept for servers that answer and lag more than that.
	// Both count bytes of the log's files, and matter only for state machines that implement Snapshots: the log of
	// others is kept whole. Defaults 64 MiB and 512 MiB.
	KeepLogBytes, MaxLogBytes int64
	// ScrubBytesPerSecond is how fast the log is read, again and again, to find what has rotted before it is needed.
	// Default 1 MiB; at least 1 KiB; negative: not at all.
	ScrubBytesPerSecond int
	// SnapshotBytesPerSecond bounds what this server sends of each group's state to others, all together: for links and disks that
	// have other uses. At least 64 KiB. Default 0: as much as they ask for, and clients' writes leave room for.
	SnapshotBytesPerSecond int
	// BallastBytes is how much of the disk is set aside in a file of its own, so that a full disk is not the end: see Host.Space. At
	// most a sixteenth of the disk. Default 0: nothing. On Linux only.
	BallastBytes int64
	// MaxPending bounds the requests that wait in each group on this server. Default 65536. At the
	// bound, ErrBusy.
	MaxPending int
	// MaxRequestBytes bounds a command. Default 1.5 MiB. Beyond, ErrTooLarge.
	MaxRequestBytes int

	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// OnFatal is called, once, when this server must not go on: its disk has failed, or its log and
	// its state contradict each other. It must end the process: requests that wait are never
	// answered. Default: log the error and exit with status 70.
	OnFatal func(error)
}

// Member is a server of a new cluster.
type Member struct {
	// Name is the operator's name for it; unique.
	Name string
	// PeerURLs are where other servers reach it: host:port, or a URL that has host and port.
	PeerURLs []string
	// Key is its public key. Without it, the first key shown for it is believed if, and only if, both
	// ends of the connection are loopback addresses.
	Key transport.PublicKey
}

const tick = 10 * time.Millisecond

func (o Options) withDefaults() Options {
	orElse(&o.Token, "quorate")
	if !o.isTuned() {
		orElse(&o.ElectionTimeout, nominalDelay)
		orElse(&o.HeartbeatInterval, max(o.ElectionTimeout/10, tick))
	}
	orElse(&o.SegmentBytes, 16<<20)
	orElse(&o.KeepLogBytes, 64<<20)
	orElse(&o.MaxLogBytes, max(512<<20, o.KeepLogBytes))
	orElse(&o.ScrubBytesPerSecond, 1<<20)
	orElse(&o.MaxPending, 1<<16)
	orElse(&o.MaxRequestBytes, 3<<19)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFatal == nil {
		o.OnFatal = exitOnFatal(o.Logger)
	}
	return o
}

func orElse[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Validate reports everything that is wrong with the options at once, or nil.
func (o Options) Validate() error {
	d := o.withDefaults()
	var wrong []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	need(d.Dir != "", "Dir is missing")
	need(d.isTuned() || d.ElectionTimeout >= 5*tick && d.ElectionTimeout <= 50*time.Second,
		"ElectionTimeout is %v, must be from %v to 50s", d.ElectionTimeout, 5*tick)
	need(d.isTuned() || d.HeartbeatInterval >= tick && d.HeartbeatInterval <= d.ElectionTimeout/2,
		"HeartbeatInterval is %v, must be from %v to half of ElectionTimeout, %v", d.HeartbeatInterval, tick, d.ElectionTimeout/2)
	need(!d.LeaseReads || canHoldLeases(), "LeaseReads needs a clock that goes on while the machine sleeps, which Quorate knows on Linux only")
	need(d.MaxRequestBytes > 0 && d.MaxRequestBytes <= wire.MaxPayloadBytes-4096,
		"MaxRequestBytes is %d, must be from 1 to %d", d.MaxRequestBytes, wire.MaxPayloadBytes-4096)
	need(d.KeepLogBytes >= 0 && d.MaxLogBytes >= d.KeepLogBytes, "KeepLogBytes is %d and MaxLogBytes %d, must be from 0 and not less than that",
		d.KeepLogBytes, d.MaxLogBytes)
	need(d.ScrubBytesPerSecond < 0 || d.ScrubBytesPerSecond >= 1024, "ScrubBytesPerSecond is %d, must be negative or at least 1024", d.ScrubBytesPerSecond)
	need(d.SnapshotBytesPerSecond == 0 || d.SnapshotBytesPerSecond >= 64<<10, "SnapshotBytesPerSecond is %d, must be 0 or at least 65536",
		d.SnapshotBytesPerSecond)
	need(d.MaxPending > 0, "MaxPending is %d, must be positive", d.MaxPending)
	names := map[string]bool{}
	addresses := map[string]string{}
	for _, m := range d.Members {
		need(m.Name != "" && len(m.Name) < 1024, "a member has no name, or one longer than 1024 bytes")
		need(!names[m.Name], "two members have the name %q", m.Name)
		names[m.Name] = true
		need(len(m.PeerURLs) > 0, "member %q has no peer URL", m.Name)
		for _, u := range m.PeerURLs {
			address, err := hostPort(u)
			need(err == nil, "member %q: %w", m.Name, err)
			other, taken := addresses[address]
			need(!taken || err != nil, "members %q and %q have the same peer address %s", other, m.Name, address)
			addresses[address] = m.Name
		}
	}
	need(len(d.Members) <= wire.MaxMembers, "%d members, at most %d are allowed", len(d.Members), wire.MaxMembers)
	return errors.Join(wrong...)
}

// hostPort takes the address out of a URL, or returns an address as it is.
func hostPort(u string) (string, error) {
	address := u
	if strings.Contains(u, "://") {
		parsed, err := url.Parse(u)
		if err != nil {
			return "", fmt.Errorf("peer URL %q: %w", u, err)
		}
		address = parsed.Host
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return "", fmt.Errorf("peer URL %q has no host and port", u)
	}
	return address, nil
}

// initialConfiguration gives the members their ids and returns what all of them start from. Like the
// id of the cluster, ids derive from the list and the token, so that all servers find the same ones
// without talking.
func initialConfiguration(o *Options) (c *wire.Configuration, cluster uint64) {
	c = &wire.Configuration{}
	for _, m := range o.Members {
		urls := slices.Clone(m.PeerURLs)
		slices.Sort(urls)
		c.Members = append(c.Members, wire.Member{
			ID: raft.ServerID(derive("server", o.Token, urls...)), Roles: wire.RoleVoter, PeerURLs: urls, Name: m.Name,
		})
	}
	slices.SortFunc(c.Members, func(a, b wire.Member) int { return cmp.Compare(a.ID, b.ID) })
	var all []string
	for _, m := range c.Members {
		all = append(all, m.Name)
		all = append(all, m.PeerURLs...)
	}
	return c, derive("cluster", o.Token, all...)
}

// derive makes an id, never 0, out of texts.
func derive(kind, token string, texts ...string) uint64 {
	h := sha256.New()
	for _, t := range append([]string{"quorate", kind, token}, texts...) {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(t)))
		h.Write(length[:])
		h.Write([]byte(t))
	}
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

// self finds which member this server is.
func (o *Options) self() (*Member, error) {
	var found *Member
	for i := range o.Members {
		m := &o.Members[i]
		byAddress := o.Name == "" && o.Listen != "" && slices.ContainsFunc(m.PeerURLs, func(u string) bool {
			address, err := hostPort(u)
			return err == nil && address == o.Listen
		})
		if (o.Name != "" && m.Name == o.Name) || byAddress {
			found = m
		}
	}
	if found == nil {
		return nil, fmt.Errorf("none of the %d members is this server: name %q, listening on %q", len(o.Members), o.Name, o.Listen)
	}
	return found, nil
}
