package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/raft"
)

// loopback makes a server of the test listen and dial on a loopback address.
func loopback(n *fakeNet, id raft.ServerID, more func(*Options)) func(*Options) {
	return func(o *Options) {
		o.Dial = n.dialFrom("127.0.0.1")
		o.ListenAddress = loopbackAddress(id)
		o.Trust = TrustLoopback
		if more != nil {
			more(o)
		}
	}
}

func loopbackAddress(id raft.ServerID) string { return fmt.Sprintf("127.0.0.1:%d", 2380+id) }

func (s *server) wantClaims(want ...string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.claims, want) {
		s.t.Errorf("server %x was asked to claim %q, want %q", s.id, s.claims, want)
	}
}

func claimOf(s *server) string {
	return fmt.Sprintf("%x %s", s.id, s.identity.Public().Fingerprint())
}

func TestFirstKeyIsTrustedOnLoopbackAndClaimedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var all []*server
		var rows []Peer
		for id := raft.ServerID(1); id <= 3; id++ {
			all = append(all, start(t, n, id, loopback(n, id, nil)))
			rows = append(rows, Peer{ID: id, Addresses: []string{loopbackAddress(id)}})
		}
		for _, s := range all {
			s.setPeers(rows...)
		}
		letPass(5 * time.Second)
		for _, s := range all {
			var want []string
			for _, other := range all {
				if other != s {
					s.wantConnected(other.id, true)
					if s.status(other.id).Key != other.identity.Public() {
						t.Errorf("server %x does not know the key of %x", s.id, other.id)
					}
					want = append(want, claimOf(other))
				}
			}
			s.mu.Lock()
			slices.Sort(s.claims)
			s.mu.Unlock()
			s.wantClaims(want...)
			s.mu.Lock()
			if len(s.events) != 2 {
				t.Errorf("links of server %x were made anew: %q", s.id, s.events)
			}
			s.mu.Unlock()
		}
	})
}

func TestFirstKeyIsNotTrustedBeyondLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, func(o *Options) { o.Trust = TrustLoopback })
		b := start(t, n, 2, nil)
		a.setPeers(unclaimed(2))
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		a.wantClaims()
		why := "key " + b.identity.Public().Fingerprint() +
			" is not proven to be the first key of server 2: trust on first use is for loopback only"
		a.wantError(2, why)
		b.wantError(1, why)
		a.wantLog(why)
		b.wantLog(why)
	})
}

func TestLoopbackMeansBothEnds(t *testing.T) {
	for _, c := range []struct {
		local, remote string
		want          bool
	}{
		{"127.0.0.1:1", "127.0.0.1:2", true},
		{"127.0.0.1:1", "127.8.9.1:2", true},
		{"[::1]:1", "[::1]:2", true},
		{"[::ffff:127.0.0.1]:1", "127.0.0.1:2", true},
		{"127.0.0.1:1", "10.0.0.1:2", false},
		{"10.0.0.1:1", "127.0.0.1:2", false},
		{"[::1]:1", "[fe80::1%eth0]:2", false},
		{"pipe", "127.0.0.1:2", false},
		{"127.0.0.1", "127.0.0.1", false},
	} {
		err := TrustLoopback(Contact{Local: fakeAddr(c.local), Remote: fakeAddr(c.remote)})
		if (err == nil) != c.want {
			t.Errorf("from %s to %s: got %v, want trust %v", c.local, c.remote, err, c.want)
		}
	}
	if TrustLoopback(Contact{Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}}) == nil {
		t.Error("an unknown end was trusted")
	}
}

func TestGivenKeyDecidesAlone(t *testing.T) {
	given := []KnownKey{{2, testIdentity(2).Public()}}
	on := fakeAddr("127.0.0.1:1")
	contact := func(id raft.ServerID, key byte) Contact {
		return Contact{ID: id, Key: testIdentity(key).Public(), Local: on, Remote: on}
	}
	for _, c := range []struct {
		name    string
		policy  Trust
		contact Contact
		want    bool
	}{
		{"the given key", TrustGiven(given, nil), contact(2, 2), true},
		{"another key", TrustGiven(given, nil), contact(2, 3), false},
		{"another key, though on loopback", TrustGiven(given, TrustLoopback), contact(2, 3), false},
		{"none given", TrustGiven(given, nil), contact(3, 3), false},
		{"none given, on loopback", TrustGiven(given, TrustLoopback), contact(3, 3), true},
		{"the given key from another server", TrustGiven(given, nil), contact(3, 2), false},
	} {
		if err := c.policy(c.contact); (err == nil) != c.want {
			t.Errorf("%s: got %v, want trust %v", c.name, err, c.want)
		}
	}
}

func TestGivenKeyIsClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, func(o *Options) {
			o.Trust = TrustGiven([]KnownKey{{2, testIdentity(2).Public()}}, nil)
		})
		b := start(t, n, 2, nil)
		a.setPeers(unclaimed(2))
		b.setPeers(peerRow(a))
		letPass(5 * time.Second)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
		a.wantClaims(claimOf(b))
	})
}

func TestNoTrustMeansNobodyWithoutAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		a.setPeers(unclaimed(2))
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		b.wantError(1, "server 2 has no key known to server 1, and no first key is trusted there")
	})
}

// The owner's disk comes before the link: while it writes, nothing is up on either side.
func TestClaimIsDurableBeforeTheLinkIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		disk := make(chan error)
		var asked atomic.Int32
		a := start(t, n, 1, loopback(n, 1, func(o *Options) {
			o.Claim = func(raft.ServerID, PublicKey) error {
				asked.Add(1)
				return <-disk
			}
		}))
		b := start(t, n, 2, loopback(n, 2, nil))
		a.setPeers(Peer{ID: 2, Addresses: []string{loopbackAddress(2)}})
		b.setPeers(Peer{ID: 1, Addresses: []string{loopbackAddress(1)}, Key: a.identity.Public()})
		letPass(3 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		if !a.status(2).Key.IsZero() || !a.status(2).ReceivingSince.IsZero() {
			t.Error("the key counts before it is durable")
		}
		if got := asked.Load(); got != 1 {
			t.Errorf("the owner was asked %d times at once, want 1: both directions wait for one claim", got)
		}
		disk <- nil
		letPass(5 * time.Second)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
		if got := asked.Load(); got != 1 {
			t.Errorf("the owner was asked %d times, want 1", got)
		}
	})
}

func TestClaimThatFailsRefusesTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var full atomic.Bool
		full.Store(true)
		a := start(t, n, 1, loopback(n, 1, func(o *Options) {
			o.Claim = func(raft.ServerID, PublicKey) error {
				if full.Load() {
					return errors.New("disk is full")
				}
				return nil
			}
		}))
		b := start(t, n, 2, loopback(n, 2, nil))
		a.setPeers(Peer{ID: 2, Addresses: []string{loopbackAddress(2)}})
		b.setPeers(Peer{ID: 1, Addresses: []string{loopbackAddress(1)}})
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		why := "server 1 did not take key " + b.identity.Public().Fingerprint() + " for server 2: disk is full"
		a.wantError(2, why)
		b.wantLog(why)
		full.Store(false)
		letPass(5 * time.Second)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
	})
}

// SetPeers with a table that has no key for a server yet, made from an older state of the owner,
// does not make the server forget the key that it has.
func TestKnownKeyIsNotForgottenByAnOlderTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, loopback(n, 1, nil))
		b := start(t, n, 2, loopback(n, 2, nil))
		rowOfB := Peer{ID: 2, Addresses: []string{loopbackAddress(2)}}
		a.setPeers(rowOfB)
		b.setPeers(Peer{ID: 1, Addresses: []string{loopbackAddress(1)}})
		letPass(5 * time.Second)
		a.setPeers(rowOfB)
		a.wantConnected(2, true)
		b.Close()
		impostor := start(t, n, 2, loopback(n, 2, func(o *Options) { o.Identity = testIdentity(66) }))
		impostor.setPeers(Peer{ID: 1, Addresses: []string{loopbackAddress(1)}})
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		a.wantClaims(claimOf(b))
		a.wantError(2, "server 2 is known to server 1 by key "+b.identity.Public().Fingerprint())
	})
}

func TestOneKeyIsNotTwoServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, loopback(n, 1, nil))
		b := start(t, n, 2, loopback(n, 2, nil))
		again := start(t, n, 3, loopback(n, 3, func(o *Options) { o.Identity = testIdentity(2) }))
		self := start(t, n, 4, loopback(n, 4, func(o *Options) { o.Identity = testIdentity(1) }))
		row := func(id raft.ServerID) Peer { return Peer{ID: id, Addresses: []string{loopbackAddress(id)}} }
		b.setPeers(row(1))
		a.setPeers(row(2), row(3), row(4))
		letPass(time.Second)
		a.wantConnected(2, true)
		again.setPeers(row(1))
		self.setPeers(row(2), row(3)) // It may not even name server 1, whose key it has.
		letPass(10 * time.Second)
		a.wantClaims(claimOf(b))
		a.wantError(3, "key "+b.identity.Public().Fingerprint()+" is that of server 2 and not of server 3")
		a.wantError(4, "the key shown for server 4 is the key of server 1")
		again.wantError(1, "is that of server 2 and not of server 3")
	})
}

// A first key is not made durable for a link that may not be.
func TestQuarrelsomeServerClaimsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, loopback(n, 1, nil))
		b := start(t, n, 2, loopback(n, 2, nil))
		a.setPeers(Peer{ID: 2, Addresses: []string{loopbackAddress(2)}}, Peer{ID: 3, Key: testIdentity(3).Public()})
		b.setPeers(Peer{ID: 1, Addresses: []string{loopbackAddress(1)}}, Peer{ID: 3, Key: testIdentity(33).Public()})
		letPass(10 * time.Second)
		a.wantClaims()
		b.wantClaims()
		a.wantError(2, "disagree about the key of server 3")
	})
}

// The peers hear of a new key at once, and not with the next probe.
func TestClaimedKeyIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		slowly := func(o *Options) { o.KeepAlive, o.IdleTimeout = time.Hour, 2*time.Hour }
		row := func(id raft.ServerID) Peer { return Peer{ID: id, Addresses: []string{loopbackAddress(id)}} }
		a := start(t, n, 1, loopback(n, 1, slowly))
		b := start(t, n, 2, loopback(n, 2, slowly))
		a.setPeers(row(2), Peer{ID: 3})
		b.setPeers(row(1), Peer{ID: 3})
		letPass(time.Second)
		a.wantConnected(2, true)
		c := start(t, n, 3, loopback(n, 3, slowly))
		c.setPeers(row(1))
		letPass(time.Second)
		var told []KnownKey
		b.roster.do(func(r *roster) { told = r.members[0].view })
		if !slices.Contains(told, KnownKey{3, c.identity.Public()}) {
			t.Errorf("server 2 was told %v, want the key of server 3 in it", told)
		}
	})
}

func TestLowerBootIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) { o.Boot = 7 })
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(time.Second)
		a.wantConnected(2, true)
		b.Close()
		stale := start(t, n, 2, func(o *Options) { o.Boot = 6 })
		stale.setPeers(peerRow(a))
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		stale.wantConnected(1, false)
		why := "server 2 says boot 6 and was seen with boot 7: a stale copy of its disk is running"
		a.wantError(2, why)
		a.wantLog(why)
		stale.wantError(1, why)
		if got := stale.status(1).Reason; got != ReasonStaleBoot {
			t.Errorf("status says reason %v, want %v", got, ReasonStaleBoot)
		}
		stale.wantLog(why)
		if got := a.status(2).Refused; got != why {
			t.Errorf("status says %q was refused", got)
		}
	})
}

// What the owner remembers across its own restarts counts like what was seen, and only rises.
func TestBootKnownToTheOwnerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) { o.Boot = 7 })
		row := peerRow(b)
		row.Boot = 8
		a.setPeers(row)
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		a.wantError(2, "server 2 says boot 7 and was seen with boot 8")
		row.Boot = 3
		a.setPeers(row)
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		a.setPeers()
		row.Boot = 0
		a.setPeers(row) // Nor does leaving the table make it forgotten.
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		b.Close()
		b8 := start(t, n, 2, func(o *Options) { o.Boot = 8 })
		b8.setPeers(peerRow(a))
		letPass(10 * time.Second)
		a.wantConnected(2, true)
	})
}

func TestTwoProcessesWithOneIdentityAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		n := b.listener.(*fakeListener).net
		twin := start(t, n, 2, func(o *Options) {
			o.ListenAddress = "10.0.0.22:2380"
			o.Random = bytes.NewReader(bytes.Repeat([]byte{99}, 16))
		})
		twin.setPeers(peerRow(a))
		letPass(10 * time.Second)
		why := "two processes with the identity of server 2 are running, both with boot 1"
		twin.wantConnected(1, false)
		twin.wantError(1, why)
		a.wantLog(why)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
		if got := a.status(2).Refused; got != why {
			t.Errorf("status says %q was refused", got)
		}
		b.Close() // The first being gone makes the second no better: its disk is a copy.
		letPass(10 * time.Second)
		twin.wantConnected(1, false)
	})
}

// A server that restarted before anybody noticed that its old connections are dead is let in, once it is clear that
// the old process does not answer.
func TestHigherBootTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		muted := new(atomic.Bool)
		n.spoil = func(c net.Conn) net.Conn { return &muteConn{c, muted} }
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(time.Second)
		a.wantConnected(2, true)
		muted.Store(true)
		n.mu.Lock()
		n.spoil = nil
		n.mu.Unlock()
		next := start(t, n, 2, func(o *Options) { o.Boot = 2 })
		next.setPeers(peerRow(a))
		letPass(2 * time.Second) // Less than the time-out for silence.
		a.wantConnected(2, true)
		next.wantConnected(1, true)
		a.Send(2, []byte("to the new one"))
		next.wantReceived("1/1 to the new one")
		next.Send(1, []byte("from the new one"))
		a.wantReceived("2/2 from the new one")
	})
}

func TestViewsThatDisagreeRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		three := func(key byte) Peer { return Peer{ID: 3, Key: testIdentity(key).Public()} }
		a.setPeers(peerRow(b), three(3))
		b.setPeers(peerRow(a), three(33))
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		one, other := testIdentity(3).Public().Fingerprint(), testIdentity(33).Public().Fingerprint()
		// Whoever refuses names the other first. Either may be first to refuse; both logs have it.
		byB := "server 1 and server 2 disagree about the key of server 3: " + one + " and " + other
		byA := "server 2 and server 1 disagree about the key of server 3: " + other + " and " + one
		for _, s := range []*server{a, b} {
			if log := s.log.String(); !strings.Contains(log, byA) && !strings.Contains(log, byB) {
				t.Errorf("log of server %x:\n%swant in it: %s", s.id, log, byA)
			}
		}
		b.setPeers(peerRow(a), three(3))
		letPass(5 * time.Second)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
	})
}

// Views are compared for as long as a link lives, not only at its start: an impostor may claim a
// member at one server while the real one claims it at another.
func TestViewsThatComeToDisagreeCutTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		row := func(id raft.ServerID) Peer { return Peer{ID: id, Addresses: []string{loopbackAddress(id)}} }
		a := start(t, n, 1, loopback(n, 1, nil))
		b := start(t, n, 2, loopback(n, 2, nil))
		a.setPeers(row(2), Peer{ID: 3})
		b.setPeers(row(1), Peer{ID: 3})
		letPass(time.Second)
		a.wantConnected(2, true)
		real := start(t, n, 3, loopback(n, 3, nil))
		real.setPeers(row(1))
		letPass(time.Second)
		a.wantConnected(2, true)
		impostor := start(t, n, 33, loopback(n, 33, func(o *Options) {
			o.Self, o.Identity = 3, testIdentity(33)
		}))
		impostor.setPeers(row(2))
		letPass(10 * time.Second)
		if a.status(3).Key != real.identity.Public() || b.status(3).Key != impostor.identity.Public() {
			t.Fatal("the claims did not go as this test needs them")
		}
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		a.wantLog("disagree about the key of server 3")
		b.wantLog("disagree about the key of server 3")
	})
}
