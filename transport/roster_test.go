package transport

import (
	"net"
	"testing"

	"github.com/quorate/quorate/raft"
)

// rosterOf returns the roster of server 1, with these peers.
func rosterOf(peers ...Peer) *roster {
	r := &newGuardedRoster(KnownKey{1, testIdentity(1).Public()}).roster
	r.replace(peers, func(id raft.ServerID) *peer { return &peer{id: id} })
	return r
}

func known(id raft.ServerID) Peer { return Peer{ID: id, Key: testIdentity(byte(id)).Public()} }

func contactOf(id raft.ServerID) Contact {
	return Contact{ID: id, Key: testIdentity(byte(id)).Public()}
}

// linkOf is a connection whose handshake has come to the point of admission.
func linkOf(id raft.ServerID, dialledBy *peer, view ...KnownKey) *link {
	near, _ := net.Pipe()
	l := newLink(near, dialledBy != nil)
	l.peer = dialledBy
	l.theirs = &hello{Lowest: 1, Highest: 1, Cluster: testCluster, From: id, To: 1, Boot: 1, View: view}
	return l
}

func mustAdmit(t *testing.T, r *roster, l *link) []cut {
	t.Helper()
	cuts, err := r.admit(contactOf(l.theirs.From), l)
	if err != nil {
		t.Fatal(err)
	}
	return cuts
}

func wantCuts(t *testing.T, what string, cuts []cut, reason Reason, links ...*link) {
	t.Helper()
	ok := len(cuts) == len(links)
	for i := range min(len(cuts), len(links)) {
		ok = ok && cuts[i].link == links[i] && cuts[i].why.Reason == reason
	}
	if !ok {
		t.Errorf("%s: cuts %v, want %d with reason %v", what, cuts, len(links), reason)
	}
}

func TestNewerConnectionReplacesTheOlder(t *testing.T) {
	r := rosterOf(known(2))
	older, newer := linkOf(2, nil), linkOf(2, nil)
	sending := linkOf(2, r.members[0].peer)
	mustAdmit(t, r, older)
	wantCuts(t, "a link of the other direction", mustAdmit(t, r, sending), 0)
	wantCuts(t, "a second link", mustAdmit(t, r, newer), ReasonSuperseded, older)
	if r.end(older) || r.members[0].receiving != newer || r.members[0].sending != sending {
		t.Error("the end of the older link took the newer one with it")
	}
	if !r.end(newer) || r.members[0].receiving != nil {
		t.Error("the end of the newer link is not the peer's")
	}
}

func TestReplacedKeyCutsTheLinksOfTheOldOne(t *testing.T) {
	r := rosterOf(known(2), known(3))
	two := r.members[0].peer
	receiving, sending, shaking := linkOf(2, nil), linkOf(2, two), linkOf(2, two)
	mustAdmit(t, r, receiving)
	mustAdmit(t, r, sending)
	mustAdmit(t, r, linkOf(3, nil))
	if _, err := r.begin(shaking, 10); err != nil {
		t.Fatal(err)
	}
	other := known(2)
	other.Key = testIdentity(22).Public()
	cuts, gone := r.replace([]Peer{other, known(3)}, func(id raft.ServerID) *peer { return &peer{id: id} })
	wantCuts(t, "a replaced key", cuts, ReasonRemoved, shaking, sending, receiving)
	if len(gone) != 1 || gone[0] != two || r.members[0].peer == two {
		t.Errorf("the peer with the old key stays: gone %v", gone)
	}
	// A handshake that was begun for the old row must not become a link of the new one.
	other.Key = testIdentity(2).Public()
	r.replace([]Peer{other, known(3)}, func(id raft.ServerID) *peer { return &peer{id: id} })
	if _, err := r.admit(contactOf(2), shaking); asRefusal(err) == nil || asRefusal(err).Reason != ReasonRemoved {
		t.Errorf("got %v, want %v", err, ReasonRemoved)
	}
}

// Each of the three events that may make two views disagree is enough by itself.
func TestEveryWayToDisagreeCuts(t *testing.T) {
	theirs := KnownKey{3, testIdentity(33).Public()}
	links := func(r *roster) (sending, receiving *link) {
		sending, receiving = linkOf(2, r.members[0].peer, theirs), linkOf(2, nil, theirs)
		mustAdmit(t, r, sending)
		mustAdmit(t, r, receiving)
		return sending, receiving
	}

	r := rosterOf(known(2))
	sending, receiving := links(r)
	cuts, _ := r.replace([]Peer{known(2), known(3)}, func(id raft.ServerID) *peer { return &peer{id: id} })
	wantCuts(t, "a key from the owner", cuts, ReasonViews, sending, receiving)

	r = rosterOf(known(2), Peer{ID: 3})
	sending, receiving = links(r)
	cl, mine, err := r.beginClaim(contactOf(3))
	if err != nil || !mine {
		t.Fatalf("claim: mine %v, %v", mine, err)
	}
	wantCuts(t, "a key that was claimed", r.endClaim(contactOf(3), cl, true), ReasonViews, sending, receiving)

	r = rosterOf(known(2), known(3))
	sending, receiving = linkOf(2, r.members[0].peer), linkOf(2, nil)
	mustAdmit(t, r, sending)
	mustAdmit(t, r, receiving)
	wantCuts(t, "a view that was told", r.learnView(receiving, []KnownKey{theirs}), ReasonViews, sending, receiving)
	wantCuts(t, "a view on a link that was replaced", r.learnView(linkOf(2, r.members[0].peer), nil), 0)

	r = rosterOf(known(2), known(3))
	_, err = r.admit(contactOf(2), linkOf(2, nil, theirs))
	if why := asRefusal(err); why == nil || why.Reason != ReasonViews {
		t.Errorf("a view in a hello: got %v", err)
	}
	_, err = r.admit(contactOf(2), linkOf(2, nil, KnownKey{1, testIdentity(11).Public()}))
	if why := asRefusal(err); why == nil || why.Reason != ReasonViews {
		t.Errorf("another key for ourselves: got %v", err)
	}
}

func TestClaimOfARemovedMemberIsVoid(t *testing.T) {
	r := rosterOf(Peer{ID: 2})
	cl, _, err := r.beginClaim(contactOf(2))
	if err != nil {
		t.Fatal(err)
	}
	newPeer := func(id raft.ServerID) *peer { return &peer{id: id} }
	r.replace(nil, newPeer)
	r.replace([]Peer{{ID: 2}}, newPeer)
	r.endClaim(contactOf(2), cl, true)
	if key := r.keyOf(2); !key.IsZero() {
		t.Errorf("the new member has the key of the old one's claim: %s", key)
	}
}

func TestKeyUnderClaimIsNotOpenToOthers(t *testing.T) {
	r := rosterOf(Peer{ID: 2}, Peer{ID: 3})
	if _, mine, err := r.beginClaim(contactOf(2)); err != nil || !mine {
		t.Fatalf("claim: mine %v, %v", mine, err)
	}
	c := contactOf(2)
	c.ID = 3
	if _, _, err := r.beginClaim(c); asRefusal(err) == nil {
		t.Errorf("the same key was taken for another server: %v", err)
	}
	c = contactOf(3)
	c.ID = 2
	if _, mine, err := r.beginClaim(c); err != nil || mine {
		t.Errorf("a second key for one server at once: mine %v, %v", mine, err)
	}
}

func TestNothingIsAdmittedAfterClose(t *testing.T) {
	r := rosterOf(known(2))
	r.close()
	if _, err := r.admit(contactOf(2), linkOf(2, nil)); asRefusal(err) == nil || asRefusal(err).Reason != ReasonStopping {
		t.Errorf("admit: got %v", err)
	}
	if _, err := r.begin(linkOf(2, nil), 10); asRefusal(err) == nil || asRefusal(err).Reason != ReasonStopping {
		t.Errorf("begin: got %v", err)
	}
	r.replace([]Peer{known(3)}, func(raft.ServerID) *peer {
		t.Error("a peer was started after close")
		return nil
	})
}
