package quorate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// Host is a server: it holds this server's replicas of any number of groups, one log for all of them,
// and the links to the other servers.
type Host struct {
	options   Options
	logger    *slog.Logger
	directory *directory
	id        ServerID
	cluster   uint64
	boot      uint64
	starts    []transport.Start // of the directory; the last is this one, of number boot
	identity  *transport.Identity
	clock     func() uint64       // in nanoseconds; see clock.go
	initial   *wire.Configuration // nil: the directory has been used before
	joined    []joinedGroup       // what this server was told when it joined

	log      *wal.Log
	links    *transport.Transport
	workers  []*worker
	writer   *logWriter
	reader   *logReader
	appliers *appliers
	space    *space

	snapshotter *snapshotter

	mu        sync.Mutex             // guards recovered, groups and closed
	recovered map[GroupID]*wal.Group // groups of the log that are not started yet
	groups    map[GroupID]*Group
	closed    bool

	// membersMu guards members, which is what the configurations of the groups say of each server.
	membersMu sync.Mutex
	members   map[GroupID][]wire.Member
	// directoryMu guards the directory's server file.
	directoryMu sync.Mutex

	logSyncs atomic.Uint64 // see LogSyncs

	failed  atomic.Bool // OnFatal has been called
	context context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Open starts a host on its data directory. It serves nothing until groups are started.
func Open(options Options) (*Host, error) {
	return openOn(vfs.OS{}, options)
}

// openOn opens a host on any file system.
func openOn(files vfs.FS, options Options) (h *Host, err error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	h = &Host{
		options: options.withDefaults(), clock: goesOn,
		groups: map[GroupID]*Group{}, members: map[GroupID][]wire.Member{}, recovered: map[GroupID]*wal.Group{},
	}
	h.logger = h.options.Logger
	h.context, h.cancel = context.WithCancel(context.Background())
	if h.directory, err = openDirectory(files, options.Dir); err != nil {
		return nil, err
	}
	roomToStart(files, h.directory)
	for _, step := range []func() error{h.learnWhoThisIs, h.openIdentity, h.openLog, h.openLinks} {
		if err := step(); err != nil {
			return nil, errors.Join(err, h.closeFiles())
		}
	}
	h.space = openSpace(files, h.directory, h.options.BallastBytes, h.id)
	h.start()
	return h, nil
}

// learnWhoThisIs takes this server's id and cluster from its directory, or from the list of members
// if the directory is new.
func (h *Host) learnWhoThisIs() error {
	d, o := h.directory, &h.options
	h.joined = d.server.Joined
	if len(o.Members) == 0 {
		if d.isNew() {
			return fmt.Errorf("data directory %s is new, so the members of the cluster are needed", d.path)
		}
		h.id, h.cluster = ServerID(d.server.Server), d.server.Cluster
		orElse(&o.Name, d.server.Name)
		return nil
	}
	self, err := o.self()
	if err != nil && !d.isNew() {
		return fmt.Errorf("data directory %s is of server %q: %w", d.path, d.server.Name, err)
	}
	if err != nil {
		return err
	}
	if o.Listen == "" {
		if o.Listen, err = hostPort(self.PeerURLs[0]); err != nil {
			return err
		}
	}
	o.Name = self.Name
	h.initial, h.cluster = initialConfiguration(o)
	for i := range h.initial.Members {
		if h.initial.Members[i].Name == self.Name {
			h.id = h.initial.Members[i].ID
		}
	}
	if d.isNew() {
		return d.writeServerFile(serverFile{
			Format: serverFormat, Cluster: h.cluster, Server: uint64(h.id), Name: o.Name, Token: o.Token,
		})
	}
	if d.server.Cluster != h.cluster || d.server.Server != uint64(h.id) {
		return fmt.Errorf("%w: %s is of server %x (%q) of cluster %x; the members given make this server %x of cluster %x: "+
			"check the members, the name and the token, or use another directory",
			ErrOtherCluster, d.path, d.server.Server, d.server.Name, d.server.Cluster, h.id, h.cluster)
	}
	return nil
}

func (h *Host) openIdentity() (err error) {
	d := h.directory
	identity, created, err := transport.LoadOrCreateIdentity(d.files, d.name("identity"), nil)
	if err != nil {
		return err
	}
	if created && len(d.server.Groups) > 0 {
		return fmt.Errorf("%s is gone, and with it this server's identity: restore it, or join this server to its cluster anew",
			d.name("identity"))
	}
	h.identity = identity
	if err := d.checkCopied(); err != nil {
		return err
	}
	starts, forgotten, err := transport.NextStart(d.files, d.name("boot"), d.name("starts"), nil)
	if err != nil {
		return err
	}
	if forgotten != nil {
		h.logger.Warn("the last starts of this server are forgotten: peers cannot tell it from a copy until it has met them again", "err", forgotten)
	}
	h.starts, h.boot = starts, starts[len(starts)-1].Boot
	return nil
}

func (h *Host) openLog() error {
	log, recovered, err := wal.Open(wal.Options{
		FS: h.directory.files, Dir: h.directory.name("wal"), SegmentBytes: h.options.SegmentBytes,
		Cluster: h.cluster, Server: uint64(h.id), Boot: h.boot, KeepHoles: true,
	})
	if err != nil {
		return err
	}
	h.log = log
	for i := range recovered.Groups {
		h.recovered[recovered.Groups[i].ID] = &recovered.Groups[i]
	}
	h.tellDamage(&recovered)
	if t := recovered.TornTail; t != nil {
		h.logger.Info("cut a torn write off the log's end: it was never acknowledged",
			"file", t.File, "offset", t.Offset, "bytes", t.Bytes)
	}
	return nil
}

func (h *Host) openLinks() (err error) {
	trust := transport.Trust(transport.TrustLoopback)
	var given []transport.KnownKey
	if h.initial != nil {
		for i := range h.initial.Members {
			m := &h.initial.Members[i]
			for _, o := range h.options.Members {
				if o.Name == m.Name && !o.Key.IsZero() {
					given = append(given, transport.KnownKey{ID: m.ID, Key: o.Key})
				}
			}
		}
	}
	if len(given) > 0 {
		trust = transport.TrustGiven(given, trust)
	}
	h.links, err = transport.New(transport.Options{
		Identity: h.identity, Cluster: h.cluster, Self: h.id, Boot: h.boot, Starts: h.starts,
		ListenAddress: h.options.Listen,
		Trust:         trust,
		Claim:         h.believe,
		Meet:          h.meet,
		OnExpelled:    h.expelled,
		Answer:        h.answerQuestion,
		Handler:       h.received,
		OnLink:        h.linkChanged,
		Logger:        h.logger,
	})
	return err
}

// start lets the goroutines run. Each is in the table in ARCHITECTURE.md.
func (h *Host) start() {
	h.writer = newLogWriter(h)
	h.reader = newLogReader(h)
	h.appliers = newAppliers(h)
	h.snapshotter = newSnapshotter(h)
	for range runtime.GOMAXPROCS(0) {
		w := newWorker(h)
		h.workers = append(h.workers, w)
		h.running.Go(w.run)
	}
	h.running.Go(h.writer.run)
	h.running.Go(h.writer.prepare)
	h.running.Go(h.reader.run)
	h.running.Go(h.snapshotter.run)
	h.running.Go(h.scrub)
	h.appliers.start(&h.running)
	h.running.Go(h.tickAll)
	h.running.Go(h.keepSpace)
}

// ID returns this server's id.
func (h *Host) ID() ServerID { return h.id }

// ClusterID returns the cluster's id, not 0.
func (h *Host) ClusterID() uint64 { return h.cluster }

// LogSyncs returns how often a write to the log was made durable since the start. One sync serves all groups that
// wait meanwhile.
func (h *Host) LogSyncs() uint64 { return h.logSyncs.Load() }

// Boot returns how many times this server has been started.
func (h *Host) Boot() uint64 { return h.boot }

// Key returns this server's public key.
func (h *Host) Key() transport.PublicKey { return h.identity.Public() }

// Dir returns the data directory.
func (h *Host) Dir() string { return h.directory.path }

// TickInterval is how long a tick is, in which package raft counts time.
func (h *Host) TickInterval() time.Duration { return tick }

// Peers describes the links to the other servers, ascending by id.
func (h *Host) Peers() []transport.PeerStatus { return h.links.Status() }

// believe makes the first key of a peer durable, before the link that showed it is used.
func (h *Host) believe(id raft.ServerID, key transport.PublicKey) error {
	if err := h.noteOfPeer(func(d *directory) error { return d.believe(id, key) }); err != nil {
		return err
	}
	h.logger.Info("believed the first key of a peer", "peer", fmt.Sprintf("%x", id), "key", key.Fingerprint())
	for _, g := range h.allGroups() {
		g.put(replica.KeyKnown{ID: id, Key: key[:]})
	}
	return nil
}

// received hands a peer's messages to the groups that they are for. A message that is damaged, for no
// group of ours, or too many, is dropped: the algorithm sends again.
func (h *Host) received(from raft.ServerID, _ uint64, messages [][]byte) {
	for _, b := range messages {
		m, err := wire.DecodeMessage(slices.Clone(b))
		if err != nil {
			h.logger.Warn("message of a peer is no message", "peer", fmt.Sprintf("%x", from), "err", err)
			continue
		}
		if g := h.group(m.Group); g != nil {
			g.receive(from, m, len(b))
		}
	}
}

func (h *Host) linkChanged(peer raft.ServerID, up bool, reason error) {
	if up {
		h.logger.Info("link is up", "peer", fmt.Sprintf("%x", peer))
	} else {
		h.tellUnlinked(peer)
		h.logger.Info("link is down", "peer", fmt.Sprintf("%x", peer), "err", reason)
	}
}

// setMembers tells the links whom a group's configuration, at index, names, by which keys and addresses, and who is
// leaving it. Nobody else is listened to: the key of a server that has left does not work any more.
func (h *Host) setMembers(group GroupID, index Index, c *wire.Configuration, leaving []wire.Member) {
	h.membersMu.Lock()
	defer h.membersMu.Unlock()
	h.members[group] = slices.Concat(c.Members, leaving)
	if told := h.membersWhenJoined(group, index); told != nil {
		h.members[group] = told
	}
	ids := make([]GroupID, 0, len(h.members))
	for id := range h.members { //tidy:ordered sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var peers []transport.Peer
	for _, id := range ids {
		for i := range h.members[id] {
			m := &h.members[id][i]
			if m.ID != h.id && !slices.ContainsFunc(peers, func(p transport.Peer) bool { return p.ID == m.ID }) {
				peers = append(peers, h.peerOf(m))
			}
		}
	}
	if err := h.links.SetPeers(peers); err != nil {
		h.logger.Error("the configuration's servers cannot be linked to", "group", uint64(group), "err", err)
	}
}

// peerOf is what the links need to know of a member. Until the configuration has its key, the one that
// was believed counts.
func (h *Host) peerOf(m *wire.Member) transport.Peer {
	p := transport.Peer{ID: m.ID}
	for _, u := range m.PeerURLs {
		if address, err := hostPort(u); err == nil {
			p.Addresses = append(p.Addresses, address)
		}
	}
	h.directoryMu.Lock()
	defer h.directoryMu.Unlock()
	if len(m.Key) == len(p.Key) {
		copy(p.Key[:], m.Key)
	} else {
		for _, k := range h.directory.server.Keys {
			if k.Server == uint64(m.ID) {
				p.Key = k.Key
			}
		}
	}
	p.Met = h.directory.met(p.Key)
	return p
}

func (h *Host) group(id GroupID) *Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.groups[id]
}

func (h *Host) allGroups() []*Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	groups := make([]*Group, 0, len(h.groups))
	for _, g := range h.groups { //tidy:ordered the order of groups shows nowhere
		groups = append(groups, g)
	}
	return groups
}

// fatal ends the process through OnFatal, once. Nothing that waits is answered after this.
func (h *Host) fatal(err error) {
	if h.failed.CompareAndSwap(false, true) {
		h.options.OnFatal(err)
	}
}

// Close stops the host and returns when its last goroutine is gone. Requests that wait end with
// ErrOutcomeUnknown or ErrClosed. It may be called again.
func (h *Host) Close() error {
	h.mu.Lock()
	again := h.closed
	h.closed = true
	h.mu.Unlock()
	if again {
		h.running.Wait()
		return nil
	}
	err := h.links.Close()
	h.cancel()
	h.running.Wait()
	for _, g := range h.allGroups() {
		g.endRequests()
	}
	return errors.Join(err, h.closeFiles())
}

func (h *Host) closeFiles() error {
	var err error
	if h.log != nil {
		err = h.log.Close()
	}
	return errors.Join(err, h.directory.close())
}
