package transport

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/quorate/quorate/raft"
)

// acceptAll is the goroutine of the listener.
func (t *Transport) acceptAll() {
	rate := bucket{perSecond: t.options.AcceptRate}
	for t.pauseFor(rate.take(time.Now())) {
		conn, err := t.listener.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			t.logAcceptError(err)
			if errors.Is(err, net.ErrClosed) || !t.pauseFor(acceptErrorPause) {
				return
			}
			continue
		}
		l := newLink(conn, false)
		if t.begin(l) == nil {
			t.running.Go(func() { t.serve(l) })
		}
	}
}

// acceptErrorPause: accepting fails for want of files or memory, which only time mends.
const acceptErrorPause = 100 * time.Millisecond

// pauseFor returns false if the transport is closed first.
func (t *Transport) pauseFor(d time.Duration) bool {
	if d <= 0 {
		return t.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// bucket allows perSecond events per second in the long run, and as many at once.
type bucket struct {
	perSecond int
	empty     time.Time // when it would be empty again, had nothing been taken since
}

// take takes one event, and returns how long to wait before it may happen.
func (b *bucket) take(now time.Time) time.Duration {
	full := now.Add(-time.Second)
	if b.empty.Before(full) {
		b.empty = full
	}
	b.empty = b.empty.Add(time.Second / time.Duration(b.perSecond))
	return b.empty.Sub(now)
}

func (t *Transport) logAcceptError(err error) {
	if suppressed, ok := t.throttle.allow(throttleKey{reason: throttleAccept}, time.Now()); ok {
		t.log.Error("peers cannot be accepted", "err", err, "suppressed", suppressed)
	}
}

// logRefused says why a connection did not become a link. Strangers can make as many as they like,
// so each kind of trouble gets a line only now and then.
func (t *Transport) logRefused(l *link, err error) {
	key := throttleKey{reason: throttleStranger}
	refusal := asRefusal(err)
	if refusal != nil {
		key.reason = refusal.Reason
	}
	if p := t.provenPeer(l); p != nil {
		key.peer = p.id
		if refusal != nil && !refusal.Remote {
			p.record.refusedOne(refusal)
		}
	}
	if t.ctx.Err() != nil || errors.Is(err, io.EOF) && l.stream.received.Load() == 0 {
		return // We are closing, or somebody looked whether the port is open.
	}
	if suppressed, ok := t.throttle.allow(key, time.Now()); ok {
		t.log.Warn("connection refused", "address", l.stream.RemoteAddr().String(), "err", explain(err),
			"suppressed", suppressed)
	}
}

// provenPeer returns the peer whose key made the connection, or nil if it is a stranger's.
func (t *Transport) provenPeer(l *link) *peer {
	if l.conn == nil || l.theirs == nil {
		return nil
	}
	c, err := t.contact(l, l.theirs.From)
	if err != nil {
		return nil
	}
	var p *peer
	t.roster.do(func(r *roster) {
		if m, known, err := r.vet(c); known && err == nil {
			p = m.peer
		}
	})
	return p
}

func (t *Transport) logLinkDown(p *peer, err error) {
	key := throttleKey{reason: throttleDown, peer: p.id}
	if refusal := asRefusal(err); refusal != nil {
		key.reason = refusal.Reason
	}
	if suppressed, ok := t.throttle.allow(key, time.Now()); ok {
		t.log.Warn("no link to a peer", "peer", hexID(p.id), "err", err, "suppressed", suppressed)
	}
}

// Kinds of log lines that have no Reason of their own.
const (
	throttleStranger Reason = 0xfff0 + iota
	throttleAccept
	throttleDown
)

// throttleKey names lines that are worth one line together. peer is 0, or an id in the table.
type throttleKey struct {
	reason Reason
	peer   raft.ServerID
}
