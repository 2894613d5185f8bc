package transport

import (
	"cmp"
	"slices"
	"sync"

	"github.com/quorate/quorate/raft"
)

// roster is what this server knows of its peers, and which connections there are. Both are in one
// place, so that "this link may be" and "this link is" are one step: a peer that is removed while
// it shakes hands is either refused or cut, never forgotten. It is single-threaded, does no I/O and
// makes no callback; links that must end are returned as cuts, for the caller to carry out.
type roster struct {
	self    KnownKey
	members []*member // ascending by id
	// boots is never iterated and never shrinks: a key that returns is still held to its past.
	boots   map[PublicKey]bootMark
	pending []*link // connections whose handshake is under way, oldest first
	version uint64  // counts the changes of the keys known
	closed  bool
}

// member is one row of the table of peers.
type member struct {
	id        raft.ServerID
	addresses []string
	key       PublicKey  // zero: unclaimed
	claim     *claim     // the first key, while the owner persists it; or nil
	peer      *peer      // its queue and sender
	sending   *link      // the link that we dialled; or nil
	receiving *link      // the link that we accepted; or nil
	view      []KnownKey // what it last said that it knows, in a hello or since
}

// bootMark is the highest boot seen of a key, and which process that was.
type bootMark struct {
	boot    uint64
	process nonce
	met     bool // process is known; false if the owner told us the boot
}

// claim is a first key on its way to the owner's disk. done is closed when that is decided.
type claim struct {
	key  PublicKey
	done chan struct{}
}

// cut is a link that must end, and why.
type cut struct {
	link *link
	why  *Refusal
}

// guardedRoster is the roster behind the lock that all goroutines of a Transport share.
type guardedRoster struct {
	mu     sync.Mutex
	roster roster
}

func newGuardedRoster(self KnownKey) *guardedRoster {
	return &guardedRoster{roster: roster{self: self, boots: map[PublicKey]bootMark{}, version: 1}}
}

// do runs f with the lock held; f only calls methods of the roster.
func (g *guardedRoster) do(f func(r *roster)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.roster)
}

// replace makes the table what peers says. newPeer is called for each peer that is new, or whose
// key was replaced. It returns what must end, with the peers that are gone.
func (r *roster) replace(peers []Peer, newPeer func(raft.ServerID) *peer) (cuts []cut, gone []*peer) {
	if r.closed {
		return nil, nil
	}
	var members []*member
	for _, p := range peers {
		m := r.find(p.ID)
		if m == nil || m.isReplacedBy(p) {
			m = &member{id: p.ID, peer: newPeer(p.ID)}
		}
		m.addresses = slices.Clone(p.Addresses)
		if !p.Key.IsZero() {
			m.key = p.Key
			r.preloadBoot(p)
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b *member) int { return cmp.Compare(a.id, b.id) })
	for _, old := range r.members {
		if !slices.Contains(members, old) {
			gone = append(gone, old.peer)
			cuts = append(cuts, r.farewells(old)...)
		}
	}
	r.members = members
	r.version++
	return append(cuts, r.quarrels()...), gone
}

// isReplacedBy: another key for the same id is another server. No key means that the caller does
// not know yet what we know; a key, once known, is only forgotten with its member.
func (m *member) isReplacedBy(p Peer) bool {
	return !m.key.IsZero() && !p.Key.IsZero() && m.key != p.Key
}

func (r *roster) preloadBoot(p Peer) {
	if p.Boot > r.boots[p.Key].boot {
		r.boots[p.Key] = bootMark{boot: p.Boot}
	}
	if p.Met.Boot > r.boots[p.Key].boot {
		r.boots[p.Key] = bootMark{boot: p.Met.Boot, process: p.Met.Process, met: true}
	}
}

// farewells cuts every connection of a member that leaves the table.
func (r *roster) farewells(m *member) (cuts []cut) {
	why := refuse(ReasonRemoved, "server %x is no longer a peer of server %x, or no longer by that key",
		m.id, r.self.ID)
	for _, l := range append(slices.Clone(r.pending), m.sending, m.receiving) {
		if l != nil && l.peer == m.peer {
			cuts = append(cuts, cut{l, why})
		}
	}
	return cuts
}

// vet says whether the contact's key is the one known for its id. If that member is unclaimed, it is
// not known and there is no error.
func (r *roster) vet(c Contact) (m *member, known bool, err error) {
	m = r.find(c.ID)
	switch {
	case c.ID == r.self.ID:
		return nil, false, refuse(ReasonReceiver, "server %x reached server %x, itself", r.self.ID, c.ID)
	case m == nil:
		return nil, false, refuse(ReasonUnknownServer, "server %x is not a peer of server %x", c.ID, r.self.ID)
	case c.Key == r.self.Key:
		return nil, false, refuse(ReasonKey, "the key shown for server %x is the key of server %x", c.ID, r.self.ID)
	case m.key == c.Key:
		return m, true, nil
	case !m.key.IsZero():
		return nil, false, refuse(ReasonKey, "server %x is known to server %x by key %s, and %s was shown",
			c.ID, r.self.ID, m.key.Fingerprint(), c.Key.Fingerprint())
	}
	for _, other := range r.members {
		if other != m && (other.key == c.Key || other.claim != nil && other.claim.key == c.Key) {
			return nil, false, refuse(ReasonKey, "key %s is that of server %x and not of server %x",
				c.Key.Fingerprint(), other.id, c.ID)
		}
	}
	return m, false, nil
}

// foresee returns the error with which admit would refuse the contact as things stand, so that
// nobody's first key is made durable for a link that may not be.
func (r *roster) foresee(c Contact, h *hello) error {
	if _, _, err := r.vet(c); err != nil {
		return err
	}
	return r.judge(c, h)
}

// beginClaim returns the claim for the contact's key, and whether the caller is the one to carry it
// out; others wait for its end and ask again. The claim is nil if the key is known.
func (r *roster) beginClaim(c Contact) (cl *claim, mine bool, err error) {
	m, known, err := r.vet(c)
	if err != nil || known {
		return nil, false, err
	}
	if m.claim != nil {
		return m.claim, false, nil
	}
	m.claim = &claim{key: c.Key, done: make(chan struct{})}
	return m.claim, true, nil
}

// endClaim records whether the owner took the key. The caller then closes the claim.
func (r *roster) endClaim(c Contact, cl *claim, taken bool) (cuts []cut) {
	m := r.find(c.ID)
	if m == nil || m.claim != cl {
		return nil // Removed meanwhile.
	}
	m.claim = nil
	if !taken || !m.key.IsZero() {
		return nil // The owner may have told us the key already, or another one.
	}
	m.key = cl.key
	r.version++
	return r.quarrels()
}

// admit lets a link live if everything known at this instant allows it. It replaces the older link
// of its direction.
func (r *roster) admit(c Contact, l *link) (cuts []cut, err error) {
	if r.closed {
		return nil, refuse(ReasonStopping, "server %x is stopping", r.self.ID)
	}
	m, known, err := r.vet(c)
	if err != nil {
		return nil, err
	}
	if !known || l.dialled && l.peer != m.peer {
		return nil, refuse(ReasonRemoved, "server %x was removed from the peers of server %x meanwhile",
			c.ID, r.self.ID)
	}
	if err := r.judge(c, l.theirs); err != nil {
		return nil, err
	}
	return r.install(m, c.Key, l), nil
}

// install is admit's act. Links of an older boot are of a process that is gone.
func (r *roster) install(m *member, key PublicKey, l *link) (cuts []cut) {
	why := refuse(ReasonSuperseded, "a newer connection of server %x took over", m.id)
	slot, other := &m.receiving, m.sending
	if l.dialled {
		slot, other = &m.sending, m.receiving
	}
	if *slot != nil {
		cuts = append(cuts, cut{*slot, why})
	}
	if other != nil && other.theirs.Boot < l.theirs.Boot {
		cuts = append(cuts, cut{other, why})
	}
	r.boots[key] = bootMark{boot: l.theirs.Boot, process: l.theirs.Nonce, met: true}
	*slot, l.peer, m.view = l, m.peer, l.theirs.View
	r.forget(l)
	return cuts
}

// judge is what the roster has to say to a hello, beyond whose key it is.
func (r *roster) judge(c Contact, h *hello) error {
	if err := r.checkBoot(c.Key, h); err != nil {
		return err
	}
	return r.contradiction(c.ID, h.View)
}

// meet takes note of the start that a hello is of, before that is made durable and the link lives: nobody else
// with that key is let in any more. It returns an error as judge does.
func (r *roster) meet(c Contact, h *hello) error {
	if _, known, err := r.vet(c); err != nil || !known {
		return err // admit will say it, too
	}
	if err := r.checkBoot(c.Key, h); err != nil {
		return err
	}
	r.boots[c.Key] = bootMark{boot: h.Boot, process: h.Nonce, met: true}
	return nil
}

// elder returns a link to an older start of a server than that of a hello, or nil. If there are two it is the one that
// we have dialled, for its other side answers our probes.
func (r *roster) elder(id raft.ServerID, h *hello) *link {
	m := r.find(id)
	if m == nil {
		return nil
	}
	for _, l := range []*link{m.sending, m.receiving} {
		if l != nil && l.theirs.Boot < h.Boot {
			return l
		}
	}
	return nil
}

// checkBoot refuses a server that runs on a copy of the disk. A boot is given to one process ever,
// so the same one from two processes shows a copy, even if the first process is gone by now; and so does
// a higher one whose directory has not been through the start that was seen.
func (r *roster) checkBoot(key PublicKey, h *hello) error {
	mark := r.boots[key]
	if h.Boot < mark.boot {
		return refuse(ReasonStaleBoot, "server %x says boot %d and was seen with boot %d: a stale copy of its disk is running",
			h.From, h.Boot, mark.boot)
	}
	if h.Boot == mark.boot && mark.met && h.Nonce != mark.process {
		return refuse(ReasonTwin, "two processes with the identity of server %x are running, both with boot %d",
			h.From, h.Boot)
	}
	if h.Boot > mark.boot && mark.met && !follows(h.Starts, Start{mark.boot, mark.process}) {
		return refuse(ReasonCopy, "server %x says boot %d, and its disk knows nothing of its boot %d, which has been seen: a copy of the disk has been running",
			h.From, h.Boot, mark.boot)
	}
	return nil
}

// contradiction compares what another server knows with what we know. Two that disagree about
// anybody's key must not elect a leader together: one of them may be in the hands of an impostor.
func (r *roster) contradiction(from raft.ServerID, view []KnownKey) error {
	for _, theirs := range view {
		ours := r.keyOf(theirs.ID)
		if !ours.IsZero() && ours != theirs.Key {
			return refuse(ReasonViews, "server %x and server %x disagree about the key of server %x: %s and %s",
				from, r.self.ID, theirs.ID, theirs.Key.Fingerprint(), ours.Fingerprint())
		}
	}
	return nil
}

// quarrels cuts the links of those with whom we disagree, now that our own view has changed.
func (r *roster) quarrels() (cuts []cut) {
	for _, m := range r.members {
		cuts = append(cuts, r.quarrelWith(m)...)
	}
	return cuts
}

func (r *roster) quarrelWith(m *member) (cuts []cut) {
	err := r.contradiction(m.id, m.view)
	if err == nil {
		return nil
	}
	for _, l := range []*link{m.sending, m.receiving} {
		if l != nil {
			cuts = append(cuts, cut{l, asRefusal(err)})
		}
	}
	return cuts
}

// learnView takes note of what the other side of a link knows by now.
func (r *roster) learnView(l *link, view []KnownKey) (cuts []cut) {
	m := r.find(l.peer.id)
	if m == nil || m.receiving != l {
		return nil // The link is about to end.
	}
	m.view = view
	return r.quarrelWith(m)
}

// view returns the keys that we know, our own among them, and the number of that state.
func (r *roster) view() ([]KnownKey, uint64) {
	view := []KnownKey{r.self}
	for _, m := range r.members {
		if !m.key.IsZero() {
			view = append(view, KnownKey{m.id, m.key})
		}
	}
	slices.SortFunc(view, func(a, b KnownKey) int { return cmp.Compare(a.ID, b.ID) })
	return view, r.version
}

// begin takes note of a connection whose handshake begins. Of accepted ones it keeps the newest
// maxAccepted: the oldest is the likeliest to be somebody who only holds the place.
func (r *roster) begin(l *link, maxAccepted int) (cuts []cut, err error) {
	if r.closed {
		return nil, refuse(ReasonStopping, "server %x is stopping", r.self.ID)
	}
	r.pending = append(r.pending, l)
	accepted := 0
	for _, other := range r.pending {
		if !other.dialled {
			accepted++
		}
	}
	if accepted > maxAccepted {
		i := slices.IndexFunc(r.pending, func(other *link) bool { return !other.dialled })
		oldest := r.pending[i]
		r.forget(oldest)
		cuts = append(cuts, cut{oldest, refuse(ReasonBusy, "too many connections are shaking hands")})
	}
	return cuts, nil
}

// end takes note that a connection is gone, and reports whether it was a member's link until now.
func (r *roster) end(l *link) (wasLink bool) {
	r.forget(l)
	for _, m := range r.members {
		if m.sending == l {
			m.sending, wasLink = nil, true
		}
		if m.receiving == l {
			m.receiving, wasLink = nil, true
		}
	}
	return wasLink
}

// forget drops l from the handshakes under way.
func (r *roster) forget(l *link) {
	if i := slices.Index(r.pending, l); i >= 0 {
		r.pending = slices.Delete(r.pending, i, i+1)
	}
}

// close cuts everything and admits nothing from now on.
func (r *roster) close() (cuts []cut) {
	r.closed = true
	why := refuse(ReasonStopping, "server %x is stopping", r.self.ID)
	links := slices.Clone(r.pending)
	for _, m := range r.members {
		links = append(links, m.sending, m.receiving)
	}
	for _, l := range links {
		if l != nil {
			cuts = append(cuts, cut{l, why})
		}
	}
	return cuts
}

// peers returns the peers in the table, ascending by id.
func (r *roster) peers() []*peer {
	peers := make([]*peer, len(r.members))
	for i, m := range r.members {
		peers[i] = m.peer
	}
	return peers
}

func (r *roster) find(id raft.ServerID) *member {
	i, ok := slices.BinarySearchFunc(r.members, id, func(m *member, id raft.ServerID) int {
		return cmp.Compare(m.id, id)
	})
	if !ok {
		return nil
	}
	return r.members[i]
}

func (r *roster) keyOf(id raft.ServerID) PublicKey {
	if id == r.self.ID {
		return r.self.Key
	}
	if m := r.find(id); m != nil {
		return m.key
	}
	return PublicKey{}
}
