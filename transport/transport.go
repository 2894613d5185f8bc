package transport

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/raft"
)

// Transport is one server's end of all its links.
type Transport struct {
	options  Options
	self     KnownKey
	process  nonce
	tls      *tls.Config
	listener net.Listener
	log      *slog.Logger
	throttle throttle

	roster *guardedRoster
	// peers is the roster's list, ascending by id, for Send, which takes no lock that others hold.
	peers atomic.Pointer[[]*peer]

	questions atomic.Int32 // that are being answered

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New starts to listen. Until SetPeers names them, every other server is refused. The error is that
// of Options.Validate, or says why it cannot listen.
func New(options Options) (*Transport, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	t := &Transport{
		options: options.withDefaults(),
		self:    KnownKey{options.Self, options.Identity.Public()},
	}
	t.log = t.options.Logger.With("server", hexID(t.self.ID))
	t.roster = newGuardedRoster(t.self)
	t.peers.Store(&[]*peer{})
	var err error
	if n := len(options.Starts); n > 0 {
		t.process = options.Starts[n-1].Process
	} else if t.process, err = newNonce(options.Random); err != nil {
		return nil, err
	}
	if t.tls, err = newTLSConfig(options.Identity); err != nil {
		return nil, err
	}
	if t.listener = options.Listener; t.listener == nil {
		if t.listener, err = net.Listen("tcp", options.ListenAddress); err != nil {
			return nil, fmt.Errorf("listen for peers: %w", err)
		}
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.running.Go(t.acceptAll)
	return t, nil
}

func newNonce(random io.Reader) (n nonce, err error) {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, n[:]); err != nil {
		return nonce{}, fmt.Errorf("read random bytes for a nonce: %w", err)
	}
	return n, nil
}

// Addr returns the address on which peers are accepted.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// SetPeers replaces the table of peers. A row for this server itself is allowed and ignored. Links
// of servers that are no longer in it, or whose key was replaced, are cut: a call of Handler for
// them that is under way may finish, and no other begins. The error tells everything that is wrong
// with the table, and then nothing is changed. After Close it does nothing.
func (t *Transport) SetPeers(peers []Peer) error {
	if err := checkPeers(t.self, peers); err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(peers), func(p Peer) bool { return p.ID == t.self.ID })
	var cuts []cut
	var gone []*peer
	t.roster.do(func(r *roster) {
		cuts, gone = r.replace(others, t.startPeer)
		list := r.peers()
		t.peers.Store(&list)
	})
	for _, p := range gone {
		p.cancel()
	}
	cutAll(cuts)
	t.pokeSenders()
	for _, p := range *t.peers.Load() {
		p.giveHint() // It may have a new address.
	}
	return nil
}

// startPeer is called by the roster for a row that is new, and never after close: so Close can wait.
func (t *Transport) startPeer(id raft.ServerID) *peer {
	p := newPeer(t.ctx, id, &t.options)
	t.running.Go(func() { t.keepLink(p) })
	return p
}

// Send hands a message to the sender of that peer, and never waits. The message belongs to the
// transport from now on: it must not be changed any more, though it may be sent to several peers. It
// returns false, and counts the message as dropped, if there is no link, if the queue is full, or if
// the message is longer than MaxMessageBytes; and false if there is no such peer. A message that was
// taken may be lost all the same.
func (t *Transport) Send(to raft.ServerID, message []byte) bool {
	p := t.find(to)
	return p != nil && p.queue.put(message)
}

func (t *Transport) find(id raft.ServerID) *peer {
	peers := *t.peers.Load()
	i, ok := slices.BinarySearchFunc(peers, id, func(p *peer, id raft.ServerID) int {
		return cmp.Compare(p.id, id)
	})
	if !ok {
		return nil
	}
	return peers[i]
}

// pokeSenders makes every sender see that our view has changed, or that there are new addresses.
func (t *Transport) pokeSenders() {
	for _, p := range *t.peers.Load() {
		p.queue.poke()
	}
}

// Close ends all links, telling the peers, and returns when every goroutine is gone; that takes as
// long as the Handler, Claim or OnLink under way, plus a quarter of a second at most. It may be
// called again.
func (t *Transport) Close() error {
	var cuts []cut
	t.roster.do(func(r *roster) { cuts = r.close() })
	t.cancel()
	cutAll(cuts)
	// Its only error is that it was closed before.
	_ = t.listener.Close()
	t.running.Wait()
	return nil
}

// hexID writes a server's id as logs and texts do: in hexadecimal.
func hexID(id raft.ServerID) string { return strconv.FormatUint(uint64(id), 16) }
