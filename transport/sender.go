package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

var errNoAddress = errors.New("no address is known")

// keepLink is the goroutine of a peer: it dials, sends while the link is up, and dials again.
func (t *Transport) keepLink(p *peer) {
	pause := backoff{shortest: t.options.RedialMin, longest: t.options.RedialMax}
	for attempt := 0; p.ctx.Err() == nil; attempt++ {
		lived, err := t.connect(p, attempt)
		if p.ctx.Err() != nil {
			return
		}
		p.record.sendingDown(err)
		if why := asRefusal(err); why != nil && why.Reason == ReasonRenewed && !why.Remote {
			continue // Our own idea. Were it the other side's, we would wait like after any refusal.
		}
		t.logLinkDown(p, err)
		// A link that is cut as soon as it is up, again and again, must not be dialled in a tight loop.
		if lived >= t.options.RedialMax {
			pause.reset()
		}
		pause.wait(p)
	}
}

// connect makes one attempt and, if it succeeds, sends until the link ends. It returns why there is
// no link, never nil, and for how long there was one.
func (t *Transport) connect(p *peer, attempt int) (lived time.Duration, err error) {
	var addresses []string
	t.roster.do(func(r *roster) {
		if m := r.find(p.id); m != nil && m.peer == p {
			addresses = m.addresses
		}
	})
	if len(addresses) == 0 {
		return 0, errNoAddress
	}
	address := addresses[attempt%len(addresses)]
	p.record.dialling(address)
	l, err := t.dial(p, address)
	if err != nil {
		return 0, fmt.Errorf("dial %s: %w", address, withoutAddress(err))
	}
	if err = t.introduce(l); err == nil {
		err = t.sendWhileUp(p, l)
		lived = time.Since(l.admitted)
	}
	t.hearExpulsion(p, err)
	err = l.close(err)
	t.roster.do(func(r *roster) { r.end(l) })
	return lived, fmt.Errorf("link to %s: %w", address, explain(err))
}

// hearExpulsion tells the owner if a peer has said that this server must not be. It is asked on links that we have
// dialled only: there, nothing is read before the other side has proved that it is the peer. Anybody could come and say so.
func (t *Transport) hearExpulsion(p *peer, err error) {
	why := asRefusal(err)
	if why == nil || !why.Remote || t.options.OnExpelled == nil {
		return
	}
	switch why.Reason {
	case ReasonKey, ReasonStaleBoot, ReasonTwin, ReasonCopy:
		t.options.OnExpelled(p.id, why)
	}
}

func (t *Transport) dial(p *peer, address string) (*link, error) {
	ctx, cancel := context.WithTimeout(p.ctx, t.options.DialTimeout)
	defer cancel()
	conn, err := t.options.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	l := newLink(conn, true)
	l.peer = p
	return l, t.begin(l)
}

// begin sets the deadline of the handshake and makes the connection one that Close knows of.
func (t *Transport) begin(l *link) error {
	err := l.stream.SetDeadline(time.Now().Add(t.options.HandshakeTimeout))
	if err == nil {
		var cuts []cut
		t.roster.do(func(r *roster) { cuts, err = r.begin(l, t.options.MaxHandshakes) })
		cutAll(cuts)
	}
	if err != nil {
		_ = l.stream.Close()
	}
	return err
}

// sendWhileUp owns a link that is up, and returns why it no longer is.
func (t *Transport) sendWhileUp(p *peer, l *link) error {
	p.queue.setOpen(true)
	p.record.linkUp(l)
	t.log.Info("link to a peer is up", "peer", hexID(p.id), "address", l.stream.RemoteAddr().String(),
		"boot", l.theirs.Boot, "features", l.theirs.Features)
	t.options.OnLink(p.id, true, nil)
	began := time.Now()
	l.readers.Go(func() {
		l.lastHeard = t.listen(p, l, began)
		close(l.deaf)
	})
	err := l.causeOf(t.sendAll(p, l, began))
	p.queue.setOpen(false)
	t.options.OnLink(p.id, false, explain(err))
	return err
}

// sendAll writes what is queued, all of it in as few frames as go, while the next batch gathers.
func (t *Transport) sendAll(p *peer, l *link, began time.Time) error {
	probe := time.NewTicker(t.options.KeepAlive)
	defer probe.Stop()
	var batch [][]byte
	for {
		if err := t.sendView(l); err != nil {
			return err
		}
		batch = p.queue.take(batch)
		if err := t.sendBatch(p, l, batch); err != nil {
			return err
		}
		if l.stream.sent.Load() > t.options.renewAfter {
			return refuse(ReasonRenewed, "the link has carried enough for one key and is made anew")
		}
		select {
		case <-p.queue.ready:
		case <-probe.C:
			if err := l.writeFrame(l.writer.control(framePing, timestamp(began))); err != nil {
				return err
			}
		case <-l.deaf:
			return errDeaf
		case <-l.cutting:
			return errInterrupted
		}
	}
}

// sendBatch gives the queue its room back frame by frame.
func (t *Transport) sendBatch(p *peer, l *link, batch [][]byte) error {
	for rest := batch; len(rest) > 0; {
		if l.why.Load() != nil {
			return errInterrupted
		}
		frame, left := l.writer.pack(rest)
		if err := l.writeFrame(frame); err != nil {
			return err
		}
		messages := len(rest) - len(left)
		bytes := len(frame) - frameHeaderBytes - messages*framePrefix
		p.queue.written(messages, bytes)
		p.messagesSent.Add(uint64(messages))
		p.bytesSent.Add(uint64(len(frame)))
		rest = left
	}
	return nil
}

// sendView tells the peer which keys we know, if that has changed since it was told.
func (t *Transport) sendView(l *link) error {
	var view []KnownKey
	var version uint64
	t.roster.do(func(r *roster) {
		if version = r.version; version != l.viewVersion {
			view, _ = r.view()
		}
	})
	if version == l.viewVersion {
		return nil
	}
	l.viewVersion = version
	return l.writeFrame(l.writer.control(frameView, appendView(nil, view)))
}

// listen reads what the receiving side says on a link that we dialled: echoes, and why it ends.
func (t *Transport) listen(p *peer, l *link, began time.Time) error {
	for {
		f, err := l.reader.read()
		if err != nil {
			return err
		}
		switch f.kind {
		case frameEcho:
			if len(f.body) != pingBytes {
				return fmt.Errorf("%w: an echo of %d bytes", errFrame, len(f.body))
			}
			sent := time.Duration(binary.LittleEndian.Uint64(f.body))
			p.measured(time.Since(began) - sent)
			l.answered.Store(began.Add(sent).UnixNano())
		case frameFarewell:
			return farewell(f)
		default:
			return fmt.Errorf("%w: kind %d came from the receiving side", errFrame, f.kind)
		}
	}
}

// timestamp is the body of a ping: nanoseconds since the link began, for our own eyes only.
func timestamp(began time.Time) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(time.Since(began)))
}

func farewell(f frame) error {
	refusal, err := decodeRefusal(f.body)
	if err != nil {
		return err
	}
	return refusal
}

// backoff is the pause between attempts, which doubles from shortest to longest. All but the
// shortest pause may be cut short by a hint; it may not, so that two servers cannot drive each other.
type backoff struct {
	shortest, longest time.Duration
	next              time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// wait waits for the pause, or until the peer's end. Its length is drawn at random, so that servers
// that lost each other at once do not come back at once.
func (b *backoff) wait(p *peer) {
	b.next = min(max(2*b.next, b.shortest), b.longest)
	pause := b.next/2 + rand.N(b.next/2+1)
	least := min(pause, b.shortest)
	if b.waitFor(least, p, nil) {
		b.waitFor(pause-least, p, p.hint)
	}
}

// waitFor reports whether the time passed without a hint or the peer's end.
func (b *backoff) waitFor(pause time.Duration, p *peer, hint <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-hint:
		return false
	case <-p.ctx.Done():
		return false
	}
}
