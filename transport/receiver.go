package transport

import (
	"errors"
	"fmt"
)

// serve is the goroutine of an accepted connection, from its first byte to its last.
func (t *Transport) serve(l *link) {
	err := t.welcome(l)
	if err == nil {
		t.receiveWhileUp(l)
		return
	}
	answered := errors.Is(err, errAnswered)
	if answered {
		l.stream.closeGently(farewellPatience)
	}
	err = l.close(err)
	t.roster.do(func(r *roster) { r.end(l) })
	if !answered {
		t.logRefused(l, err)
	}
}

// receiveWhileUp owns a link that is up.
func (t *Transport) receiveWhileUp(l *link) {
	p := l.peer
	p.record.linkUp(l)
	p.giveHint()
	t.log.Info("link from a peer is up", "peer", hexID(p.id), "address", l.stream.RemoteAddr().String(),
		"boot", l.theirs.Boot, "features", l.theirs.Features)
	err := l.close(t.receiveAll(p, l))
	var wasItsLink bool
	t.roster.do(func(r *roster) { wasItsLink = r.end(l) })
	if wasItsLink { // and no newer one has taken over
		p.record.receivingDown(explain(err))
	}
	t.log.Info("link from a peer is down", "peer", hexID(p.id), "err", explain(err))
}

// receiveAll hands out messages until the link ends, and returns why it did.
func (t *Transport) receiveAll(p *peer, l *link) error {
	for {
		f, err := l.reader.read()
		if err != nil {
			return err
		}
		p.bytesReceived.Add(uint64(frameHeaderBytes + len(f.body)))
		if l.why.Load() != nil {
			return errInterrupted // A link that was cut hands out nothing more.
		}
		if err := t.handle(p, l, f); err != nil {
			return err
		}
	}
}

func (t *Transport) handle(p *peer, l *link, f frame) error {
	switch f.kind {
	case frameMessages:
		p.messagesReceived.Add(uint64(len(f.messages)))
		t.options.Handler(p.id, l.theirs.Boot, f.messages)
		return nil
	case framePing:
		return l.writeFrame(l.writer.control(frameEcho, f.body))
	case frameView:
		view, err := decodeView(f.body)
		if err != nil {
			return err
		}
		var cuts []cut
		t.roster.do(func(r *roster) { cuts = r.learnView(l, view) })
		cutAll(cuts)
		return nil
	case frameFarewell:
		return farewell(f)
	default:
		return fmt.Errorf("%w: kind %d came from the sending side", errFrame, f.kind)
	}
}
