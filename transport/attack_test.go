package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/raft"
)

// attacker is a program on the same network that has its own key and no other.
type attacker struct {
	t        *testing.T
	net      *fakeNet
	identity *Identity
	target   string
}

func newAttacker(t *testing.T, n *fakeNet, target raft.ServerID) *attacker {
	return &attacker{t, n, testIdentity(66), addressOf(target)}
}

func (a *attacker) connect() net.Conn {
	a.t.Helper()
	conn, err := a.net.dialFrom("10.6.6.6")(context.Background(), a.target)
	if err != nil {
		a.t.Fatal(err)
	}
	return conn
}

func (a *attacker) tlsConfig() *tls.Config {
	a.t.Helper()
	config, err := newTLSConfig(a.identity)
	if err != nil {
		a.t.Fatal(err)
	}
	return config
}

// speakTLS returns a connection on which TLS is through, as seen from this side.
func (a *attacker) speakTLS(config *tls.Config) *tls.Conn {
	a.t.Helper()
	conn := tls.Client(a.connect(), config)
	if err := conn.Handshake(); err != nil {
		a.t.Fatal(err)
	}
	return conn
}

// say sends bytes over TLS and returns the refusal that they earn.
func (a *attacker) say(b []byte) *Refusal {
	a.t.Helper()
	conn := a.speakTLS(a.tlsConfig())
	defer conn.NetConn().Close()
	if _, err := conn.Write(b); err != nil {
		a.t.Fatal(err)
	}
	_, err := readNote(conn, noteHello)
	why := asRefusal(err)
	if why == nil {
		a.t.Fatalf("got %v, want a refusal", err)
	}
	return why
}

// forged is a hello that would be right if it came from the server with that id.
func forged(from, to raft.ServerID, change func(*hello)) []byte {
	h := &hello{Lowest: 1, Highest: 1, Cluster: testCluster, From: from, To: to, Boot: 1}
	if change != nil {
		change(h)
	}
	return appendNote(nil, noteHello, encodeHello(h))
}

func TestServerRefusesUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		bad := newAttacker(t, a.listener.(*fakeListener).net, 1)
		for name, c := range map[string]struct {
			hello []byte
			want  Reason
			text  string
		}{
			"a peer's id": {forged(2, 1, nil), ReasonKey, "server 2 is known to server 1 by key " +
				b.identity.Public().Fingerprint() + ", and " + bad.identity.Public().Fingerprint() + " was shown"},
			"an unknown id":               {forged(9, 1, nil), ReasonUnknownServer, "server 9 is not a peer of server 1"},
			"the id of the server itself": {forged(1, 1, nil), ReasonReceiver, "itself"},
			"another cluster": {forged(2, 1, func(h *hello) { h.Cluster = 0x2a }), ReasonCluster,
				"belongs to cluster 2a, server 1 at 10.0.0.1:2380 to cluster 1f"},
			"another receiver": {forged(2, 3, nil), ReasonReceiver, "server 2 wanted server 3 and reached server 1"},
			"a later protocol": {forged(2, 1, func(h *hello) { h.Lowest, h.Highest = 5, 6 }), ReasonProtocol,
				"server 2 speaks versions 5 to 6 of the link protocol, server 1 speaks 1 to 1"},
			"no hello": {appendNote(nil, noteReady, nil), ReasonMalformed, "came where"},
			"HTTP":     {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ReasonMalformed, "does not speak the link protocol"},
		} {
			why := bad.say(c.hello)
			if why.Reason != c.want || !strings.Contains(why.Text, c.text) {
				t.Errorf("%s: got %s: %s, want %s: %s", name, why.Reason, why.Text, c.want, c.text)
			}
			a.wantLog(why.Text)
			letPass(throttleEvery) // Each refusal gets its own line.
		}
		a.wantConnected(2, true)
		if s := a.status(2); s.Refused != "" {
			t.Errorf("what a stranger says is held against the peer: %q", s.Refused)
		}
	})
}

// The dialling side, too, says no more than its key to a server that is not the one it wanted.
func TestDiallerRefusesUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		trap := n.listen(addressOf(2))
		a.setPeers(Peer{ID: 2, Addresses: []string{addressOf(2)}, Key: testIdentity(2).Public()})
		conn, err := trap.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer trap.Close()
		bad := newAttacker(t, n, 2)
		secured := tls.Server(conn, bad.tlsConfig())
		defer conn.Close()
		_, err = readNote(secured, noteHello)
		if why := asRefusal(err); why == nil || why.Reason != ReasonKey {
			t.Errorf("the wrong server got %v, want a refusal in place of a hello", err)
		}
		a.wantError(2, "server 2 is known to server 1 by key "+testIdentity(2).Public().Fingerprint())
	})
}

// A peer with the right key that says wrong things of itself is refused by the dialling side too.
func TestDiallerRefusesAHelloThatDoesNotFitTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		hello []byte
		want  string
	}{
		"another sender":   {forged(3, 1, nil), "server 2 was wanted and server 3 answered"},
		"another receiver": {forged(2, 4, nil), "server 2 wanted server 4 and reached server 1"},
		"another key for itself": {forged(2, 1, func(h *hello) {
			h.View = []KnownKey{{2, testIdentity(22).Public()}}
		}), "and says that its key is " + testIdentity(22).Public().Fingerprint()},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			a := start(t, n, 1, func(o *Options) {
				o.Trust = func(Contact) error { return nil } // So that only the hello can be at fault.
			})
			listener := n.listen(addressOf(2))
			defer listener.Close()
			a.setPeers(unclaimed(2), unclaimed(3))
			conn, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			odd := newAttacker(t, n, 2)
			odd.identity = testIdentity(2)
			secured := tls.Server(conn, odd.tlsConfig())
			if _, err := readNote(secured, noteHello); err != nil {
				t.Fatal(err)
			}
			secured.Write(c.hello)
			_, err = readNote(secured, noteReady)
			if why := asRefusal(err); why == nil || !strings.Contains(why.Text, c.want) {
				t.Errorf("%s: got %v, want %q", name, err, c.want)
			}
			a.wantClaims()
		})
	}
}

// Someone who holds a peer's key is that peer, but for its cluster, its version and its words.
func TestPeerOfAnotherClusterIsRefusedInBothLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) { o.Cluster = 0x2a })
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		for _, s := range []*server{a, b} {
			s.wantLog("cluster 2a")
			s.wantLog("cluster 1f")
		}
	})
}

// The whole conversation of a peer, recorded and played again, is worth nothing: TLS is fresh.
func TestReplayedConversationIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		tape := &recording{}
		n.spoil = func(c net.Conn) net.Conn { return &tapedConn{c, tape} }
		a := start(t, n, 1, nil)
		b := start(t, n, 2, nil)
		a.setPeers(Peer{ID: 2, Key: b.identity.Public()}) // It does not dial.
		b.setPeers(peerRow(a))
		letPass(time.Second)
		b.Send(1, []byte("pay 100"))
		a.wantReceived("2/1 pay 100")
		b.Close()
		synctest.Wait()
		if len(tape.b) < 1000 {
			t.Fatalf("only %d bytes were recorded", len(tape.b))
		}
		n.spoil = nil
		conn := newAttacker(t, n, 1).connect()
		defer conn.Close()
		go io.Copy(io.Discard, conn)
		if _, err := conn.Write(tape.b); err == nil {
			t.Error("all of the recording was taken")
		}
		letPass(10 * time.Second)
		a.wantReceived("2/1 pay 100")
		a.wantLog("connection refused")
		if !a.status(2).ReceivingSince.IsZero() {
			t.Error("the recording counts as the peer")
		}
	})
}

// A hello alone, seen in clear by someone who could, does not help another key.
func TestReplayedHelloIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		h := forged(2, 1, func(h *hello) {
			h.Nonce = b.process
			h.View = []KnownKey{{1, a.identity.Public()}, {2, b.identity.Public()}}
		})
		if why := newAttacker(t, a.listener.(*fakeListener).net, 1).say(h); why.Reason != ReasonKey {
			t.Errorf("got %v, want %v", why, ReasonKey)
		}
	})
}

type recording struct {
	mu sync.Mutex
	b  []byte
}

type tapedConn struct {
	net.Conn
	tape *recording
}

func (c *tapedConn) Write(b []byte) (int, error) {
	c.tape.mu.Lock()
	c.tape.b = append(c.tape.b, b...)
	c.tape.mu.Unlock()
	return c.Conn.Write(b)
}

func TestTLSThatIsNotOursIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, nil)
		bad := newAttacker(t, a.listener.(*fakeListener).net, 1)
		for name, change := range map[string]func(*tls.Config){
			"TLS 1.2":              func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
			"another protocol":     func(c *tls.Config) { c.NextProtos = []string{"h2"} },
			"no protocol":          func(c *tls.Config) { c.NextProtos = nil },
			"no certificate":       func(c *tls.Config) { c.Certificates = nil },
			"an ECDSA certificate": func(c *tls.Config) { c.Certificates = []tls.Certificate{ecdsaCertificate(t)} },
			"a stolen certificate": func(c *tls.Config) { c.Certificates[0].Certificate = a.tls.Certificates[0].Certificate },
		} {
			config := bad.tlsConfig()
			change(config)
			// Our own check of what the server shows is not what is tested.
			config.VerifyConnection = nil
			conn := tls.Client(bad.connect(), config)
			_, err := conn.Write(forged(2, 1, nil))
			if err == nil {
				_, err = readNote(conn, noteHello)
			}
			if err == nil || asRefusal(err) != nil {
				t.Errorf("%s: got %v, want TLS to fail", name, err)
			}
			conn.NetConn().Close()
			letPass(throttleEvery)
		}
		if got := a.log.count("connection refused"); got != 6 {
			t.Errorf("%d refusals in the log, want 6:\n%s", got, a.log)
		}
	})
}

func ecdsaCertificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Strangers cannot hide the trouble of a peer behind theirs.
func TestRefusalOfAPeerHasItsOwnLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		a.setPeers(Peer{ID: 2, Key: testIdentity(2).Public()})
		bad := newAttacker(t, n, 1)
		elsewhere := forged(2, 1, func(h *hello) { h.Cluster = 0x2a })
		bad.say(elsewhere)
		bad.say(elsewhere)
		bad.identity = testIdentity(2) // Now it is the peer itself.
		bad.say(elsewhere)
		synctest.Wait()
		if got := a.log.count("connection refused"); got != 2 {
			t.Errorf("%d lines, want one for the stranger and one for the peer:\n%s", got, a.log)
		}
	})
}

func TestPlainTextIsCalledByItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		conn := newAttacker(t, n, 1).connect()
		defer conn.Close()
		go io.Copy(io.Discard, conn)
		conn.Write([]byte("GET /version HTTP/1.1\r\nHost: x\r\n\r\n"))
		a.wantLog(`address=10.6.6.6:40001 err="this is no TLS, it begins with "GET /"`)
	})
}

// An attacker who does all of it at once, for a long time, costs the peers nothing, takes no memory
// to speak of, and does not fill the log.
func TestGarbageOnPortCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, func(o *Options) { o.MaxHandshakes = 8 })
		n := a.listener.(*fakeListener).net
		stop, stopped := make(chan struct{}), make(chan int)
		go func() { stopped <- newAttacker(t, n, 1).rampage(stop) }()
		for range 120 {
			letPass(100 * time.Millisecond)
			if !b.Send(1, []byte("work")) {
				t.Error("a peer's message was not taken")
			}
			if got := a.pendingHandshakes(); got > 8 {
				t.Errorf("%d handshakes at once, want at most 8", got)
			}
		}
		close(stop)
		attempts := <-stopped
		if got := len(a.got()); got != 120 {
			t.Errorf("%d of 120 messages of a peer arrived", got)
		}
		if attempts < 120 {
			t.Errorf("the attacker came only %d times", attempts)
		}
		if got := a.log.count("connection refused"); got < 3 || got > 25 {
			t.Errorf("%d lines for %d attempts:\n%s", got, attempts, a.log)
		}
		for _, want := range []string{"this is no TLS", "too many connections", "does not speak"} {
			if !strings.Contains(a.log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, a.log)
			}
		}
	})
}

// rampage tries everything it knows, again and again, and returns how often it came.
func (a *attacker) rampage(stop <-chan struct{}) (attempts int) {
	tricks := [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		bytes.Repeat([]byte{0}, 1000),
		[]byte("\x16\x03\x01\xff\xff" + strings.Repeat("x", 20000)), // TLS's own header, then nonsense.
		nil, // Connects, and says nothing.
	}
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			conn.Close()
		}
	}()
	for {
		select {
		case <-stop:
			return attempts
		case <-time.After(10 * time.Millisecond):
		}
		attempts++
		if attempts%5 == 4 {
			conn := a.speakTLS(a.tlsConfig())
			conn.Write(bytes.Repeat([]byte("nonsense"), 4))
			conn.NetConn().Close()
			continue
		}
		conn := a.connect()
		conn.SetDeadline(time.Now().Add(time.Millisecond))
		conn.Write(tricks[attempts%len(tricks)])
		if held = append(held, conn); len(held) > 50 {
			held[0].Close()
			held = held[1:]
		}
	}
}

func (s *server) pendingHandshakes() (n int) {
	s.roster.do(func(r *roster) { n = len(r.pending) })
	return n
}

// Those who connect and dawdle give way to those who come after them.
func TestDawdlersDoNotKeepPeersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, func(o *Options) { o.MaxHandshakes = 4 })
		b := start(t, n, 2, nil)
		a.setPeers(Peer{ID: 2, Key: b.identity.Public()})
		bad := newAttacker(t, n, 1)
		for range 20 {
			defer bad.connect().Close()
		}
		synctest.Wait()
		if got := a.pendingHandshakes(); got != 4 {
			t.Errorf("%d handshakes are under way, want 4", got)
		}
		b.setPeers(peerRow(a))
		letPass(100 * time.Millisecond)
		b.wantConnected(1, true)
		letPass(5 * time.Second)
		if got := a.pendingHandshakes(); got != 0 {
			t.Errorf("%d handshakes are under way after their time, want 0", got)
		}
	})
}

// A byte now and then does not buy a stranger more time.
func TestDripFeedEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		bad := newAttacker(t, n, 1)
		plain := bad.connect()
		defer plain.Close()
		secured := bad.speakTLS(bad.tlsConfig())
		defer secured.NetConn().Close()
		note := forged(2, 1, nil)
		began := time.Now()
		for i := range 60 {
			plain.Write([]byte("\x16\x03\x01\x40\x00" + strings.Repeat("x", 100))[i : i+1])
			secured.Write(note[i : i+1])
			letPass(100 * time.Millisecond)
			if a.pendingHandshakes() == 0 {
				break
			}
		}
		if took := time.Since(began); a.pendingHandshakes() > 0 || took > 5500*time.Millisecond {
			t.Errorf("after %s, %d handshakes are still under way", took, a.pendingHandshakes())
		}
	})
}

func TestConnectionsAreAcceptedAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		start(t, n, 1, func(o *Options) { o.AcceptRate = 10 })
		bad := newAttacker(t, n, 1)
		began := time.Now()
		for range 110 {
			bad.connect().Close()
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("110 connections were accepted in %s, want about 10 s", took)
		}
	})
}
