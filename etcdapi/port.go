package etcdapi

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// port shares one listener between gRPC and HTTP. The first bytes that a client sends tell which it
// speaks: HTTP/2 with prior knowledge begins with a fixed preface, and goes to gRPC's own transport;
// anything else, garbage too, goes to net/http, which knows how to refuse it.
//
// A connection that has not said enough to tell may keep waiting only for so long, and only so many may
// wait: one more, and the one that has waited longest is closed. Clients send their first bytes along
// with the connection, so what waits long is nobody's.
type port struct {
	listener net.Listener
	logger   *slog.Logger
	grpc     *handed
	http     *handed

	waitLimit int
	waitTime  time.Duration

	mu      sync.Mutex // guards waiting and closed
	waiting *list.List // of net.Conn, that which has waited longest in front
	closed  bool
	running sync.WaitGroup
}

const (
	// preface is how every connection of HTTP/2 with prior knowledge begins (RFC 9113, section 3.4).
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	defaultWaitLimit = 1024
	defaultWaitTime  = 5 * time.Second

	// After an error of accepting (too many open files, for one) the next try comes after a while that
	// grows from the first of these to the second.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

func newPort(l net.Listener, logger *slog.Logger) *port {
	return &port{
		listener: l, logger: logger, grpc: newHanded(l.Addr()), http: newHanded(l.Addr()),
		waitLimit: defaultWaitLimit, waitTime: defaultWaitTime, waiting: list.New(),
	}
}

// run accepts connections until ctx ends, and returns when the last has been handed over or closed.
func (p *port) run(ctx context.Context) {
	defer p.running.Wait()
	p.running.Go(func() {
		<-ctx.Done()
		p.close()
	})
	pause := acceptPauseMin
	for {
		conn, err := p.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err == nil {
			pause = acceptPauseMin
			p.sort(conn)
			continue
		}
		p.logger.Warn("no connection can be accepted", "address", p.listener.Addr().String(), "err", err)
		select {
		case <-time.After(pause):
			pause = min(2*pause, acceptPauseMax)
		case <-ctx.Done():
		}
	}
}

// close closes the listener and everything that waits.
func (p *port) close() {
	p.listener.Close()
	p.grpc.Close()
	p.http.Close()
	p.mu.Lock()
	p.closed = true
	var all []net.Conn
	for e := p.waiting.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(net.Conn))
	}
	p.mu.Unlock()
	for _, conn := range all {
		conn.Close()
	}
}

// sort finds out, beside the caller, what a connection speaks, and hands it over.
func (p *port) sort(conn net.Conn) {
	place := p.wait(conn)
	p.running.Go(func() {
		read, isHTTP2, err := p.sniff(conn)
		p.mu.Lock()
		p.waiting.Remove(place) // nothing happens if it was one too many
		p.mu.Unlock()
		if err == nil {
			err = conn.SetReadDeadline(time.Time{})
		}
		if err != nil {
			conn.Close()
			return
		}
		to := p.http
		if isHTTP2 {
			to = p.grpc
		}
		to.hand(&begun{Conn: conn, read: read})
	})
}

// wait adds a connection to those that wait, and closes the one that has waited longest if it is one
// too many.
func (p *port) wait(conn net.Conn) *list.Element {
	p.mu.Lock()
	var unwanted net.Conn
	if p.closed {
		unwanted = conn
	} else if p.waiting.Len() >= p.waitLimit {
		unwanted = p.waiting.Remove(p.waiting.Front()).(net.Conn)
	}
	place := p.waiting.PushBack(conn)
	p.mu.Unlock()
	if unwanted != nil {
		unwanted.Close() // whoever sniffs at it gives up
	}
	return place
}

// sniff reads until what was read is the preface, or cannot become it.
func (p *port) sniff(conn net.Conn) (read []byte, isHTTP2 bool, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(p.waitTime)); err != nil {
		return nil, false, err
	}
	b := make([]byte, len(preface))
	for n := 0; ; {
		more, err := conn.Read(b[n:])
		n += more
		switch {
		case string(b[:n]) != preface[:n]:
			return b[:n], false, nil
		case n == len(preface):
			return b, true, nil
		case err != nil:
			return nil, false, err
		}
	}
}

// begun is a connection of which the first bytes have been read already.
type begun struct {
	net.Conn
	read []byte // what was read and not given out yet; the reader's
}

func (c *begun) Read(b []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.read)
	c.read = c.read[n:]
	return n, nil
}

// handed is the listener of a server whose connections are accepted and sorted by a port.
type handed struct {
	address net.Addr
	conns   chan net.Conn // no room: whoever hands over waits until the server takes it, or is closed
	closed  chan struct{}
	once    sync.Once
}

func newHanded(address net.Addr) *handed {
	return &handed{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (h *handed) hand(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		conn.Close()
	}
}

// errPortClosed is what the servers' accept loops end with.
var errPortClosed = errors.Join(errors.New("port is closed"), net.ErrClosed)

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, errPortClosed
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handed) Addr() net.Addr { return h.address }
