package transport

import (
	"bytes"
	"context"
	"crypto/tls"
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

func TestLinkComesBackAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		n := b.listener.(*fakeListener).net
		b.Close()
		letPass(time.Minute)
		a.wantConnected(2, false)
		a.wantError(2, "connection refused")
		b2 := start(t, n, 2, func(o *Options) { o.Boot = 2 })
		b2.setPeers(peerRow(a))
		letPass(100 * time.Millisecond)
		a.wantConnected(2, true) // It was waiting for up to two seconds, and got a hint.
		a.Send(2, []byte("again"))
		b2.wantReceived("1/1 again")
		if s := a.status(2); s.Boot != 2 || s.Error != "" || !s.DownSince.IsZero() {
			t.Errorf("status still tells of the past: %+v", s)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		want := []string{"2 up", "2 down: refused by the other side: server 2 is stopping", "2 up"}
		if !slices.Equal(a.events, want) {
			t.Errorf("OnLink was told %q, want %q", a.events, want)
		}
	})
}

// A peer that cannot be reached is tried less and less often, and never given up.
func TestRedialBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Duration
		began := time.Now()
		n := newFakeNet()
		a := start(t, n, 1, func(o *Options) {
			o.Dial = func(context.Context, string) (net.Conn, error) {
				attempts = append(attempts, time.Since(began))
				return nil, errors.New("no route")
			}
		})
		a.setPeers(unclaimed(2))
		letPass(10 * time.Minute)
		first, last := attempts[0], attempts[len(attempts)-1]
		if n := len(attempts); n < 300 || n > 700 || first > 0 || last < 10*time.Minute-2*time.Second {
			t.Errorf("%d attempts in ten minutes, the first after %s, the last after %s", n, first, last)
		}
		early := attempts[1]
		late := attempts[len(attempts)-1] - attempts[len(attempts)-2]
		if early > 50*time.Millisecond || late < time.Second {
			t.Errorf("the first pause was %s, the last %s", early, late)
		}
		a.wantError(2, "no route")
	})
}

// A link that lived for a while earns a quick first attempt.
func TestBackOffBeginsAnewAfterALinkThatLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		row := peerRow(b)
		row.Addresses = []string{"10.0.0.9:1"} // Nobody is there.
		b.setPeers(Peer{ID: 1, Key: a.identity.Public()})
		a.setPeers(row)
		letPass(time.Minute)
		a.setPeers(peerRow(b))
		letPass(10 * time.Second)
		a.wantConnected(2, true)
		b.setPeers() // It cuts the link, and forgives at once.
		b.setPeers(Peer{ID: 1, Key: a.identity.Public()})
		letPass(100 * time.Millisecond)
		a.wantConnected(2, true)
	})
}

// Two servers whose links come up and break at once must not drive each other into a tight loop.
func TestLinkThatBreaksAtOnceIsNotDialledInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var attempts atomic.Int32
		n.spoil = func(c net.Conn) net.Conn {
			attempts.Add(1)
			budget := new(atomic.Int64)
			budget.Store(2 * 6000) // Enough for the handshake; the first ping ends it.
			return &cutConn{c, budget}
		}
		a := start(t, n, 1, func(o *Options) { o.KeepAlive = 5 * time.Millisecond })
		b := start(t, n, 2, func(o *Options) { o.KeepAlive = 5 * time.Millisecond })
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		if got := attempts.Load(); got > 2*10*20 || got < 20 {
			t.Errorf("%d attempts in ten seconds", got)
		}
		if !strings.Contains(a.log.String(), "link to a peer is up") {
			t.Error("no link ever came up; the test misses its point")
		}
	})
}

func TestEveryAddressIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		row := peerRow(b)
		row.Addresses = append([]string{"10.0.0.8:1", "10.0.0.9:1"}, row.Addresses...)
		a.setPeers(row)
		b.setPeers(peerRow(a))
		letPass(time.Second)
		a.wantConnected(2, true)
		if got := a.status(2).Address; got != addressOf(2) {
			t.Errorf("status says address %s", got)
		}
	})
}

func TestNewAddressIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		row := peerRow(b)
		row.Addresses = nil
		a.setPeers(row)
		letPass(time.Minute)
		a.wantError(2, "no address is known")
		b.setPeers(Peer{ID: 1, Key: a.identity.Public()}) // It does not dial, which would be a hint.
		a.setPeers(peerRow(b))
		letPass(100 * time.Millisecond)
		a.wantConnected(2, true)
	})
}

// muteConn swallows everything from the moment it is muted, as a cable does that was cut.
type muteConn struct {
	net.Conn
	muted *atomic.Bool
}

func (c *muteConn) Write(b []byte) (int, error) {
	if c.muted.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *muteConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.muted.Load() {
			return n, err
		}
	}
}

func TestSilentCutIsSeenByBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		muted := new(atomic.Bool)
		n.spoil = func(c net.Conn) net.Conn { return &muteConn{c, muted} }
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(10 * time.Minute) // Keep-alives alone keep an idle link up.
		a.wantConnected(2, true)
		a.mu.Lock()
		if len(a.events) != 1 {
			t.Errorf("an idle link was not left alone: %q", a.events)
		}
		a.mu.Unlock()
		muted.Store(true)
		letPass(5100 * time.Millisecond)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		if !a.status(2).ReceivingSince.IsZero() {
			t.Error("the receiving side has not noticed")
		}
		if s := a.status(2); s.DownSince.IsZero() || s.Error == "" {
			t.Errorf("status does not tell: %+v", s)
		}
	})
}

// A peer that takes no bytes, though its connection stands, is given up too.
func TestPeerThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) {
			o.Handler = func(raft.ServerID, uint64, [][]byte) { <-gate }
		})
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(time.Second)
		for range 10 {
			a.Send(2, make([]byte, 1<<20))
		}
		letPass(5100 * time.Millisecond)
		a.mu.Lock()
		if len(a.events) < 2 {
			t.Errorf("the link is still up: %q", a.events)
		}
		a.mu.Unlock()
		close(gate)
	})
}

// Wherever the connection breaks, in the handshake or later, what arrives is a part of what was
// sent, in order, nothing twice within a link, and in the end the servers find each other again.
func TestConversationSurvivesACutAnywhere(t *testing.T) {
	const step = 211 // The conversation has some 14,000 bytes; all offsets are met by frames in TestFrameSurvivesEveryCut.
	for at := int64(1); at < 14000; at += step {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			budget := new(atomic.Int64)
			budget.Store(at)
			n.spoil = func(c net.Conn) net.Conn { return &cutConn{c, budget} }
			a, b := start(t, n, 1, nil), start(t, n, 2, nil)
			a.setPeers(peerRow(b))
			b.setPeers(peerRow(a))
			letPass(600 * time.Millisecond)
			for i := range 20 {
				a.Send(2, fmt.Appendf(nil, "%02d %s", i, bytes.Repeat([]byte("x"), 100)))
				synctest.Wait()
			}
			letPass(time.Second)
			n.mu.Lock()
			n.spoil = nil
			n.mu.Unlock()
			budget.Store(0) // What still stands breaks now.
			letPass(5 * time.Second)
			a.wantConnected(2, true)
			b.wantConnected(1, true)
			if got := b.got(); !slices.IsSorted(got) || len(slices.Compact(got)) != len(b.got()) {
				t.Errorf("cut at %d: received %q", at, got)
			}
			a.Send(2, []byte("99 last"))
			if got := b.got(); len(got) == 0 || got[len(got)-1] != "1/1 99 last" {
				t.Errorf("cut at %d: the last message did not arrive", at)
			}
			a.Close()
			b.Close()
		})
	}
}

// crypto/tls does not renew keys, so the link is made anew in time, without a pause and a complaint.
func TestLinkIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, func(o *Options) { o.renewAfter = 100 << 10 })
		complaints := a.log.count("level=WARN")
		received := 0
		for range 100 {
			if a.Send(2, make([]byte, 10<<10)) {
				received++
			}
			synctest.Wait()
		}
		a.wantConnected(2, true)
		if got := len(b.got()); got < 90 || got != received {
			t.Errorf("%d messages of %d arrived", got, received)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if n := len(a.events); n < 10 || !strings.Contains(a.events[1], "made anew") {
			t.Errorf("OnLink was told %q", a.events)
		}
		if a.log.count("level=WARN") > complaints {
			t.Errorf("the log complains:\n%s", a.log)
		}
	})
}

// No refusal of the other side makes us dial it in a tight loop.
func TestRefusalIsNotAnsweredByALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		listener := n.listen(addressOf(2))
		odd := newAttacker(t, n, 2)
		odd.identity = testIdentity(2)
		attempts, stopped := 0, make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				attempts++
				secured := tls.Server(conn, odd.tlsConfig())
				readNote(secured, noteHello)
				secured.Write(appendNote(nil, noteRefusal, encodeRefusal(refuse(ReasonRenewed, "again, at once"))))
				conn.Close()
			}
		}()
		a.setPeers(Peer{ID: 2, Addresses: []string{addressOf(2)}, Key: testIdentity(2).Public()})
		letPass(10 * time.Second)
		a.wantError(2, "again, at once")
		listener.Close()
		<-stopped
		if attempts > 15 || attempts < 5 {
			t.Errorf("%d attempts in ten seconds", attempts)
		}
	})
}

func TestCloseIsHarmlessTwiceAndTellsThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		began := time.Now()
		a.Close()
		a.Close()
		if took := time.Since(began); took > farewellPatience {
			t.Errorf("Close took %s", took)
		}
		synctest.Wait()
		b.wantLog("server 1 is stopping")
		if err := a.SetPeers([]Peer{peerRow(b)}); err != nil {
			t.Error(err)
		}
		if a.Send(2, []byte("x")) {
			t.Error("a message was taken after Close")
		}
		letPass(time.Minute)
		b.wantConnected(1, false)
	})
	// The bubble ends only when every goroutine has: Close leaves none behind.
}

func TestCloseDoesNotWaitForSlowOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) {
			o.Handler = func(raft.ServerID, uint64, [][]byte) { <-gate }
		})
		silent := n.listen(addressOf(3)) // Accepts, and says nothing.
		a.setPeers(peerRow(b), unclaimed(3), unclaimed(4))
		b.setPeers(peerRow(a))
		stuck := make(chan net.Conn, 1)
		go func() {
			c, _ := silent.Accept()
			stuck <- c
		}()
		letPass(time.Second)
		for range 10 {
			a.Send(2, make([]byte, 1<<20))
		}
		synctest.Wait()
		began := time.Now()
		a.Close()
		if took := time.Since(began); took > farewellPatience {
			t.Errorf("Close took %s", took)
		}
		close(gate)
		(<-stuck).Close()
		silent.Close()
	})
}

func TestListenerThatFailsForAWhileIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		failing := &failingListener{fakeListener: n.listen(addressOf(1))}
		failing.failures.Store(50)
		a := start(t, n, 1, func(o *Options) { o.Listener = failing })
		b := start(t, n, 2, nil)
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		b.wantConnected(1, true)
		if got := a.log.count("peers cannot be accepted"); got != 1 {
			t.Errorf("the log says so %d times, want once", got)
		}
	})
}

type failingListener struct {
	*fakeListener
	failures atomic.Int32
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.fakeListener.Accept()
}
