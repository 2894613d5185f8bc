package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// network is what lies between the servers: each one's advertised address is a relay's, which hands the
// connection on to where the server listens. The relays see bytes; TLS goes through them.
//
// A server only sends messages on connections that it dialled itself. So what s1 has dialled to s2 is
// the link from s1 to s2, and cutting that one alone leaves the pair a link in one direction.
//
//	s1 ── dials ──▶ relay of s2 ── link{s1, s2} ──▶ s2
//	s3 ── dials ──▶      "      ── link{s3, s2} ──▶ s2
type network struct {
	servers []*serverProcess
	links   map[direction]*link // all of them; the map does not change
	running sync.WaitGroup
	closed  chan struct{}
}

type direction struct{ from, to *serverProcess }

// newNetwork puts relays before servers that have not been started yet.
func newNetwork(t *testing.T, servers []*serverProcess) *network {
	t.Helper()
	n := &network{servers: servers, links: map[direction]*link{}, closed: make(chan struct{})}
	for _, to := range servers {
		for _, from := range others(servers, to) {
			n.links[direction{from, to}] = newLink()
		}
	}
	var listeners []net.Listener
	t.Cleanup(func() {
		close(n.closed)
		for _, l := range listeners {
			_ = l.Close() // ends accept
		}
		for _, l := range n.links {
			l.closeAll()
		}
		n.running.Wait()
	})
	for i, port := range freePorts(t, len(servers)) {
		to := servers[i].with("--listen-peer-urls", localURL(port))
		l, err := net.Listen("tcp", localAddress(to.peerPort))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		n.running.Go(func() { n.accept(l, to, localAddress(port)) })
	}
	return n
}

// accept is the relay of one server. It ends when the listener is closed.
func (n *network) accept(l net.Listener, to *serverProcess, address string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		n.running.Go(func() {
			defer conn.Close()
			if from := n.dialler(conn); from != nil && from != to {
				n.relay(n.links[direction{from, to}], conn, address)
			}
		})
	}
}

// relay carries bytes both ways until either end closes.
func (n *network) relay(l *link, dialled net.Conn, address string) {
	listening, err := net.Dial("tcp", address)
	if err != nil {
		return // The server is down, and the other one finds out.
	}
	defer listening.Close()
	both := relayed{dialled, listening}
	if !l.add(both, n.closed) {
		return
	}
	defer l.remove(both)
	var back sync.WaitGroup
	back.Go(func() { n.pump(l, dialled, listening) })
	n.pump(l, listening, dialled)
	back.Wait()
}

// pump carries the bytes of one direction, and does to them what is done to the link.
func (n *network) pump(l *link, to, from net.Conn) {
	defer from.Close()
	defer to.Close() // so that the other direction ends
	buffer := make([]byte, 16<<10)
	for {
		count, err := from.Read(buffer)
		if b := buffer[:count]; count > 0 {
			damage, ok := l.pass(b, n.closed)
			if !ok {
				return
			}
			switch damage {
			case flipBit:
				b[len(b)/2] ^= 1
			case resetInFrame:
				_ = write(to, b[:len(b)/2]) // It is cut off anyway.
				resetOnClose(to)
				resetOnClose(from)
				return
			}
			if write(to, b) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func resetOnClose(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) } // fails on what is closed

// damage is what a link does to the next bytes on it, once.
type damage int

const (
	noDamage damage = iota
	flipBit
	resetInFrame // half of what came is delivered, and the connection is reset
)

// link is one directed link. The zero value is not usable.
type link struct {
	guard sync.Mutex
	open  chan struct{} // closed while bytes pass
	delay time.Duration // of all bytes
	next  damage
	done  int // damages
	conns map[relayed]bool
}

// relayed are the two connections that a relay ties together.
type relayed struct{ dialled, listening net.Conn }

func newLink() *link {
	l := &link{open: make(chan struct{}), conns: map[relayed]bool{}}
	close(l.open)
	return l
}

// add counts connections among the link's, unless the network is closed.
func (l *link) add(both relayed, closed <-chan struct{}) bool {
	l.guard.Lock()
	defer l.guard.Unlock()
	select {
	case <-closed:
		return false
	default:
		l.conns[both] = true
		return true
	}
}

func (l *link) remove(both relayed) {
	l.guard.Lock()
	defer l.guard.Unlock()
	delete(l.conns, both)
}

func (l *link) closeAll() {
	l.guard.Lock()
	defer l.guard.Unlock()
	for both := range l.conns {
		_ = both.dialled.Close()
		_ = both.listening.Close()
	}
}

// worthDamage is how many bytes there must be for the middle of them to lie within a frame.
const worthDamage = 64

// pass waits until bytes may pass, and says what is to be done to them. It is false when the network is
// closed.
func (l *link) pass(b []byte, closed <-chan struct{}) (damage, bool) {
	l.guard.Lock()
	open, delay, next := l.open, l.delay, l.next
	if len(b) < worthDamage {
		next = noDamage
	}
	if next != noDamage {
		l.next = noDamage
		l.done++
	}
	l.guard.Unlock()
	late := time.NewTimer(delay)
	defer late.Stop()
	select {
	case <-open:
	case <-closed:
		return noDamage, false
	}
	select {
	case <-late.C:
	case <-closed:
		return noDamage, false
	}
	return next, true
}

// cut keeps back all bytes of a link, without a word, also those of connections to come. They arrive
// when it is mended.
func (n *network) cut(from, to *serverProcess) {
	l := n.links[direction{from, to}]
	l.guard.Lock()
	defer l.guard.Unlock()
	l.open = make(chan struct{})
}

// separate cuts all links between two sides.
func (n *network) separate(some, rest []*serverProcess) {
	for _, a := range some {
		for _, b := range rest {
			n.cut(a, b)
			n.cut(b, a)
		}
	}
}

// mend makes all links whole and quick.
func (n *network) mend() {
	for _, l := range n.links {
		l.guard.Lock()
		select {
		case <-l.open:
		default:
			close(l.open)
		}
		l.delay, l.next = 0, noDamage
		l.guard.Unlock()
	}
}

// slow delays a link.
func (n *network) slow(d direction, delay time.Duration) {
	l := n.links[d]
	l.guard.Lock()
	defer l.guard.Unlock()
	l.delay = delay
}

// spoil damages the next bytes of a link, and waits until that has happened.
func (n *network) spoil(t *testing.T, d direction, what damage) {
	t.Helper()
	l := n.links[d]
	count := func() int {
		l.guard.Lock()
		defer l.guard.Unlock()
		return l.done
	}
	goal := count() + 1
	l.guard.Lock()
	l.next = what
	l.guard.Unlock()
	eventually(t, fmt.Sprintf("bytes from %s to %s are damaged", d.from.name, d.to.name), func() error {
		if count() < goal {
			return errors.New("nothing has passed since")
		}
		return nil
	})
}

// dialler returns the server that has dialled a connection: the kernel knows which socket it is, and
// which process has that socket. Nil is nobody, or somebody who is gone.
func (n *network) dialler(conn net.Conn) *serverProcess {
	theirs := conn.RemoteAddr().(*net.TCPAddr)
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil
	}
	// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode; of
	// 127.0.0.1:2379 the table makes 0100007F:094B.
	inode, local := "", fmt.Sprintf(":%04X", theirs.Port)
	remote := fmt.Sprintf(":%04X", conn.LocalAddr().(*net.TCPAddr).Port)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 9 && strings.HasSuffix(fields[1], local) && strings.HasSuffix(fields[2], remote) && fields[9] != "0" {
			inode = fields[9]
		}
	}
	for _, s := range n.servers {
		files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.processID()), "fd", "*"))
		if err != nil {
			return nil
		}
		for _, file := range files {
			if to, err := os.Readlink(file); err == nil && to == "socket:["+inode+"]" {
				return s
			}
		}
	}
	return nil
}
