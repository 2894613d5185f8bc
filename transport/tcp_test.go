package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/raft"
)

// tcpServer is a Transport on a real loopback port, for what only real sockets show.
func tcpServer(t testing.TB, id raft.ServerID, change func(*Options)) *Transport {
	t.Helper()
	o := Options{
		Identity: testIdentity(byte(id)), Cluster: testCluster, Self: id, Boot: 1,
		ListenAddress: "127.0.0.1:0",
		Handler:       func(raft.ServerID, uint64, [][]byte) {},
	}
	if change != nil {
		change(&o)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// tcpPair returns two servers whose link from the first to the second is up.
func tcpPair(t testing.TB, handler func(raft.ServerID, uint64, [][]byte)) (a, b *Transport) {
	t.Helper()
	up := make(chan struct{}, 1)
	a = tcpServer(t, 1, func(o *Options) {
		o.OnLink = func(_ raft.ServerID, isUp bool, _ error) {
			if isUp {
				up <- struct{}{}
			}
		}
	})
	b = tcpServer(t, 2, func(o *Options) { o.Handler = handler })
	for _, of := range []struct{ tr, other *Transport }{{a, b}, {b, a}} {
		row := Peer{ID: of.other.self.ID, Key: of.other.self.Key, Addresses: []string{of.other.Addr().String()}}
		if err := of.tr.SetPeers([]Peer{row}); err != nil {
			t.Fatal(err)
		}
	}
	<-up
	return a, b
}

func TestLinkOverTCP(t *testing.T) {
	received := make(chan string, 1)
	a, b := tcpPair(t, func(from raft.ServerID, boot uint64, m [][]byte) {
		received <- fmt.Sprintf("%x/%d %q", from, boot, m)
	})
	if !a.Send(2, []byte("hello")) {
		t.Error("a message was not taken though the link is up")
	}
	if got := <-received; got != `1/1 ["hello"]` {
		t.Errorf("received %s", got)
	}
	b.Close()
	a.Close()
}

// A socket closed with bytes unread is reset, and the reset overtakes the refusal. The refusal must
// arrive all the same.
func TestRefusalArrivesThoughMoreWasSentThanRead(t *testing.T) {
	a := tcpServer(t, 1, nil)
	for range 20 {
		config, err := newTLSConfig(testIdentity(66))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", a.Addr().String(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b := forged(2, 1, nil)
		if _, err := conn.Write(append(b, strings.Repeat("more than is read ", 5000)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := readNote(conn, noteHello); asRefusal(err) == nil {
			t.Fatalf("got %v, want a refusal", err)
		}
	}
}

// The default dialer and listener give up at once when they are closed, whatever the network does.
func TestCloseEndsAnAttemptToConnect(t *testing.T) {
	dialling := make(chan struct{})
	var once atomic.Bool
	a := tcpServer(t, 1, func(o *Options) {
		o.DialTimeout = time.Hour
		o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
			if once.CompareAndSwap(false, true) {
				close(dialling)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	if err := a.SetPeers([]Peer{unclaimed(2)}); err != nil {
		t.Fatal(err)
	}
	<-dialling
	a.Close()
}
