package transport

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/quorate/quorate/raft"
)

// The handshake, after TLS. Nothing is made durable and no message passes until each side has
// judged the other's hello:
//
//	dialling side                      accepting side
//	hello                  ───────▶    judge
//	judge, claim, admit    ◀───────    hello
//	ready                  ───────▶    claim, admit
//	the link is up         ◀───────    ready, the link is up

// introduce is the dialling side.
func (t *Transport) introduce(l *link) error {
	if err := t.secure(l, tls.Client(l.stream, t.tls)); err != nil {
		return err
	}
	c, err := t.contact(l, l.peer.id)
	if err != nil {
		return err
	}
	// Whether this is whom we wanted is known before we say who we are.
	if err := t.vet(c); err != nil {
		return err
	}
	if err := t.writeHello(l, c.ID); err != nil {
		return err
	}
	if err := t.readHello(l); err != nil {
		return err
	}
	if err := t.accept(c, l); err != nil {
		return err
	}
	if err := l.writeNote(noteReady, nil); err != nil {
		return err
	}
	if _, err := readNote(l.conn, noteReady); err != nil {
		return err
	}
	return l.startFrames(&t.options)
}

// welcome is the accepting side.
func (t *Transport) welcome(l *link) error {
	if err := t.secure(l, tls.Server(l.stream, t.tls)); err != nil {
		return err
	}
	kind, body, err := readNoteOf(l.conn, noteHello, noteQuestion)
	if err != nil {
		return err
	}
	if kind == noteQuestion {
		return t.answer(l, body)
	}
	if err := t.takeHello(l, body); err != nil {
		return err
	}
	c, err := t.contact(l, l.theirs.From)
	if err != nil {
		return err
	}
	if err := t.foresee(c, l); err != nil {
		return err
	}
	if err := t.writeHello(l, c.ID); err != nil {
		return err
	}
	if _, err := readNote(l.conn, noteReady); err != nil {
		return err
	}
	if err := t.admit(c, l); err != nil {
		return err
	}
	if err := l.writeNote(noteReady, nil); err != nil {
		return err
	}
	return l.startFrames(&t.options)
}

// secure runs TLS. The one deadline of the handshake was set when the connection began.
func (t *Transport) secure(l *link, conn *tls.Conn) error {
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("secure the connection: %w", err)
	}
	l.conn = conn
	return nil
}

func (t *Transport) contact(l *link, id raft.ServerID) (Contact, error) {
	key, err := shownKey(l.conn.ConnectionState())
	return Contact{ID: id, Key: key, Local: l.stream.LocalAddr(), Remote: l.stream.RemoteAddr()}, err
}

func (t *Transport) writeHello(l *link, to raft.ServerID) error {
	l.mine = &hello{
		Lowest: protocolLowest, Highest: protocolHighest,
		Features: t.options.Features,
		Cluster:  t.options.Cluster,
		From:     t.options.Self, To: to,
		Boot: t.options.Boot, Nonce: t.process, Starts: t.options.Starts,
	}
	t.roster.do(func(r *roster) { l.mine.View, l.viewVersion = r.view() })
	return l.writeNote(noteHello, encodeHello(l.mine))
}

func (t *Transport) readHello(l *link) error {
	body, err := readNote(l.conn, noteHello)
	if err != nil {
		return err
	}
	return t.takeHello(l, body)
}

// takeHello refuses what would be wrong whoever had sent it.
func (t *Transport) takeHello(l *link, body []byte) error {
	h, err := decodeHello(body)
	if err != nil {
		return err
	}
	l.theirs = h
	self := t.options.Self
	if _, ok := commonVersion(h); !ok {
		return refuse(ReasonProtocol, "server %x speaks versions %d to %d of the link protocol, server %x speaks %d to %d",
			h.From, h.Lowest, h.Highest, self, protocolLowest, protocolHighest)
	}
	if h.Cluster != t.options.Cluster {
		return refuse(ReasonCluster, "server %x at %s belongs to cluster %x, server %x at %s to cluster %x",
			h.From, l.stream.RemoteAddr(), h.Cluster, self, l.stream.LocalAddr(), t.options.Cluster)
	}
	if h.To != self {
		return refuse(ReasonReceiver, "server %x wanted server %x and reached server %x", h.From, h.To, self)
	}
	return nil
}

// vet refuses a key that is not the one known for the contact's id, and a first key that nothing
// proves.
func (t *Transport) vet(c Contact) error {
	var known bool
	var err error
	t.roster.do(func(r *roster) { _, known, err = r.vet(c) })
	if err != nil || known {
		return err
	}
	if t.options.Trust == nil {
		return refuse(ReasonUnproven, "server %x has no key known to server %x, and no first key is trusted there",
			c.ID, t.options.Self)
	}
	if err := t.options.Trust(c); err != nil {
		return refuse(ReasonUnproven, "key %s is not proven to be the first key of server %x: %v",
			c.Key.Fingerprint(), c.ID, err)
	}
	return nil
}

// foresee refuses what admit would refuse, before anything is made durable.
func (t *Transport) foresee(c Contact, l *link) (err error) {
	if l.theirs.From != c.ID {
		return refuse(ReasonReceiver, "server %x was wanted and server %x answered", c.ID, l.theirs.From)
	}
	for _, known := range l.theirs.View {
		if known.ID == c.ID && known.Key != c.Key {
			return refuse(ReasonKey, "server %x shows key %s and says that its key is %s",
				c.ID, c.Key.Fingerprint(), known.Key.Fingerprint())
		}
	}
	if err := t.vet(c); err != nil {
		return err
	}
	t.roster.do(func(r *roster) { err = r.foresee(c, l.theirs) })
	return err
}

func (t *Transport) accept(c Contact, l *link) error {
	if err := t.foresee(c, l); err != nil {
		return err
	}
	return t.admit(c, l)
}

// admit makes the contact's key known, if it is a first one, and the link one of those that live.
func (t *Transport) admit(c Contact, l *link) error {
	if err := t.claim(c, l); err != nil {
		return err
	}
	if err := t.awaitElder(c, l); err != nil {
		return err
	}
	if err := t.meet(c, l); err != nil {
		return err
	}
	l.admitted = time.Now()
	var cuts []cut
	var err error
	t.roster.do(func(r *roster) { cuts, err = r.admit(c, l) })
	cutAll(cuts)
	return err
}

// awaitElder refuses a newer start of a server while an older one is alive: then one of them runs on a copy. Alive is
// who answers what was asked after the newer one said hello. Usually the older links are down by now, and there is
// nothing to wait for; if their machine has died without a word, they are given up after elderProbes probes.
func (t *Transport) awaitElder(c Contact, l *link) error {
	began := time.Now()
	patience := min(elderProbes*t.options.KeepAlive, t.options.HandshakeTimeout/2)
	poll := time.NewTicker(max(patience/32, time.Millisecond))
	defer poll.Stop()
	for time.Since(began) < patience {
		var elder *link
		t.roster.do(func(r *roster) { elder = r.elder(c.ID, l.theirs) })
		if elder == nil {
			return nil
		}
		if elder.answeredSince(began) {
			return refuse(ReasonTwin, "two processes with the identity of server %x are running, with boots %d and %d",
				c.ID, elder.theirs.Boot, l.theirs.Boot)
		}
		select {
		case <-poll.C:
		case <-l.cutting:
			return l.why.Load()
		}
	}
	return nil
}

// elderProbes is how many probes an older start of a server has the time to answer.
const elderProbes = 3

// meet makes it durable which start of a peer this link is with. From then on no other that is not its
// successor is let in.
func (t *Transport) meet(c Contact, l *link) (err error) {
	t.roster.do(func(r *roster) { err = r.meet(c, l.theirs) })
	if err != nil || t.options.Meet == nil {
		return err
	}
	if err := t.options.Meet(c.ID, c.Key, Start{l.theirs.Boot, l.theirs.Nonce}); err != nil {
		return refuse(ReasonClaim, "server %x could not note boot %d of server %x: %v", t.options.Self, l.theirs.Boot, c.ID, err)
	}
	return nil
}

// claim has the owner persist a first key, of a contact that has passed vet. Two connections may come
// with it at once: one carries it out, the other waits.
func (t *Transport) claim(c Contact, l *link) error {
	for {
		var cl *claim
		var mine bool
		var err error
		t.roster.do(func(r *roster) { cl, mine, err = r.beginClaim(c) })
		switch {
		case err != nil || cl == nil:
			return err
		case mine:
			return t.carryOut(c, cl)
		}
		select {
		case <-cl.done:
		case <-l.cutting:
			return l.why.Load()
		case <-time.After(t.options.HandshakeTimeout):
			return refuse(ReasonClaim, "server %x is still busy with an earlier claim of server %x's key",
				t.options.Self, c.ID)
		}
	}
}

func (t *Transport) carryOut(c Contact, cl *claim) error {
	err := t.options.Claim(c.ID, c.Key)
	var cuts []cut
	t.roster.do(func(r *roster) { cuts = r.endClaim(c, cl, err == nil) })
	close(cl.done)
	cutAll(cuts)
	if err != nil {
		return refuse(ReasonClaim, "server %x did not take key %s for server %x: %v",
			t.options.Self, c.Key.Fingerprint(), c.ID, err)
	}
	t.log.Info("first key of a peer is known", "peer", hexID(c.ID), "key", c.Key.Fingerprint())
	t.pokeSenders()
	return nil
}
